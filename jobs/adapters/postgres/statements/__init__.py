"""Every SQL statement, by what it is about."""
