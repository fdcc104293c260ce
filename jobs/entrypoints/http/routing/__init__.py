"""Which route a request belongs to, and what is answered where none does."""
