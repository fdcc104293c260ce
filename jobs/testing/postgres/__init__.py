"""A harness on PostgreSQL, and the embedded server that tests have. Imported where one of them is asked for, only."""
