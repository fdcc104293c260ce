"""Functions that no user calls: the scheduler's callback and timers."""
