"""The queue: order, retries, restarts, and who works on it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

import pytest
from sqlalchemy import select

from quart_odds.alerts import delivery
from quart_odds.alerts.delivery import DeliveryQueue, doubling
from quart_odds.alerts.service import AlertTargets, Senders
from quart_odds.alerts.values import Delivery, Message, Target, TargetKind
from quart_odds.domain.clock import utc_now
from quart_odds.errors import DeliveryError, NotWriterError
from quart_odds.storage import Store, open_store
from quart_odds.storage.tables import alert_deliveries
from tests.alerts.conftest import on_both
from tests.alerts.making import NOW, Clock, add_rule, alert, keys


class Sent:
    """Sends nothing, and remembers what it should have sent. `faults` are the reasons why the next ones fail."""

    def __init__(self, *faults: str | None) -> None:
        self.faults = list(faults)
        self.texts: list[tuple[int, str]] = []
        self.keys: list[str] = []
        self.happened = asyncio.Condition()
        self.held: dict[int, asyncio.Event] = {}

    async def __call__(self, target: Target, message: Message) -> None:
        """Fail if it is time for that."""
        async with self.happened:
            self.texts.append((target.id, message.text))
            self.keys.append(message.key)
            self.happened.notify_all()
        if target.id in self.held:
            await self.held[target.id].wait()
        if self.faults and (reason := self.faults.pop(0)) is not None:
            raise DeliveryError(reason)

    async def until(self, count: int) -> None:
        """Wait until that many attempts were made."""
        async with asyncio.timeout(30), self.happened:
            await self.happened.wait_for(lambda: len(self.texts) >= count)


@contextlib.asynccontextmanager
async def working(
    store: Store, send: Sent, clock: Clock | None = None, backoff: Callable[[int], float] = lambda _: 0.0
) -> AsyncIterator[DeliveryQueue]:
    """Work on the queue of a store, whose process writes, during the block."""
    queue = DeliveryQueue(store, send, term=lambda: store.term, backoff=backoff, now=clock or Clock())
    queue.open()
    try:
        yield queue
    finally:
        await queue.close()


async def rows(store: Store) -> list[Any]:
    """Return all deliveries, by id."""
    async with store.database.reading() as connection:
        return list(await connection.execute(select(alert_deliveries).order_by(alert_deliveries.c.id)))


async def states(store: Store, *expected: str) -> list[Any]:
    """Wait until the deliveries have these states, and return them."""
    async with asyncio.timeout(30):
        while [row.state for row in await rows(store)] != list(expected):
            await asyncio.sleep(0.005)
    return await rows(store)


async def targets_of(store: Store, count: int = 1) -> list[Target]:
    """Store that many webhooks and return them. This process becomes the writer."""
    assert await store.take_writer_lock()
    return [
        await store.add_alert_target(TargetKind.WEBHOOK, f"t{number}", "https://x.example", "whsec_x", NOW)
        for number in range(count)
    ]


async def fire(store: Store, rule_id: int, *texts: str) -> None:
    """Let a rule fire once for each text."""
    await store.add_alerts([alert(rule_id, text) for text in texts], [], keys(), store.term)


@on_both
async def test_a_delivery_that_fails_is_made_again_with_the_same_key(store: Store) -> None:
    """It is delivered once an attempt succeeds, and the row says how many it took."""
    targets = await targets_of(store)
    await fire(store, await add_rule(store, targets), "one")
    sent = Sent("the answer is 500", "no answer", None)
    async with working(store, sent):
        (row,) = await states(store, "delivered")
    assert (row.attempts, row.reason, row.ended_at) == (3, None, NOW)
    assert sent.keys == ["k1", "k1", "k1"]


class Slow:
    """A store whose second reading of the queue takes until `go_on` is set."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.readings = 0
        self.has_read, self.go_on = asyncio.Event(), asyncio.Event()

    async def next_deliveries(self) -> Sequence[Delivery]:
        """Return the head of each queue, as it was when the reading began."""
        found = await self._store.next_deliveries()
        self.readings += 1
        if self.readings == 2:
            self.has_read.set()
            await self.go_on.wait()
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)


async def test_a_delivery_that_is_made_while_the_queue_is_read_is_not_made_again(store: Store) -> None:
    """What was read has it as one that waits."""
    targets = await targets_of(store)
    await fire(store, await add_rule(store, targets), "one")
    sent, slow = Sent(), Slow(store)
    sent.held[targets[0].id] = asyncio.Event()
    queue = DeliveryQueue(slow, sent, term=lambda: store.term, now=Clock())
    queue.open()
    try:
        await sent.until(1)
        queue.wake()
        await slow.has_read.wait()
        sent.held[targets[0].id].set()
        await states(store, "delivered")
        slow.go_on.set()
        async with asyncio.timeout(30):
            while slow.readings < 3:
                await asyncio.sleep(0.005)
    finally:
        await queue.close()
    assert sent.keys == ["k1"]


@on_both
async def test_deliveries_of_a_rule_to_a_target_are_made_in_order(store: Store) -> None:
    """The second waits until the first is delivered, however often that fails."""
    targets = await targets_of(store)
    await fire(store, await add_rule(store, targets), "one", "two", "three")
    sent = Sent("no", None, "no", "no", None)
    async with working(store, sent):
        await states(store, *["delivered"] * 3)
    assert [text for _, text in sent.texts] == ["one", "one", "two", "two", "two", "three"]


async def test_a_target_that_does_not_answer_holds_up_no_other(store: Store) -> None:
    """Other targets of the same rule, and other rules, get theirs meanwhile."""
    slow, quick = await targets_of(store, 2)
    sent = Sent()
    sent.held[slow.id] = asyncio.Event()
    await fire(store, await add_rule(store, [slow, quick]), "one")
    async with working(store, sent) as queue:
        await states(store, "waiting", "delivered")
        rule_id = await add_rule(store, [quick])
        await store.add_alerts([alert(rule_id, "two")], [], lambda: "other", store.term)
        queue.wake()
        await states(store, "waiting", "delivered", "delivered")
        sent.held[slow.id].set()
        await states(store, *["delivered"] * 3)


async def test_an_attempt_waits_until_it_is_due(store: Store) -> None:
    """The wait is that of the backoff, and also counts after a restart."""
    targets = await targets_of(store)
    await fire(store, await add_rule(store, targets), "one")
    clock, sent = Clock(), Sent("no", None)
    async with working(store, sent, clock, backoff=lambda attempts: 100.0 * attempts):
        await sent.until(1)
        async with asyncio.timeout(30):
            while (row := (await rows(store))[0]).attempts == 0:
                await asyncio.sleep(0.005)
    assert (row.state, row.reason, (row.next_at - NOW).total_seconds()) == ("waiting", "no", 100)
    clock.forward(99)
    async with working(store, sent, clock) as queue:
        for _ in range(5):
            queue.wake()
            await asyncio.sleep(0)
            await store.next_deliveries()
        assert len(sent.texts) == 1
        clock.forward(1)
        queue.wake()
        await states(store, "delivered")


async def test_a_delivery_is_given_up_after_a_day(store: Store) -> None:
    """Its state says so, with the last reason, and the next one of the rule has its turn."""
    targets = await targets_of(store)
    rule_id = await add_rule(store, targets)
    await fire(store, rule_id, "old")
    clock, sent = Clock(), Sent("the answer is 500", "the answer is 503", None)
    clock.forward(86_399)
    later = alert(rule_id, "new")
    async with working(store, sent, clock, backoff=lambda _: 1.0) as queue:
        await sent.until(1)
        await store.add_alerts([later], [], lambda: "later", store.term)
        async with asyncio.timeout(30):
            while (await rows(store))[0].attempts == 0:
                await asyncio.sleep(0.005)
        clock.forward(1)
        queue.wake()
        old, _ = await states(store, "failed", "delivered")
    assert (old.attempts, old.reason) == (2, "the answer is 503")


async def test_what_was_sent_and_not_committed_is_sent_again_after_a_restart(
    database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that dies between the two leaves the delivery waiting. The key is the same, so the receiver knows."""
    store = await open_store(database_url)
    targets = await targets_of(store)
    await fire(store, await add_rule(store, targets), "one", "two")
    sent = Sent()

    async def never(*_: object) -> bool:
        await asyncio.Event().wait()
        return False

    monkeypatch.setattr(store, "delivery_ended", never)
    async with working(store, sent):
        await sent.until(1)
    await store.aclose()
    again = await open_store(database_url)
    assert await again.take_writer_lock()
    async with working(again, sent):
        await states(again, "delivered", "delivered")
    await again.aclose()
    assert sent.keys == ["k1", "k1", "k2"]


async def test_only_the_process_that_writes_works_on_the_queue(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others look whether they write by now."""
    monkeypatch.setattr(delivery, "LOOK_SECONDS", 0.01)
    targets = await targets_of(store)
    await fire(store, await add_rule(store, targets), "one")
    sent, looks = Sent(), 0

    def term() -> int | None:
        nonlocal looks
        looks += 1
        return store.term if looks > 5 else None

    queue = DeliveryQueue(store, sent, term=term, now=Clock())
    queue.open()
    await states(store, "delivered")
    await queue.close()
    assert looks > 5


@on_both
async def test_a_process_whose_term_is_over_commits_nothing(store: Store) -> None:
    """The delivery stays as it is, for the process that writes now."""
    targets = await targets_of(store)
    await fire(store, await add_rule(store, targets), "one")
    sent = Sent()
    queue = DeliveryQueue(store, sent, term=lambda: 12_345, now=Clock())
    queue.open()
    await sent.until(1)
    async with asyncio.timeout(30):
        while queue._attempts:
            await asyncio.sleep(0.005)
    await queue.close()
    assert [row.state for row in await rows(store)] == ["waiting"]
    with pytest.raises(NotWriterError):
        await store.add_alerts([], [], keys(), 12_345)


@on_both
async def test_a_target_that_is_removed_gets_nothing_more(store: Store) -> None:
    """What waited for it is cancelled, and other targets are not concerned."""
    one, other = await targets_of(store, 2)
    await fire(store, await add_rule(store, [one, other]), "one")
    await AlertTargets(store, Senders(allow_private=False), now=utc_now).remove(one.id)
    async with working(store, Sent()) as queue:
        queue.wake()
        cancelled, _ = await states(store, "cancelled", "delivered")
    assert (cancelled.target_id, cancelled.target_name, cancelled.reason) == (None, "t0", "the target was removed")


@on_both
async def test_a_rule_that_was_removed_fires_no_more(store: Store) -> None:
    """Nothing is stored of it, and the alerts of other rules are."""
    targets = await targets_of(store)
    rule_id = await add_rule(store, targets)
    ids = await store.add_alerts([alert(999), alert(rule_id)], [], keys(), store.term)
    assert ids[0] is None
    assert ids[1] is not None
    assert len(await rows(store)) == 1


def test_the_backoff_doubles_up_to_an_hour() -> None:
    """Whatever the number of attempts."""
    backoff = doubling(5)
    assert [backoff(attempts) for attempts in (1, 2, 3, 11, 12, 5000)] == [5, 10, 20, 3600, 3600, 3600]
