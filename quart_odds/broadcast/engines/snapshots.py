"""The writer's office for snapshots: puts the state at one place in the log into Redis when a process waits for it."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from quart_odds.broadcast.engines.clients import disconnect, end_tasks, words_of
from quart_odds.broadcast.engines.keys import LogKeys
from quart_odds.broadcast.engines.publisher import StreamPublisher
from quart_odds.broadcast.engines.tail import SNAPSHOT_SECONDS, SnapshotAt

if TYPE_CHECKING:
    from redis.asyncio import Redis

STORE_SECONDS = 20.0
"""How long it may take to encode a snapshot and to put it into Redis."""

log = structlog.get_logger(__name__)


class SnapshotOffice:
    """Takes snapshots, one at a time. `take` returns what encodes the current state, and is called in the loop.

    What it returns is called in a thread.
    """

    def __init__(
        self,
        connect: Callable[[], "Redis"],
        keys: LogKeys,
        publisher: StreamPublisher,
        take: Callable[[], Callable[[], bytes]],
    ) -> None:
        self.taken = 0
        self._connect = connect
        self._keys = keys
        self._publisher = publisher
        self._take = take
        self._task: asyncio.Task[None] | None = None

    def wanted(self) -> None:
        """Start to take a snapshot, unless one is being taken."""
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._store(), name="log-snapshot")

    async def close(self) -> None:
        """Stop. Idempotent."""
        await end_tasks(self._task)

    async def _store(self) -> None:
        # The state and the place belong together: there is no await between.
        epoch, place, encode = self._publisher.epoch, self._publisher.place, self._take()
        client = None
        try:
            async with asyncio.timeout(STORE_SECONDS):
                body = await asyncio.to_thread(encode)
                await self._publisher.flushed(place)
                client = self._connect()
                value = SnapshotAt(epoch, place, body).encode()
                async with client.pipeline(transaction=True) as pipeline:
                    pipeline.set(self._keys.snapshot, value, ex=SNAPSHOT_SECONDS)
                    pipeline.delete(self._keys.wanted)
                    await pipeline.execute()
                self.taken += 1
                log.debug("log.snapshot", bytes=len(value), seq=place[0])
        except Exception as error:
            # Whoever waits asks again.
            log.warning("log.snapshot_failed", reason=words_of(error))
        finally:
            await disconnect(client)
