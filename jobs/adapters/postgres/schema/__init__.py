"""The tables, their migrations, and the roles that may use them."""
