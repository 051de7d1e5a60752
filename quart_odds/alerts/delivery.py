"""The queue of deliveries: made in order for each rule and target, and retried for up to a day, across restarts.

The queue is in the database, and only the process that writes works on it. A delivery counts as made once that is
committed, so after a crash the last one is made again, with the same key.
"""

import asyncio
import contextlib
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Protocol

import structlog

from quart_odds.alerts.ports import DeliveryStore
from quart_odds.alerts.values import Delivery, DeliveryState, Message, Target
from quart_odds.domain.clock import utc_now
from quart_odds.errors import DeliveryError, NotWriterError, StorageError

GIVE_UP_AFTER = timedelta(days=1)
"""A delivery is given up if an attempt fails this long after the alert."""

FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 3600.0

LOOK_SECONDS = 1.0
"""How often a process looks whether it writes, and how long it waits after an error of the database."""

REST_SECONDS = 60.0
"""How often the queue is looked at if nothing is due and nobody wakes it."""

AT_ONCE = 8
"""Maximum attempts at the same time, to different targets or for different rules."""

CLOSE_SECONDS = 0.2
"""How long a stop waits for the attempts that it has cancelled."""

log = structlog.get_logger(__name__)


class Sender(Protocol):
    """Makes one attempt to deliver a message."""

    async def __call__(self, target: Target, message: Message) -> None:
        """Send a message. Raises DeliveryError if it was not taken."""


def doubling(first_seconds: float) -> Callable[[int], float]:
    """Return a backoff: the wait after that many failed attempts, twice as long each time, up to an hour."""
    return lambda attempts: min(first_seconds * 2.0 ** min(attempts - 1, 30), LONGEST_RETRY_SECONDS)


DEFAULT_BACKOFF = doubling(FIRST_RETRY_SECONDS)


class DeliveryQueue:
    """Works on the queue from `open` to `close`, while `term` returns the term in which this process writes."""

    def __init__(
        self,
        store: DeliveryStore,
        send: Sender,
        *,
        term: Callable[[], int | None],
        backoff: Callable[[int], float] = DEFAULT_BACKOFF,
        now: Callable[[], datetime] = utc_now,
    ) -> None:
        self._store = store
        self._send = send
        self._term = term
        self._backoff = backoff
        self._now = now
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._attempts: dict[tuple[int, int], asyncio.Task[None]] = {}
        self.chains = 0
        """How many pairs of a rule and a target had a delivery that waits, when the queue was last looked at."""

    def open(self) -> None:
        """Start to deliver."""
        self._task = asyncio.create_task(self._run(), name="alert-queue")

    def wake(self) -> None:
        """Look at the queue now, because something was added to it."""
        self._woken.set()

    def step_down(self) -> None:
        """Stop all attempts, because another process writes. It makes them again."""
        for task in self._attempts.values():
            task.cancel()

    async def close(self) -> None:
        """Stop. An attempt that is under way is made again at the next start."""
        tasks: Collection[asyncio.Task[None]] = [*self._attempts.values(), *([self._task] if self._task else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks, timeout=CLOSE_SECONDS)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            try:
                wait_seconds = await self._begin_due()
            except StorageError as error:
                log.warning("alerts.queue_not_read", reason=error.for_operator)
                wait_seconds = LOOK_SECONDS
            except Exception:
                log.exception("alerts.queue_broke")
                wait_seconds = REST_SECONDS
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_seconds):
                    await self._woken.wait()

    async def _begin_due(self) -> float:
        """Begin the attempts that are due, and return the seconds until there is more to do."""
        if self._term() is None:
            self.chains = 0
            return LOOK_SECONDS
        under_way = set(self._attempts)
        heads = await self._store.next_deliveries()
        self.chains = len(heads)
        term = self._term()
        if term is None:
            return LOOK_SECONDS
        now = self._now()
        for delivery in heads:
            # What is read may be older than the end of an attempt, which wakes the queue.
            if delivery.chain in under_way:
                continue
            wait_seconds = (delivery.next_at - now).total_seconds()
            if wait_seconds > 0:
                return min(wait_seconds, REST_SECONDS)
            if len(self._attempts) >= AT_ONCE:
                break
            task = asyncio.create_task(self._attempt(delivery, term), name=f"alert-delivery-{delivery.id}")
            self._attempts[delivery.chain] = task
            task.add_done_callback(lambda _, chain=delivery.chain: self._done(chain))  # type: ignore[misc]
        return REST_SECONDS

    def _done(self, chain: tuple[int, int]) -> None:
        self._attempts.pop(chain, None)
        self.wake()

    async def _attempt(self, delivery: Delivery, term: int) -> None:
        """Make one attempt and commit how it ended."""
        try:
            try:
                await self._send(delivery.target, delivery.message)
            except DeliveryError as error:
                await self._failed(delivery, str(error), term)
            except Exception:
                log.exception("alerts.sender_broke", delivery=delivery.id)
                await self._failed(delivery, "the sender failed; the log of the server says why", term)
            else:
                await self._ended(delivery, DeliveryState.DELIVERED, None, term)
        except NotWriterError:
            log.info("alerts.left_to_the_writer", delivery=delivery.id)
        except StorageError as error:
            # What was sent is sent again, with the same key.
            log.warning("alerts.attempt_not_stored", delivery=delivery.id, reason=error.for_operator)
            await asyncio.sleep(LOOK_SECONDS)

    async def _failed(self, delivery: Delivery, reason: str, term: int) -> None:
        now = self._now()
        if now - delivery.created_at >= GIVE_UP_AFTER:
            await self._ended(delivery, DeliveryState.FAILED, reason, term)
            return
        attempts = delivery.attempts + 1
        wait_seconds = self._backoff(attempts)
        next_at = now + timedelta(seconds=wait_seconds)
        await self._store.delivery_failed(delivery.id, attempts, reason, next_at, term)
        log.info(
            "alerts.not_delivered",
            delivery=delivery.id,
            target=delivery.target.id,
            attempts=attempts,
            reason=reason,
            retry_seconds=wait_seconds,
        )

    async def _ended(self, delivery: Delivery, state: DeliveryState, reason: str | None, term: int) -> None:
        attempts = delivery.attempts + 1
        await self._store.delivery_ended(delivery.id, state, attempts, reason, self._now(), term)
        if state is DeliveryState.FAILED:
            log.error(
                "alerts.given_up", delivery=delivery.id, target=delivery.target.id, attempts=attempts, reason=reason
            )
        else:
            log.debug("alerts.delivered", delivery=delivery.id, target=delivery.target.id, attempts=attempts)
