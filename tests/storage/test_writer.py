"""Tests of the writer: batches, confirmation, back-pressure, and a database that fails."""

import asyncio
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from quart_odds.errors import NotWriterError, StorageError
from quart_odds.odds import EventChange, OddsCache
from quart_odds.odds.ownership import Recording, recording_for
from quart_odds.storage.odds_rows import EncodedBatch
from quart_odds.storage.writer import BATCH_QUOTES, OddsWriter
from tests.odds.making import NOW, X1, header, key, mapped

HOME = key("1x2_ft", "1")


@dataclass
class FakeDatabase:
    """A store that keeps batches in memory.

    It raises `failing` if set, refuses batches with event odds of the id `poison`, and waits while `gate` is not set.
    """

    batches: list[EncodedBatch] = field(default_factory=list)
    failing: StorageError | None = None
    tries: int = 0
    poison: int | None = None
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    async def write(self, batch: EncodedBatch, term: int | None) -> None:
        self.tries += 1
        await self.gate.wait()
        if self.failing is not None:
            raise self.failing
        if any(row[0] == self.poison for row in batch.quotes):
            raise StorageError("refused") from IntegrityError("INSERT", {}, Exception("no"))
        self.batches.append(batch)

    @property
    def history(self) -> list[tuple[int, int, int]]:
        return [row for batch in self.batches for row in batch.history]

    def written(self) -> set[object]:
        """Return the external ids of all event odds that were written."""
        return {row[3] for batch in self.batches for row in batch.quotes}


async def nap(_: float) -> None:
    """Wait a short time between attempts, whatever time was requested."""
    await asyncio.sleep(0.005)


def opened(database: FakeDatabase, **options: float) -> tuple[OddsCache, OddsWriter]:
    """Return a cache and its writer, with time limits that suit a busy machine."""
    cache = OddsCache()
    settings = {"confirm_seconds": 10.0, "linger_seconds": 0.0} | options
    return cache, OddsWriter(database, cache, sleep=nap, **settings)  # type: ignore[arg-type]


def offer(cache: OddsCache, external_id: str = "e1", odds: dict[int, float] | None = None) -> EventChange:
    """Record one fetch of an event in the cache, and return the change."""
    return cache.apply(mapped(header(external_id=external_id, sportradar_id=external_id), odds or X1), NOW)


async def test_confirm_returns_when_all_before_it_is_committed() -> None:
    """Each batch holds complete events: header, prices and opening together."""
    database = FakeDatabase()
    cache, writer = opened(database)
    for number in range(3):
        writer.put(offer(cache, f"e{number}"))
    await writer.confirm()
    assert database.written() == {"e0", "e1", "e2"}
    for batch in database.batches:
        ids = {row[0] for row in batch.quotes}
        assert {row[0] for row in batch.prices} == ids == {row[0] for row in batch.openings}
    assert writer.waiting == 0
    await writer.close()


async def test_confirm_with_nothing_put_returns() -> None:
    """A run without odds is confirmed at once."""
    _, writer = opened(FakeDatabase())
    await writer.confirm()
    await writer.close()


async def test_what_is_only_seen_again_writes_no_prices() -> None:
    """Only the time is updated: no row, prices or history are written."""
    database = FakeDatabase()
    cache, writer = opened(database)
    writer.put(offer(cache))
    await writer.confirm()
    writer.put(offer(cache))
    await writer.confirm()
    last = database.batches[-1]
    assert (len(last.seen), last.quotes, last.prices, last.history) == (1, [], [], [])
    await writer.close()


async def test_changes_that_wait_are_one_write_with_all_their_history() -> None:
    """Event odds wait once, however often they change meanwhile."""
    database = FakeDatabase()
    cache, writer = opened(database)
    for odds in (2.4, 2.5, 2.6, 2.7):
        writer.put(offer(cache, odds=X1 | {HOME: odds}))
    await writer.confirm()
    assert sum(len(batch.prices) for batch in database.batches) == 1
    assert [row[2] for row in sorted(database.history)] == [2500 << 1 | 1, 2600 << 1 | 1, 2700 << 1 | 1]
    await writer.close()


async def test_a_failure_is_tried_again_and_nothing_is_lost() -> None:
    """While the database fails, `confirm` raises. Once it works again, everything is written, oldest first."""
    database = FakeDatabase(failing=StorageError("disk full"))
    cache, writer = opened(database)
    writer.put(offer(cache))
    with pytest.raises(StorageError, match="disk full"):
        await writer.confirm(0.2)
    assert database.tries > 1
    writer.put(offer(cache, odds=X1 | {HOME: 2.5}))
    writer.put(offer(cache, "e2"))
    database.failing = None
    await writer.confirm()
    assert database.written() == {"e1", "e2"}
    assert [row[2] for row in database.history] == [2500 << 1 | 1]
    assert sum(len(batch.openings) for batch in database.batches) == 2
    await writer.close()


async def test_a_slow_database_makes_confirm_raise_in_time() -> None:
    """Waiting is bounded, and a later confirmation may still succeed."""
    database = FakeDatabase()
    database.gate.clear()
    cache, writer = opened(database)
    writer.put(offer(cache))
    with pytest.raises(StorageError, match=r"within 0\.2 s"):
        await writer.confirm(0.2)
    database.gate.set()
    await writer.confirm()
    await writer.close()


async def test_putting_never_waits_and_room_waits_for_the_database() -> None:
    """Too many waiting history rows make the scrape wait until they are committed."""
    database = FakeDatabase()
    cache, writer = opened(database, max_history_rows=2, confirm_seconds=5)
    writer.put(offer(cache))
    await writer.room()
    database.gate.clear()
    for odds in (2.5, 2.6, 2.7):
        writer.put(offer(cache, odds=X1 | {HOME: odds}))
    waiting = asyncio.create_task(writer.room())
    for _ in range(20):
        await asyncio.sleep(0)
    assert not waiting.done()
    database.gate.set()
    await waiting
    await writer.confirm()
    assert len(database.history) == 3
    await writer.close()


async def test_room_raises_when_the_database_stays_away() -> None:
    """The scrape gets an error instead of waiting forever."""
    database = FakeDatabase(failing=StorageError("gone"))
    cache, writer = opened(database, max_history_rows=1, confirm_seconds=0.2)
    writer.put(offer(cache))
    for odds in (2.5, 2.6):
        writer.put(offer(cache, odds=X1 | {HOME: odds}))
    with pytest.raises(StorageError, match="gone"):
        await writer.room()
    await writer.close()


async def test_memory_is_bounded_and_a_loss_is_reported() -> None:
    """Putting without `room` may lose history, but never current odds. The next confirmation reports the loss."""
    database = FakeDatabase(failing=StorageError("gone"))
    cache, writer = opened(database, max_history_rows=2)
    for number in range(20):
        writer.put(offer(cache, odds=X1 | {HOME: 2.4 + number / 10}))
    database.failing = None
    with pytest.raises(StorageError, match="lost"):
        await writer.confirm()
    assert len(database.history) == 4
    assert writer.rows_lost == 15
    await writer.confirm()
    await writer.close()


async def test_one_event_that_the_database_refuses_does_not_hold_up_the_others() -> None:
    """The refusal is reported once, and the write is not repeated forever."""
    database = FakeDatabase(poison=2)
    cache, writer = opened(database)
    for number in range(4):
        writer.put(offer(cache, f"e{number}"))
    with pytest.raises(StorageError, match="refused"):
        await writer.confirm()
    assert database.written() == {"e0", "e2", "e3"}
    await writer.confirm()
    await writer.close()


async def test_batches_are_bounded() -> None:
    """A scrape is written in many transactions, not in one."""
    database = FakeDatabase()
    cache, writer = opened(database, confirm_seconds=10)
    for number in range(2 * BATCH_QUOTES + 1):
        writer.put(offer(cache, f"e{number}"))
    await writer.confirm()
    assert [len(batch.quotes) for batch in database.batches] == [BATCH_QUOTES, BATCH_QUOTES, 1]
    await writer.close()


async def test_close_writes_what_waits() -> None:
    """Everything is written, and later changes are refused."""
    database = FakeDatabase()
    cache, writer = opened(database)
    change = offer(cache)
    writer.put(change)
    await writer.close()
    await writer.close()
    assert database.written() == {"e1"}
    with pytest.raises(StorageError, match="closed"):
        writer.put(change)


async def test_a_refusal_is_reported_to_whoever_recorded_and_to_nobody_else() -> None:
    """Only the recording whose odds were refused gets the error, and only once, even if another confirms first."""
    database = FakeDatabase(poison=1)
    cache, writer = opened(database)
    run, refresh = Recording(), Recording()
    with recording_for(run):
        writer.put(offer(cache, "e1"))
    with recording_for(refresh):
        writer.put(offer(cache, "e2"))
        await writer.confirm()
    await writer.confirm()
    with recording_for(run):
        with pytest.raises(StorageError, match="refused"):
            await writer.confirm()
        await writer.confirm()
    assert database.written() == {"e2"}
    await writer.close()


async def test_a_quote_that_two_recorded_is_refused_to_both() -> None:
    """Changes of two recordings that waited together are refused together."""
    database = FakeDatabase(poison=1)
    cache, writer = opened(database)
    recordings = Recording(), Recording()
    for recording, odds in zip(recordings, (2.4, 2.5), strict=True):
        with recording_for(recording):
            writer.put(offer(cache, odds=X1 | {HOME: odds}))
    for recording in recordings:
        with recording_for(recording), pytest.raises(StorageError, match="refused"):
            await writer.confirm()
    await writer.close()


async def test_what_was_refused_is_written_as_it_is_with_the_next_change() -> None:
    """Event odds that were only seen again are then written completely, with their opening."""
    database = FakeDatabase(poison=1)
    cache, writer = opened(database)
    writer.put(offer(cache))
    with pytest.raises(StorageError, match="refused"):
        await writer.confirm()
    database.poison = None
    writer.put(offer(cache))
    await writer.confirm()
    last = database.batches[-1]
    assert (len(last.quotes), len(last.prices), len(last.openings), last.seen) == (1, 1, 1, [])
    await writer.close()


async def test_a_refusal_while_newer_changes_wait_loses_none_of_them() -> None:
    """The next write includes the refused prices and opening as well as the newer history."""
    database = FakeDatabase(poison=1)
    database.gate.clear()
    cache, writer = opened(database)
    writer.put(offer(cache))
    while not database.tries:
        await asyncio.sleep(0)
    writer.put(offer(cache, odds=X1 | {HOME: 2.5}))
    waiting = asyncio.create_task(writer.confirm())
    database.gate.set()
    while writer._refused is None:
        await asyncio.sleep(0)
    database.poison = None
    with pytest.raises(StorageError, match="refused"):
        await waiting
    last = database.batches[-1]
    assert (len(last.prices), len(last.openings), [row[2] for row in last.history]) == (1, 1, [2500 << 1 | 1])
    await writer.close()


async def test_what_another_process_may_not_see_is_given_up_and_reported() -> None:
    """After a takeover, waiting changes are dropped, and later ones are written as usual."""
    database = FakeDatabase(failing=NotWriterError("another process has taken over"))
    cache, writer = opened(database)
    writer.put(offer(cache))
    writer.put(offer(cache, odds=X1 | {HOME: 2.5}))
    with pytest.raises(NotWriterError):
        await writer.confirm()
    assert (writer.waiting, writer.rows_lost, writer.is_full) == (0, 1, False)
    database.failing = None
    writer.put(offer(cache, "e2"))
    await writer.confirm()
    assert database.written() == {"e2"}
    await writer.close()


async def test_giving_up_ends_a_write_that_is_under_way() -> None:
    """When `give_up` returns, the write is cancelled, and the caller of `confirm` gets the reason."""
    database = FakeDatabase()
    database.gate.clear()
    cache, writer = opened(database)
    writer.put(offer(cache))
    waiting = asyncio.create_task(writer.confirm())
    while not database.tries:
        await asyncio.sleep(0)
    await writer.give_up(NotWriterError("another process took over"))
    with pytest.raises(NotWriterError, match="took over"):
        await waiting
    database.gate.set()
    writer.put(offer(cache, "e2"))
    await writer.confirm()
    assert database.written() == {"e2"}
    await writer.close()


async def test_a_first_miss_is_written_although_no_odds_changed() -> None:
    """The row of `quotes` is written, without prices or history."""
    database = FakeDatabase()
    cache, writer = opened(database)
    writer.put(offer(cache))
    await writer.confirm()
    for change in cache.mark_missing(header().platform, {}, NOW, believe_after=timedelta(minutes=5)):
        writer.put(change)
    await writer.confirm()
    last = database.batches[-1]
    assert (len(last.quotes), last.prices, last.history, last.seen) == (1, [], [], [])
    await writer.close()


async def test_closing_is_bounded_though_the_database_hangs() -> None:
    """`close` returns in time and leaves what waits."""
    database = FakeDatabase()
    database.gate.clear()
    cache, writer = opened(database)
    writer.put(offer(cache))
    async with asyncio.timeout(30):
        await writer.close(0.05)
    assert database.batches == []
