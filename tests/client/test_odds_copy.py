"""The copy of the client library: equal to the server's cache whatever happens, and made of values."""

import asyncio
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quart_odds.broadcast import LogBounds
from quart_odds_client import ConnectionAck, OddsCopy
from quart_odds_client.messages import message_of
from tests.client.copied import AuditedCopy
from tests.routes.pages.test_live_node import AT, LATER, change, entry, event, image, moved, outcome
from tests.websocket import test_live_copies as audit

JSON = dict[str, Any]


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(audit.steps, st.booleans()), max_size=40), st.sampled_from([audit.SMALL, LogBounds()]))
def test_it_equals_the_cache(chosen: list[tuple[audit.Step, bool]], bounds: LogBounds) -> None:
    """Over any interleaving of changes, cuts, slow reads, filter changes and resumes, on both transports."""

    async def run() -> None:
        world = audit.World(bounds)
        for client in world.clients:
            client.copy = AuditedCopy()
        for each, is_turn in chosen:
            audit.do(world, each)
            if is_turn:
                await asyncio.sleep(0)
        for client in world.clients:
            client.sink.read_on()
            client.join()
        await world.settle()
        for client in world.clients:
            client.read()
        try:
            world.check()
        finally:
            world.registry.close()
            await world.images.close()

    asyncio.run(run())


def applied(copy: OddsCopy, kind: str, data: JSON) -> None:
    """Apply a message."""
    copy.apply(message_of({"type": kind, "timestamp": AT, "data": data}))


def whole(*events: JSON) -> OddsCopy:
    """Return a copy of these events."""
    copy = OddsCopy()
    applied(copy, "odds_image", image(*events, removed=[]))
    return copy


def test_prices_are_found_by_bookmaker_market_and_outcome() -> None:
    """With their times; None where there is none."""
    copy = whole(event(1, entry(outcome("1", 2.0), outcome("X", 3.0)), entry(outcome("1", 2.4), promotion="boosted")))
    found = copy.events[1]
    price = found.price("betpawa", "3743", "1")
    assert price is not None
    assert (price.odds, price.is_open, price.promotion) == (2.0, True, None)
    boosted = found.price("betpawa", "3743", "1", promotion="boosted")
    assert boosted is not None
    assert boosted.odds == 2.4
    assert found.price("betpawa", "3743", "2") is None
    assert found.price("bet9ja", "3743", "1") is None
    assert found.price("betpawa", "3743", "1", line=2.5) is None
    assert (found.id, found.name, found.kickoff.hour) == (1, "Home - Away", 10)


def test_a_change_replaces_what_it_concerns_and_nothing_else() -> None:
    """Who holds an event, or a snapshot, goes on reading the same."""
    copy = whole(event(1, entry(outcome("1", 2.0), outcome("X", 3.0))), event(2, entry(outcome("1", 4.0))))
    held, other, snapshot = copy.events[1], copy.events[2], copy.snapshot()
    gone = {"is_active": False, "available": False}
    applied(copy, "odds_change", change(1, moved("1", 2.1), moved("X", 3.0, **gone)))
    now = copy.events[1]
    assert [price.odds for _, price in held.prices()] == [2.0, 3.0]
    assert snapshot.events[1] is held
    assert copy.events[2] is other
    market = now.market("betpawa", "3743")
    assert market is not None
    assert [(name, price.odds, price.available) for name, price in market.prices.items()] == [
        ("1", 2.1, True),
        ("X", 3.0, False),
    ]
    assert (market.margin, market.available) == (None, True)
    assert market.seen_at is not None
    assert market.seen_at.isoformat() == LATER.replace(".000Z", "+00:00")
    applied(copy, "odds_change", change(1, moved("1", 2.1, **gone)))
    market = copy.events[1].market("betpawa", "3743")
    assert market is not None
    assert (market.available, market.unavailable_since) == (False, market.seen_at)


def test_a_further_offer_goes_with_its_last_price() -> None:
    """A price with a market promotion that is not available is no longer listed."""
    copy = whole(event(1, entry(outcome("1", 2.4), promotion="boosted")))
    lost = moved("1", 2.4, market_promotion="boosted", is_active=False, available=False)
    applied(copy, "odds_change", change(1, lost))
    assert list(copy.events[1].prices()) == []


def test_the_best_price_is_one_that_can_be_compared_and_had() -> None:
    """Suspended prices, raised ones, and those of a bookmaker with reversed sides do not count."""
    here = event(1, entry(outcome("1", 2.0), outcome("X", 3.5, is_active=False), outcome("2", 4.0)))
    for slug, odds, promotion, values in (
        ("sportybet", 2.2, "two_up", {}),
        ("bet9ja", 9.0, None, {"reversed": True}),
        ("msport", 9.0, "boosted", {}),
    ):
        state = {"bookmaker_slug": slug, "available": True, "reversed": False, "late": False} | values
        here["bookmakers"].append(state | {"has_odds": True})
        here["markets_by_bookmaker"].append(state | {"markets": [entry(outcome("1", odds, promotion=promotion))]})
    best = whole(here).events[1].best("3743")
    assert {name: (each.bookmaker, each.price.odds) for name, each in best.items()} == {
        "1": ("sportybet", 2.2),
        "2": ("betpawa", 4.0),
    }


def test_it_is_whole_with_the_last_page_of_an_image_of_everything() -> None:
    """An image that breaks off does not count, and drops nothing."""
    copy = OddsCopy()
    applied(copy, "odds_image", image(event(1), final=False))
    assert not copy.is_whole
    ack = message_of({"type": "connection_ack", "timestamp": AT, "data": {}})
    assert isinstance(ack, ConnectionAck)
    copy.apply(ack)
    applied(copy, "odds_image", image(event(2), scope="changed"))
    assert not copy.is_whole
    applied(copy, "odds_image", image(event(3)))
    assert copy.is_whole
    assert list(copy.events) == [3]


def test_a_market_that_appears_has_the_name_that_an_image_gave_it() -> None:
    """Changes do not name markets; until an image does, the name is empty."""
    named = entry(outcome("1", 2.0)) | {"betpawa_market_name": "1X2"}
    copy = whole(event(1, named), event(2))
    applied(copy, "odds_change", change(2, moved("1", 3.0), moved("Yes", 1.9, market_id="3795")))
    names = {market.id: market.name for market in copy.events[2].bookmakers["betpawa"].markets.values()}
    assert names == {"3743": "1X2", "3795": ""}


@pytest.mark.parametrize("data", [{"events": 3}, {"events": [], "scope": "all"}, None])
def test_what_is_no_image_is_an_error(data: object) -> None:
    """The error says what is missing."""
    with pytest.raises(ValueError, match="odds_image"):
        message_of({"type": "odds_image", "timestamp": AT, "data": data})
