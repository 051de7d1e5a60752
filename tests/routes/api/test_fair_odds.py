"""What best prices are worth: from the feed of a bookmaker, else without the margin of the best one, else unknown."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.fair import Chance, pack_chance, probabilities
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED
from quart_odds.routes.api.schemas.odds import EventDetail
from tests.odds.making import STALE_AFTER, X1, header, key, mapped
from tests.odds.serving import Served, served
from tests.routes.api.test_odds import held_to

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
HOME, DRAW, AWAY = X1
WINS = {HOME: 0.4, DRAW: 0.29, AWAY: 0.31}
NO_BET = {key("draw_no_bet_ft", "1"): 1.9, key("draw_no_bet_ft", "2"): 2.0}
"""Draw no bet."""


async def record(
    app: Served,
    platform: Platform,
    odds: Mapping[int, float],
    wins: Mapping[int, float] | None = None,
    *,
    refund: float = 0.0,
    suspended: frozenset[int] = frozenset(),
) -> None:
    """Record a body that was fetched now."""
    chances = {each: pack_chance(Chance(win, refund)) for each, win in (wins or {}).items()}
    fetched = mapped(header(platform, kickoff=app.now + timedelta(hours=6)), odds, suspended=suspended)
    await app.odds_service.record(replace(fetched, chances=chances), app.clock())


async def worth(app: Served, number: int = 0) -> list[tuple[float | None, str | None, float | None]]:
    """Return what the API says of the outcomes of a market: fair odds, their source, and the value in percent."""
    body: Any = held_to(EventDetail, await app.json("/api/events/1"))
    outcomes = body["best_prices"][number]["outcomes"]
    return [(each["fair_odds"], each["fair_source"], each["value_percent"]) for each in outcomes]


async def test_fair_odds_are_those_of_the_feed() -> None:
    """SportyBet's before BetPawa's. The price that is worth most may be at another bookmaker."""
    async with served(filled=False) as app:
        await record(app, BETPAWA, X1, {HOME: 0.41, DRAW: 0.28, AWAY: 0.31})
        assert [each[:2] for each in await worth(app)] == [(2.439, "betpawa"), (3.571, "betpawa"), (3.226, "betpawa")]
        await record(app, SPORTYBET, X1, WINS)
        await record(app, BET9JA, X1 | {HOME: 2.6})
        found = await worth(app)
        body: Any = await app.json("/api/events/1")
    assert found == [(2.5, "sportybet", 4.0), (3.448, "sportybet", -4.3), (3.226, "sportybet", -7.0)]
    shown = {each["bookmaker_slug"]: each["markets"][0]["outcomes"][0] for each in body["markets_by_bookmaker"]}
    assert {slug: (each["probability"], each["refund_probability"]) for slug, each in shown.items()} == {
        "betpawa": (0.41, 0.0),
        "sportybet": (0.4, 0.0),
        "bet9ja": (None, None),
    }


async def test_a_refund_counts() -> None:
    """The fair odds of draw no bet are those of a bet that is given back after a draw."""
    async with served(filled=False) as app:
        home, away = NO_BET
        await record(app, BETPAWA, NO_BET, {home: 0.4, away: 0.36}, refund=0.24)
        assert await worth(app) == [(1.9, "betpawa", 0.0), (2.111, "betpawa", -4.0)]


@pytest.mark.parametrize(
    ("wins", "suspended"),
    [
        ({HOME: 0.4, DRAW: 0.29}, frozenset()),
        ({HOME: 0.4, DRAW: 0.29, AWAY: 0.4}, frozenset()),
        (WINS, frozenset({DRAW})),
    ],
    ids=["one is missing", "they sum to more than 1", "a price is suspended"],
)
async def test_only_a_full_set_of_the_feed_counts(wins: dict[int, float], suspended: frozenset[int]) -> None:
    """Else the margin is taken out of the prices of the bookmaker with the lowest one."""
    async with served(filled=False) as app:
        await record(app, SPORTYBET, X1, wins, suspended=suspended)
        await record(app, BET9JA, {HOME: 2.45, DRAW: 3.35, AWAY: 3.05})
        found = await worth(app)
    expected = [round(1 / each, 3) for each in probabilities([2.45, 3.35, 3.05])]
    assert [each[:2] for each in found] == [(fair, "no_vig:power:bet9ja") for fair in expected]
    values = [100 * (odds / fair - 1) for fair, odds in zip(expected, (2.45, 3.35, 3.05), strict=True)]
    assert [each[2] for each in found] == pytest.approx(values, abs=0.05)


async def test_old_prices_say_nothing_of_the_worth_of_others() -> None:
    """Also when nobody fetches any more, and the answer was kept while they were new."""
    async with served(filled=False) as app:
        await record(app, SPORTYBET, X1, WINS)
        assert (await worth(app))[0][1] == "sportybet"
        app.clock.ahead = STALE_AFTER + timedelta(seconds=1)
        assert await worth(app) == [(None, None, None)] * 3
        await record(app, BET9JA, X1)
        assert {source for _, source, _ in await worth(app)} == {"no_vig:power:bet9ja"}


async def test_prices_without_a_margin_are_an_error_of_somebody() -> None:
    """What they are worth cannot be told from them."""
    async with served(filled=False) as app:
        await record(app, BET9JA, X1 | {HOME: 26.0})
        assert await worth(app) == [(None, None, None)] * 3


async def test_reversed_sides_say_nothing() -> None:
    """The probabilities of a bookmaker that has home and away the other way round are of other outcomes."""
    async with served(filled=False) as app:
        await record(app, BETPAWA, X1, WINS)
        crossed = header(SPORTYBET, home="Chelsea", away="Arsenal", kickoff=app.now + timedelta(hours=6))
        chances = {each: pack_chance(Chance(win)) for each, win in {HOME: 0.1, DRAW: 0.1, AWAY: 0.8}.items()}
        await app.odds_service.record(replace(mapped(crossed, X1), chances=chances), app.clock())
        body: Any = await app.json("/api/events/1")
        assert [each["reversed"] for each in body["markets_by_bookmaker"]] == [False, True]
        assert {source for _, source, _ in await worth(app)} == {"betpawa"}


async def test_each_bookmaker_has_a_margin_on_each_outcome() -> None:
    """It is measured by the same fair odds; a suspended, boosted or missing price has none."""
    async with served(filled=False) as app:
        await record(app, SPORTYBET, {HOME: 2.4, DRAW: 3.3, AWAY: 3.0}, WINS)
        await record(app, BET9JA, {HOME: 2.6, DRAW: 3.0, AWAY: 3.0}, suspended=frozenset({AWAY}))
        await record(app, BETPAWA, {HOME: 2.2, promoted_key(DRAW, BOOSTED): 9.0})
        body: Any = held_to(EventDetail, await app.json("/api/events/1"))
        app.clock.ahead = STALE_AFTER + timedelta(seconds=1)
        later: Any = held_to(EventDetail, await app.json("/api/events/1"))
    outcomes = body["best_prices"][0]["outcomes"]
    margins = [
        {name: round(100 * (1 - odds * win), 2) for name, odds in each.items()}
        for win, each in (
            (WINS[HOME], {"betpawa": 2.2, "sportybet": 2.4, "bet9ja": 2.6}),
            (WINS[DRAW], {"sportybet": 3.3, "bet9ja": 3.0}),
            (WINS[AWAY], {"sportybet": 3.0}),
        )
    ]
    assert [each["margins"] for each in outcomes] == [pytest.approx(each, abs=0.011) for each in margins]
    assert [each["margins"] for each in later["best_prices"][0]["outcomes"]] == [{}, {}, {}]
