"""Whom the odds service tells what: every change at once, what comes back from the database, and a new beginning."""

import contextlib
from datetime import timedelta
from pathlib import Path

import pytest

from quart_odds.domain.odds import UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import CacheFullError, NotWriterError
from quart_odds.odds import CachedEvent, EventChange, OddsCache, OddsService, cache
from quart_odds.odds.operation_codec import decode, encode
from quart_odds.odds.operations import Forgotten, Operation, Recalled, Recorded, carry_out
from quart_odds.odds.service import KEEP
from quart_odds.odds.snapshots import decode_snapshot, take
from quart_odds.storage import Store, open_store
from tests.odds.making import KICKOFF, NOW, header, listed, mapped
from tests.odds.replicas import bodies, everything

LATER = NOW + timedelta(minutes=1)


async def test_every_change_is_told_when_the_cache_has_it_and_before_it_is_worth_a_notice(store: Store) -> None:
    """Also of a header alone, or of nothing but the time."""
    told: list[str] = []
    odds_service = OddsService(store, clock=lambda: LATER, on_change=lambda _: told.append("notice"))

    def applied(change: EventChange) -> None:
        assert odds_service.cache.event_odds(change.odds_id) is not None
        assert not change.is_header_changed or change.former == header()
        told.append("new" if change.is_new else "header" if change.is_header_changed else "seen")

    odds_service.on_applied = applied
    await odds_service.record(mapped(), NOW)
    await odds_service.record(mapped(header(home="Arsenal London")), LATER)
    await odds_service.record(mapped(header(home="Arsenal London")), LATER)
    assert told == ["new", "notice", "header", "seen"]
    await odds_service.close()


async def test_events_that_only_the_database_had_are_told_before_their_changes(store: Store) -> None:
    """Whoever follows the cache does not know them."""
    now = NOW
    odds_service = OddsService(store, clock=lambda: now)
    await odds_service.record(mapped(), NOW)
    now = KICKOFF + KEEP + timedelta(seconds=1)
    assert await odds_service.archive() == 1
    told: list[tuple[str, int]] = []

    def recalled(event: CachedEvent) -> None:
        assert odds_service.cache.get(event.id) is event
        told.append(("recalled", event.id))

    odds_service.on_recalled = recalled
    odds_service.on_applied = lambda change: told.append(("applied", change.event_id))
    await odds_service.record(mapped(header(kickoff=now + timedelta(days=1))), now)
    assert told == [("recalled", 1), ("applied", 1)]
    await odds_service.close()


async def test_a_cache_that_is_read_again_is_told_when_it_is_full(store: Store) -> None:
    """It has all that was stored by then."""
    odds_service = OddsService(store, clock=lambda: NOW)
    await odds_service.record(mapped(), NOW)
    await odds_service.close()
    again = OddsService(store, clock=lambda: NOW)
    told: list[list[int]] = []
    again.on_reloaded = lambda: told.append(list(again.cache.events))
    await again.load()
    assert told == [[1]]
    await again.close()


async def test_the_operations_of_a_service_make_an_equal_cache_elsewhere(store: Store) -> None:
    """From the moment when everything was read: also of events that leave the memory and come back."""
    now = NOW
    odds_service = OddsService(store, clock=lambda: now)
    replica = OddsCache()
    told: list[str] = []

    def operation(operation: Operation, _: object) -> None:
        told.append(type(operation).__name__)
        carry_out(replica, decode(encode(operation)))
        assert everything(replica) == everything(odds_service.cache)

    def reloaded() -> None:
        told.append("reloaded")
        decode_snapshot(take(odds_service.cache).encode()).restore(replica)

    odds_service.on_operation, odds_service.on_reloaded = operation, reloaded
    odds_service.on_applied = lambda change: told.append("applied")
    odds_service.on_recalled = lambda event: told.append("recalled")
    await odds_service.load()
    await odds_service.record(mapped(unmapped=(UnmappedMarket("S_OUA", "Over/Under Asian"),)), NOW)
    await odds_service.record(mapped(header(Platform.BET9JA, "e9")), NOW)
    now = LATER
    await odds_service.record(listed(), NOW)
    await odds_service.mark_missing(Platform.BET9JA, {}, LATER)
    assert await odds_service.withdraw(Platform.BET9JA, "e9", LATER) is not None
    assert await odds_service.withdraw(Platform.BET9JA, "unknown", LATER) is None
    now = KICKOFF + KEEP + timedelta(seconds=1)
    assert await odds_service.archive() == 1
    assert await odds_service.archive() == 0
    await odds_service.record(mapped(header(kickoff=now + timedelta(days=1))), now)
    assert told == [
        "reloaded",
        *("Recorded", "applied") * 3,
        *("Discovered", "applied"),
        *("Withdrawn", "applied", "Withdrawn"),
        "Forgotten",
        *("Recalled", "recalled", "Recorded", "applied"),
    ]
    assert everything(replica) == everything(odds_service.cache)
    assert await bodies(replica, lambda: now) == await bodies(odds_service.cache, lambda: now)
    await odds_service.close()


async def test_an_event_that_the_database_no_longer_has_is_no_longer_archived_anywhere(store: Store) -> None:
    """The operation says so, because other processes cannot know."""
    now = NOW
    odds_service = OddsService(store, clock=lambda: now)
    told: list[Operation] = []
    await odds_service.record(mapped(), NOW)
    now = KICKOFF + KEEP + timedelta(seconds=1)
    odds_service.on_operation = lambda operation, _: told.append(operation)
    await odds_service.remove_old(now, now)
    await odds_service.record(mapped(header(kickoff=now + timedelta(days=1))), now)
    assert told[:2] == [Forgotten((1,)), Recalled(1, None, now)]
    assert isinstance(told[2], Recorded)
    assert 1 not in odds_service.cache.archived
    await odds_service.close()


async def test_a_fetch_that_the_cache_refuses_is_no_operation(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It changed nothing."""
    monkeypatch.setattr(cache, "MAX_EVENTS", 1)
    odds_service = OddsService(store, clock=lambda: NOW)
    told: list[Operation] = []
    odds_service.on_operation = lambda operation, _: told.append(operation)
    await odds_service.record(mapped(), NOW)
    with pytest.raises(CacheFullError):
        await odds_service.record(mapped(header(external_id="e2")), NOW)
    assert len(told) == 1
    await odds_service.close()


async def test_a_process_that_only_reads_archives_nothing(tmp_path: Path) -> None:
    """What leaves the memory is for the process that writes to say."""
    url = f"sqlite:///{tmp_path / 'odds.db'}"
    async with contextlib.AsyncExitStack() as opened:
        first, second = [await opened.enter_async_context(contextlib.aclosing(await open_store(url))) for _ in range(2)]
        now = NOW
        writer = OddsService(first, clock=lambda: now)
        await writer.load()
        await writer.record(mapped(), NOW)
        await writer.confirm()
        reader = OddsService(second, clock=lambda: now)
        await reader.load()
        now = KICKOFF + KEEP + timedelta(seconds=1)
        with pytest.raises(NotWriterError):
            await reader.archive()
        assert list(reader.cache.events) == [1]
        assert await writer.archive() == 1
        await reader.close()
        await writer.close()
