"""Opens the database that a URL names, brings its tables up to date, lends connections; foreign errors end here.

SQLite has one writer, whose transactions begin immediately, and readers beside it on the write-ahead log. On both
databases one process is the writer for a term, and `writing_as` refuses a transaction of a term that is over.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import structlog
from sqlalchemy import select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.errors import NotWriterError, StorageError
from quart_odds.storage import revisions
from quart_odds.storage.backup import copy_beside
from quart_odds.storage.database_errors import shown, translated
from quart_odds.storage.engines import CLOSE_SECONDS, async_url, dispose, empty_log, postgres_engine, sqlite_engine
from quart_odds.storage.pooler import refuse_pooler
from quart_odds.storage.private_files import keep_private
from quart_odds.storage.tables import writer
from quart_odds.storage.writer_lock import FileLock, ServerLock, UnsharedLock, WriterLock

MIGRATION_WAIT_SECONDS = 10.0
"""How long an upgrade waits for another process that uses the database."""

MIGRATION_LOCK = 7_103_331
"""The PostgreSQL advisory lock that keeps two processes from migrating at once."""

log = structlog.get_logger(__name__)


class Database:
    """Connections to one database: `reading()` any number, `writing()` one at a time, committed at the end.

    `term` is the one in which this process is the writer, None while it is not known to be. Raises StorageError for a
    URL that names no database.
    """

    def __init__(self, database_url: str) -> None:
        self.term: int | None = None
        self.url = async_url(database_url)
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        self.shown = shown(self.url)
        in_memory = self.is_sqlite and self.url.database in (None, "", ":memory:")
        self._writer = sqlite_engine(self.url, in_memory, writes=True) if self.is_sqlite else postgres_engine(self.url)
        self._reader = (
            sqlite_engine(self.url, False, writes=False) if self.is_sqlite and not in_memory else self._writer
        )
        if self.is_sqlite and not in_memory and not Path(str(self.url.database)).parent.is_dir():
            # Said here, because the driver leaves a thread behind when it cannot open a file.
            raise StorageError(
                "the folder of the database's file does not exist",
                for_operator=f"{self.shown}: the folder of this file does not exist",
            )
        self._file = Path(str(self.url.database)) if self.is_sqlite and not in_memory else None
        if self._file is not None:
            keep_private(self._file)
        self._writer_lock = self._writer_lock_of()
        self._locking = asyncio.Lock()
        self._taken = 0
        self._turn = asyncio.Lock()
        self._read_turn: contextlib.AbstractAsyncContextManager[object] = self._turn if in_memory else _Open()

    @contextlib.asynccontextmanager
    async def writing(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that is committed when the block ends and rolled back when it raises. Raises StorageError."""
        async with self._turn:
            with translated(self.url):
                async with self._writer.begin() as connection:
                    yield connection

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read from, one consistent view for as long as the block lasts. Raises StorageError."""
        async with self._read_turn:
            with translated(self.url):
                async with self._reader.connect() as connection:
                    yield connection

    @contextlib.asynccontextmanager
    async def writing_as(self, term: int | None) -> AsyncIterator[AsyncConnection]:
        """The same, for the writer alone: NotWriterError, and nothing written, unless `term` is the database's.

        Whoever wants to take over meanwhile waits for the end of the transaction.
        """
        async with self.writing() as connection:
            ours = update(writer).where(writer.c.term == term).values(revision=writer.c.revision + 1)
            if term is None or (await connection.execute(ours)).rowcount != 1:
                if term == self.term:
                    self.term, self._taken = None, 0  # whatever the lock says: the next lock begins a new term
                raise NotWriterError("another process has taken over the writing to this database")
            yield connection

    async def migrate(self) -> str:
        """Brings the tables up to date and names the revision they have now. Raises StorageError.

        A SQLite file that has older tables is copied first, beside itself.
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
            return revisions.head()  # another process was faster
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
                copy.unlink(missing_ok=True)  # the database is as it was
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
        """Holds the writer's lock: nobody else may write while tables change under data."""
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
        """Whether this process is the one that writes, asked anew; `term` then says since when. Raises StorageError.

        A lock that is got back keeps the term if nobody else has written in between.
        """
        async with self._locking:
            with translated(self.url):
                if not await self._writer_lock.take():
                    self.term = None
                    return False
            if self._writer_lock.taken != self._taken:
                taken = self._writer_lock.taken
                try:
                    self.term = await self._new_term(self.term)
                except BaseException:
                    self.term = None
                    await self._writer_lock.release()
                    raise
                self._taken = taken
            return True

    async def _new_term(self, last: int | None) -> int:
        async with self.writing() as connection:
            term = int((await connection.execute(select(writer.c.term).with_for_update())).scalar_one())
            if term == last:
                return term
            await connection.execute(update(writer).values(term=term + 1, revision=writer.c.revision + 1))
        return term + 1

    @property
    def head(self) -> str:
        """The newest revision of the tables, which a database has once it was migrated."""
        return revisions.head()

    async def revision(self) -> int:
        """A number that is another one whenever the writer has written. Raises StorageError."""
        async with self.reading() as connection:
            return int((await connection.execute(select(writer.c.revision))).scalar_one())

    def _writer_lock_of(self) -> WriterLock:
        if not self.is_sqlite:
            return ServerLock(self._writer)
        return UnsharedLock() if self._file is None else FileLock(self._file)

    async def aclose(self) -> None:
        """Closes every connection, and gives up the right to write.

        A SQLite file is whole afterwards without the write-ahead log beside it, unless others still read it.
        """
        if self._reader is not self._writer:
            await dispose(self._reader)
        if self._file is not None and self._writer_lock.taken:
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(2 * CLOSE_SECONDS):
                    async with self._turn:
                        await empty_log(self._writer)
        await self._writer_lock.release()
        await dispose(self._writer)


class _Open:
    """No turn to wait for."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None
