"""The history of a market, on our route and on those that existing clients know."""

from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest

from quart_odds.domain.clock import iso_z
from quart_odds.domain.platforms import Platform
from quart_odds.routes.api.schemas.odds import EventHistory, MarginHistory, MarketHistory
from tests.odds.making import OVER_UNDER, X1, header, key, mapped
from tests.odds.serving import Served, served
from tests.platforms import FIRST_THREE
from tests.routes.api.test_odds import held_to

HOME = key("1x2_ft", "1")


async def move(app: Served, minutes: int, odds: dict[int, float]) -> None:
    """Record and commit BetPawa's odds of event 1, this many minutes later."""
    event = app.odds_service.cache.events[1].odds[Platform.BETPAWA].header
    await app.odds_service.record(mapped(event, odds), app.now + timedelta(minutes=minutes))
    await app.odds_service.confirm()


async def test_a_market_is_followed_at_every_bookmaker() -> None:
    """The history has a point for each change, with margin and availability, and a last point that confirms."""
    async with served() as app:
        await move(app, 5, X1 | {HOME: 2.5} | OVER_UNDER)
        await move(app, 10, OVER_UNDER)
        await move(app, 15, X1 | OVER_UNDER)
        await move(app, 20, X1 | OVER_UNDER)
        body: Any = held_to(EventHistory, await app.json("/api/events/1/history?market=3743"))
        assert (body["event_id"], body["market_id"], body["market_name"], body["line"]) == (1, "3743", "1X2", None)
        assert [each["bookmaker_slug"] for each in body["bookmakers"]] == list(FIRST_THREE)
        points = body["bookmakers"][0]["history"]
        assert [point["outcomes"][0]["odds"] for point in points] == [2.4, 2.5, 2.5, 2.4, 2.4]
        assert [point["available"] for point in points] == [True, True, False, True, True]
        assert [point["confirmed"] for point in points] == [False, False, False, False, True]
        assert [point["opening"] for point in points] == [True, False, False, False, False]
        assert points[2]["margin"] is None
        assert points[2]["unavailable_at"] == points[2]["captured_at"]
        assert points[0]["margin"] > points[1]["margin"] > 0
        assert len(body["bookmakers"][1]["history"]) == 1


async def test_a_window_and_a_bookmaker_can_be_chosen() -> None:
    """A window begins with the prices at `from`, followed by the changes up to `to`, for one bookmaker."""
    async with served() as app:
        for minutes, odds in ((5, 2.5), (10, 2.6), (15, 2.7)):
            await move(app, minutes, X1 | {HOME: odds} | OVER_UNDER)
        start, end = (quote(iso_z(app.now + timedelta(minutes=minutes))) for minutes in (7, 12))
        path = f"/api/events/1/history?market=1x2_ft&platform=betpawa&from={start}&to={end}"
        body: Any = held_to(EventHistory, await app.json(path))
        assert [each["bookmaker_slug"] for each in body["bookmakers"]] == ["betpawa"]
        assert [point["outcomes"][0]["odds"] for point in body["bookmakers"][0]["history"]] == [2.5, 2.6]


@pytest.mark.parametrize(
    ("start", "end", "published"),
    [
        (-60, None, [(-30, 2.4), (-20, 2.5), (-10, 2.5)]),
        (-28, -25, [(-28, 2.4)]),
        (-18, -12, [(-18, 2.5)]),
        (-28, -15, [(-28, 2.4), (-20, 2.5)]),
        (-5, None, [(-5, 2.5)]),
        (-5, 60, [(-5, 2.5)]),
        (None, -25, [(-30, 2.4)]),
        (None, -40, []),
        (-60, -40, []),
        (-12, -18, []),
        (5, None, []),
    ],
)
async def test_window_begins_with_how_things_stood_and_tells_nothing_outside_of_it(
    start: int | None, end: int | None, published: list[tuple[int, float]]
) -> None:
    """All three routes, in minutes from now: changes at -30 and -20, seen again at -10."""
    async with served(filled=False) as app:
        event = header(kickoff=app.now + timedelta(hours=3))
        for minutes, odds in ((-30, 2.4), (-20, 2.5), (-10, 2.5)):
            await app.odds_service.record(mapped(event, X1 | {HOME: odds}), app.now + timedelta(minutes=minutes))
        await app.odds_service.confirm()

        def window(first: str, last: str) -> str:
            bounds = ((first, start), (last, end))
            return "".join(f"&{name}={quote(moment(at))}" for name, at in bounds if at is not None)

        def moment(minutes: int) -> str:
            return iso_z(app.now + timedelta(minutes=minutes))

        def shown(points: Any) -> list[tuple[str, float]]:
            return [(point["captured_at"][:19], point["outcomes"][0]["odds"]) for point in points]

        path = "/api/events/1"
        body: Any = held_to(EventHistory, await app.json(f"{path}/history?market=3743{window('from', 'to')}"))
        older = window("from_time", "to_time")
        same: Any = held_to(MarketHistory, await app.json(f"{path}/markets/3743/history?{older}"))
        margins: Any = held_to(MarginHistory, await app.json(f"{path}/markets/3743/margin-history?{older}"))
        wanted = [(moment(minutes)[:19], odds) for minutes, odds in published]
    assert shown(body["bookmakers"][0]["history"]) == shown(same["history"]) == wanted
    assert [point["captured_at"][:19] for point in margins["history"]] == [at for at, _ in wanted]


async def test_lines_are_kept_apart() -> None:
    """The history of a market with lines is of the line in the query."""
    async with served() as app:
        body: Any = held_to(EventHistory, await app.json("/api/events/1/history?market=5000&line=2.5"))
        assert [each["odds"] for each in body["bookmakers"][0]["history"][0]["outcomes"]] == [1.98, 1.83]
        other: Any = held_to(EventHistory, await app.json("/api/events/1/history?market=5000&line=3.5"))
        assert [each["history"] for each in other["bookmakers"]] == [[], [], []]


async def test_older_clients_paths_answer_too() -> None:
    """These routes return one bookmaker's market, and its margin alone."""
    async with served() as app:
        await move(app, 5, X1 | {HOME: 2.5} | OVER_UNDER)
        path = "/api/events/1/markets/3743"
        body: Any = held_to(MarketHistory, await app.json(f"{path}/history?bookmaker_slug=betpawa"))
        assert (body["bookmaker_name"], len(body["history"])) == ("BetPawa", 2)
        margins: Any = held_to(MarginHistory, await app.json(f"{path}/margin-history"))
        assert [point["margin"] for point in margins["history"]] == [point["margin"] for point in body["history"]]
        later = quote(iso_z(app.now + timedelta(minutes=3)))
        assert len(held_to(MarketHistory, await app.json(f"{path}/history?from_time={later}"))["history"]) == 2
        nobody: Any = await app.json("/api/events/2/markets/3743/history?bookmaker_slug=betpawa")
        assert nobody["history"] == []


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/events/1/history", 400),
        ("/api/events/1/history?market=5000", 400),
        ("/api/events/1/history?market=3743&line=2.5", 400),
        ("/api/events/1/history?market=5000&line=2.3", 400),
        ("/api/events/1/history?market=5000&line=nan", 400),
        ("/api/events/1/history?market=5000&line=99999999", 400),
        ("/api/events/1/history?market=3743&platform=nobody", 400),
        ("/api/events/1/history?market=3743&from=once", 400),
        ("/api/events/1/history?market=1", 404),
        ("/api/events/9/history?market=3743", 404),
        ("/api/events/1/markets/none/history", 404),
        ("/api/events/9/markets/3743/margin-history", 404),
        ("/api/events/1/markets/3743/history?bookmaker_slug=nobody", 400),
    ],
)
async def test_a_wrong_question_is_reported(path: str, status: int) -> None:
    """An invalid query is answered 400, an unknown event or market 404."""
    async with served() as app:
        body: Any = await app.json(path, status)
        assert body["status"] == status


async def test_history_of_an_event_that_is_long_over_is_still_there() -> None:
    """The history of an event that has left memory comes from the database."""
    async with served() as app:
        await move(app, 5, X1 | {HOME: 2.5} | OVER_UNDER)
        app.odds_service.cache.forget(1)
        body: Any = held_to(EventHistory, await app.json("/api/events/1/history?market=3743&platform=betpawa"))
        assert [point["outcomes"][0]["odds"] for point in body["bookmakers"][0]["history"]] == [2.4, 2.5]
