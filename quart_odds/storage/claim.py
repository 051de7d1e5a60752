"""The right to write odds and to end runs. One process has it at a time: two would give one id to two events.

It ends with the process, however that ends. Runs may be looked at, and new ones asked for, without it.
"""

import contextlib
import fcntl
import os
from pathlib import Path
from typing import Protocol

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

WRITER_LOCK = 7_103_332
"""The PostgreSQL advisory lock that the writing process holds, in the database that it writes to."""


class WriterClaim(Protocol):
    """The right to write to one database."""

    async def take(self) -> bool:
        """Whether this process has the right now; takes it if nobody has. Never waits for another process."""

    async def release(self) -> None:
        """Gives the right up."""


class UnsharedClaim:
    """The claim to a database in memory, which nobody else can reach."""

    async def take(self) -> bool:
        """Always."""
        return True

    async def release(self) -> None:
        """Nothing to give up."""


class FileClaim:
    """The claim to a SQLite file: a lock on the file beside it whose name ends in `-writer`."""

    def __init__(self, database: Path) -> None:
        self._path = database.with_name(f"{database.name}-writer")
        self._file: int | None = None

    async def take(self) -> bool:
        """Locks the file, unless another process has. Raises OSError where it cannot be made."""
        if self._file is not None:
            return True
        file = os.open(self._path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            return False
        except BaseException:
            os.close(file)
            raise
        self._file = file
        return True

    async def release(self) -> None:
        """Unlocks the file and leaves it: to remove it would let two processes lock two files of one name."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


class ServerClaim:
    """The claim to a PostgreSQL database: an advisory lock, held by a connection of its own."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine
        self._connection: AsyncConnection | None = None

    async def take(self) -> bool:
        """Asks the server; a connection that was lost took the lock with it, and is opened again."""
        if self._connection is not None:
            if not self._connection.closed and not self._connection.invalidated:
                return True
            await self.release()
        connection = await self._engine.connect()
        is_ours = False
        try:
            await connection.execution_options(isolation_level="AUTOCOMMIT")
            question = text("SELECT pg_try_advisory_lock(:key)")
            is_ours = bool(await connection.scalar(question, {"key": WRITER_LOCK}))
        finally:
            if not is_ours:
                await connection.close()
        if is_ours:
            self._connection = connection
        return is_ours

    async def release(self) -> None:
        """Closes the connection, and so unlocks."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(SQLAlchemyError, OSError):
                await connection.invalidate()  # back in the pool it would keep the lock
                await connection.close()
