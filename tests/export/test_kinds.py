"""The rows of each kind of export."""

from collections.abc import AsyncIterator
from datetime import UTC, timedelta
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.export.columns import Wanted
from quart_odds.export.kinds import KINDS
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.history import Change
from quart_odds.odds.ports import StoredHistory
from quart_odds.storage import Store, history_rows, open_migrated
from tests.export.preparing import PAST_ID, Prepared


@pytest.fixture
async def store(prepared: Prepared) -> AsyncIterator[Store]:
    """The prepared database, opened for reading."""
    opened = await open_migrated(prepared.url)
    yield opened
    await opened.aclose()


async def rows_of(
    kind: str, event: CachedEvent, stored: StoredHistory, *platforms: Platform, markets: frozenset[int] | None = None
) -> list[dict[str, Any]]:
    """Return the rows of an event, by column."""
    names = [column.name for column in KINDS[kind].columns]
    wanted = Wanted(frozenset(platforms) or None, markets)
    return [
        dict(zip(names, row, strict=True)) async for rows in KINDS[kind].rows(event, wanted, stored) for row in rows
    ]


def shown(rows: list[dict[str, Any]], *names: str) -> list[tuple[Any, ...]]:
    """Return these columns of the rows."""
    return [tuple(row[name] for name in names) for row in rows]


async def test_current_has_a_row_for_each_price_as_it_is(store: Store, prepared: Prepared) -> None:
    """The price says of which event, bookmaker and market it is, when it was seen, and what its chances are."""
    [event] = await store.stored_events([1])
    rows = await rows_of("current", event, store, Platform.BETPAWA)
    first = rows[0]
    assert first | {"seen_at": None, "changed_at": None} == {
        "event_id": 1,
        "sportradar_id": "11",
        "home_team": "Arsenal",
        "away_team": "Bayern München",
        "kickoff": prepared.start + timedelta(hours=2),
        "country": "England",
        "competition": "Premier League",
        "bookmaker": "betpawa",
        "bookmaker_event_id": "betpawa-1",
        "reversed": False,
        "market_id": "3743",
        "market": "1X2",
        "line": None,
        "outcome": "1",
        "promotion": None,
        "odds": 2.4,
        "suspended": False,
        "available": True,
        "probability": 0.4,
        "refund_probability": 0.1,
        "seen_at": None,
        "changed_at": None,
        "source_changed_at": None,
        "late": False,
    }
    assert (first["seen_at"], first["changed_at"]) == (prepared.start + timedelta(minutes=30),) * 2
    assert first["kickoff"].tzinfo is UTC
    assert shown(rows, "outcome", "line", "suspended", "probability") == [
        ("1", None, False, 0.4),
        ("X", None, True, None),
        ("2", None, False, None),
        ("Over", 2.5, False, None),
        ("Under", 2.5, False, None),
    ]


async def test_bookmakers_and_markets_can_be_chosen(store: Store) -> None:
    """Rows of others are left out, whatever the kind."""
    [event] = await store.stored_events([1])
    for kind in ("current", "history"):
        rows = await rows_of(kind, event, store, Platform.BET9JA, markets=frozenset({999}))
        assert rows == []
        number = next(iter(event.odds.values())).keys[0] >> 22
        rows = await rows_of(kind, event, store, Platform.BET9JA, markets=frozenset({number}))
        assert {(row["bookmaker"], row["market"]) for row in rows} == {("bet9ja", "1X2")}


async def test_history_has_a_row_for_each_change(store: Store, prepared: Prepared) -> None:
    """A price begins with its first state. A price that is gone keeps its odds, and is not available."""
    [event] = await store.stored_events([1])
    rows = await rows_of("history", event, store, Platform.BETPAWA)
    states = [
        ((row["changed_at"] - prepared.start) // timedelta(minutes=1), row["odds"], row["suspended"], row["available"])
        for row in rows
        if row["market"] == "1X2" and row["outcome"] == "1"
    ]
    assert states == [(0, 2.4, False, True), (10, 2.5, False, True), (20, 2.5, False, False), (30, 2.4, False, True)]
    home = [row for row in rows if row["market"] == "1X2" and row["outcome"] == "1"]
    assert [row["opening"] for row in home] == [True, False, False, False]
    draws = [row for row in rows if row["outcome"] == "X"]
    assert shown(draws, "suspended", "available") == [(False, True), (False, False), (True, True)]
    assert [row["outcome"] for row in rows if row["market_id"] == "5000"] == ["Over", "Under"]
    assert [row["changed_at"] for row in rows] == sorted(row["changed_at"] for row in rows)


async def test_an_event_that_is_not_listed_has_no_price_available(store: Store, prepared: Prepared) -> None:
    """All its prices have a row when the bookmaker takes the event down, and another when it is back."""
    [event] = await store.stored_events([1])
    rows = await rows_of("history", event, store, Platform.SPORTYBET)
    told = {
        ((row["changed_at"] - prepared.start) // timedelta(minutes=1), row["available"])
        for row in rows
        if row["odds"] == 3.0
    }
    assert told == {(0, True), (20, False), (40, True)}
    assert len(rows) == 3 * 5


@pytest.mark.parametrize("most", [1, 2, 3, 5])
async def test_the_size_of_pages_does_not_matter(most: int, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment may be on several pages, and rows are the same."""
    [event] = await store.stored_events([1])
    whole = await rows_of("history", event, store)
    monkeypatch.setattr(history_rows, "CHANGES_AT_ONCE", most)
    assert await rows_of("history", event, store) == whole


async def test_prices_older_than_the_history_have_their_state(store: Store) -> None:
    """Retention has removed their rows. What is known is since when they are as they are."""

    class Emptied:
        """A database whose history was removed."""

        async def first_prices(self, odds_id: int) -> list[Change]:
            """Return none."""
            return []

        async def changes_after(self, odds_id: int, last: Change | None) -> list[Change]:
            """Return none."""
            return []

    [event] = await store.stored_events([1])
    rows = await rows_of("history", event, Emptied(), Platform.BETPAWA)
    current = await rows_of("current", event, store, Platform.BETPAWA)
    names = ("outcome", "odds", "available", "changed_at")
    assert shown(rows, *names) == shown(current, *names)


async def test_a_price_whose_last_odds_are_not_known_has_none(store: Store) -> None:
    """If retention has removed everything but that it went, the row says that it is not available."""

    class Shortened:
        """A database that has one change: a price of the event was gone."""

        def __init__(self, key: int) -> None:
            self._change = (1_000_000_000, key, -1)

        async def first_prices(self, odds_id: int) -> list[Change]:
            """Return none."""
            return []

        async def changes_after(self, odds_id: int, last: Change | None) -> list[Change]:
            """Return the change."""
            return [self._change] if last is None else []

    [event] = await store.stored_events([PAST_ID])
    first = next(iter(event.odds.values())).keys[0]
    rows = await rows_of("history", event, Shortened(first))
    assert shown(rows[:1], "odds", "suspended", "available") == [(None, False, False)]


async def test_events_of_the_database_are_found_by_kick_off_and_id(store: Store, prepared: Prepared) -> None:
    """In order of kick-off, those of long ago included. Ids that cannot be are none."""
    assert await store.event_ids() == [PAST_ID, 3, 1, 2, 4]
    assert await store.event_ids(kickoff_from=prepared.start, among=[1, 3, PAST_ID, 2**40, -1]) == [1]
    assert await store.event_ids(kickoff_to=prepared.start) == [PAST_ID, 3]
    assert [event.id for event in await store.stored_events([4, 77, 1])] == [4, 1]
