"""Alembic's entry: runs the steps on the connection and in the schema that ``migrate`` passes in."""

from alembic import context

connection = context.config.attributes["connection"]
schema = context.config.attributes["schema"]

context.configure(
    connection=connection,
    version_table="schema_version",
    version_table_schema=schema,
    transactional_ddl=True,
)
context.run_migrations()
