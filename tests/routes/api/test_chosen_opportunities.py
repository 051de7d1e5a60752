"""Opportunities at the bookmakers that a query chooses: every price to back is at one of them."""

from itertools import permutations
from typing import Any

import pytest

from quart_odds.domain.platforms import Platform
from tests.odds.serving import Served, served
from tests.routes.api.test_odds_opportunities import HIGHER, OVER, UNDER, find, offer

BETPAWA, SPORTYBET, BET9JA = Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA
TWO = "bookmakers=betpawa,sportybet"


async def offer_better(app: Served, name: str = "a", over: float = 2.1) -> None:
    """Record an arbitrage of two bookmakers, and a better price of the over at a third."""
    await offer(app, BETPAWA, {OVER: over, UNDER: 1.7}, name=name)
    await offer(app, SPORTYBET, {OVER: 1.7, UNDER: 2.1}, name=name)
    await offer(app, BET9JA, {OVER: 2.3, UNDER: 1.62}, name=name)


def backed(body: Any) -> list[tuple[float, list[str]]]:
    """Return the margin of each opportunity, and the bookmakers at which to back it."""
    return [
        (found["margin"], [each["bookmaker_slug"] for each in found["outcomes"]]) for found in body["opportunities"]
    ]


async def test_every_price_is_at_a_chosen_bookmaker() -> None:
    """What a better price elsewhere hides is listed, whatever the order of the choice."""
    async with served(filled=False) as app:
        await offer_better(app)
        assert backed(await find(app)) == [(9.77, ["bet9ja", "sportybet"])]
        for query in (TWO, "bookmakers=sportybet,betpawa,sportybet", "bookmakers=sportybet&bookmakers=betpawa"):
            body = await find(app, query)
            assert (backed(body), body["total"], body["left_out_count"]) == ([(5.0, ["betpawa", "sportybet"])], 1, 0)
        assert backed(await find(app, "bookmakers=betpawa,bet9ja")) == []
        assert backed(await find(app, f"{TWO}&min_margin=6")) == []


async def test_all_bookmakers_are_no_choice() -> None:
    """In any order, and with a parameter that is empty, everything is listed as without it."""
    async with served(filled=False) as app:
        await offer_better(app)
        everything = backed(await find(app, "kind=all"))
        orders = [",".join(each) for each in list(permutations(Platform))[::40]]
        for chosen in ("", *orders):
            assert backed(await find(app, f"kind=all&bookmakers={chosen}")) == everything


async def test_what_is_worth_most_at_the_chosen_comes_first_and_pages_have_the_rest() -> None:
    """The best of all bookmakers does not decide: it is the same in all three events."""
    async with served(filled=False) as app:
        for name, over in (("a", 2.05), ("b", 2.15), ("c", 2.1)):
            await offer_better(app, name, over)
        pages = [await find(app, f"{TWO}&page={page}&page_size=2") for page in (1, 2, 3)]
    assert [[margin for margin, _ in backed(body)] for body in pages] == [[6.24, 5.0], [3.73], []]
    assert {body["total"] for body in pages} == {3}


async def test_a_bank_is_shared_among_the_prices_of_the_chosen() -> None:
    """2.10 is paid on both outcomes, and not 2.30."""
    async with served(filled=False) as app:
        await offer_better(app)
        (found,) = (await find(app, f"{TWO}&bank=10000&rounding=100"))["opportunities"]
    assert (found["stakes"]["stakes"], found["stakes"]["worst_profit"]) == ([5000.0, 5000.0], 500.0)


async def test_one_bookmaker_has_value_bets_by_the_fair_odds_of_all() -> None:
    """An arbitrage or a middle needs two."""
    async with served(filled=False) as app:
        await offer(app, BET9JA, {OVER: 2.06, UNDER: 1.75, HIGHER: 1.98})
        await offer(app, BETPAWA, {OVER: 1.9, UNDER: 1.9})
        await offer(app, SPORTYBET, {OVER: 2.2, UNDER: 1.5, HIGHER: 1.98})
        (found,) = (await find(app, "kind=all&bookmakers=bet9ja"))["opportunities"]
        assert (await find(app, "kind=middle&bookmakers=bet9ja,sportybet"))["total"] == 1
    assert (found["kind"], found["margin"], found["fair_odds"]) == ("value", 3.0, 2.0)
    assert found["fair_source"] == "no_vig:power:betpawa"


async def test_since_when_is_told_where_all_have_the_same() -> None:
    """It is null where a better price elsewhere hides what the chosen have; then the worth now is that at best."""
    async with served(filled=False) as app:
        await offer_better(app)
        (every,) = (await find(app))["opportunities"]
        (same,) = (await find(app, "bookmakers=sportybet,bet9ja"))["opportunities"]
        (other,) = (await find(app, TWO))["opportunities"]
    assert same["first_seen_at"] == every["first_seen_at"] is not None
    assert same["lifetime_seconds"] >= every["lifetime_seconds"] >= 0
    assert (other["first_seen_at"], other["lifetime_seconds"]) == (None, None)
    assert (other["best_margin"], other["margin"]) == (5.0, 5.0)


@pytest.mark.parametrize(("query", "total"), [("", 0), ("&max_age_seconds=900", 1), ("&suspicious=true", 1)])
async def test_old_prices_of_the_chosen_are_listed_apart(query: str, total: int) -> None:
    """The prices of the others are fresh, and so is what all together have."""
    async with served(filled=False) as app:
        await offer_better(app)
        await offer(app, BETPAWA, {OVER: 2.1, UNDER: 1.7}, name="b", age=600)
        await offer(app, SPORTYBET, {OVER: 1.7, UNDER: 2.1}, name="b")
        await offer(app, BET9JA, {OVER: 2.3, UNDER: 1.62}, name="b")
        assert (await find(app))["total"] == 2
        body = await find(app, f"{TWO}{query}")
    stale = [each for each in body["opportunities"] if "stale" in each["reasons"]]
    assert len(stale) == total


async def test_changes_take_effect_at_once() -> None:
    """A choice that was asked for before is answered by the prices of now."""
    async with served(filled=False) as app:
        await offer_better(app)
        assert (await find(app, TWO))["total"] == 1
        await offer(app, SPORTYBET, {OVER: 1.7, UNDER: 1.8})
        assert (await find(app, TWO))["total"] == 0
        await offer(app, SPORTYBET, {OVER: 1.7, UNDER: 2.05})
        assert backed(await find(app, TWO)) == [(3.73, ["betpawa", "sportybet"])]
