"""Odds from a fetch to the database and back, on SQLite and on PostgreSQL."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import func, select, text

from quart_odds.domain.platforms import Platform
from quart_odds.errors import StorageError
from quart_odds.odds import BookedEvent, EventChange
from quart_odds.storage import OddsDesk, Store, open_store
from quart_odds.storage.desk import KEEP
from quart_odds.storage.tables import competitions, events, odds_history, quote_prices, quotes
from tests.odds.making import KICKOFF, NOW, X1, header, key, mapped
from tests.storage.conftest import make_database

HOME = key("1x2_ft", "1")
LATER = NOW + timedelta(minutes=5)


def desk_at(store: Store, now: datetime = NOW, **options: float) -> OddsDesk:
    """A desk whose clock stands still."""
    return OddsDesk(store, clock=lambda: now, **options)  # type: ignore[arg-type]


async def count(store: Store, table: object) -> int:
    """How many rows a table has."""
    async with store.database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()  # type: ignore[arg-type]


def state(event: BookedEvent) -> object:
    """All that must survive a restart."""
    return (
        event.id,
        event.key,
        event.created_at,
        event.changed_at,
        [
            (
                platform,
                quote.id,
                quote.header,
                quote.competition_id,
                quote.first_seen_at,
                quote.seen_at,
                quote.gone_at,
                list(quote),
                quote.last_seen,
                quote.last_moment,
            )
            for platform, quote in event.quotes.items()
        ],
    )


async def test_a_restart_finds_all_that_was_confirmed(store: Store) -> None:
    """Ids, matches, prices, what is gone, and every moment are as they were."""
    desk = desk_at(store)
    await desk.load()
    for platform in Platform:
        await desk.record(mapped(header(platform, f"{platform}-1")), NOW)
    await desk.record(mapped(header(Platform.BETPAWA, "lone", None)), NOW)
    await desk.record(mapped(header(Platform.BETPAWA, "betpawa-1"), X1 | {HOME: 2.5}), LATER)
    await desk.mark_missing(Platform.BET9JA, [], LATER)
    await desk.record(mapped(header(Platform.SPORTYBET, "sportybet-1")), LATER)
    await desk.confirm()
    before = [state(event) for event in desk.book.events.values()]
    await desk.close()

    again = desk_at(store)
    await again.load()
    assert [state(event) for event in again.book.events.values()] == before
    assert (await again.record(mapped(header(Platform.BETPAWA, "new", "99")), LATER)).event_id == 3
    change = await again.record(mapped(header(Platform.SPORTYBET, "sportybet-1")), LATER)
    assert not change.is_change
    await again.close()


async def test_a_second_scrape_without_changes_writes_no_history(store: Store) -> None:
    """And k changed prices are exactly k rows, told for exactly their events."""
    told: list[EventChange] = []
    desk = OddsDesk(store, on_change=told.append, clock=lambda: NOW)
    for number in range(5):
        await desk.record(mapped(header(external_id=f"e{number}", sportradar_id=str(number))), NOW)
    await desk.confirm()
    assert await count(store, odds_history) == 0
    told.clear()
    for number in range(5):
        await desk.record(mapped(header(external_id=f"e{number}", sportradar_id=str(number))), LATER)
    await desk.confirm()
    assert (await count(store, odds_history), told) == (0, [])
    changed = X1 | {HOME: 2.5}
    for number in (1, 3):
        await desk.record(mapped(header(external_id=f"e{number}", sportradar_id=str(number)), changed), LATER)
    await desk.confirm()
    assert await count(store, odds_history) == 6  # each: one moved, two of over/under gone
    assert [change.event_id for change in told] == [2, 4]
    assert sum(change.count for change in told) == 6
    await desk.close()


async def test_history_is_read_back_by_price(store: Store) -> None:
    """Opening and changes of the prices asked for, in order, and of nobody else."""
    desk = desk_at(store)
    await desk.record(mapped(header(external_id="other", sportradar_id="1")), NOW)
    change = await desk.record(mapped(), NOW)
    for minute, odds in ((1, 2.5), (2, 2.6)):
        moved = mapped(odds=X1 | {HOME: odds})
        await desk.record(moved, NOW + timedelta(minutes=minute))
    await desk.mark_missing(Platform.BETPAWA, ["other"], NOW + timedelta(minutes=3))
    await desk.confirm()
    past = await store.quote_history(change.quote_id, [HOME])
    start = int(NOW.timestamp())
    assert past.opened_at == start
    assert dict(past.opening) == {HOME: 2400 << 1 | 1}
    assert past.changes == (
        (start + 60, HOME, 2500 << 1 | 1),
        (start + 120, HOME, 2600 << 1 | 1),
        (start + 180, 0, -1),
    )
    await desk.close()


async def test_a_quote_that_changes_its_event_is_moved_in_the_database(store: Store) -> None:
    """A lone event whose quote went back to its match is no more, there too."""
    desk = desk_at(store)
    await desk.record(mapped(header(Platform.BETPAWA, "a")), NOW)
    await desk.record(mapped(header(Platform.BET9JA, "b", kickoff=KICKOFF + timedelta(hours=1))), NOW)
    await desk.confirm()
    assert await count(store, events) == 2
    await desk.record(mapped(header(Platform.BET9JA, "b")), LATER)
    await desk.confirm()
    assert await count(store, events) == 1
    await desk.close()
    again = desk_at(store)
    await again.load()
    assert [list(event.quotes) for event in again.book.events.values()] == [[Platform.BETPAWA, Platform.BET9JA]]
    await again.close()


async def test_old_events_wait_in_the_database_and_come_back_when_listed(store: Store) -> None:
    """They are not loaded, can be found by id, and keep their id when a bookmaker lists them again."""
    desk = desk_at(store)
    change = await desk.record(mapped(), NOW)
    await desk.close()
    much_later = KICKOFF + KEEP + timedelta(hours=1)
    again = desk_at(store, much_later)
    await again.load()
    assert not again.book.events
    found = await again.find(change.event_id)
    assert found is not None
    assert found.header == header()
    assert await again.find(999) is None
    assert await again.find(10**30) is None
    assert await again.find(-1) is None
    postponed = header(kickoff=much_later + timedelta(days=1))
    back = await again.record(mapped(postponed, X1), much_later)
    assert (back.event_id, back.is_new, back.is_header_changed) == (change.event_id, False, True)
    await again.confirm()
    assert await count(store, quotes) == 1
    await again.close()


async def test_tidying_takes_over_events_out_of_memory(store: Store) -> None:
    """Only what is long over and was long not seen; it can still be found, and come back."""
    now = NOW
    desk = OddsDesk(store, clock=lambda: now)
    await desk.record(mapped(header(external_id="old", sportradar_id="1")), NOW)
    await desk.record(mapped(header(external_id="new", sportradar_id="2", kickoff=NOW + timedelta(days=9))), NOW)
    assert await desk.tidy() == 0
    now = KICKOFF + KEEP + timedelta(seconds=1)
    assert await desk.tidy() == 1
    assert list(desk.book.events) == [2]
    assert await desk.find(1) is not None
    assert (await desk.record(mapped(header(external_id="old", sportradar_id="1")), now)).event_id == 1
    await desk.close()


async def test_old_odds_and_runs_are_removed_as_the_preview_says(store: Store) -> None:
    """Events that are over with all they had, changes and openings before the moment; the rest stays whole."""
    desk = desk_at(store)
    for name, kickoff in (("over", NOW + timedelta(days=3)), ("coming", NOW + timedelta(days=30))):
        for day, odds in ((0, 2.4), (1, 2.5), (2, 2.6), (20, 2.7)):
            if name == "coming" or day < 3:
                event = header(external_id=name, sportradar_id=name, kickoff=kickoff)
                await desk.record(mapped(event, X1 | {HOME: odds}), NOW + timedelta(days=day))
    run_id = await store.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=NOW)
    await store.interrupt_running(NOW)
    running = await store.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=NOW)
    await desk.confirm()
    before = NOW + timedelta(days=10)
    preview = await store.preview_removal(before, before)
    assert (preview.events, preview.history_rows, preview.runs) == (1, 4, 1)
    removed = await desk.remove_old(before, before)
    assert (removed.events, removed.history_rows, removed.runs) == (1, 4, 1)
    assert await count(store, events) == await count(store, quotes) == await count(store, quote_prices) == 1
    assert await count(store, odds_history) == 1
    assert await store.get_run(run_id) is None
    assert await store.get_run(running) is not None
    assert list(desk.book.events) == [2]
    assert await desk.find(1) is None
    assert (await store.preview_removal(before, before)).history_rows == 0
    await desk.close()


async def test_a_locked_database_is_told_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lock, confirm raises; after it, all is written."""
    monkeypatch.setattr("quart_odds.storage.database.BUSY_SECONDS", 0.02)
    path = tmp_path / "odds.db"
    store = await open_store(f"sqlite:///{path}")
    desk = desk_at(store, confirm_seconds=0.3)
    await desk.record(mapped(header(external_id="before", sportradar_id="1")), NOW)
    await desk.confirm()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await desk.record(mapped(), NOW)
    with pytest.raises(StorageError, match="locked"):
        await desk.confirm()
    assert await count(store, quotes) == 1
    other.execute("ROLLBACK")
    other.close()
    await desk.writer.confirm(5)
    assert await count(store, quotes) == 2
    await desk.close()
    await store.aclose()


async def test_a_full_database_is_told_and_keeps_what_was_confirmed(tmp_path: Path) -> None:
    """When no page is left, confirm raises and says why; what was there can be read."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    desk = desk_at(store, confirm_seconds=0.5)
    await desk.record(mapped(), NOW)
    await desk.confirm()
    async with store.database.writing() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    for number in range(200):
        event = header(external_id=f"x{number}", sportradar_id=f"s{number}", home="A long name of a club " * 5)
        await desk.record(mapped(event), NOW)
    with pytest.raises(StorageError, match="full"):
        await desk.confirm()
    assert await store.load_event(1) is not None
    async with store.database.writing() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1000000"))
    await desk.writer.confirm(10)
    assert await count(store, quotes) == 201
    await desk.close()
    await store.aclose()


@pytest.mark.postgres
async def test_a_connection_that_is_lost_is_opened_again(postgres: str) -> None:
    """The server cuts every connection: what waits is written over new ones."""
    url = await make_database(postgres)
    store, admin = await open_store(url), await open_store(await make_database(postgres))
    desk = desk_at(store)
    await desk.record(mapped(header(external_id="before", sportradar_id="1")), NOW)
    await desk.confirm()
    async with admin.database.writing() as connection:
        name = url.rpartition("/")[2]
        cut = text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = :name")
        await connection.execute(cut, {"name": name})
    await desk.record(mapped(), NOW)
    await desk.confirm()
    assert await count(store, quotes) == 2
    await desk.close()
    await store.aclose()
    await admin.aclose()


async def test_competitions_keep_their_ids(store: Store) -> None:
    """One row a bookmaker's competition, with the id that the API gives."""
    desk = desk_at(store)
    for platform in Platform:
        await desk.record(mapped(header(platform, "a")), NOW)
    await desk.close()
    assert await count(store, competitions) == 3
    again = desk_at(store)
    await again.load()
    assert again.book.competition_id(Platform.BET9JA, header().competition) == 3
    await again.close()
