"""First prices: an event's first body adds to those of the lists before it, and each price has its own first time."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.odds import Prices, pack_value
from quart_odds.odds import EventChange, OddsService
from quart_odds.odds.history import market_keys, market_states
from quart_odds.storage import Store
from quart_odds.storage.odds_rows import encode
from quart_odds.storage.openings import joined, opening_of, opening_row, read_opening
from quart_odds.storage.tables import odds_history, quote_openings
from quart_odds.storage.waiting import Waiting, make_batch
from tests.odds.making import KICKOFF, NOW, OVER_UNDER, X1, listed, mapped
from tests.odds.making import seconds_on as at

HOME, DRAW, _ = X1
OVER, UNDER = OVER_UNDER
EVERY = [*X1, *OVER_UNDER]


def epoch(seconds: float) -> int:
    """Return the same as an epoch second."""
    return int(at(seconds).timestamp())


async def history_rows(store: Store) -> int:
    """Return the number of rows in the history."""
    async with store.database.reading() as connection:
        return (await connection.execute(select(func.count()).select_from(odds_history))).scalar_one()


async def first_times(store: Store) -> dict[int, int]:
    """Return when each price of the only event was first seen, in seconds after NOW."""
    past = await store.price_history(1, EVERY)
    assert past.opened_at is not None
    return {key: past.opened_later.get(key, past.opened_at) - epoch(0) for key in past.opening}


async def states(service: OddsService, slug: str, line: float | None) -> Sequence[tuple[datetime, list[int]]]:
    """Return the states of a market of the only event, from what is committed: their times and values."""
    keys = market_keys(CATALOGUE.by_slug[slug], line)
    assert isinstance(service.store, Store)
    past = await service.store.price_history(1, list(keys))
    event_odds = service.cache.event_odds(1)
    assert event_odds is not None
    return [
        (state.at, list(state.values.values()))
        for state in market_states(event_odds, past, keys)
        if not state.is_confirmed
    ]


@pytest.mark.parametrize("is_one_batch", [True, False])
async def test_the_first_body_adds_to_the_first_prices(store: Store, is_one_batch: bool) -> None:
    """Listeners learn of its prices; the history has only what changed since the list; each market begins in time."""
    published: list[EventChange] = []
    service = OddsService(store, on_change=published.append, clock=lambda: NOW)
    await service.record(listed(), NOW)
    if not is_one_batch:
        await service.confirm()
    await service.record(mapped(odds=X1 | OVER_UNDER | {HOME: 2.5}), at(60))
    await service.confirm()
    assert [change.count for change in published] == [3, 3]
    assert (await store.price_history(1, EVERY)).changes == ((epoch(60), HOME, pack_value(2.5, True)),)
    assert await first_times(store) == dict.fromkeys(X1, 0) | dict.fromkeys(OVER_UNDER, 60)
    assert await states(service, "over_under_ft", 2.5) == [(at(60), [1980 << 1 | 1, 1830 << 1 | 1])]
    assert [when for when, _ in await states(service, "1x2_ft", None)] == [NOW, at(60)]

    await service.record(mapped(odds=X1 | OVER_UNDER | {HOME: 2.5, OVER: 2.0}), at(120))
    await service.close()
    reader = OddsService(store, clock=lambda: NOW)
    await reader.load()
    assert [when for when, _ in await states(reader, "over_under_ft", 2.5)] == [at(60), at(120)]
    assert await history_rows(store) == 2
    await reader.close()


async def test_a_first_body_after_a_restart_adds_to_what_is_stored(store: Store) -> None:
    """The list before it was recorded by another process."""
    before = OddsService(store, clock=lambda: NOW)
    await before.record(listed(), NOW)
    await before.close()
    service = OddsService(store, clock=lambda: NOW)
    await service.load()
    await service.record(mapped(), at(60))
    await service.close()
    assert await first_times(store) == dict.fromkeys(X1, 0) | dict.fromkeys(OVER_UNDER, 60)
    assert await history_rows(store) == 0


async def test_a_price_that_is_back_with_the_first_body_has_its_row(store: Store) -> None:
    """It was there before: its first time stays, and the history says when it left and came back."""
    service = OddsService(store, clock=lambda: NOW)
    await service.record(listed(), NOW)
    await service.record(listed(odds={key: odds for key, odds in X1.items() if key != DRAW}), at(30))
    await service.record(mapped(), at(60))
    await service.close()
    assert (await first_times(store))[DRAW] == 0
    past = await store.price_history(1, [DRAW])
    assert [(when - epoch(0), odds) for when, _, odds in past.changes] == [(30, -1), (60, pack_value(3.3, True))]


async def test_writing_an_addition_twice_changes_nothing(store: Store) -> None:
    """If the answer to a commit is lost, the same batch is written again."""
    service = OddsService(store, clock=lambda: NOW)
    await service.record(listed(), NOW)
    await service.confirm()
    opened = opening_of(Prices.from_pairs([(OVER, 5), (HOME, 7)]), epoch(60))
    batch = encode(make_batch(service.cache, {1: Waiting(0, is_seen_only=False, opening=opened)}, []))
    for _ in range(2):
        await store.write(batch, store.term)
    assert await first_times(store) == dict.fromkeys(X1, 0) | {OVER: 60}
    assert (await store.price_history(1, [HOME])).opening[HOME] == pack_value(2.4, True)
    await service.close()


async def test_a_clean_up_removes_first_prices_by_their_own_times(store: Store) -> None:
    """Prices of the body stay while they are young enough, those of the list go; later all are gone."""
    service = OddsService(store, clock=lambda: NOW)
    await service.record(listed(), NOW)
    await service.record(mapped(), at(60))
    await service.confirm()
    assert (await store.preview_removal(at(30), at(30))).openings == 1
    assert (await service.remove_old(at(30), at(30))).openings == 1
    assert await first_times(store) == dict.fromkeys(OVER_UNDER, 60)
    assert (await service.remove_old(at(30), at(30))).openings == 0
    assert (await service.remove_old(at(90), at(90))).openings == 1
    assert (await store.price_history(1, EVERY)).opened_at is None
    await service.close()


async def test_a_first_body_after_a_clean_up_opens_its_own_prices(store: Store) -> None:
    """The list's first prices are too old and gone; they do not come back with a wrong time."""
    service = OddsService(store, clock=lambda: NOW)
    await service.record(listed(), NOW)
    await service.remove_old(at(30), at(30))
    await service.record(mapped(), at(60))
    await service.close()
    assert await first_times(store) == dict.fromkeys(OVER_UNDER, 60)


@pytest.mark.parametrize("is_committed", [True, False])
async def test_first_times_of_a_clock_that_was_ahead_are_corrected(store: Store, is_committed: bool) -> None:
    """Prices that were first seen "later than now" were first seen now."""
    service = OddsService(store, clock=lambda: NOW)
    await service.record(listed(), NOW)
    await service.record(mapped(), at(7200))
    if is_committed:
        await service.confirm()
    await service.record(mapped(odds=X1 | OVER_UNDER | {HOME: 2.5}), at(60))
    await service.close()
    assert await first_times(store) == dict.fromkeys(X1, 0) | dict.fromkeys(OVER_UNDER, 60)


async def test_an_opening_that_was_dated_back_by_an_earlier_version_is_read_with_its_column(store: Store) -> None:
    """Earlier versions changed the column alone: all times in the blob are those of the wrong clock."""
    service = OddsService(store, clock=lambda: NOW)
    await service.record(listed(), at(7200))
    await service.confirm()
    async with store.database.writing() as connection:
        await connection.execute(update(quote_openings).values(at=epoch(10)))
    assert await first_times(store) == dict.fromkeys(X1, 10)
    await service.record(mapped(), KICKOFF - timedelta(hours=3))
    await service.close()
    assert await first_times(store) == dict.fromkeys(X1, 10) | dict.fromkeys(OVER_UNDER, 3 * 3600)


def test_an_opening_is_read_as_it_was_written() -> None:
    """Each price keeps its time, and the row has the oldest one."""
    first = opening_of(Prices.from_pairs([(1, 10), (3, 30)]), 100)
    both = joined(first, opening_of(Prices.from_pairs([(2, 20), (3, 31)]), 160))
    assert both is not None
    odds_id, oldest, body = opening_row(7, both)
    read = read_opening(oldest, body)
    assert (odds_id, oldest) == (7, 100)
    assert list(zip(read.keys, read.values, read.changed, strict=True)) == [(1, 10, 100), (2, 20, 160), (3, 30, 100)]
