"""The environment script of Alembic: runs the migrations on the connection that `storage.revisions` passes."""

from alembic import context

from quart_odds.storage.upkeep_tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
