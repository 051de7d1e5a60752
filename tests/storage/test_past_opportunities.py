"""Opportunities that are over, in SQLite and PostgreSQL."""

from dataclasses import replace
from datetime import timedelta

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.errors import NotWriterError
from quart_odds.odds.past_opportunities import PastFilter, PastOpportunity
from quart_odds.storage import open_store
from tests.odds.making import KICKOFF, NOW, key, minutes_on

OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)
ONE = PastOpportunity(
    event_id=7,
    event_name="Arsenal – Chelsea",
    kickoff=KICKOFF,
    kind="arbitrage",
    keys=(OVER, UNDER),
    platforms=(Platform.BETPAWA, Platform.SPORTYBET),
    margin=1.25,
    best_margin=2.3,
    first_seen_at=NOW,
    ended_at=minutes_on(3),
)
VALUE = replace(ONE, event_id=8, kind="value", keys=(OVER,), platforms=(Platform.BET9JA,), ended_at=minutes_on(9))


async def test_what_was_stored_is_returned_the_last_to_end_first(database_url: str) -> None:
    """With everything about it, selected and page by page."""
    store = await open_store(database_url)
    assert await store.take_writer_lock()
    await store.add_past_opportunities([ONE, VALUE], store.term)
    everything = PastFilter()
    assert await store.list_past_opportunities(everything, limit=10, offset=0) == ([VALUE, ONE], 2)
    assert await store.list_past_opportunities(everything, limit=1, offset=1) == ([ONE], 2)
    for wanted, expected in (
        (PastFilter(kind="value"), [VALUE]),
        (PastFilter(event_id=7), [ONE]),
        (PastFilter(min_margin=2.3), [VALUE, ONE]),
        (PastFilter(min_margin=2.31), []),
        (PastFilter(ended_from=minutes_on(3), ended_to=minutes_on(8)), [ONE]),
    ):
        assert await store.list_past_opportunities(wanted, limit=10, offset=0) == (expected, len(expected))
    await store.aclose()


async def test_only_the_writer_stores_them_and_nobody_reads_the_odds_again_for_it(database_url: str) -> None:
    """A term that is not the current one is refused, with nothing stored."""
    store = await open_store(database_url)
    assert await store.take_writer_lock()
    before = await store.odds_revision()
    await store.add_past_opportunities([ONE], store.term)
    assert await store.odds_revision() == before
    with pytest.raises(NotWriterError):
        await store.add_past_opportunities([VALUE], 999)
    assert await store.list_past_opportunities(PastFilter(), limit=10, offset=0) == ([ONE], 1)
    await store.aclose()


async def test_they_are_kept_as_long_as_the_odds(database_url: str) -> None:
    """A clean-up removes what ended before."""
    store = await open_store(database_url)
    assert await store.take_writer_lock()
    await store.add_past_opportunities([ONE, VALUE], store.term)
    await store.remove_old(minutes_on(3), NOW - timedelta(days=1), store.term)
    assert (await store.list_past_opportunities(PastFilter(), limit=10, offset=0))[1] == 2
    await store.remove_old(minutes_on(5), NOW - timedelta(days=1), store.term)
    assert await store.list_past_opportunities(PastFilter(), limit=10, offset=0) == ([VALUE], 1)
    await store.aclose()
