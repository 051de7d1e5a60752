"""Odds from the fetch to the database and back, on SQLite and PostgreSQL."""

import asyncio
import sqlite3
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.odds import MappedEvent, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import KNOWN
from quart_odds.errors import StorageError
from quart_odds.odds import CachedEvent, EventChange, OddsService
from quart_odds.odds.service import KEEP
from quart_odds.storage import Store, open_store
from quart_odds.storage.odds_rows import EncodedBatch, signed_key, unsigned_key
from quart_odds.storage.tables import competitions, events, odds_history, quote_prices, quotes
from tests.databases import make_database
from tests.odds.making import KICKOFF, NOW, X1, header, key, mapped, odds_at

HOME = key("1x2_ft", "1")
LATER = NOW + timedelta(minutes=5)


def store_of(odds_service: OddsService) -> Store:
    """Return the real store of an odds service, which knows only its protocol."""
    assert isinstance(odds_service.store, Store)
    return odds_service.store


def odds_service_at(store: Store, now: datetime = NOW, **options: float) -> OddsService:
    """Return an odds service whose clock stands still."""
    return OddsService(store, clock=lambda: now, **options)  # type: ignore[arg-type]


async def count(store: Store, table: object) -> int:
    """Return the number of rows in a table."""
    async with store.database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(table))).scalar_one()  # type: ignore[arg-type]


def state(event: CachedEvent) -> object:
    """Return everything about an event that must survive a restart."""
    return (
        event.id,
        event.key,
        event.created_at,
        event.changed_at,
        [
            (
                platform,
                event_odds.id,
                event_odds.header,
                event_odds.competition_id,
                event_odds.first_seen_at,
                event_odds.seen_at,
                event_odds.gone_at,
                event_odds.missed_at,
                event_odds.promotions,
                list(event_odds),
                event_odds.last_seen,
                event_odds.last_moment,
            )
            for platform, event_odds in event.odds.items()
        ],
    )


async def test_a_restart_finds_all_that_was_confirmed(store: Store) -> None:
    """Ids, matches, prices, gone prices and all times are the same as before."""
    odds_service = odds_service_at(store)
    await odds_service.load()
    for platform in Platform:
        await odds_service.record(mapped(header(platform, f"{platform}-1")), NOW)
    await odds_service.record(mapped(header(Platform.BETPAWA, "lone", None)), NOW)
    await odds_service.record(mapped(header(Platform.BETPAWA, "betpawa-1"), X1 | {HOME: 2.5}), LATER)
    await odds_service.mark_missing(Platform.BETPAWA, {"betpawa-1": LATER}, LATER)
    for at in (NOW, LATER):
        await odds_service.mark_missing(Platform.BET9JA, {}, at)
    await odds_service.record(mapped(header(Platform.SPORTYBET, "sportybet-1")), LATER)
    await odds_service.confirm()
    before = [state(event) for event in odds_service.cache.events.values()]
    await odds_service.close()

    again = odds_service_at(store)
    await again.load()
    assert [state(event) for event in again.cache.events.values()] == before
    assert (await again.record(mapped(header(Platform.BETPAWA, "new", "99")), LATER)).event_id == 3
    change = await again.record(mapped(header(Platform.SPORTYBET, "sportybet-1")), LATER)
    assert not change.is_change
    await again.close()


async def test_a_second_scrape_without_changes_writes_no_history(store: Store) -> None:
    """If k prices change, exactly k rows are written, and changes are reported for exactly their events."""
    published: list[EventChange] = []
    odds_service = OddsService(store, on_change=published.append, clock=lambda: NOW)
    for number in range(5):
        await odds_service.record(mapped(header(external_id=f"e{number}", sportradar_id=str(number))), NOW)
    await odds_service.confirm()
    assert await count(store, odds_history) == 0
    published.clear()
    for number in range(5):
        await odds_service.record(mapped(header(external_id=f"e{number}", sportradar_id=str(number))), LATER)
    await odds_service.confirm()
    assert (await count(store, odds_history), published) == (0, [])
    changed = X1 | {HOME: 2.5}
    for number in (1, 3):
        await odds_service.record(mapped(header(external_id=f"e{number}", sportradar_id=str(number)), changed), LATER)
    await odds_service.confirm()
    assert await count(store, odds_history) == 6  # for each event, one price moved and both of over/under are gone
    assert [change.event_id for change in published] == [2, 4]
    assert sum(change.count for change in published) == 6
    await odds_service.close()


async def test_history_is_read_back_by_price(store: Store) -> None:
    """It has the openings and changes of the requested prices, in order, and no others."""
    odds_service = odds_service_at(store, NOW + timedelta(minutes=8))
    await odds_service.record(mapped(header(external_id="other", sportradar_id="1")), NOW)
    change = await odds_service.record(mapped(), NOW)
    for minute, odds in ((1, 2.5), (2, 2.6)):
        moved = mapped(odds=X1 | {HOME: odds})
        await odds_service.record(moved, NOW + timedelta(minutes=minute))
    for minute in (3, 8):
        at = NOW + timedelta(minutes=minute)
        await odds_service.mark_missing(Platform.BETPAWA, {"other": at}, at)
    await odds_service.confirm()
    past = await store.price_history(change.odds_id, [HOME])
    start = int(NOW.timestamp())
    assert past.opened_at == start
    assert dict(past.opening) == {HOME: 2400 << 1 | 1}
    assert past.changes == (
        (start + 60, HOME, 2500 << 1 | 1),
        (start + 120, HOME, 2600 << 1 | 1),
        (start + 480, 0, -1),
    )
    await odds_service.close()


async def test_a_quote_that_changes_its_event_is_moved_in_the_database(store: Store) -> None:
    """When the only event odds of an event go back to their match, the event is removed from the database as well."""
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(header(Platform.BETPAWA, "a")), NOW)
    await odds_service.record(mapped(header(Platform.BET9JA, "b", kickoff=KICKOFF + timedelta(hours=1))), NOW)
    await odds_service.confirm()
    assert await count(store, events) == 2
    await odds_service.record(mapped(header(Platform.BET9JA, "b")), LATER)
    await odds_service.confirm()
    assert await count(store, events) == 1
    await odds_service.close()
    again = odds_service_at(store)
    await again.load()
    assert [list(event.odds) for event in again.cache.events.values()] == [[Platform.BETPAWA, Platform.BET9JA]]
    await again.close()


async def test_old_events_wait_in_the_database_and_come_back_when_listed(store: Store) -> None:
    """They are not loaded, but can be found by id, and keep their id if a bookmaker lists them again."""
    odds_service = odds_service_at(store)
    change = await odds_service.record(mapped(), NOW)
    await odds_service.close()
    much_later = KICKOFF + KEEP + timedelta(hours=1)
    again = odds_service_at(store, much_later)
    await again.load()
    assert not again.cache.events
    found = await again.served.find(change.event_id)
    assert found is not None
    assert found.header == header()
    assert await again.served.find(999) is None
    assert await again.served.find(10**30) is None
    assert await again.served.find(-1) is None
    postponed = header(kickoff=much_later + timedelta(days=1))
    back = await again.record(mapped(postponed, X1), much_later)
    assert (back.event_id, back.is_new, back.is_header_changed) == (change.event_id, False, True)
    await again.confirm()
    assert await count(store, quotes) == 1
    await again.close()


async def test_tidying_takes_over_events_out_of_memory(store: Store) -> None:
    """Only events that are long over and were last seen long ago are dropped; they can still be found and come back."""
    now = NOW
    odds_service = OddsService(store, clock=lambda: now)
    await odds_service.record(mapped(header(external_id="old", sportradar_id="1")), NOW)
    await odds_service.record(
        mapped(header(external_id="new", sportradar_id="2", kickoff=NOW + timedelta(days=9))), NOW
    )
    assert await odds_service.archive() == 0
    now = KICKOFF + KEEP + timedelta(seconds=1)
    assert await odds_service.archive() == 1
    assert list(odds_service.cache.events) == [2]
    assert await odds_service.served.find(1) is not None
    assert (await odds_service.record(mapped(header(external_id="old", sportradar_id="1")), now)).event_id == 1
    await odds_service.close()


async def test_old_odds_and_runs_are_removed_as_the_preview_says(store: Store) -> None:
    """Old events are removed with all their odds, and so are old changes and openings of others; the rest stays."""
    odds_service = odds_service_at(store)
    for name, kickoff in (("over", NOW + timedelta(days=3)), ("coming", NOW + timedelta(days=30))):
        for day, odds in ((0, 2.4), (1, 2.5), (2, 2.6), (20, 2.7)):
            if name == "coming" or day < 3:
                event = header(external_id=name, sportradar_id=name, kickoff=kickoff)
                await odds_service.record(mapped(event, X1 | {HOME: odds}), NOW + timedelta(days=day))
    run_id = await store.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=NOW)
    await store.interrupt_running(NOW)
    running = await store.create_run(trigger="api", platforms=[Platform.BETPAWA], started_at=NOW)
    await odds_service.confirm()
    before = NOW + timedelta(days=10)
    preview = await store.preview_removal(before, before)
    assert (preview.events, preview.history_rows, preview.runs) == (1, 4, 1)
    removed = await odds_service.remove_old(before, before)
    assert (removed.events, removed.history_rows, removed.runs) == (1, 4, 1)
    assert await count(store, events) == await count(store, quotes) == await count(store, quote_prices) == 1
    assert await count(store, odds_history) == 1
    assert await store.get_run(run_id) is None
    assert await store.get_run(running) is not None
    assert list(odds_service.cache.events) == [2]
    assert await odds_service.served.find(1) is None
    assert (await store.preview_removal(before, before)).history_rows == 0
    await odds_service.close()


async def test_a_locked_database_is_reported_and_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While another process holds the lock, `confirm` raises an error; afterwards everything is written."""
    monkeypatch.setattr("quart_odds.storage.engines.BUSY_SECONDS", 0.02)
    path = tmp_path / "odds.db"
    store = await open_store(f"sqlite:///{path}")
    odds_service = odds_service_at(store, confirm_seconds=2)
    await odds_service.record(mapped(header(external_id="before", sportradar_id="1")), NOW)
    await odds_service.writer.confirm(30)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    await odds_service.record(mapped(), NOW)
    with pytest.raises(StorageError, match="locked"):
        await odds_service.confirm()
    assert await count(store, quotes) == 1
    other.execute("ROLLBACK")
    other.close()
    await odds_service.writer.confirm(30)
    assert await count(store, quotes) == 2
    await odds_service.close()
    await store.aclose()


async def test_a_full_database_is_reported_and_keeps_what_was_confirmed(tmp_path: Path) -> None:
    """When the database is full, `confirm` raises an error that says so; what was stored before can be read."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    odds_service = odds_service_at(store, confirm_seconds=2)
    await odds_service.record(mapped(), NOW)
    await odds_service.writer.confirm(30)
    async with store.database.writing() as connection:
        pages = (await connection.execute(text("PRAGMA page_count"))).scalar_one()
        await connection.execute(text(f"PRAGMA max_page_count = {pages}"))
    for number in range(200):
        event = header(external_id=f"x{number}", sportradar_id=f"s{number}", home="A long name of a club " * 5)
        await odds_service.record(mapped(event), NOW)
    with pytest.raises(StorageError, match="full"):
        await odds_service.confirm()
    assert await store.load_event(1) is not None
    async with store.database.writing() as connection:
        await connection.execute(text("PRAGMA max_page_count = 1000000"))
    await odds_service.writer.confirm(30)
    assert await count(store, quotes) == 201
    await odds_service.close()
    await store.aclose()


@pytest.mark.postgres
async def test_a_connection_that_is_lost_is_opened_again(postgres: str) -> None:
    """When the server closes all connections, waiting odds are written over new ones."""
    url = await make_database(postgres)
    store, admin = await open_store(url), await open_store(await make_database(postgres))
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(header(external_id="before", sportradar_id="1")), NOW)
    await odds_service.confirm()
    async with admin.database.writing() as connection:
        name = url.rpartition("/")[2]
        cut = text("SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity WHERE datname = :name")
        await connection.execute(cut, {"name": name})
    await odds_service.record(mapped(), NOW)
    await odds_service.confirm()
    assert await count(store, quotes) == 2
    await odds_service.close()
    await store.aclose()
    await admin.aclose()


async def test_competitions_keep_their_ids(store: Store) -> None:
    """Each bookmaker's competition has one row, with the id that the API returns."""
    odds_service = odds_service_at(store)
    for platform in Platform:
        await odds_service.record(mapped(header(platform, "a")), NOW)
    await odds_service.close()
    assert await count(store, competitions) == len(Platform)
    again = odds_service_at(store)
    await again.load()
    assert again.cache.competition_id(Platform.BET9JA, header().competition) == 3
    await again.close()


async def test_an_old_match_that_two_bookmakers_list_again_at_once_keeps_both_fetches(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is loaded once, and never replaces odds that arrived meanwhile, however slow the database is."""
    clock = [NOW]
    odds_service = OddsService(store, clock=lambda: clock[0])
    await odds_service.load()
    for platform in Platform:
        await odds_service.record(mapped(header(platform, f"{platform}-1")), NOW)
    clock[0] = later = KICKOFF + KEEP + timedelta(days=2)
    assert await odds_service.archive() == 1
    loads = 0
    load_event = store.load_event

    async def slowly(event_id: int) -> object:
        nonlocal loads
        loads += 1
        kept = await load_event(event_id)
        await asyncio.sleep(0.02)
        return kept

    monkeypatch.setattr(store, "load_event", slowly)
    odds = {Platform.BETPAWA: 7.5, Platform.SPORTYBET: 8.5, Platform.BET9JA: 9.5}
    kickoff = later + timedelta(days=5)
    changes = await asyncio.gather(
        *(
            odds_service.record(mapped(header(platform, f"{platform}-1", kickoff=kickoff), X1 | {HOME: price}), later)
            for platform, price in odds.items()
        )
    )
    assert (loads, any(change.is_new for change in changes)) == (1, False)
    await odds_service.confirm()
    again = odds_service_at(store, later)
    await again.load()
    for cache in (odds_service.cache, again.cache):
        for platform, price in odds.items():
            event_odds = odds_at(cache, platform, f"{platform}-1")
            assert event_odds is not None
            assert (event_odds.value_of(HOME), event_odds.header.kickoff, event_odds.event_id) == (
                pack_value(price, True),
                kickoff,
                1,
            )
    await odds_service.close()
    await again.close()


async def test_a_match_that_only_genius_sports_names_comes_back_by_that_id(store: Store) -> None:
    """The old event is found when another bookmaker lists it."""
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(replace(header(sportradar_id=None), genius_id="g7")), NOW)
    await odds_service.close()
    later = KICKOFF + KEEP + timedelta(hours=1)
    again = odds_service_at(store, later)
    await again.load()
    assert not again.cache.events
    listed = replace(header(Platform.SPORTYBET, "s1", None, kickoff=later + timedelta(days=1)), genius_id="g7")
    await again.record(mapped(listed), later)
    assert odds_at(again.cache, Platform.BETPAWA, "e1") is not None
    await again.close()


async def test_promoted_prices_are_kept_with_their_history_and_their_words(store: Store) -> None:
    """Keys use all 32 bits, and the history returns them unchanged."""
    promoted = promoted_key(HOME, len(KNOWN))
    assert promoted >= 1 << 31
    odds_service = odds_service_at(store)
    event = replace(header(), genius_id="g1")

    def fetched(odds: float) -> MappedEvent:
        return replace(mapped(event, X1 | {promoted: odds}), promotions=("lucky",))

    change = await odds_service.record(fetched(2.6), NOW)
    await odds_service.record(fetched(2.7), LATER)
    await odds_service.close()
    again = odds_service_at(store)
    await again.load()
    event_odds = again.cache.event_odds(change.odds_id)
    assert event_odds is not None
    assert (event_odds.promotions, event_odds.header.genius_id) == (("lucky",), "g1")
    assert event_odds.value_of(promoted) == pack_value(2.7, True)
    past = await store.price_history(change.odds_id, [promoted])
    assert dict(past.opening) == {promoted: pack_value(2.6, True)}
    assert past.changes == ((int(LATER.timestamp()), promoted, pack_value(2.7, True)),)
    await again.close()


@given(key=st.integers(min_value=0, max_value=2**32 - 1))
def test_every_key_fits_a_signed_column_and_comes_back(key: int) -> None:
    """Both databases have signed 32-bit columns."""
    assert -(2**31) <= signed_key(key) < 2**31
    assert unsigned_key(signed_key(key)) == key


async def test_an_event_that_was_missed_and_is_seen_again_is_not_missed_any_more(store: Store) -> None:
    """The miss survives a restart; the next fetch ends it, in the database as well."""
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(), NOW)
    changes = await odds_service.mark_missing(Platform.BETPAWA, {}, NOW)
    assert [(change.is_missed, change.is_miss_noted) for change in changes] == [(True, True)]
    changes = await odds_service.mark_missing(Platform.BETPAWA, {header().external_id: NOW}, NOW)
    assert [(change.is_missed, change.is_miss_noted) for change in changes] == [(False, True)]
    await odds_service.mark_missing(Platform.BETPAWA, {}, NOW)
    await odds_service.close()
    again = odds_service_at(store)
    await again.load()
    event_odds = again.cache.event_odds(1)
    assert event_odds is not None
    assert (event_odds.missed_at, event_odds.gone_at) == (NOW, None)
    await again.record(mapped(), LATER)
    await again.close()
    async with store.database.reading() as connection:
        assert (await connection.execute(select(quotes.c.missed_at))).scalar_one() is None


async def test_a_withdrawn_event_is_gone_at_once(store: Store) -> None:
    """The bookmaker's word is enough; withdrawing an unknown event has no effect."""
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(), NOW)
    change = await odds_service.withdraw(Platform.BETPAWA, "e1", LATER)
    assert change is not None
    assert change.is_available is False
    assert await odds_service.withdraw(Platform.BETPAWA, "other", LATER) is None
    await odds_service.close()
    async with store.database.reading() as connection:
        assert (await connection.execute(select(quotes.c.gone_at))).scalar_one() == LATER


async def test_a_batch_that_is_written_twice_is_the_same_as_once(store: Store) -> None:
    """A commit whose answer was lost is retried, together with changes that were recorded meanwhile."""
    odds_service = odds_service_at(store)
    await odds_service.load()
    await odds_service.record(mapped(), NOW)
    await odds_service.confirm()
    write = store.write
    failures = [StorageError("the answer was lost")]

    async def losing_the_answer(batch: EncodedBatch, term: int | None) -> None:
        await write(batch, term)
        if failures:
            await odds_service.record(mapped(odds=X1 | {HOME: 2.6}), LATER + timedelta(minutes=1))
            raise failures.pop()

    store.write = losing_the_answer  # type: ignore[method-assign]
    await odds_service.record(mapped(odds=X1 | {HOME: 2.5}), LATER)
    await odds_service.confirm()
    past = await store.price_history(1, [HOME])
    assert [odds >> 1 for _, _, odds in past.changes] == [2500, 2600]
    assert odds_service.writer.rows_lost == 0
    await odds_service.close()


async def test_text_that_the_database_cannot_keep_is_refused_and_holds_up_nobody(store: Store) -> None:
    """No database can store a lone surrogate: its event is refused, and the others are stored."""
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(header(external_id="bad", sportradar_id=None, home="\ud800")), NOW)
    await odds_service.record(mapped(header(external_id="good", sportradar_id=None)), NOW)
    with pytest.raises(StorageError, match="refused"):
        await odds_service.confirm()
    async with store.database.reading() as connection:
        assert (await connection.scalars(select(quotes.c.external_id))).all() == ["good"]
    await odds_service.close()


@pytest.mark.postgres
async def test_a_zero_byte_is_refused_by_postgresql_and_holds_up_nobody(postgres: str) -> None:
    """The server reports wrong data, so the same data is not retried forever."""
    store = await open_store(await make_database(postgres))
    odds_service = odds_service_at(store)
    await odds_service.record(mapped(header(external_id="bad", sportradar_id=None, home="A\0B")), NOW)
    await odds_service.record(mapped(header(external_id="good", sportradar_id=None)), NOW)
    with pytest.raises(StorageError, match="refused"):
        await odds_service.confirm()
    assert await count(store, quotes) == 1
    await odds_service.close()
    await store.aclose()


async def test_what_a_clock_that_was_ahead_has_dated_is_dated_back(store: Store) -> None:
    """Memory and database have the same dates, and the last value that was dated wrongly stays."""
    odds_service = odds_service_at(store)
    await odds_service.load()
    await odds_service.record(mapped(), NOW)
    await odds_service.record(mapped(odds=X1 | {HOME: 2.5}), NOW + timedelta(hours=3))
    await odds_service.record(mapped(odds=X1 | {HOME: 2.6}), NOW + timedelta(hours=4))
    await odds_service.confirm()
    change = await odds_service.record(mapped(odds=X1 | {HOME: 2.7}), LATER)
    await odds_service.confirm()
    assert change.redated_after == int(LATER.timestamp())
    past = await store.price_history(1, [HOME])
    assert [(at, odds >> 1) for at, _, odds in past.changes] == [
        (change.redated_after, 2600),
        (change.redated_after + 1, 2700),
    ]
    before = [state(event) for event in odds_service.cache.events.values()]
    await odds_service.close()
    again = odds_service_at(store)
    await again.load()
    assert [state(event)[4] for event in again.cache.events.values()] == [each[4] for each in before]  # type: ignore[index]
    await again.close()
