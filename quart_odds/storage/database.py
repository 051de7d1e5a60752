"""One open database: its connections and transactions, the upgrade of its tables, and the writer lock.

SQLite has one writing connection, whose transactions take the write lock when they begin, and several readers that use
the write-ahead log at the same time. With SQLite and PostgreSQL alike, one process holds the writer lease for a term,
and `writing_as` refuses transactions of an earlier term. Errors of the drivers are translated to StorageError here.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.clock import awake_or_not
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.ports import WriterRow
from quart_odds.storage import revisions
from quart_odds.storage.backup import copy_beside
from quart_odds.storage.database_errors import shown, translated
from quart_odds.storage.engines import CLOSE_SECONDS, async_url, dispose, empty_log, postgres_engine, sqlite_engine
from quart_odds.storage.pooler import refuse_pooler
from quart_odds.storage.private_files import keep_private
from quart_odds.storage.tables import writer
from quart_odds.storage.writer_lease import WriterLease
from quart_odds.storage.writer_lock import FileLock, ServerLock, UnsharedLock, WriterLock

MIGRATION_WAIT_SECONDS = 10.0
"""How long an upgrade waits for another process to release the writer lock."""

MIGRATION_LOCK = 7_103_331
"""Key of the PostgreSQL advisory lock that prevents two processes from migrating at the same time."""

log = structlog.get_logger(__name__)


class Database:
    """Connections to one database: any number of `reading()` blocks, but only one `writing()` block at a time.

    Raises StorageError if the URL is invalid or names an unsupported database, or if the folder of a SQLite file does
    not exist. Unless it `creates` a SQLite file, that has to exist, too.
    """

    def __init__(self, database_url: str, *, creates: bool = True) -> None:
        self.url = async_url(database_url)
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        self.shown = shown(self.url)
        in_memory = self.is_sqlite and self.url.database in (None, "", ":memory:")
        self._writer = sqlite_engine(self.url, in_memory, writes=True) if self.is_sqlite else postgres_engine(self.url)
        self._reader = (
            sqlite_engine(self.url, False, writes=False) if self.is_sqlite and not in_memory else self._writer
        )
        if self.is_sqlite and not in_memory and not Path(str(self.url.database)).parent.is_dir():
            # Checked before connecting: the driver leaves a thread running if it cannot open the file.
            raise StorageError(
                "the folder of the database's file does not exist",
                for_operator=f"{self.shown}: the folder of this file does not exist",
            )
        self._file = Path(str(self.url.database)) if self.is_sqlite and not in_memory else None
        if not creates and self._file is not None and not self._file.is_file():
            raise StorageError("there is no database", for_operator=f"{self.shown}: there is no database")
        if self._file is not None:
            keep_private(self._file)
        self._writer_lock = self._writer_lock_of()
        self.lease = WriterLease(self._writer_lock, self.writing, is_sqlite=self.is_sqlite)
        self._turn = asyncio.Lock()
        self._read_turn: contextlib.AbstractAsyncContextManager[object] = self._turn if in_memory else _Open()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """Open a transaction: commit it when the block ends, roll it back if the block raises. Raises StorageError."""
        async with self._turn:
            with translated(self.url):
                async with self._writer.begin() as connection:
                    yield connection

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Open a connection for reading. Raises StorageError.

        On SQLite, every query of the block sees the same state. PostgreSQL needs REPEATABLE READ for that.
        """
        async with self._read_turn:
            with translated(self.url):
                async with self._reader.connect() as connection:
                    yield connection

    @contextlib.asynccontextmanager
    async def writing_as(self, term: int | None, *, is_new: bool = True) -> AsyncIterator[AsyncConnection]:
        """Open a transaction as `writing` does, but only if `term` is the current term of the database.

        Raises NotWriterError, with nothing written, if it is not. A process that wants to take over in the meantime
        waits until the transaction ends. The transaction renews the lease. With `is_new`, processes that only read
        read everything again.
        """
        began = awake_or_not()
        async with self.writing() as connection:
            if term is None or not await self.lease.confirm(connection, term, is_new=is_new):
                if term == self.term:
                    self.term = None
                raise NotWriterError("another process has taken over writing to this database")
            yield connection
        self.lease.confirmed(term, began)

    @contextlib.asynccontextmanager
    async def writing_as_writer(self, *, is_new: bool = True) -> AsyncIterator[AsyncConnection]:
        """Open a transaction as `writing_as` does, in the term of this process, which is the writer if nobody else is.

        Raises NotWriterError while another process is.
        """
        if self.term is None and not await self.take_writer_lock():
            raise NotWriterError
        async with self.writing_as(self.term, is_new=is_new) as connection:
            yield connection

    async def migrate(self) -> str:
        """Upgrade the tables to the newest revision and return that revision. Raises StorageError.

        A SQLite file with older tables is first copied to the same folder.
        """
        if not self.is_sqlite:
            with translated(self.url):
                try:
                    await refuse_pooler(self._writer)
                except TypeError as exc:
                    reason = "its URL has an argument that the driver does not know"
                    raise StorageError(
                        f"the database: {reason}", for_operator=f"{self.shown}: {reason} ({exc})"
                    ) from None
        async with self.writing() as connection:
            found = await connection.run_sync(revisions.revision)
        if found in (None, revisions.head()):
            return await self._upgrade()
        async with self._alone():
            return await self._upgrade_data()

    async def _upgrade_data(self) -> str:
        async with self.writing() as connection:
            found = await connection.run_sync(revisions.revision)
        if found == revisions.head():
            return revisions.head()  # another process has upgraded it in the meantime
        copy = None
        if self._file is not None:
            copy = await asyncio.to_thread(copy_beside, self._file, revisions.head())
            log.info(
                "storage.copied", copy=str(copy), reason=f"the tables are upgraded from {found} to {revisions.head()}"
            )
        try:
            revision = await self._upgrade()
        except BaseException:
            if copy is not None:
                copy.unlink(missing_ok=True)  # the upgrade was rolled back
            raise
        log.info("storage.upgraded", before=found, now=revision)
        return revision

    async def _upgrade(self) -> str:
        async with self.writing() as connection:
            if not self.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            return await connection.run_sync(revisions.upgrade)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Hold the writer lock, because no other process may write while tables that hold data change."""
        with translated(self.url):
            try:
                async with asyncio.timeout(MIGRATION_WAIT_SECONDS):
                    while not await self._writer_lock.take():
                        await asyncio.sleep(0.05)
            except TimeoutError:
                reason = (
                    "its tables have to be upgraded, and another process writes to it: stop that one first; nothing "
                    "was changed"
                )
                raise StorageError(f"the database: {reason}", for_operator=f"{self.shown}: {reason}") from None
        try:
            yield
        finally:
            await self._writer_lock.release()

    async def take_writer_lock(self) -> bool:
        """Renew the writer lease, or take it if it can be had: see `WriterLease.take`. Raises StorageError.

        Returns whether this process writes, and sets `term`. A process that lost its lock, or whose lease has expired,
        keeps its term unless another process began one in between.
        """
        with translated(self.url):
            return await self.lease.take()

    @property
    def term(self) -> int | None:
        """The term in which this process writes; None if it is not known to be the writer."""
        return self.lease.term

    @term.setter
    def term(self, term: int | None) -> None:
        self.lease.term = term

    @property
    def writer_row(self) -> WriterRow:
        """Who writes, as this process last saw it."""
        return self.lease.seen if self.term is None else WriterRow(self.term, self.lease.holder)

    @property
    def head(self) -> str:
        """The newest revision of the tables: the revision of every migrated database."""
        return revisions.head()

    async def found_revision(self) -> str | None:
        """Return the revision of the tables; None if there are none. Raises StorageError."""
        async with self.reading() as connection:
            return await connection.run_sync(revisions.revision)

    async def revision(self) -> int:
        """Return a number that grows with each transaction of the writer. Raises StorageError."""
        async with self.reading() as connection:
            return int((await connection.execute(select(writer.c.revision))).scalar_one())

    def _writer_lock_of(self) -> WriterLock:
        if not self.is_sqlite:
            return ServerLock(self._writer)
        return UnsharedLock() if self._file is None else FileLock(self._file)

    async def aclose(self) -> None:
        """Close every connection, and release the writer lease and the writer lock.

        If this process held the writer lock, the write-ahead log of a SQLite file is moved into the file first, so
        that the file is complete without it. That fails silently while another process still reads the file.
        """
        if self._reader is not self._writer:
            await dispose(self._reader)
        await self.lease.release()
        if self._file is not None and self._writer_lock.taken:
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(2 * CLOSE_SECONDS):
                    async with self._turn:
                        await empty_log(self._writer)
        await self._writer_lock.release()
        await dispose(self._writer)


class _Open:
    """A stand-in for a lock, where readers need not wait for their turn."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None
