"""The schema's history, for Alembic. ``python -m jobs db upgrade`` runs it."""
