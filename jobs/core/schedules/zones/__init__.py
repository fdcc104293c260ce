"""Time zones, by name."""
