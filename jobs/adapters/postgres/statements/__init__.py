"""The SQL statements, one module per topic."""
