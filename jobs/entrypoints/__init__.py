"""Where the outside world comes in: HTTP, timers, the command line. Thin."""
