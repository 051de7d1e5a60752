"""Times of single markets and lines: their blob, and how often they are written."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from quart_odds.domain.catalogue import offer_code
from quart_odds.errors import StorageError
from quart_odds.odds import EventOdds, OddsService
from quart_odds.odds.offer_times import ListedOffers, SourceTimes
from quart_odds.odds.service import KEEP
from quart_odds.storage import Store
from quart_odds.storage.offer_times import NO_TIMES, OfferTimes, pack_times, unpack_times
from quart_odds.storage.tables import quotes
from tests.odds.making import KICKOFF, NOW, OVER_UNDER, X1, header, listed, mapped
from tests.odds.making import seconds_on as at

HOME, *_ = X1
OVER, *_ = OVER_UNDER
u32 = st.integers(0, 2**32 - 1)


moments = st.integers(0, 10**17).map(lambda micros: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=micros))
lists = st.lists(st.builds(ListedOffers, moments, st.frozensets(u32, min_size=1, max_size=9)), max_size=4)


@given(lists, st.dictionaries(u32, st.integers(1, 2**47)), st.booleans())
def test_times_survive_the_blob(each: list[ListedOffers], source: dict[int, int], is_detailed: bool) -> None:
    """Lists, the bookmaker's times, and whether there was a body are unpacked as they were packed."""
    times = OfferTimes(tuple(each), SourceTimes.of(source), is_detailed)
    assert unpack_times(pack_times(times)) == times


def test_event_odds_without_such_times_have_no_blob() -> None:
    """So nothing more is stored while there are no sweeps."""
    assert pack_times(NO_TIMES) is None
    assert unpack_times(None) == NO_TIMES


SOME = pack_times(OfferTimes((ListedOffers(NOW, frozenset({1, 2})),), SourceTimes.of({1: 5}))) or b""


@pytest.mark.parametrize(
    "blob",
    [b"", b"\x01\x00", SOME[:-1], b"\x09" + SOME[1:], SOME[:2] + b"\x09" + SOME[3:], SOME[:4] + b"\x09" + SOME[5:]],
)
def test_a_damaged_blob_is_reported(blob: bytes) -> None:
    """Unpacking raises StorageError. It never returns a part, and never raises another error."""
    with pytest.raises(StorageError):
        unpack_times(blob)


async def loaded(store: Store, now: datetime = NOW) -> OddsService:
    """Return an odds service as another process has it: what is in the database now."""
    odds_service = OddsService(store, clock=lambda: now)
    await odds_service.load()
    return odds_service


async def stored_odds(store: Store) -> EventOdds:
    """Return the only event odds in a database."""
    odds_service = await loaded(store)
    event_odds = odds_service.cache.event_odds(1)
    await odds_service.close()
    assert event_odds is not None
    return event_odds


async def test_what_lists_had_and_when_survives_a_restart(store: Store) -> None:
    """So do the bookmaker's own times, and that there was no body yet."""
    odds_service = await loaded(store)
    millisecond = int(NOW.timestamp() * 1000)
    await odds_service.record(listed(source_changed={offer_code(HOME): millisecond}), NOW)
    await odds_service.confirm()
    first = await stored_odds(store)
    assert (first.detailed_at, first.listed_at, first.source_changed_at(HOME)) == (None, NOW, NOW)
    await odds_service.record(mapped(), at(60))
    await odds_service.record(listed(odds=X1 | {HOME: 2.5}), at(70))
    await odds_service.close()
    event_odds = await stored_odds(store)
    assert (event_odds.seen_at, event_odds.detailed_at, event_odds.listed_at) == (at(60), at(60), at(70))
    assert (event_odds.seen_at_of(HOME), event_odds.seen_at_of(OVER)) == (at(70), at(60))
    assert event_odds.source_changed_at(HOME) is None


async def test_lists_without_news_are_written_once_a_minute(store: Store) -> None:
    """After a restart an age is at most a minute too great, and never too small."""
    odds_service = await loaded(store)
    await odds_service.record(mapped(), NOW)
    await odds_service.confirm()
    before = await store.odds_revision()
    for seconds in range(5, 60, 5):
        await odds_service.record(listed(), at(seconds))
        await odds_service.confirm()
    assert await store.odds_revision() == before
    assert (await stored_odds(store)).seen_at_of(HOME) == NOW
    for seconds in range(60, 180, 5):
        await odds_service.record(listed(), at(seconds))
        await odds_service.confirm()
    assert await store.odds_revision() == before + 2
    event_odds = await stored_odds(store)
    assert (event_odds.seen_at_of(HOME), event_odds.seen_at_of(OVER)) == (at(120), NOW)
    await odds_service.close()


async def test_a_body_without_news_is_written_with_what_it_supersedes(store: Store) -> None:
    """The times of the lists before it are gone from the database as well."""
    odds_service = await loaded(store)
    await odds_service.record(mapped(), NOW)
    await odds_service.record(listed(odds=X1 | {HOME: 2.5}), at(60))
    await odds_service.confirm()
    await odds_service.record(mapped(odds=X1 | OVER_UNDER | {HOME: 2.5}), at(65))
    await odds_service.close()
    event_odds = await stored_odds(store)
    assert (event_odds.listed, event_odds.seen_at_of(HOME), event_odds.listed_at) == ((), at(65), at(60))
    async with store.database.reading() as connection:
        assert (await connection.execute(select(quotes.c.offer_times))).scalar_one() is None


async def test_a_change_that_a_list_brings_is_in_the_history(store: Store) -> None:
    """It is written at once, however often lists were left out before."""
    odds_service = await loaded(store)
    await odds_service.record(mapped(), NOW)
    await odds_service.record(listed(), at(5))
    await odds_service.record(listed(odds=X1 | {HOME: 2.5}), at(10))
    await odds_service.close()
    past = await store.price_history(1, [HOME])
    assert past.changes == ((int(at(10).timestamp()), HOME, 2500 << 1 | 1),)
    assert (await stored_odds(store)).seen_at_of(HOME) == at(10)


async def test_an_event_that_lists_still_have_is_neither_archived_nor_removed(store: Store) -> None:
    """Its body was last fetched long ago, and its kick-off is over: only a list shows that it still is there."""
    late = header(kickoff=NOW - timedelta(minutes=1))
    odds_service = OddsService(store, clock=lambda: KICKOFF + KEEP)
    await odds_service.record(mapped(late), NOW)
    await odds_service.record(listed(late, X1 | {HOME: 2.5}), KICKOFF + timedelta(hours=1))
    assert await odds_service.archive() == 0
    removed = await odds_service.remove_old(KICKOFF, KICKOFF)
    assert removed.events == 0
    await odds_service.close()
    again = await loaded(store, KICKOFF + KEEP)
    assert list(again.cache.events) == [1]
    await again.close()
