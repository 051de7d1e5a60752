"""The interface of the database for the rest of the program: runs, events with odds and history, key-value pairs."""

import secrets
from collections.abc import Callable, Collection, Sequence
from datetime import datetime

import structlog
from sqlalchemy import delete, insert, select, text

from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.ports import StoredEvent, StoredOdds, WriterRow
from quart_odds.storage.access_rows import AccessRows
from quart_odds.storage.alert_queue import AlertQueueRows
from quart_odds.storage.alert_rules import AlertRuleRows
from quart_odds.storage.alert_targets import AlertTargetRows
from quart_odds.storage.analytics import AnalyticsRows
from quart_odds.storage.clean_ups import CleanUpRows
from quart_odds.storage.database import Database
from quart_odds.storage.history_rows import HistoryRows
from quart_odds.storage.odds_load import (
    archived_odds,
    ids_between,
    last_ids,
    load_competitions,
    load_event,
    load_events,
    load_these,
    not_installed,
)
from quart_odds.storage.odds_rows import EncodedBatch, write_batch
from quart_odds.storage.retention import RetentionRows
from quart_odds.storage.run_rows import RunRows
from quart_odds.storage.sizes import SizeRows
from quart_odds.storage.tables import MAX_ID, notes, writer
from quart_odds.storage.writer import OddsWriter

log = structlog.get_logger(__name__)

__all__ = ["Store", "migrate", "open_migrated", "open_store"]


class Store(
    RunRows,
    HistoryRows,
    AnalyticsRows,
    RetentionRows,
    CleanUpRows,
    SizeRows,
    AlertTargetRows,
    AlertRuleRows,
    AlertQueueRows,
    AccessRows,
):
    """Everything that is stored. Every method raises StorageError if the database is slow, locked, full or gone."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @property
    def revision(self) -> str:
        """The newest revision of the tables: the revision of every migrated database."""
        return self.database.head

    @property
    def term(self) -> int | None:
        """The term in which this process writes; None while it does not."""
        return self.database.term

    @property
    def holder(self) -> str:
        """The name of this process as the holder of the writer lease. It differs between any two processes."""
        return self.database.lease.holder

    @property
    def holds_lease(self) -> bool:
        """Whether this process may write now, for certain: False from a second before its lease ends."""
        return self.database.lease.is_held

    @property
    def writer_row(self) -> WriterRow:
        """Who writes, as this process last saw it."""
        return self.database.writer_row

    async def take_writer_lock(self) -> bool:
        """Renew the writer lease, or take it if it can be had. Returns whether this process writes, in its `term`."""
        return await self.database.take_writer_lock()

    async def odds_revision(self) -> int:
        """Return a number that grows with each transaction of the writer."""
        return await self.database.revision()

    def odds_writer(
        self, cache: OddsCache, *, on_refused: Callable[[NotWriterError], None], confirm_seconds: float
    ) -> OddsWriter:
        """Return a writer for a cache. `on_refused` is called if another process has become the writer."""
        return OddsWriter(self, cache, on_refused=on_refused, confirm_seconds=confirm_seconds)

    async def write(self, batch: EncodedBatch, term: int | None) -> None:
        """Commit a batch as a whole. Raises NotWriterError if `term` is not the current term of the database."""
        async with self.database.writing_as(term) as connection:
            await write_batch(connection, batch)

    async def load(self, since: datetime) -> StoredOdds:
        """Return what the cache needs at start: events that kick off, or were last seen, at `since` or later.

        Of older events, only the keys are returned, as archived odds.
        """
        async with self.database.reading() as connection:
            if not self.database.is_sqlite:
                # All queries must see the same state, even while another process writes. On SQLite they always do.
                await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
            revision = int((await connection.execute(select(writer.c.revision))).scalar_one())
            event_id, odds_id = await last_ids(connection)
            for slug, count in await not_installed(connection):
                log.warning(
                    "bookmaker.not_installed",
                    bookmaker=slug,
                    events=count,
                    reason="its odds are kept but not shown; install the package that it is from",
                )
            return StoredOdds(
                await load_events(connection, since),
                await archived_odds(connection, since),
                await load_competitions(connection),
                event_id,
                odds_id,
                revision,
            )

    async def load_event(self, event_id: int) -> StoredEvent | None:
        """Return one event, however old, or None if there is no event with this id."""
        if not 0 < event_id <= MAX_ID:
            return None
        async with self.database.reading() as connection:
            return await load_event(connection, event_id)

    async def event_ids(
        self,
        *,
        kickoff_from: datetime | None = None,
        kickoff_to: datetime | None = None,
        among: Collection[int] | None = None,
    ) -> list[int]:
        """Return the ids of the events that kick off in this range according to any bookmaker, in order of kick-off.

        `among` restricts them to these ids.
        """
        known = None if among is None else [each for each in among if 0 < each <= MAX_ID]
        async with self.database.reading() as connection:
            return await ids_between(connection, kickoff_from, kickoff_to, known)

    async def stored_events(self, event_ids: Sequence[int]) -> list[CachedEvent]:
        """Return the events with these ids that there are, however old, in the order of the ids."""
        async with self.database.reading() as connection:
            found = {each.event.id: each.joined() for each in await load_these(connection, event_ids)}
        return [found[each] for each in event_ids if each in found]

    async def get_value(self, name: str) -> str | None:
        """Return the value of this key, or None if it is not set."""
        async with self.database.reading() as connection:
            return await connection.scalar(select(notes.c.value).where(notes.c.name == name))

    async def set_value(self, name: str, value: str | None) -> None:
        """Store a value that survives restarts; None deletes it. Raises NotWriterError while another process writes."""
        async with self.database.writing_as_writer() as connection:
            await connection.execute(delete(notes).where(notes.c.name == name))
            if value is not None:
                await connection.execute(insert(notes).values(name=name, value=value))

    async def installation(self) -> str:
        """Return a name that this database has and no other: what is kept elsewhere for it is found by that."""
        key = "installation"
        async with self.database.writing() as connection:
            await connection.execute(
                text("INSERT INTO notes (name, value) VALUES (:name, :value) ON CONFLICT DO NOTHING"),
                {"name": key, "value": secrets.token_hex(8)},
            )
            return str(await connection.scalar(select(notes.c.value).where(notes.c.name == key)))

    async def check(self) -> None:
        """Check that the database answers. Raises StorageError if it does not."""
        async with self.database.reading() as connection:
            await connection.execute(select(1))

    async def aclose(self) -> None:
        """Close every connection and release the writer lock."""
        await self.database.aclose()


async def open_store(database_url: str) -> Store:
    """Open a database, upgrade its tables, and return the store. Raises StorageError."""
    database = Database(database_url)
    try:
        await database.migrate()
    except BaseException:
        await database.aclose()
        raise
    return Store(database)


async def open_migrated(database_url: str) -> Store:
    """Open a database for reading, as it is, and return the store: nothing is created, upgraded or locked.

    Raises StorageError if there is no database, or if it has to be upgraded first.
    """
    database = Database(database_url, creates=False)
    try:
        found = await database.found_revision()
        if found != database.head:
            reason = "the database has no tables yet" if found is None else f"its tables are at revision {found}"
            advice = f"{reason}, and not at {database.head}: run `quart-odds migrate`"
            raise StorageError(advice, for_operator=f"{database.shown}: {advice}")
    except BaseException:
        await database.aclose()
        raise
    return Store(database)


async def migrate(database_url: str) -> str:
    """Upgrade the tables of a database and return their revision. Raises StorageError."""
    database = Database(database_url)
    try:
        return await database.migrate()
    finally:
        await database.aclose()
