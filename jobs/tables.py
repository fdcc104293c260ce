"""The framework's tables, for an application that has them in a SQLAlchemy ``MetaData`` of its own.

from jobs.tables import add_background_jobs
"""

from jobs.adapters.postgres.schema.tables import JobTables, add_background_jobs

__all__ = ["JobTables", "add_background_jobs"]
