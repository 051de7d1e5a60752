"""Opens the database that a URL names, brings its tables up to date, lends connections; foreign errors end here.

SQLite has one writer, whose transactions begin immediately, and readers beside it on the write-ahead log. On both
databases one process is the writer for a term, and `writing_as` refuses a transaction of a term that is over.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from functools import cache
from pathlib import Path

import structlog
from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event, make_url, select, text, update
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DataError, IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from quart_odds.domain.secrets import masked
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.storage.backup import copy_beside
from quart_odds.storage.private_files import keep_private
from quart_odds.storage.tables import writer
from quart_odds.storage.writer_lock import POOLED, FileLock, ServerLock, UnsharedLock, WriterLock

BUSY_SECONDS = 2.0
"""How long one statement waits for a lock that another process holds; a stop waits no longer than this either."""

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
IDLE_SECONDS = 30
"""PostgreSQL ends a transaction that a sleeping process leaves open so long: it would hold up whoever takes over."""

MIGRATION_WAIT_SECONDS = 10.0
"""How long an upgrade waits for another process that uses the database."""

CLOSE_SECONDS = 0.5
"""How long closing a connection may take; one to a server that is gone is left to the end of the process."""

READERS = 4
MIGRATION_LOCK = 7_103_331
"""The PostgreSQL advisory lock that keeps two processes from migrating at once."""

NEW_DATABASE = "made_at_revision"
"""The note that says at which revision a database was made, where it was not upgraded to it."""

_MIGRATIONS = Path(__file__).parent / "migrations"

log = structlog.get_logger(__name__)


def async_url(database_url: str) -> URL:
    """The URL with the driver we use: aiosqlite or asyncpg. Raises StorageError for another kind of database."""
    try:
        url = make_url(database_url)
    except ArgumentError as exc:
        raise StorageError("the database URL cannot be read") from exc
    name = url.drivername.partition("+")[0]
    if name == "sqlite":
        return url.set(drivername="sqlite+aiosqlite")
    if name in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    raise StorageError(f"{name} is no database that Quart Odds knows; give sqlite:///… or postgresql://…")


class Database:
    """Connections to one database: `reading()` any number, `writing()` one at a time, committed at the end.

    `term` is the one in which this process is the writer, None while it is not known to be. Raises StorageError for a
    URL that names no database.
    """

    def __init__(self, database_url: str) -> None:
        self.term: int | None = None
        self.url = async_url(database_url)
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        self.shown = _shown(self.url)
        in_memory = self.is_sqlite and self.url.database in (None, "", ":memory:")
        self._writer = (
            _sqlite_engine(self.url, in_memory, writes=True) if self.is_sqlite else _postgres_engine(self.url)
        )
        self._reader = (
            _sqlite_engine(self.url, False, writes=False) if self.is_sqlite and not in_memory else self._writer
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
            with _translated(self.url):
                async with self._writer.begin() as connection:
                    yield connection

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """A connection to read from, one consistent view for as long as the block lasts. Raises StorageError."""
        async with self._read_turn:
            with _translated(self.url):
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
            with _translated(self.url):
                try:
                    await self._refuse_pooler()
                except TypeError as exc:
                    reason = "its URL has an argument that the driver does not know"
                    raise StorageError(
                        f"the database: {reason}", for_operator=f"{self.shown}: {reason} ({exc})"
                    ) from None
        async with self.writing() as connection:
            found = await connection.run_sync(_revision)
        if found in (None, _head()):
            return await self._upgrade()
        async with self._alone():
            return await self._upgrade_data()

    async def _upgrade_data(self) -> str:
        async with self.writing() as connection:
            found = await connection.run_sync(_revision)
        if found == _head():
            return _head()  # another process was faster
        copy = None
        if self._file is not None:
            copy = await asyncio.to_thread(copy_beside, self._file, _head())
            log.info("storage.copied", copy=str(copy), reason=f"the tables are upgraded from {found} to {_head()}")
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
            return await connection.run_sync(_upgrade)

    @contextlib.asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        """Holds the writer's lock: nobody else may write while tables change under data."""
        with _translated(self.url):
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

    async def _refuse_pooler(self) -> None:
        """Raises StorageError behind a pooler that gives each transaction another session.

        PostgreSQL names its process when a session begins; a pooler makes that number up. Then the numbers of two
        sessions show whether they are sessions.
        """
        async with self._writer.connect() as one:
            named = (await one.get_raw_connection()).driver_connection
            backend = await _backend(one)
            if named is None or named.get_server_pid() == backend:
                return
            for _ in range(3):
                async with self._writer.connect() as other:
                    answer = await other.execute(text("SELECT pg_backend_pid()"))  # leaves a transaction open
                    if answer.scalar_one() == backend or await _backend(one) != backend:
                        raise StorageError(POOLED)

    async def take_writer_lock(self) -> bool:
        """Whether this process is the one that writes, asked anew; `term` then says since when. Raises StorageError.

        A lock that is got back keeps the term if nobody else has written in between.
        """
        async with self._locking:
            with _translated(self.url):
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
        return _head()

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
            await _disposed(self._reader)
        if self._file is not None and self._writer_lock.taken:
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(2 * CLOSE_SECONDS):
                    await self._empty_log()
        await self._writer_lock.release()
        await _disposed(self._writer)

    async def _empty_log(self) -> None:
        """Moves the write-ahead log into the file; no transaction may be open for that."""
        async with self._turn, self._writer.connect() as connection:
            bare = (await connection.get_raw_connection()).driver_connection
            assert bare is not None
            await bare.execute(f"PRAGMA busy_timeout = {int(CLOSE_SECONDS * 1000)}")
            await bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")


async def _backend(connection: AsyncConnection) -> int:
    """The server process that answers, in a transaction of its own."""
    backend = int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
    await connection.rollback()
    return backend


async def _disposed(engine: AsyncEngine) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await engine.dispose()


class _Open:
    """No turn to wait for."""

    async def __aenter__(self) -> None:
        return None

    async def __aexit__(self, *_: object) -> None:
        return None


@contextlib.contextmanager
def _translated(url: URL) -> Iterator[None]:
    try:
        yield
    except (SQLAlchemyError, OSError, TimeoutError) as exc:
        reason = (str(getattr(exc, "orig", None) or exc) or type(exc).__name__).splitlines()[0]
        advice = next((advice for words, advice in _ADVICE.items() if words in reason), None)
        sentence = masked(f"{advice} ({reason})" if advice else reason)
        raise StorageError(_public(url, exc, reason, advice), for_operator=f"{_shown(url)}: {sentence}") from exc


def _public(url: URL, error: Exception, reason: str, advice: str | None) -> str:
    """What anyone may know of a database's error. PostgreSQL's own words name hosts, users, databases and files."""
    if url.get_backend_name() == "sqlite":
        words = error.strerror or type(error).__name__ if isinstance(error, OSError) else reason
        return f"{advice} ({words})" if advice else f"the database reports: {words}"
    if advice:
        return advice
    if isinstance(error, (IntegrityError, DataError)):
        return "the database refused what was to be stored; the log says why"
    return "the database does not answer as it should; the log says why"


def _shown(url: URL) -> str:
    """A database's URL as an operator may see it: without its password, wherever that stands."""
    return masked(url.set(drivername=url.get_backend_name(), username=None, password=None).render_as_string())


_ADVICE = {
    "disk is full": "the disk is full: make room, and writing goes on by itself",
    "No space left on device": "the disk is full: make room, and writing goes on by itself",
    "disk I/O error": "the disk takes or gives nothing: it may be full, read-only or failing",
    "could not extend file": "the server's disk is full: make room, and writing goes on by itself",
    "readonly database": "the database cannot be written: its file, folder or disk is read-only",
    "Read-only file system": "the database cannot be written: its disk is read-only",
    "read-only transaction": "the server takes no writes: connect to the primary, not to a replica",
    "unable to open database file": "the file cannot be opened or made: look at its folder and its permissions",
    "file is not a database": "this file is not a database of Quart Odds, and was left as it is",
    "disk image is malformed": "the file is damaged: put a backup in its place (docs/storage.md says how)",
    "prepared statement": POOLED,
}
"""What to do about errors of the databases, by words of theirs."""


def is_refusal(error: Exception) -> bool:
    """Whether rows were refused for what they are, so that they would be again; else another try may help."""
    if not isinstance(error, StorageError):
        return True  # they never got as far as the database
    cause = error.__cause__
    if isinstance(cause, (IntegrityError, DataError)):
        return True
    original = getattr(cause, "orig", None)
    state = getattr(original, "sqlstate", None) or ""
    # 22: data, 23: constraints. What the driver could not encode has no state.
    return state[:2] in ("22", "23") or isinstance(getattr(original, "__cause__", None), ValueError)


def _config(connection: Connection | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    return config


@cache
def _head() -> str:
    return str(ScriptDirectory.from_config(_config()).get_current_head())


def _revision(connection: Connection) -> str | None:
    """The revision of a database's tables; None for one without any. Raises StorageError for one that is newer."""
    found = MigrationContext.configure(connection).get_current_revision()
    known = {script.revision for script in ScriptDirectory.from_config(_config()).walk_revisions()}
    if found is not None and found not in known:
        reason = (
            "a newer version of Quart Odds made this "
            f"database (its tables are at revision {found}, and this version knows {_head()}): use the newer version, "
            "or the copy that was made before the upgrade; nothing was changed"
        )
        raise StorageError(reason, for_operator=f"{_shown(connection.engine.url)}: {reason}")
    return found


def _upgrade(connection: Connection) -> str:
    before = _revision(connection)
    if before == _head():
        return _head()
    command.upgrade(_config(connection), "head")
    if before is None:
        note = "INSERT INTO notes (name, value) VALUES (:name, :value)"
        connection.execute(text(note), {"name": NEW_DATABASE, "value": _head()})
    return _head()


def _sqlite_engine(url: URL, in_memory: bool, *, writes: bool) -> AsyncEngine:
    arguments = {"timeout": BUSY_SECONDS}
    if in_memory:
        engine = create_async_engine(url, connect_args=arguments, poolclass=StaticPool)
    elif writes:
        engine = create_async_engine(url, connect_args=arguments, pool_size=1, max_overflow=0)
    else:
        engine = create_async_engine(url, connect_args=arguments, pool_size=READERS, max_overflow=0)

    pragmas = ["foreign_keys = ON"]
    if not in_memory:
        # FULL: what is confirmed outlives a power cut.
        pragmas += ["journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 67108864"]
    if not writes:
        pragmas.append("query_only = ON")

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        try:
            connection.isolation_level = None  # the driver's own BEGIN comes too late: with the first write
            cursor = connection.cursor()
            for pragma in pragmas:
                cursor.execute(f"PRAGMA {pragma}")
            cursor.close()
        except BaseException:
            connection.close()  # its thread would live on
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _postgres_engine(url: URL) -> AsyncEngine:
    arguments = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
    engine = create_async_engine(url, connect_args=arguments, pool_size=READERS + 2, max_overflow=0, pool_pre_ping=True)

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        cursor.close()
        connection.commit()

    return engine
