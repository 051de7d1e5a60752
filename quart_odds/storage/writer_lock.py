"""The writer lock: tells at once that the process that wrote has ended.

The lock ends with its process, even after a crash. Whoever gets it may take over the writer lease without waiting for
its end (`writer_lease.py`). The lock does not protect the data: a connection may be lost, and a process may be
suspended. The term protects the data: each transaction of the writer compares its term with the one in the database
(`Database.writing_as`).
"""

import asyncio
import contextlib
import fcntl
import os
from pathlib import Path
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from quart_odds.errors import StorageError
from quart_odds.storage.pooler import POOLED
from quart_odds.storage.private_files import OWNER_ONLY

WRITER_LOCK = 7_103_332
"""Key of the PostgreSQL advisory lock that the writer holds, in the database that it writes to."""

ANSWER_SECONDS = 1.0
"""How long the server may take to answer on the lock's connection before the connection counts as lost.

Much less than the writer lease lasts, because the holder checks its lock between two renewals.
"""

RELEASE_SECONDS = 0.5
"""How long closing the lock's connection may take."""


class WriterLock(Protocol):
    """The writer lock of one database. `taken` counts how often this process has acquired it."""

    taken: int

    async def take(self) -> bool:
        """Acquire the lock if it is free, and return whether this process holds it. Never waits for another process."""

    async def release(self) -> None:
        """Release the lock."""


class UnsharedLock:
    """The lock of an in-memory database, which no other process can reach."""

    taken = 1

    async def take(self) -> bool:
        """Return True: there is no other process."""
        return True

    async def release(self) -> None:
        """Do nothing."""


class FileLock:
    """The lock of a SQLite database: a lock on the file `<name>-writer` in the same folder."""

    def __init__(self, database: Path) -> None:
        self.taken = 0
        self._path = database.with_name(f"{database.name}-writer")
        self._file: int | None = None

    async def take(self) -> bool:
        """Lock the file unless another process has locked it. Raises OSError if the file cannot be created."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, OWNER_ONLY)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except BaseException:
            os.close(file)
            raise
        self._file = file
        self.taken += 1
        return True

    async def release(self) -> None:
        """Unlock the file but do not remove it: otherwise two processes could lock two files of the same name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class ServerLock:
    """The lock of a PostgreSQL database: an advisory lock, held on a separate connection."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.taken = 0
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._backend: int | None = None
        """The number of the server process that holds the lock for us, or None while we do not hold it."""

    async def take(self) -> bool:
        """Ask the server on every call: a lost connection has lost the lock too, and is opened again."""
        if self._backend is not None and await self._still_holds():
            return True
        self._backend = None
        if self._connection is not None and not await self._answers(self._connection):
            await self.release()
        if self._connection is None:
            self._connection = await self._connected()
        async with asyncio.timeout(ANSWER_SECONDS):
            question = text("SELECT pg_backend_pid(), pg_try_advisory_lock(:key)")
            backend, is_ours = (await self._connection.execute(question, {"key": WRITER_LOCK})).one()
        if is_ours:
            self._backend = backend
            self.taken += 1
        return bool(is_ours)

    async def _still_holds(self) -> bool:
        assert self._connection is not None
        backend = await self._answers(self._connection)
        if backend and backend != self._backend:
            raise StorageError(POOLED)
        return backend == self._backend

    async def _answers(self, connection: AsyncConnection) -> int | None:
        """Return the number of the server process behind a connection, or None if the connection is lost."""
        with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
            async with asyncio.timeout(ANSWER_SECONDS):
                return int((await connection.execute(text("SELECT pg_backend_pid()"))).scalar_one())
        return None

    async def _connected(self) -> AsyncConnection:
        connection = await self._engine.connect()
        try:
            return await connection.execution_options(isolation_level="AUTOCOMMIT")
        except BaseException:
            await connection.close()
            raise

    async def release(self) -> None:
        """Close the connection, which releases the lock."""
        self._backend = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await connection.invalidate()  # in the pool, it would keep the lock
                    await connection.close()
