"""The writer lease: which process writes, and until when.

The writer lock alone is not enough. A process that is suspended, or whose machine is cut off from the database, keeps
it. So the writer also has a lease, which it renews every second or so. Another process takes over if the lock is free,
or if the lease has expired. Taking over begins a new term in the same statement, so that of two processes one wins.
The term is the fencing token: the database refuses everything that the former writer still sends in its own term.

A process that took over an expired lease may have to write without the lock, because the former writer still holds it.
The row says so (`is_locked`), and then a free lock proves nothing: only the lease counts.
"""

import asyncio
import contextlib
import os
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import structlog
from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select, text, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from quart_odds.domain.clock import awake_or_not
from quart_odds.errors import StorageError
from quart_odds.odds.ports import WriterRow
from quart_odds.storage.tables import writer
from quart_odds.storage.writer_lock import WriterLock

LEASE_SECONDS = 5.0
"""How long a lease lasts after it was taken or renewed, by the clock of the database."""

MARGIN_SECONDS = 1.0
"""How much earlier its holder stops, by its own clock."""

WATCH_SECONDS = 1.0
"""How long an expired lease is watched before it is taken: its holder may just have been busy with a transaction."""

STATEMENT_SECONDS = 2.0
"""How long the server may take to renew or give the lease."""

RELEASE_SECONDS = 0.3
"""How long giving the lease back may take."""

_POSTGRES_NOW = "CAST(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000 AS BIGINT)"
_SQLITE_NOW = "CAST((julianday('now') - 2440587.5) * 86400000000 AS INTEGER)"

_STALLED = text(
    """
    SELECT pg_terminate_backend(activity.pid)
    FROM pg_locks AS held
    JOIN pg_stat_activity AS activity ON activity.pid = held.pid
    JOIN pg_database AS database ON database.oid = held.database AND database.datname = current_database()
    WHERE held.relation = CAST('writer' AS regclass) AND held.mode = 'RowExclusiveLock' AND held.granted
      AND activity.pid <> pg_backend_pid() AND activity.usename = current_user
      AND activity.wait_event_type = 'Client'
      AND activity.query_start < clock_timestamp() - make_interval(secs => :seconds)
      AND EXISTS (SELECT 1 FROM writer WHERE expires_at <= EXTRACT(EPOCH FROM clock_timestamp()) * 1000000)
    """
)
"""Ends the transactions that have written to the table of the lease, and whose client has been silent since."""

log = structlog.get_logger(__name__)


class WriterLease:
    """The lease of one database. `term` is the term in which this process holds it, None while it does not.

    `holder` names this process, and differs between any two. `seen` is the row as it was last seen.
    """

    def __init__(
        self, lock: WriterLock, writing: Callable[[], AbstractAsyncContextManager[AsyncConnection]], *, is_sqlite: bool
    ) -> None:
        self.term: int | None = None
        self.holder = f"{socket.gethostname()[:80]}:{os.getpid()}:{secrets.token_hex(8)}"
        self.seen = WriterRow(0, None)
        self._lock = lock
        self._writing = writing
        self._is_sqlite = is_sqlite
        self._now: ColumnElement[int] = literal_column(_SQLITE_NOW if is_sqlite else _POSTGRES_NOW)
        self._is_locked = False
        self._until = 0.0
        self._watched = (-1, 0.0)
        """An expiry that was seen in the row, and when it was seen first."""
        self._taking = asyncio.Lock()

    @property
    def is_held(self) -> bool:
        """Whether this process holds the lease for certain, by its own clock: MARGIN_SECONDS less than it lasts."""
        return self.term is not None and awake_or_not() < self._until

    async def take(self) -> bool:
        """Renew the lease, or take it if it can be had. Return whether this process holds it.

        Raises what the database raises, and TimeoutError. The lease may still be held then.
        """
        async with self._taking:
            if self.term is not None:
                if await self._renew():
                    return await self._keep_lock()
                self.term = None
            return await self._take_over()

    async def confirm(self, connection: AsyncConnection, term: int, *, is_new: bool) -> bool:
        """Renew the lease in a transaction, and return whether `term` is the current term; lock the row until its end.

        `is_new` says that other processes have to read again. On PostgreSQL, a transaction that stays idle for as long
        as a lease lasts is ended by the server: a process that was suspended in it holds up nobody for longer.
        """
        values = {"expires_at": self._due()}
        if is_new:
            values["revision"] = writer.c.revision + 1
        ours = update(writer).where(writer.c.term == term).values(values)
        if self._is_sqlite:
            return (await connection.execute(ours)).rowcount == 1
        limit = func.set_config("idle_in_transaction_session_timeout", f"{round(LEASE_SECONDS * 1000)}ms", True)
        return (await connection.execute(ours.returning(limit))).first() is not None

    def confirmed(self, term: int, began: float) -> None:
        """Note that a transaction with `confirm`, begun at this moment of `awake_or_not`, was committed."""
        if term == self.term:
            self._hold_from(began)

    async def release(self) -> None:
        """Give the lease back, so that another process need not wait for its end. Does not release the lock."""
        age = awake_or_not() - (self._until - LEASE_SECONDS + MARGIN_SECONDS)
        term, self.term = self.term, None
        if term is None or age > STATEMENT_SECONDS or self._taking.locked():
            return  # there is nothing to give back, or the database does not answer: then it expires by itself
        task = asyncio.create_task(self._give_back(term), name="writer-lease-release")
        await asyncio.wait([task], timeout=RELEASE_SECONDS)
        task.cancel()

    async def _give_back(self, term: int) -> None:
        free = {"holder": None, "expires_at": 0, "is_locked": False}
        try:
            async with self._writing() as connection:
                await connection.execute(update(writer).where(self._is_ours(term)).values(free))
        except StorageError as error:
            log.debug("storage.writer_lease.not_given_back", reason=error.for_operator)  # it expires by itself

    async def _renew(self) -> bool:
        began = awake_or_not()
        assert self.term is not None
        async with self._statement() as connection:
            values = {"expires_at": self._due(), "is_locked": self._is_locked}
            done = await connection.execute(update(writer).where(self._is_ours(self.term)).values(values))
        if done.rowcount != 1:
            return False
        self._hold_from(began)
        return True

    async def _keep_lock(self) -> bool:
        """Check that the lock is still ours, or get it as soon as it is free. The lease counts in any case."""
        try:
            is_locked = await self._lock.take()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            log.debug("storage.writer_lock.lost", reason=str(error))
            is_locked = False
        if is_locked == self._is_locked:
            return True
        self._is_locked = is_locked
        if await self._renew():
            return True
        self.term = None
        return False

    async def _take_over(self) -> bool:
        is_locked = await self._lock.take()
        began = awake_or_not()
        expiry, since = self._watched
        allowed = [writer.c.holder == self.holder]
        if is_locked:
            allowed += [writer.c.is_locked, writer.c.holder.is_(None)]
        if began - since >= WATCH_SECONDS:
            allowed.append(and_(writer.c.expires_at == expiry, writer.c.expires_at <= self._now))
        values = {
            "term": writer.c.term + 1,
            "revision": writer.c.revision + 1,
            "holder": self.holder,
            "expires_at": self._due(),
            "is_locked": is_locked,
        }
        try:
            async with self._statement() as connection:
                ours = update(writer).where(or_(*allowed)).values(values).returning(writer.c.term)
                taken = await connection.scalar(ours)
                row = (await connection.execute(select(writer))).one()
        except TimeoutError:
            if not self._is_sqlite:
                await self._end_stalled()
            raise
        self.seen = WriterRow(row.term, row.holder)
        if taken is None:
            if row.expires_at != expiry:
                self._watched = row.expires_at, began
            if is_locked:
                await self._lock.release()  # it is for the process that holds the lease
            return False
        self.term, self._is_locked = int(taken), is_locked
        self._hold_from(began)
        return True

    async def _end_stalled(self) -> None:
        """End transactions that have held the row for longer than a lease and wait for their client.

        The client was suspended, or its machine cut off, in the middle of a statement. The server's own limit for idle
        transactions does not count then. The transaction would be refused anyway: the lease has expired.
        """
        async with self._statement() as connection:
            ended = (await connection.execute(_STALLED, {"seconds": LEASE_SECONDS})).all()
        if ended:
            log.warning("storage.stalled_transactions_ended", count=len(ended))

    @contextlib.asynccontextmanager
    async def _statement(self) -> AsyncIterator[AsyncConnection]:
        # SQLite limits its own waits, and a call of its driver cannot be interrupted.
        async with asyncio.timeout(None if self._is_sqlite else STATEMENT_SECONDS), self._writing() as connection:
            yield connection

    def _is_ours(self, term: int) -> ColumnElement[bool]:
        return and_(writer.c.term == term, writer.c.holder == self.holder)

    def _due(self) -> ColumnElement[int]:
        return self._now + round(LEASE_SECONDS * 1_000_000)

    def _hold_from(self, began: float) -> None:
        self._until = max(self._until, began + LEASE_SECONDS - MARGIN_SECONDS)
