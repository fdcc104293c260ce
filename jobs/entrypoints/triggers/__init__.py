"""What Functions calls by itself: the scheduler's callback and timers."""
