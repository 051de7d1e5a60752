"""SQLAlchemy engines for SQLite and PostgreSQL: drivers, timeouts, connection set-up and closing."""

import asyncio
import contextlib
import sqlite3
import time

from sqlalchemy import URL, Connection, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry, StaticPool

from quart_odds.errors import StorageError

BUSY_SECONDS = 2.0
"""How long a SQLite statement waits for a lock that another process holds. A stop waits no longer than this either."""

BUSY_PAUSE_SECONDS = 0.005
PRIMARY_CODE = 0xFF
"""The part of SQLite's result codes that is the same for all kinds of an error."""

CONNECT_SECONDS = 10.0
COMMAND_SECONDS = 60.0
IDLE_SECONDS = 30
"""How long PostgreSQL lets a transaction stay idle before it ends it.

A process that was suspended with a transaction open would otherwise block the process that takes over.
"""

CLOSE_SECONDS = 0.5
"""How long closing connections may take. A connection to a server that is gone stays open until the process ends."""

READERS = 4
"""Maximum number of connections for reading. PostgreSQL has two more, for writing and for the writer lock."""


def async_url(database_url: str) -> URL:
    """Return the URL with our driver, aiosqlite or asyncpg. Raises StorageError for any other kind of database."""
    try:
        url = make_url(database_url)
    except ArgumentError as exc:
        raise StorageError("the database URL cannot be read") from exc
    name = url.drivername.partition("+")[0]
    if name == "sqlite":
        return url.set(drivername="sqlite+aiosqlite")
    if name in ("postgresql", "postgres"):
        return url.set(drivername="postgresql+asyncpg")
    raise StorageError(f"Quart Odds does not support the database {name}; use sqlite:///… or postgresql://…")


def sqlite_engine(url: URL, in_memory: bool, *, writes: bool) -> AsyncEngine:
    """Return an engine of one connection for writing, or of several that only read.

    The transactions of a writing engine take SQLite's write lock when they begin. An in-memory database has a single
    connection for both.
    """
    # Errors are shown without parameters (`hide_parameters`): those of targets of alerts are secrets.
    arguments = {"timeout": BUSY_SECONDS}
    if in_memory:
        engine = create_async_engine(url, connect_args=arguments, poolclass=StaticPool, hide_parameters=True)
    elif writes:
        engine = create_async_engine(url, connect_args=arguments, pool_size=1, max_overflow=0, hide_parameters=True)
    else:
        engine = create_async_engine(
            url, connect_args=arguments, pool_size=READERS, max_overflow=0, hide_parameters=True
        )

    pragmas = ["foreign_keys = ON"]
    if not in_memory:
        # With FULL, committed data survives a power failure.
        pragmas += ["journal_mode = WAL", "synchronous = FULL", "journal_size_limit = 67108864"]
    if not writes:
        pragmas.append("query_only = ON")

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        try:
            connection.isolation_level = None  # the driver itself would only begin a transaction at the first write
            cursor = connection.cursor()
            for pragma in pragmas:
                _set(cursor, pragma)
            cursor.close()
        except BaseException:
            connection.close()  # otherwise its thread keeps running
            raise

    @event.listens_for(engine.sync_engine, "begin")
    def begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _set(cursor: DBAPICursor, pragma: str) -> None:
    """Set a pragma, and wait for another start that is just making the same file.

    SQLite does not wait by itself while another connection switches a new file to WAL.
    """
    until = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            cursor.execute(f"PRAGMA {pragma}")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & PRIMARY_CODE != sqlite3.SQLITE_BUSY or time.monotonic() >= until:
                raise
            # In the thread of the loop, because a set-up cannot wait in any other way. The switch takes a moment.
            time.sleep(BUSY_PAUSE_SECONDS)
        else:
            return


def postgres_engine(url: URL) -> AsyncEngine:
    """Return an engine for reading, writing and the writer lock."""
    arguments = {"timeout": CONNECT_SECONDS, "command_timeout": COMMAND_SECONDS}
    engine = create_async_engine(
        url,
        connect_args=arguments,
        pool_size=READERS + 2,
        max_overflow=0,
        pool_pre_ping=True,
        hide_parameters=True,
    )

    @event.listens_for(engine.sync_engine, "connect")
    def prepare(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
        cursor = connection.cursor()
        cursor.execute(f"SET idle_in_transaction_session_timeout = '{IDLE_SECONDS}s'")
        cursor.close()
        connection.commit()

    return engine


async def dispose(engine: AsyncEngine) -> None:
    """Close the connections of an engine, for at most CLOSE_SECONDS."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await engine.dispose()


async def empty_log(engine: AsyncEngine) -> None:
    """Move the write-ahead log of a SQLite database into its file. No transaction may be open meanwhile."""
    async with engine.connect() as connection:
        bare = (await connection.get_raw_connection()).driver_connection
        assert bare is not None
        await bare.execute(f"PRAGMA busy_timeout = {int(CLOSE_SECONDS * 1000)}")
        await bare.execute("PRAGMA wal_checkpoint(TRUNCATE)")
