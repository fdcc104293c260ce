"""The store on PostgreSQL, through SQLAlchemy and pg8000."""
