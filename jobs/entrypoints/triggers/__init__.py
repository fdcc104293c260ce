"""The functions that the scheduler and timers call, not users."""
