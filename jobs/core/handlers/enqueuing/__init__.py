"""A handler from the side of those who enqueue for it."""
