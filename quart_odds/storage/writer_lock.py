"""The right to write odds and to end runs. One process has it at a time: two would give one id to two events.

The lock elects the writer, and ends with the process, however that ends. It does not protect: a connection may be lost
and a process may sleep. What protects is the term, a number that each transaction of the writer compares with the
database's (`Database.writing_as`).
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
"""The PostgreSQL advisory lock that the writing process holds, in the database that it writes to."""

ANSWER_SECONDS = 5.0
"""How long the server may take to answer over the lock's connection before that counts as lost."""

RELEASE_SECONDS = 0.5
"""How long closing it may take."""


class WriterLock(Protocol):
    """The right to write to one database. `taken` counts how often this process got the lock."""

    taken: int

    async def take(self) -> bool:
        """Whether this process has the lock now; takes it if nobody has. Never waits for another process."""

    async def release(self) -> None:
        """Gives the right up."""


class UnsharedLock:
    """The lock of a database in memory, which nobody else can reach."""

    taken = 1

    async def take(self) -> bool:
        """Always."""
        return True

    async def release(self) -> None:
        """Nothing to give up."""


class FileLock:
    """The lock of a SQLite file: on the file beside it whose name ends in `-writer`."""

    def __init__(self, database: Path) -> None:
        self.taken = 0
        self._path = database.with_name(f"{database.name}-writer")
        self._file: int | None = None

    async def take(self) -> bool:
        """Locks the file, unless another process has. Raises OSError where it cannot be made."""
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
        """Unlocks the file and leaves it: to remove it would let two processes lock two files of one name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class ServerLock:
    """The lock of a PostgreSQL database: an advisory lock, asked for and held over a connection of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self.taken = 0
        self._engine = engine
        self._connection: AsyncConnection | None = None
        self._backend: int | None = None
        """The server process that holds the lock for us; None while we do not have it."""

    async def take(self) -> bool:
        """Asks the server each time: a connection that was lost took the lock with it, and is opened again."""
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
        """The server process behind a connection; None for a connection that is lost."""
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
        """Closes the connection, and so unlocks."""
        self._backend = None
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError, OSError, TimeoutError):
                async with asyncio.timeout(RELEASE_SECONDS):
                    await connection.invalidate()  # back in the pool it would keep the lock
                    await connection.close()
