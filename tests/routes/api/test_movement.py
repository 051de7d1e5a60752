"""`/api/events/<id>/movement`: opening and closing prices, and how far prices have moved."""

from datetime import timedelta
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.movement import EventMovement
from tests.odds.making import OVER_UNDER, X1, header, key, mapped
from tests.odds.serving import Served, served
from tests.routes.api.test_odds import held_to

HOME = key("1x2_ft", "1")


async def record(app: Served, minutes: int, odds: dict[int, float], kickoff: int = 180) -> None:
    """Record and commit BetPawa's odds so many minutes from now, of an event that starts in `kickoff` minutes."""
    event = header(kickoff=app.now + timedelta(minutes=kickoff))
    await app.odds_service.record(mapped(event, odds), app.now + timedelta(minutes=minutes))
    await app.odds_service.confirm()


async def moved(app: Served, query: str = "") -> Any:
    """Return the movement of the only event."""
    [event_id] = app.odds_service.cache.events
    return held_to(EventMovement, await app.json(f"/api/events/{event_id}/movement{query}"))


async def test_each_outcome_has_its_opening_price_and_its_changes() -> None:
    """The percentages compare with an hour and a day before. Nothing is closed before the kick-off."""
    async with served(filled=False) as app:
        for minutes, odds in ((-2000, 2.0), (-90, 2.5), (-10, 3.0)):
            await record(app, minutes, X1 | OVER_UNDER | {HOME: odds})
        [bookmaker] = (await moved(app))["bookmakers"]
        assert bookmaker["bookmaker_slug"] == Platform.BETPAWA
        one, total = bookmaker["markets"]
        assert (one["market_id"], one["line"], total["line"]) == ("3743", None, 2.5)
        home, draw, _ = one["outcomes"]
        assert home["opening"]["odds"] == 2.0
        assert (home["odds"], home["is_active"], home["promotion"]) == (3.0, True, None)
        assert (home["change_1h_percent"], home["change_24h_percent"]) == (20.0, 50.0)
        assert (draw["change_1h_percent"], draw["change_24h_percent"]) == (0.0, 0.0)
        assert (home["opening_percent"], draw["opening_percent"]) == (50.0, 0.0)
        assert home["closing"] is None


async def test_a_started_event_has_closing_prices() -> None:
    """They are the last ones from before the kick-off."""
    async with served(filled=False) as app:
        for minutes, odds in ((-100, 2.0), (-40, 2.5), (-10, 9.0)):
            await record(app, minutes, X1 | {HOME: odds}, kickoff=-30)
        home = (await moved(app))["bookmakers"][0]["markets"][0]["outcomes"][0]
        assert (home["opening"]["odds"], home["closing"]["odds"]) == (2.0, 2.5)
        assert (home["change_1h_percent"], home["opening_percent"]) == (25.0, 25.0)


@pytest.mark.parametrize(
    ("query", "markets"),
    [
        ("?market=3743", ["3743"]),
        ("?market=over_under_ft", ["5000"]),
        ("?platform=sportybet", None),
        ("?market=double_chance_ft", []),
    ],
)
async def test_a_market_or_a_bookmaker_can_be_chosen(query: str, markets: list[str] | None) -> None:
    """One that the bookmaker does not have is empty."""
    async with served(filled=False) as app:
        await record(app, -10, X1 | OVER_UNDER)
        found = [
            [market["market_id"] for market in each["markets"]] for each in (await moved(app, query))["bookmakers"]
        ]
        assert found == ([] if markets is None else [markets])


@pytest.mark.parametrize(
    ("path", "status"), [("/api/events/99/movement", 404), ("/api/events/1/movement?market=x", 404)]
)
async def test_an_unknown_event_or_market_is_told(path: str, status: int) -> None:
    """As on the other routes of an event."""
    async with served() as app:
        assert (await app.client.get(path)).status_code == status
