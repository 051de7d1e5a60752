"""Holding the writer lease through work that takes long, and through moments in which the database does not answer."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

from quart_odds.domain.clock import awake_or_not
from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds.ports import OddsStore

RENEW_SECONDS = 1.0
"""How often `renewing` renews the lease."""

REGAIN_SECONDS = 0.2
"""How often `regain` tries again."""

CANCEL_SECONDS = 0.3
"""How long a renewal that was cancelled may take to end."""


@contextlib.asynccontextmanager
async def renewing(store: OddsStore) -> AsyncIterator[None]:
    """Renew the lease of this process during the block, which may take longer than the lease lasts."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(RENEW_SECONDS)
            # The caller finds out what became of the lease.
            with contextlib.suppress(StorageError):
                await store.take_writer_lock()

    task = asyncio.create_task(renew(), name="odds-renew") if store.term is not None else None
    try:
        yield
    finally:
        if task is not None:
            task.cancel()
            await asyncio.wait([task], timeout=CANCEL_SECONDS)


async def regain(take_over: Callable[[], Awaitable[None]], *, is_lost: Callable[[], bool], seconds: float) -> None:
    """Take the lease, or wait for up to `seconds` while the database does not answer and `is_lost` returns False.

    Raises NotWriterError if another process writes, and StorageError if the database still does not answer.
    """
    until = awake_or_not() + seconds
    while True:
        try:
            return await take_over()
        except NotWriterError:
            raise
        except StorageError:
            if is_lost() or awake_or_not() >= until:
                raise
        await asyncio.sleep(REGAIN_SECONDS)


def nothing_of(_: object) -> None:
    """Do nothing about something. The default of hooks."""


async def nothing_to_do() -> None:
    """Do nothing. The default of hooks that are awaited."""
