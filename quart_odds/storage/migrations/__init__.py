"""The Alembic migrations. `storage.database` applies them at every start."""
