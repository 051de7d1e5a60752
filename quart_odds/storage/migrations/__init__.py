"""Alembic's migrations, applied at every start by `storage.database`."""
