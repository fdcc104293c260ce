"""Jobs and runs, and their state transitions."""
