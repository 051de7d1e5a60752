"""The revision of a database's tables, and the Alembic migrations that upgrade them."""

from functools import cache
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from quart_odds.errors import StorageError
from quart_odds.storage.database_errors import shown

NEW_DATABASE = "made_at_revision"
"""Key, in the table `notes`, of the revision at which a database was created. An upgrade does not change the value."""

MIGRATIONS = Path(__file__).parent / "migrations"
"""Folder of the Alembic scripts."""


def alembic_config(connection: Connection | None = None) -> Config:
    """Return a configuration for Alembic commands, which run on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def head() -> str:
    """Return the newest revision of the tables."""
    return str(ScriptDirectory.from_config(alembic_config()).get_current_head())


def revision(connection: Connection) -> str | None:
    """Return the revision of a database's tables, or None if it has no tables.

    Raises StorageError if a newer version of Quart Odds made them.
    """
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()}
    if found is not None and found not in known:
        reason = (
            "a newer version of Quart Odds made this "
            f"database (its tables are at revision {found}, and this version supports {head()}): use the newer "
            "version, or the copy that was made before the upgrade; nothing was changed"
        )
        raise StorageError(reason, for_operator=f"{shown(connection.engine.url)}: {reason}")
    return found


def upgrade(connection: Connection) -> str:
    """Upgrade the tables to the newest revision, or create them, and return that revision. Raises StorageError."""
    before = revision(connection)
    if before == head():
        return head()
    command.upgrade(alembic_config(connection), "head")
    if before is None:
        note = "INSERT INTO notes (name, value) VALUES (:name, :value)"
        connection.execute(text(note), {"name": NEW_DATABASE, "value": head()})
    return head()
