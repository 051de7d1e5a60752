"""The revision of a database's tables, how they are created, and the Alembic migrations that upgrade them.

Alembic is imported only for an upgrade: a process that starts on a new database, or on tables of its own revision,
starts sooner without it.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Column, Connection, MetaData, String, Table, insert, inspect, text

from quart_odds.errors import StorageError
from quart_odds.storage.database_errors import shown
from quart_odds.storage.tables import notes, writer
from quart_odds.storage.upkeep_tables import metadata

if TYPE_CHECKING:
    from alembic.config import Config

NEW_DATABASE = "made_at_revision"
"""Key, in the table `notes`, of the revision at which a database was created. An upgrade does not change the value."""

MIGRATIONS = Path(__file__).parent / "migrations"
"""Folder of the Alembic scripts. The name of each in `versions` begins with its revision, and they are in order."""

_VERSION = Table(
    "alembic_version",
    MetaData(naming_convention={"pk": "alembic_version_pkc"}),
    Column("version_num", String(32), primary_key=True),
)
"""Alembic's own table, as Alembic creates it."""


def alembic_config(connection: Connection | None = None) -> "Config":
    """Return a configuration for Alembic commands, which run on `connection`."""
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def known() -> tuple[str, ...]:
    """Return all revisions of the tables, oldest first."""
    return tuple(sorted(each.name.partition("_")[0] for each in (MIGRATIONS / "versions").glob("[0-9]*.py")))


def head() -> str:
    """Return the newest revision of the tables."""
    return known()[-1]


def revision(connection: Connection) -> str | None:
    """Return the revision of a database's tables, or None if it has no tables.

    Raises StorageError if a newer version of Quart Odds made them.
    """
    if not inspect(connection).has_table("alembic_version"):
        return None
    found: str | None = connection.scalar(text("SELECT version_num FROM alembic_version"))
    if found is not None and found not in known():
        reason = (
            "a newer version of Quart Odds made this "
            f"database (its tables are at revision {found}, and this version supports {head()}): use the newer "
            "version, or the copy that was made before the upgrade; nothing was changed"
        )
        raise StorageError(reason, for_operator=f"{shown(connection.engine.url)}: {reason}")
    return found


def upgrade(connection: Connection) -> str:
    """Upgrade the tables to the newest revision, or create them, and return that revision. Raises StorageError."""
    found = revision(connection)
    if found is None:
        _create(connection)
    elif found != head():
        from alembic import command

        command.upgrade(alembic_config(connection), "head")
    return head()


def _create(connection: Connection) -> None:
    """Create the tables, which equal those that all migrations in a row make."""
    metadata.create_all(connection, checkfirst=False)
    _VERSION.create(connection, checkfirst=False)
    connection.execute(insert(_VERSION).values(version_num=head()))
    connection.execute(insert(writer).values(id=1, term=0, revision=0))
    connection.execute(insert(notes).values(name=NEW_DATABASE, value=head()))
