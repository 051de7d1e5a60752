"""Outcomes are named with the line that the reader bets on."""

import pytest

from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.outcomes import outcome_words


@pytest.mark.parametrize(
    ("slug", "line", "words"),
    [
        ("1x2_ft", None, ["1", "X", "2"]),
        ("over_under_ft", 2.5, ["Over 2.5", "Under 2.5"]),
        ("asian_handicap_ft", -1.5, ["1 (-1.5)", "2 (+1.5)"]),
        ("asian_handicap_ft", 0.25, ["1 (+0.25)", "2 (-0.25)"]),
        ("asian_handicap_ft", 0.0, ["1 (0)", "2 (0)"]),
        ("handicap_3way_ft", -1.0, ["1 (-1)", "X (-1)", "2 (+1)"]),
    ],
)
def test_each_side_has_its_own_handicap(slug: str, line: float | None, words: list[str]) -> None:
    """The away side of a handicap of -1.5 gets a goal and a half, and nobody reads "2 -1.5"."""
    market = CATALOGUE.by_slug[slug]
    assert [outcome_words(market, outcome, line) for outcome in market.outcomes] == words
    assert [outcome_words(market, outcome.name, line) for outcome in market.outcomes] == words


def test_in_every_handicap_only_the_away_side_is_turned() -> None:
    """The catalogue has no handicap with other sides than these."""
    for market in CATALOGUE.markets:
        if market.line_kind in ("asian", "european"):
            assert {each.name for each in market.outcomes} <= {"1", "X", "2"}, market.slug
