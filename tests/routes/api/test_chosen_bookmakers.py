"""Bookmakers chosen by a query: only these are shown, counted and compared, in the order of the choice."""

from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from tests.odds.making import KICKOFF, NOW, header, key, mapped
from tests.odds.serving import Served, served

HOME, DRAW, AWAY = (key("1x2_ft", name) for name in ("1", "X", "2"))


async def listed(app: Served, query: str) -> list[tuple[int, list[str]]]:
    """Return the id of each event that a query selects, and its bookmakers."""
    body: Any = await app.json(f"/api/events?{query}")
    assert body["total"] == len(body["events"])
    return [(each["id"], [one["bookmaker_slug"] for one in each["bookmakers"]]) for each in body["events"]]


async def test_events_have_the_chosen_bookmakers_in_the_order_of_the_choice() -> None:
    """An event that none of them has is left out. The parameter may be repeated; one named twice counts once."""
    async with served() as app:
        everything = await listed(app, "")
        chosen = await listed(app, "bookmakers=bet9ja,betpawa")
        assert chosen == [
            (number, found)
            for number, slugs in everything
            if (found := [slug for slug in ("bet9ja", "betpawa") if slug in slugs])
        ]
        assert ["bet9ja", "betpawa"] in [slugs for _, slugs in chosen]
        for same in ("bookmakers=bet9ja&bookmakers=betpawa", "bookmakers=bet9ja,betpawa,bet9ja"):
            assert await listed(app, same) == chosen
        for none in ("bookmakers=", f"bookmakers={','.join(Platform)}"):
            assert await listed(app, none) == everything


async def test_only_chosen_bookmakers_are_counted() -> None:
    """No event is at two of one bookmaker, and those at two of a pair have both."""
    async with served() as app:
        at_three = {number for number, _ in await listed(app, "min_bookmakers=3")}
        assert at_three
        assert await listed(app, "bookmakers=betpawa&min_bookmakers=2") == []
        pairs = await listed(app, "bookmakers=sportybet,betpawa&min_bookmakers=2")
        assert at_three <= {number for number, _ in pairs}
        assert all(slugs == ["sportybet", "betpawa"] for _, slugs in pairs)


async def test_best_prices_of_an_event_are_among_the_chosen() -> None:
    """The best odds, their bookmakers and their margin leave out who was not chosen."""
    async with served() as app:
        whole: Any = await app.json("/api/events/1")
        chosen: Any = await app.json("/api/events/1?bookmakers=bet9ja,sportybet")
    slugs = ["bet9ja", "sportybet"]
    assert [each["bookmaker_slug"] for each in chosen["markets_by_bookmaker"]] == slugs
    assert [each["bookmaker_slug"] for each in chosen["bookmakers"]] == slugs
    assert chosen["name"] == whole["name"]
    offered: dict[tuple[str, float | None, str], float] = {}
    for bookmaker in chosen["markets_by_bookmaker"]:
        for market in bookmaker["markets"]:
            for one in market["outcomes"]:
                place = market["betpawa_market_id"], market["line"], one["name"]
                offered[place] = max(offered.get(place, 0), one["odds"])
    assert chosen["best_prices"]
    for market in chosen["best_prices"]:
        for one in market["outcomes"]:
            assert one["odds"] == offered[market["betpawa_market_id"], market["line"], one["name"]]
            assert set(one["bookmakers"]) <= set(slugs)


@pytest.mark.parametrize("path", ["/api/events", "/api/events.csv", "/api/events/1", "/api/opportunities"])
async def test_unknown_bookmaker_is_refused(path: str) -> None:
    """The problem names the parameter, in the same words everywhere."""
    async with served() as app:
        problem: Any = await app.json(f"{path}?bookmakers=betpawa,nobody", 400)
        usual: Any = await app.json("/api/events?bookmakers=betpawa,nobody", 400)
    assert "bookmakers" in str(problem)
    assert problem["errors"] == usual["errors"]


async def test_spreadsheet_has_the_chosen_bookmakers_alone() -> None:
    """Each line is of one of them."""
    async with served() as app:
        text = await (await app.client.get("/api/events.csv?bookmakers=sportybet")).get_data(as_text=True)
    column = text.splitlines()[0].split(",").index("bookmaker")
    assert {line.split(",")[column] for line in text.splitlines()[1:]} == {"sportybet"}


def test_an_event_keeps_its_name_and_sides_among_others() -> None:
    """Who has the sides reversed is told by the bookmaker that names the event, even if that one is left out."""
    cache = OddsCache()
    for platform, home, away in (
        (Platform.BETPAWA, "Enyimba", "Rangers"),
        (Platform.SPORTYBET, "Rangers", "Enyimba"),
        (Platform.BET9JA, "Enyimba FC", "Rangers Intl"),
    ):
        named = header(platform, f"{platform}-1", "77", kickoff=KICKOFF, home=home, away=away)
        cache.apply(mapped(named, {HOME: 2.0, DRAW: 3.4, AWAY: 4.0}), NOW)
    (event,) = cache.by_kickoff()
    chosen = event.among([Platform.BET9JA, Platform.SPORTYBET])
    assert list(chosen.odds) == [Platform.BET9JA, Platform.SPORTYBET]
    assert chosen.header is event.header
    assert chosen.is_reversed(Platform.SPORTYBET)
    assert [each.header.platform for each in chosen.comparable_odds] == [Platform.BET9JA]
    assert chosen.frozen().header.name == event.header.name
    assert list(event.odds) == [Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA]
    assert event.among([]).header is event.header


async def test_events_that_nobody_lists_any_more_are_left_out_if_asked() -> None:
    """Among the chosen bookmakers, if any are chosen. By default they are listed."""
    async with served() as app:
        assert [number for number, _ in await listed(app, "gone=false")] == [1, 2, 4]
        await app.lose(Platform.SPORTYBET, "sportybet-1")
        assert [number for number, _ in await listed(app, "bookmakers=sportybet")] == [1, 2]
        assert [number for number, _ in await listed(app, "bookmakers=sportybet&gone=false")] == [1]
        assert [number for number, _ in await listed(app, "gone=false")] == [1, 2, 4], "others still list it"
