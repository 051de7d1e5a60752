"""The columns of the catalogue: each bookmaker's ids of the markets, and the checks when a column is read."""

from functools import partial

import pytest

from quart_odds.bookmakers.column import Column, column_of, read_column
from quart_odds.domain.bookmakers import installed
from quart_odds.domain.catalogue import CATALOGUE, CatalogueError

MAIN = (
    "1x2_ft",
    "double_chance_ft",
    "over_under_ft",
    "btts_ft",
    "draw_no_bet_ft",
    "asian_handicap_ft",
    "handicap_3way_ft",
    "1x2_1h",
    "1x2_2h",
)


def columns() -> dict[str, Column]:
    """Return the column of each installed bookmaker."""
    return {slug: column_of(each.bookmaker.catalogue) for slug, each in installed().items()}


NO_IDS = {"betking": {"1x2_1h", "1x2_2h"}}
"""Main markets whose ids are not known, because no body of the bookmaker could be recorded."""


@pytest.mark.parametrize("slug", installed())
def test_every_bookmaker_has_the_main_markets(slug: str) -> None:
    """What pages and lists show first is there at each of them."""
    assert set(MAIN) - NO_IDS.get(slug, set()) <= {mapping.market.slug for mapping in columns()[slug]}


def test_every_market_is_at_a_bookmaker() -> None:
    """Only the market that is kept for stored history is at none."""
    offered = {mapping.market for column in columns().values() for mapping in column}
    assert [market.slug for market in CATALOGUE.markets if market not in offered] == ["1x2_boosted_ft"]


def test_promotions_are_no_part_of_a_market_of_another_name() -> None:
    """A boosted price belongs to the market that it boosts."""
    assert not any(mapping.specifier in ("boosted", "oneUp", "twoUp") for mapping in columns()["betpawa"])


ROW = '[markets]\nbtts_ft = { id = "10", outcomes = ["11", "12"] }\n'


def test_a_market_may_have_several_ids_and_lack_outcomes() -> None:
    """An empty id means that the bookmaker does not offer the outcome."""
    text = ROW.replace("= { ", '= [{ id = "9", specifier = "half=1", outcomes = ["", "12"] }, { ').replace(
        '" ] }', '"] }]'
    )
    found = read_column(text.replace('"12"] }\n', '"12"] }]\n'), "x.toml")
    assert [(each.market.slug, each.market_id, each.specifier, each.outcome_ids) for each in found] == [
        ("btts_ft", "9", "half=1", (None, "12")),
        ("btts_ft", "10", "", ("11", "12")),
    ]


replaced = partial(str.replace, ROW)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[markets", "lagos.toml: "),
        ("[others]", "'markets'"),
        (replaced("btts_ft", "no_such_market"), "lagos.toml: market 'no_such_market': .*no such market"),
        (replaced("id =", "name ="), "unknown keys .'name'."),
        (replaced('id = "10", ', ""), "'id'"),
        (replaced('"10"', "10"), "ids are texts"),
        (replaced('"10"', '""'), "ids are texts"),
        (replaced('"12"', "12"), "ids are texts"),
        (replaced('["11", "12"]', '["11"]'), "the number of outcome ids differs"),
        (replaced('"12"', '"11"'), "come twice"),
        (replaced('["11", "12"]', '["", ""]'), "are missing"),
        (ROW + 'draw_no_bet_ft = { id = "10", outcomes = ["12", "13"] }', "draw_no_bet_ft.*10  12 is 'btts_ft'"),
        (ROW + 'over_under_ft = { id = "10", outcomes = ["14", "15"] }', "another kind of line"),
        ("[markets]\nbtts_ft = 3", "lagos.toml: market 'btts_ft'"),
    ],
)
def test_a_contradiction_names_its_file_and_market(text: str, message: str) -> None:
    """A column that cannot be meant stops the start, whoever's package it is from."""
    with pytest.raises(CatalogueError, match=message):
        read_column(text, "lagos.toml")
