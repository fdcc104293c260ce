"""What the framework does, in terms of the ports."""
