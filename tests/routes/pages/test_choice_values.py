"""The choice of bookmakers on pages, without a browser: columns, their order, and what is compared."""

from datetime import timedelta
from urllib.parse import parse_qsl

import pytest
from werkzeug.datastructures import MultiDict

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.api.requests import read_query
from quart_odds.routes.pages.odds import event_row, market_groups, sources
from quart_odds.routes.pages.query import Columns, ColumnsQuery, OddsPageQuery, RowsQuery
from quart_odds.routes.pages.rows import EventRows
from quart_odds.routes.pages.shell import bookmakers_css, columns_class, words
from tests.odds.making import NOW, header, key, mapped
from tests.platforms import FIRST_THREE

BETPAWA, SPORTYBET, BET9JA = FIRST_THREE
ONE_X_TWO = CATALOGUE.by_slug["1x2_ft"]
HOME, DRAW, AWAY = (key("1x2_ft", name) for name in ("1", "X", "2"))
ODDS = {BETPAWA: (2.0, 3.0, 5.0), SPORTYBET: (2.2, 3.1, 4.0), BET9JA: (2.1, 3.3, 3.9)}


def match() -> CachedEvent:
    """Return a match at three bookmakers. BetPawa has the best price of the away side."""
    cache = OddsCache()
    for platform, odds in ODDS.items():
        cache.apply(mapped(header(platform, f"{platform}-1"), dict(zip((HOME, DRAW, AWAY), odds, strict=True))), NOW)
    return cache.by_kickoff()[0]


def arranged(query: str, model: type[ColumnsQuery] = OddsPageQuery) -> Columns:
    """Return the columns that a query string asks for, where three bookmakers are used."""
    return read_query(model, MultiDict(parse_qsl(query))).arranged(FIRST_THREE)


def test_row_has_the_chosen_columns_and_compares_them_alone() -> None:
    """The price of a bookmaker that was left out is not the best of anything."""
    chosen = [BET9JA, SPORTYBET]
    row = event_row(match().among(chosen), ONE_X_TWO, None, chosen)
    assert [cell.slug for cell in row.cells] == ["bet9ja", "sportybet"]
    assert [[price.is_best for price in cell.prices] for cell in row.cells] == [
        [False, True, False],
        [True, False, True],
    ]
    assert row.best_margin == pytest.approx((1 / 2.2 + 1 / 3.3 + 1 / 4.0 - 1) * 100, abs=0.01)
    assert event_row(match(), ONE_X_TWO, None).best_margin == pytest.approx(
        (1 / 2.2 + 1 / 3.3 + 1 / 5.0 - 1) * 100, abs=0.01
    )


def test_one_bookmaker_alone_has_no_best_price() -> None:
    """There is nothing to compare it with, but it has its margin."""
    row = event_row(match().among([BETPAWA]), ONE_X_TWO, None, [BETPAWA])
    assert not any(price.is_best for price in row.cells[0].prices)
    assert row.best_margin is None
    assert row.cells[0].margin is not None


def test_page_of_an_event_has_the_chosen_columns() -> None:
    """Its sources, its tables and their margins are of the chosen bookmakers, one without odds among them."""
    chosen = [SPORTYBET, *(each for each in Platform if each not in FIRST_THREE), BETPAWA]
    event = match().among(chosen)
    assert [source.slug for source in sources(event, chosen)] == [each.value for each in chosen]
    [(_, [table])] = market_groups(event, chosen)
    assert [cell.slug for cell in table.lines[0].cells] == [each.value for each in chosen]
    assert [len(prices) for _, prices in table.lines[0].outcomes] == [len(chosen)] * 3


def test_rows_of_one_choice_are_not_shown_for_another() -> None:
    """Rows are kept by event, market and columns; each links to its event with the same choice."""
    rows = EventRows(stale_after=timedelta(minutes=5), clock=lambda: NOW)
    event = match()
    for columns, choice, link in (
        (FIRST_THREE, "", 'odds/1"'),
        ((BET9JA, BETPAWA), "bet9ja,betpawa", 'odds/1?bookmakers=bet9ja,betpawa"'),
        (FIRST_THREE, "", 'odds/1"'),
        (tuple(Platform), "", 'odds/1"'),
    ):
        (html,) = rows.html([event.among(columns)], ONE_X_TWO, None, columns, choice=choice)
        assert html.count('role="cell" class="g ') == len(columns)
        assert link in html


@pytest.mark.parametrize(
    ("query", "columns"),
    [
        ("bookmakers=betpawa&bookmakers=sportybet&earlier=sportybet", ["sportybet", "betpawa"]),
        ("bookmakers=sportybet,betpawa&later=sportybet", ["betpawa", "sportybet"]),
        ("bookmakers=sportybet,betpawa&earlier=sportybet", ["sportybet", "betpawa"]),
        ("bookmakers=sportybet,betpawa&later=betpawa", ["sportybet", "betpawa"]),
        ("bookmakers=sportybet,betpawa&earlier=bet9ja", ["sportybet", "betpawa"]),
    ],
)
def test_buttons_move_a_bookmaker_by_one_place(query: str, columns: list[str]) -> None:
    """At an end, or if it is not shown, nothing moves."""
    found = arranged(query)
    assert list(found.shown) == columns
    assert found.choice == ",".join(columns)


def test_those_to_choose_from_are_listed_in_the_order_of_the_columns() -> None:
    """After them come the others that are used. One that is not used is listed only if it is chosen."""
    assert arranged("bookmakers=bet9ja").places == [(BET9JA, True), (BETPAWA, False), (SPORTYBET, False)]
    (other, *_) = (each for each in Platform if each not in FIRST_THREE)
    assert arranged(f"bookmakers={other},bet9ja").places == [
        (other, True),
        (BET9JA, True),
        (BETPAWA, False),
        (SPORTYBET, False),
    ]


def test_all_that_are_used_in_their_own_order_are_no_choice() -> None:
    """So their addresses are those of readers who choose nothing, also after a move and back."""
    for query in ("", "bookmakers=", "bookmakers=betpawa,sportybet,bet9ja", f"bookmakers={','.join(Platform)}"):
        assert arranged(query).choice == ""
    swapped = arranged("later=betpawa")
    assert swapped.shown == (SPORTYBET, BETPAWA, BET9JA)
    assert arranged(f"bookmakers={swapped.choice}&earlier=betpawa").choice == ""


def test_rows_have_the_columns_of_their_page() -> None:
    """They say which, because other bookmakers may be used by now. A choice comes first."""
    assert arranged("columns=bet9ja,betpawa", RowsQuery) == Columns((BET9JA, BETPAWA), (BET9JA, BETPAWA))
    assert arranged("columns=bet9ja", RowsQuery).choice == ""
    chosen = arranged("bookmakers=sportybet&columns=bet9ja", RowsQuery)
    assert (chosen.shown, chosen.choice) == ((SPORTYBET,), "sportybet")


def test_each_number_of_columns_has_a_style() -> None:
    """Pages may not have `style` attributes, so the number of columns is a class."""
    style = bookmakers_css()
    for count in range(1, len(Platform) + 1):
        assert f".of{count}{{--books:{count}}}" in style
    assert [columns_class(count) for count in (3, 4, 5, 6)] == ["of3", "of4 many", "of5 many", "of6 many crowd"]
    assert [words(count) for count in (2, 5, 9, 10)] == ["two", "five", "nine", "10"]
