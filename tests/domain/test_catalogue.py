"""The catalogue: packed keys, the checks at import, and properties of the markets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.catalogue import (
    CATALOGUE,
    MARKETS_FILE,
    CatalogueError,
    pack_key,
    read_catalogue,
    unpack_key,
)

lines = st.none() | st.integers(-32_767, 32_767).map(lambda quarters: quarters / 4)


@given(st.integers(1, 511), st.integers(0, 63), lines)
def test_a_key_survives_the_round_trip(number: int, index: int, line: float | None) -> None:
    """Unpacking a key, which has 31 bits, returns its market, outcome and line."""
    key = pack_key(number, index, line)
    assert 0 < key < 2**31
    assert unpack_key(key) == (number, index, line)


@given(st.lists(st.tuples(st.integers(1, 511), st.integers(0, 63), st.integers(-32_767, 32_767)), min_size=2))
def test_keys_order_by_market_then_outcome_then_line(parts: list[tuple[int, int, int]]) -> None:
    """Sorted keys are grouped by market, then by outcome, then by line."""
    keys = [pack_key(number, index, quarters / 4) for number, index, quarters in parts]
    assert [unpack_key(key) for key in sorted(keys)] == [(n, i, q / 4) for n, i, q in sorted(parts)]


@pytest.mark.parametrize("line", [0.1, 2.3, 8192.0, -8192.0, float("nan"), float("inf")])
def test_a_line_that_is_no_quarter_is_refused(line: float) -> None:
    """Lines are multiples of 0.25 between -8192 and 8192."""
    with pytest.raises(ValueError, match="no multiple"):
        pack_key(1, 0, line)


@pytest.mark.parametrize(("number", "index"), [(0, 0), (512, 0), (1, -1), (1, 64)])
def test_numbers_that_do_not_fit_are_refused(number: int, index: int) -> None:
    """A market number has nine bits, an outcome index six."""
    with pytest.raises(ValueError, match="between"):
        pack_key(number, index, None)


@pytest.mark.parametrize(
    ("market_id", "slug", "line_kind", "outcomes"),
    [
        ("3743", "1x2_ft", "none", "1 X 2"),
        ("4693", "double_chance_ft", "none", "1X 12 X2"),
        ("5000", "over_under_ft", "total", "Over Under"),
        ("3795", "btts_ft", "none", "Yes No"),
        ("4703", "draw_no_bet_ft", "none", "1 2"),
        ("3774", "asian_handicap_ft", "asian", "1 2"),
        ("4724", "handicap_3way_ft", "european", "1 X 2"),
        ("3668", "1x2_1h", "none", "1 X 2"),
        ("3685", "1x2_2h", "none", "1 X 2"),
    ],
)
def test_the_main_markets_keep_their_ids_and_outcomes(market_id: str, slug: str, line_kind: str, outcomes: str) -> None:
    """Clients rely on these ids and names."""
    market = CATALOGUE.by_id[market_id]
    assert (market.slug, market.line_kind) == (slug, line_kind)
    assert [outcome.name for outcome in market.outcomes] == outcomes.split()
    assert market.is_comparable


# These numbers are stored in databases: add to them, but change none.
NUMBERS = {
    "1x2_ft": 1,
    "double_chance_ft": 2,
    "over_under_ft": 3,
    "btts_ft": 4,
    "draw_no_bet_ft": 5,
    "asian_handicap_ft": 6,
    "handicap_3way_ft": 7,
    "1x2_1h": 8,
    "1x2_2h": 9,
    "1x2_1up_ft": 10,
    "1x2_2up_ft": 11,
    "correct_score_ft": 29,
    "htft": 34,
    "home_over_under_ft": 58,
    "1x2_boosted_ft": 13,
    "to_qualify": 191,
    "bookings_1x2_ft": 192,
    "bookings_over_under_ft": 193,
    "1x2_corners_bookings_1x2_ft": 397,
}


def test_numbers_are_stable() -> None:
    """A market keeps the number under which its prices are stored."""
    assert {slug: CATALOGUE.by_slug[slug].number for slug in NUMBERS} == NUMBERS


def test_every_market_is_found_by_number_id_and_slug() -> None:
    """No two markets share an identifier, and an outcome's index is its position."""
    for market in CATALOGUE.markets:
        assert CATALOGUE.by_number[market.number] is CATALOGUE.by_id[market.id] is CATALOGUE.by_slug[market.slug]
        assert [outcome.index for outcome in market.outcomes] == list(range(len(market.outcomes)))


# These ids stay on the wire although BetPawa has the markets too: BetPawa's ids became known later.
IDS = {
    "home_over_under_1h": "home_over_under_1h",
    "last_corner_ft": "last_corner_ft",
    "htft_over_under": "htft_over_under",
    "exact_goals_1h": "exact_goals_1h",
    "double_chance_1up_ft": "80000",
    "1x2_boosted_ft": "1x2_boosted_ft",
    "bookings_1x2_ft": "1096774",
}


def test_ids_are_stable() -> None:
    """A market keeps its wire id when another bookmaker's ids are added to it."""
    assert {slug: CATALOGUE.by_slug[slug].id for slug in IDS} == IDS


def test_a_boosted_market_has_no_name_any_more() -> None:
    """It keeps its number for stored history. New boosted prices belong to the market that they boost."""
    market = CATALOGUE.by_number[13]
    assert market.slug == "1x2_boosted_ft"
    assert [outcome.name for outcome in market.outcomes] == ["1", "X", "2"]


def test_cards_and_counts_of_other_sources_are_not_comparable() -> None:
    """Bookmakers count bookings, shots, fouls and the like differently."""
    for market in CATALOGUE.markets:
        if market.group == "cards" or market.slug.startswith(("shots", "fouls", "offsides", "saves", "tackles")):
            assert not market.is_comparable, market.slug


def test_promotions_and_unequal_buckets_are_not_comparable() -> None:
    """Early payouts, boosted prices and unequal sets of outcomes never enter a margin or a comparison."""
    slugs = {market.slug for market in CATALOGUE.markets if not market.is_comparable}
    assert slugs >= {
        "1x2_1up_ft",
        "1x2_2up_ft",
        "1x2_boosted_ft",
        "double_chance_1up_ft",
        "correct_score_ft",
        "exact_goals_ft",
        "exact_goals_1h",
        "exact_goals_2h",
        "multigoals_ft",
    }


def test_two_of_double_chances_outcomes_win() -> None:
    """The inverse odds of a fair book sum to two for double chance and to one for 1X2."""
    assert CATALOGUE.by_slug["double_chance_ft"].winning_outcomes == 2
    assert CATALOGUE.by_slug["1x2_ft"].winning_outcomes == 1


ROW = """
[[market]]
number = 1
slug = "one"
name = "One"
group = "main"
outcomes = ["Yes", "No"]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (ROW + ROW, "number 1 is another market's"),
        (ROW + ROW.replace("number = 1", "number = 2"), "slug 'one' is another market's"),
        (
            ROW + ROW.replace("number = 1", 'number = 2\nid = "one"').replace('"one"', '"two"', 1),
            "'one' is another market's",
        ),
        (ROW.replace("number = 1", "number = 512"), "'one'"),
        (ROW.replace("number = 1", "number = 1\ncolour = 2"), "unknown keys"),
        (ROW.replace('"main"', '"mian"'), "group 'mian'"),
        (ROW.replace('name = "One"', ""), "'name'"),
        (ROW.replace('"No"', '"Yes"'), "two outcomes have one name"),
        (ROW.replace('["Yes", "No"]', "[]"), "outcomes are 1 to 64 names"),
        (ROW.replace('"No"', '["No", "12"]'), "outcomes are 1 to 64 names"),
        ("market = 3 3", "markets.toml"),
    ],
)
def test_a_contradiction_names_its_market(text: str, message: str) -> None:
    """The import fails, and the error names the faulty market."""
    with pytest.raises(CatalogueError, match=message):
        read_catalogue(text)


def test_the_file_is_read_as_it_is() -> None:
    """The catalogue matches the file, so docs/markets.md can refer to the file."""
    assert read_catalogue(MARKETS_FILE.read_text(encoding="utf-8")) == CATALOGUE
