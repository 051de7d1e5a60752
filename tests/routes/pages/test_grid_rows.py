"""Rows of the grid, without a browser: what prices are worth, suspended prices, profits, markets and lines."""

import html
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.offered_lines import offered_lines
from quart_odds.odds.row_figures import OutcomeFigures
from quart_odds.routes.pages.odds import price_text
from quart_odds.routes.pages.query import FIRST_LINES, MARKET_WORDS, MARKETS, MarketName
from quart_odds.routes.pages.row_words import OutcomeWorth, grid_line_text
from quart_odds.routes.pages.rows import EventRows
from tests.apps import running_app
from tests.odds.making import NOW, STALE_AFTER, X1, header, key, mapped

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
HOME, DRAW, AWAY = X1
WINS = {HOME: 0.4, DRAW: 0.29, AWAY: 0.31}
ONE_X_TWO = MARKETS["1x2"]
HANDICAP = MARKETS["ah"]


def cached(
    *fetches: tuple[Platform, Mapping[int, float], Mapping[int, float]], suspended: frozenset[int] = frozenset()
) -> OddsCache:
    """Return a cache with the match that these bookmakers list: odds, and the probabilities of the feed."""
    cache = OddsCache()
    for platform, odds, wins in fetches:
        chances = {each: pack_chance(Chance(win)) for each, win in wins.items()}
        cache.apply(replace(mapped(header(platform), odds, suspended=suspended), chances=chances), NOW)
    return cache


def row(cache: OddsCache, *, market: MarketName = "1x2", line: float | None = None, now: datetime = NOW) -> str:
    """Return the only row of a cache."""
    rows = EventRows(stale_after=STALE_AFTER, clock=lambda: now)
    (found,) = rows.html(cache.by_kickoff(), MARKETS[market], line, (BETPAWA, SPORTYBET, BET9JA))
    return str(found)


def words(markup: str) -> str:
    """Return what a screen reader has of it."""
    return " ".join(html.unescape(re.sub(r'<[^>]*aria-hidden="true">[^<]*</[^>]+>|<[^>]+>', " ", markup)).split())


def worth(markup: str) -> str:
    """Return the words of the group of fair odds."""
    return words(markup.partition('class="f"')[2].partition(">")[2].partition('class="b')[0])


def test_row_says_what_the_prices_are_worth() -> None:
    """Fair odds with their source, the value of a best price that has one, and by how much it beats the second."""
    made = row(cached((SPORTYBET, X1, WINS), (BET9JA, X1 | {HOME: 2.6}, {})))
    assert 'title="Fair odds by SportyBet’s own probabilities."' in made
    assert worth(made).startswith(
        "Fair . Fair odds by SportyBet’s own probabilities. 1 2.50 , value +4.0% , best ahead by 8.3% X 3.45 2 3.23"
    )
    assert 'data-odds="2500"' in made


def test_row_says_when_fair_odds_are_those_of_prices_without_their_margin() -> None:
    """No feed has probabilities here."""
    made = row(cached((SPORTYBET, X1, {}), (BET9JA, X1, {})))
    assert "Fair odds by SportyBet’s prices without their margin." in made
    assert "value +" not in worth(made)
    assert "by" not in worth(made).partition("margin.")[2]


def test_row_without_fair_odds_says_why() -> None:
    """A price is missing."""
    made = row(cached((SPORTYBET, {HOME: 2.0}, {}), (BET9JA, {HOME: 2.1}, {})))
    assert worth(made).startswith("Fair . No fair odds: no bookmaker has a price for every outcome")
    assert "1 – , best ahead by 5.0% X – 2 –" in worth(made)


def test_fair_odds_leave_the_row_when_their_prices_get_old() -> None:
    """The row is kept, and made again as soon as it is no longer right."""
    cache, now = cached((SPORTYBET, X1, WINS), (BET9JA, X1, {})), NOW
    rows = EventRows(stale_after=STALE_AFTER, clock=lambda: now)

    def has_fair_odds() -> bool:
        (made,) = rows.html(cache.by_kickoff(), ONE_X_TWO, None)
        return "data-odds" in made

    assert has_fair_odds()
    now += STALE_AFTER
    assert has_fair_odds()
    now += timedelta(milliseconds=1)
    assert not has_fair_odds()


def test_arbitrage_is_called_a_profit() -> None:
    """In percent of the stake, as opportunities have it, and without the glyph of a movement."""
    made = row(cached((SPORTYBET, X1 | {HOME: 3.0, DRAW: 3.6}, {}), (BET9JA, X1 | {AWAY: 3.3}, {}), (BETPAWA, X1, {})))
    best = made.partition('role="cell" class="b')[2]
    assert words(">" + best.partition(">")[2]) == "> profit 9.4%"
    assert "▲" not in made


@pytest.mark.parametrize(("odds", "text"), [(0.0, "–"), (1.0, "–"), (2.4, "2.40")])
def test_suspended_price_says_so(odds: float, text: str) -> None:
    """Odds that pay nothing are a dash: bookmakers suspend with `0.00` or `1.00`."""
    made = row(cached((SPORTYBET, X1 | {HOME: odds}, {}), suspended=frozenset([HOME])))
    cell = made.partition('class="g sportybet')[2].partition("</i>")[0]
    assert 'class="p suspended"' in cell
    assert words("<" + cell).endswith(f"1 {text} suspended")
    assert ">susp.<" in cell
    assert ">0.00" not in made
    assert price_text(round(odds * 1000)) == text


def test_each_side_of_a_handicap_has_its_own_line_in_a_row() -> None:
    """Beside its price, and not the home side's at both."""
    odds = {key("asian_handicap_ft", name, -1.5): 1.9 for name in ("1", "2")}
    made = row(cached((SPORTYBET, odds, {})), market="ah", line=-1.5)
    assert "<small>1 (-1.5) </small>1.90" in made
    assert "<small>2 (+1.5) </small>1.90" in made


def test_lines_to_choose_are_those_that_bookmakers_have() -> None:
    """With the one that is shown, in order; lines that are gone are not offered."""
    lines = {key("asian_handicap_ft", name, line): 1.9 for name in ("1", "2") for line in (-1.5, 0.0, 0.25)}
    cache = cached((SPORTYBET, X1 | lines, {}), (BET9JA, {key("asian_handicap_ft", "1", 2.0): 4.0}, {}))
    rows = EventRows(stale_after=STALE_AFTER)
    assert rows.lines(cache.by_kickoff(), HANDICAP, -0.5) == [-1.5, -0.5, 0.0, 0.25, 2.0]
    assert rows.lines(cache.by_kickoff(), ONE_X_TWO, None) == []
    cache.apply(mapped(header(BET9JA), X1), NOW + timedelta(minutes=1))
    assert rows.lines(cache.by_kickoff(), HANDICAP, 0.0) == [-1.5, 0.0, 0.25]
    assert offered_lines(cache.by_kickoff()[0], CATALOGUE.by_slug["over_under_ft"]) == frozenset()
    assert [grid_line_text(HANDICAP, line) for line in (-1.5, 0.0, 0.25)] == ["-1.5", "0", "+0.25"]


@pytest.mark.parametrize("name", MARKET_WORDS)
async def test_every_market_of_the_grid_has_a_page(name: MarketName, tmp_path: Path) -> None:
    """The switch leads to it, and names its line if it has some. Its rows can be asked for."""
    async with running_app(tmp_path, "http://127.0.0.1:9") as app:
        answer = await app.client.get(f"/odds?market={name}", headers={"Accept": "text/html"})
        page = await answer.get_data(as_text=True)
        assert answer.status_code == 200
        assert f'aria-current="true">{MARKET_WORDS[name]}</a>' in page
        line = FIRST_LINES.get(name)
        assert ('aria-label="Line"' in page) == (line is not None)
        if line is not None:
            assert f'aria-current="true">{line:g}</a>' in page
        rows = await app.client.get(f"/odds/rows?ids=1,2&market={name}&line=")
        assert rows.status_code == 200


def test_every_market_of_the_grid_can_be_compared_and_has_a_first_line_if_any() -> None:
    """The columns would be empty otherwise."""
    assert MARKETS.keys() == MARKET_WORDS.keys()
    for name, market in MARKETS.items():
        assert market.is_comparable
        assert market.has_line == (name in FIRST_LINES)


async def test_columns_are_explained_where_they_stand(tmp_path: Path) -> None:
    """What the best price, its percentage, value and lead mean is said above the table."""
    async with running_app(tmp_path, "http://127.0.0.1:9") as app:
        page = await (await app.client.get("/odds", headers={"Accept": "text/html"})).get_data(as_text=True)
    help_text = words(page.partition('<details class="help">')[2].partition("</details>")[0])
    for term in ("Highlighted price", "Fair odds", "value", "lead", "Best", "profit", "susp."):
        assert term in help_text


def test_large_and_small_percentages_stay_short() -> None:
    """No more than four characters, and none that would say nothing."""
    figures = [
        OutcomeFigures("1", 2000, 2.0, value, lead) for value, lead in ((0.04, 123.4), (-3.0, None), (12.34, 0.0))
    ]
    assert [(each.value, each.lead) for each in map(OutcomeWorth.of, figures)] == [
        ("", "123%"),
        ("", ""),
        ("12.3%", ""),
    ]
