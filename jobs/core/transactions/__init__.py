"""Units of work and distributed locks."""
