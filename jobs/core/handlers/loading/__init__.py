"""Find the handlers in the user's package."""
