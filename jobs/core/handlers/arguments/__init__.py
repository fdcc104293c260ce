"""The arguments of a handler: its signature, their versions, and which models keep numbers exactly."""
