"""Headers that mean something to this host."""

WATCHER = "x-jobs-watcher"
"""Of a request that only looks, again and again: its line is logged for debugging only."""
