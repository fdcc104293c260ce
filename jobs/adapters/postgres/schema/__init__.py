"""The tables, their migrations, and the database roles that use them."""
