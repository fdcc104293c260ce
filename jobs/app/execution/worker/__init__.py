"""The threads of this process that run attempts, and what they share."""
