"""The bytes of an export, in order, made while they are taken."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from quart_odds.export.columns import Wanted
from quart_odds.export.formats import Encoder, Format
from quart_odds.export.kinds import Kind
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.ports import StoredHistory

PART_BYTES = 64 * 1024
ROWS_A_TURN = 500
"""Rows that are encoded before other tasks run. Takes some 3 ms."""

EVENTS_AT_ONCE = 25
"""Events that are read from the database in one transaction."""


class StoredEvents(Protocol):
    """The database, as far as its events are concerned."""

    async def stored_events(self, event_ids: Sequence[int]) -> list[CachedEvent]:
        """Return the events with these ids, in their order. Raises StorageError."""
        ...


@dataclass(slots=True)
class Told:
    """How far an export is, for those who wait for it."""

    events: int = 0
    rows: int = 0


class Export:
    """An export that begins when its bytes are taken. Raises MissingExtraError, see `Format`."""

    def __init__(self, kind: Kind, shape: Format, wanted: Wanted, stored: StoredHistory) -> None:
        self.told = Told()
        self._kind = kind
        self._wanted = wanted
        self._stored = stored
        self._is_heavy = shape.is_binary
        self._encoder: Encoder = shape.encoder(kind.columns)

    async def parts(self, events: AsyncGenerator[CachedEvent, None]) -> AsyncGenerator[bytes, None]:
        """Yield the bytes, in parts of about PART_BYTES. Closes `events`. Raises StorageError.

        No transaction is open while a part is taken. Other tasks run in between.
        """
        waiting = [self._encoder.begin()]
        async with contextlib.aclosing(events):
            async for event in events:
                async with contextlib.aclosing(self._rows(event)) as encoded:
                    async for part in encoded:
                        waiting.append(part)
                        if sum(map(len, waiting)) >= PART_BYTES:
                            yield b"".join(waiting)
                            waiting = []
                self.told.events += 1
        waiting.append(await self._encoded(self._encoder.end))
        yield b"".join(waiting)

    async def _rows(self, event: CachedEvent) -> AsyncGenerator[bytes, None]:
        async with contextlib.aclosing(self._kind.rows(event, self._wanted, self._stored)) as batches:
            async for rows in batches:
                await asyncio.sleep(0)
                for start in range(0, len(rows), ROWS_A_TURN):
                    some = rows[start : start + ROWS_A_TURN]
                    self.told.rows += len(some)
                    yield await self._encoded(partial(self._encoder.add, some))
                    await asyncio.sleep(0)

    async def _encoded(self, make: Callable[[], bytes]) -> bytes:
        return await asyncio.to_thread(make) if self._is_heavy else make()


async def chosen_events(
    in_memory: Iterable[CachedEvent],
    stored: StoredEvents,
    event_ids: Sequence[int],
    is_wanted: Callable[[CachedEvent], bool],
) -> AsyncGenerator[CachedEvent, None]:
    """Yield these events, then those of the database with these ids that are wanted. Raises StorageError.

    They are read a few at a time, and no transaction is open in between.
    """
    for event in in_memory:
        yield event
    for start in range(0, len(event_ids), EVENTS_AT_ONCE):
        for event in await stored.stored_events(event_ids[start : start + EVENTS_AT_ONCE]):
            if is_wanted(event):
                yield event
