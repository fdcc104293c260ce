"""The implementations of the store's ports on PostgreSQL."""
