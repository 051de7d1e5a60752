"""Opens the database that a URL names, brings its tables up to date, lends connections; foreign errors end here.

SQLite has one writer, whose transactions begin immediately, and readers beside it on the write-ahead log.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import URL, Connection, event, make_url, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from quart_odds.errors import StorageError
from quart_odds.storage.claim import FileClaim, ServerClaim, UnsharedClaim, WriterClaim

BUSY_SECONDS = 5.0
"""How long one statement waits for a lock that another process holds."""

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
READERS = 4
MIGRATION_LOCK = 7_103_331
"""The PostgreSQL advisory lock that keeps two processes from migrating at once."""

_MIGRATIONS = Path(__file__).parent / "migrations"


def async_url(database_url: str) -> URL:
    """The URL with the driver we use: aiosqlite or asyncpg. Raises StorageError for another kind of database."""
    try:
        url = make_url(database_url)
    except ArgumentError as exc:
        raise StorageError(f"the database URL cannot be read: {exc}") from exc
    name = url.drivername.partition("+")[0]
    if name == "sqlite":
        return url.set(drivername="sqlite+aiosqlite")
    if name in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    raise StorageError(f"{name} is no database that Quart Odds knows; give sqlite:///… or postgresql://…")


class Database:
    """Connections to one database: `reading()` any number, `writing()` one at a time, committed at the end.

    Raises StorageError for a URL that names none.
    """

    def __init__(self, database_url: str) -> None:
        self.url = async_url(database_url)
        self.is_sqlite = self.url.drivername.startswith("sqlite")
        in_memory = self.is_sqlite and self.url.database in (None, "", ":memory:")
        self._writer = (
            _sqlite_engine(self.url, in_memory, writes=True) if self.is_sqlite else _postgres_engine(self.url)
        )
        self._reader = (
            _sqlite_engine(self.url, False, writes=False) if self.is_sqlite and not in_memory else self._writer
        )
        if self.is_sqlite and not in_memory and not Path(str(self.url.database)).parent.is_dir():
            # Said here, because the driver leaves a thread behind when it cannot open a file.
            raise StorageError(f"{database_url}: the folder of this file does not exist")
        self._claim = self._claim_of(in_memory)
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

    async def migrate(self) -> str:
        """Brings the tables up to date and names the revision they have now. Raises StorageError."""
        async with self.writing() as connection:
            if not self.is_sqlite:
                await connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": MIGRATION_LOCK})
            return await connection.run_sync(_upgrade)

    async def claim(self) -> bool:
        """Whether this process is the one that writes; see `storage.claim`. Raises StorageError."""
        with _translated(self.url):
            return await self._claim.take()

    def _claim_of(self, in_memory: bool) -> WriterClaim:
        if not self.is_sqlite:
            return ServerClaim(self._writer)
        return UnsharedClaim() if in_memory else FileClaim(Path(str(self.url.database)))

    async def aclose(self) -> None:
        """Closes every connection, and gives up the right to write."""
        await self._claim.release()
        await self._writer.dispose()
        if self._reader is not self._writer:
            await self._reader.dispose()


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
        reason = str(getattr(exc, "orig", None) or exc) or type(exc).__name__
        raise StorageError(f"{url.render_as_string(hide_password=True)}: {reason.splitlines()[0]}") from exc


def _upgrade(connection: Connection) -> str:
    config = Config()
    config.set_main_option("script_location", str(_MIGRATIONS).replace("%", "%%"))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
    return str(ScriptDirectory.from_config(config).get_current_head())


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
    return create_async_engine(url, connect_args=arguments, pool_size=READERS + 2, max_overflow=0, pool_pre_ping=True)
