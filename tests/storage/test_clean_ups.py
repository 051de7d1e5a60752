"""Records of clean-ups, samples of sizes and alerts about them, in SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.errors import NotWriterError
from quart_odds.odds import OddsService
from quart_odds.odds.retention import Ages, Removal
from quart_odds.odds.stored_data import StorageAlert, StorageSample, TableFigures, TableSize
from quart_odds.storage import Store
from quart_odds.storage import sizes as module
from tests.odds.making import KICKOFF, NOW, X1, header, mapped, minutes_on

DAY = timedelta(days=1)
AGES = Ages(30, 60)
REMOVAL = Removal(3, 70, 2, 5, {"betpawa": 3, "bet9ja": 2}, {"betpawa": 40, "bet9ja": 30})
SAMPLE = StorageSample(NOW, 5_000_000, (TableSize("events", 4096, 2), TableSize("runs", None, None)))


async def test_a_clean_up_is_recorded_from_its_beginning_to_its_end(store: Store) -> None:
    """With what was removed by bookmaker, and the oldest that was left."""
    service = OddsService(store, clock=lambda: NOW)
    await service.load()
    await service.record(mapped(header(), X1), NOW)
    await service.confirm()
    begun = await store.begin_clean_up("manual", "token 1a", AGES, minutes_on(5))
    [running], total = await store.clean_ups(limit=10)
    assert (running.status, running.completed_at, running.removal, total) == ("running", None, Removal(), 1)
    done = await store.end_clean_up(begun, REMOVAL, minutes_on(6))
    [found], _ = await store.clean_ups(limit=10)
    assert found == done
    assert (found.status, found.trigger, found.requested_by, found.ages) == ("completed", "manual", "token 1a", AGES)
    assert (found.removal.listings, found.removal.rows_by) == (REMOVAL.listings, REMOVAL.rows_by)
    assert found.removal == REMOVAL
    assert (found.duration_seconds, found.oldest_odds_at, found.oldest_kickoff) == (60, NOW, KICKOFF)
    await service.close()


async def test_a_clean_up_whose_process_died_has_failed(store: Store) -> None:
    """The next process that writes says so. What has ended stays as it was."""
    first = await store.begin_clean_up("scheduled", "the schedule", AGES, NOW)
    await store.end_clean_up(first, Removal(), NOW)
    await store.begin_clean_up("scheduled", "the schedule", AGES, NOW)
    await store.fail_lost_clean_ups(minutes_on(9))
    [lost, done], _ = await store.clean_ups(limit=10)
    assert (lost.status, lost.error, lost.completed_at) == (
        "failed",
        "the server stopped before it was done",
        minutes_on(9),
    )
    assert (done.status, done.error) == ("completed", None)


async def test_what_is_removed_is_counted_as_previewed(store: Store) -> None:
    """By bookmaker: entries of events, and changes, those of events that stay as well."""
    service = OddsService(store, clock=lambda: NOW)
    await service.load()
    for platform, days in ((Platform.BETPAWA, 0), (Platform.BET9JA, 0), (Platform.SPORTYBET, 40)):
        event = header(platform, sportradar_id=f"700000{days:02}", kickoff=KICKOFF + days * DAY)
        await service.record(mapped(event, X1), NOW)
        await service.record(mapped(event, dict.fromkeys(X1, 7.0)), minutes_on(1))
    before = KICKOFF + 2 * DAY
    await service.confirm()
    would = await store.preview_removal(before, NOW)
    removed = await service.remove_old(before, NOW)
    for each in (would, removed):
        assert (each.events, each.history_rows) == (1, 3 * len(X1))
    assert +would.listings == removed.listings == {"betpawa": 1, "bet9ja": 1}  # type: ignore[operator]
    assert would.rows_by == removed.rows_by == dict.fromkeys(("betpawa", "bet9ja", "sportybet"), len(X1))
    stored = await store.stored_data()
    assert (stored.events.count, stored.changes) == (1, {})
    assert stored.listings == {"sportybet": TableFigures(1, KICKOFF + 40 * DAY, KICKOFF + 40 * DAY)}
    await service.close()


async def test_samples_are_stored_by_the_writer_and_forgotten_when_old(store: Store) -> None:
    """The newest is first."""
    with pytest.raises(NotWriterError):
        await store.add_sample(SAMPLE, 999, forget_before=NOW)
    assert await store.take_writer_lock()
    first = await store.add_sample(SAMPLE, store.term, forget_before=NOW - DAY)
    second = await store.add_sample(replace(SAMPLE, sampled_at=NOW + DAY), store.term, forget_before=NOW)
    assert await store.samples(limit=1) == ([second], 2)
    assert (await store.samples(limit=5))[0] == [second, first]
    third = await store.add_sample(replace(SAMPLE, sampled_at=NOW + 2 * DAY), store.term, forget_before=NOW + DAY)
    assert await store.samples(limit=5) == ([third, second], 2)


async def test_the_database_is_measured(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every table is there. Of a large file only the total is known."""
    found = await store.measure(NOW)
    assert await store.size_bytes() > 0
    assert {each.name for each in found.tables} >= {"events", "quotes", "clean_ups", "storage_samples"}
    assert all(each.bytes is not None for each in found.tables)
    assert found.total_bytes >= sum(each.bytes or 0 for each in found.tables) > 0
    if store.database.is_sqlite:
        assert await store.size_bytes() == found.total_bytes
        monkeypatch.setattr(module, "MOST_READ_BYTES", 1000)
        large = await store.measure(NOW)
        assert large.total_bytes == found.total_bytes
        assert {each.bytes for each in large.tables} == {None}


async def test_an_alert_is_open_until_it_is_resolved(store: Store) -> None:
    """Once resolved, it keeps its time."""
    assert await store.take_writer_lock()
    await store.add_storage_alert(StorageAlert("growth_warning", "Fast.", NOW, 30, 20, 50.0), store.term)
    [alert] = await store.storage_alerts(limit=5, is_open=True)
    assert (alert.kind, alert.growth_percent, alert.created_at) == ("growth_warning", 50.0, NOW)
    assert alert.id is not None
    resolved = await store.resolve_storage_alert(alert.id, minutes_on(1))
    assert resolved == replace(alert, resolved_at=minutes_on(1))
    assert await store.resolve_storage_alert(alert.id, minutes_on(2)) == resolved
    assert await store.storage_alerts(limit=5, is_open=True) == []
    assert await store.storage_alerts(limit=5) == [resolved]
    assert await store.resolve_storage_alert(0, NOW) is None
    assert await store.resolve_storage_alert(2**40, NOW) is None
