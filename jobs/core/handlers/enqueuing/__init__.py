"""Enqueue jobs for a handler from Python, with typed arguments."""
