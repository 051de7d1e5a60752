"""The revision of a database's tables, and who writes, for both kinds of database."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, func, select

from quart_odds.doctor.findings import Finding, ok, warning
from quart_odds.storage import revisions
from quart_odds.storage.tables import alert_targets, writer

CHECK = "database.revision"


@dataclass(frozen=True, slots=True)
class Tables:
    """What the tables say: their revision, the holder of the writer lease, and how many targets are Apprise's."""

    revision: str | None
    holder: str | None = None
    apprise_targets: int = 0


def read_tables(connection: Connection) -> Tables:
    """Read the tables. Raises StorageError if a newer version made them."""
    revision = revisions.revision(connection)
    if revision != revisions.head():
        return Tables(revision)
    holder: Any = connection.scalar(select(writer.c.holder))
    apprise = select(func.count()).select_from(alert_targets).where(alert_targets.c.kind == "apprise")
    return Tables(revision, holder, connection.scalar(apprise) or 0)


def revision_finding(tables: Tables) -> Finding:
    """Return whether the tables are those of this version."""
    head = revisions.head()
    facts = {"revision": tables.revision, "newest": head, "writer": tables.holder}
    if tables.revision is None:
        return ok(CHECK, f"no tables yet: the first start makes them at revision {head}", **facts)
    if tables.revision != head:
        return warning(
            CHECK,
            f"the tables are at revision {tables.revision}, and this version has {head}",
            "the next start upgrades them, or `quart-odds migrate`: stop servers of the older version first",
            **facts,
        )
    written = f"; {tables.holder} writes" if tables.holder else ""
    return ok(CHECK, f"the tables are at revision {head}, the newest{written}", **facts)
