"""The probabilities behind the prices add up, and every market in the tables can be priced."""

from itertools import groupby

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world.markets import line_of_specifier, market_list
from quart_odds.sandbox.world.model import implied
from quart_odds.sandbox.world.stand_ins import BETKING, STAND_INS

ALL = 10_000
FULL_SETS = {"asian", "dnb", "no_bet", "european", "htft", "parity", "halves", "nil", "clean", "to_score", "win_both"}


@pytest.mark.parametrize("platform", STAND_INS)
def test_every_price_on_every_sheet_has_a_chance(platform: Platform) -> None:
    """It lies between impossible and certain, for weak and strong teams."""
    for rates in ((0.75, 1.6), (2.0, 0.6)):
        chances = implied(platform, ALL, *rates)
        assert len(chances) == len(market_list(platform, ALL).keys)
        assert all(0 < chance < 1.2 for chance in chances)


@pytest.mark.parametrize("platform", STAND_INS)
def test_the_chances_of_a_full_set_of_outcomes_add_up_to_one(platform: Platform) -> None:
    """This includes whole and quarter lines, for which part of the stake is refunded."""
    chances = dict(zip(market_list(platform, ALL).keys, implied(platform, ALL, 1.5, 1.1), strict=True))
    checked = 0
    for (market, _), group in groupby(chances.items(), key=lambda item: item[0][:2]):
        outcomes = {key[2]: chance for key, chance in group}
        is_full = market.family in FULL_SETS or outcomes.keys() in ({"1", "X", "2"}, {"Over", "Under"}, {"Yes", "No"})
        if is_full and market.family not in ("one_up", "two_up", "other", "htft_parts"):
            assert sum(outcomes.values()) == pytest.approx(1, abs=0.002), market.slug
            checked += 1
    assert checked > 25


def test_chances_agree_across_markets() -> None:
    """Double chance is the sum of two results, home -0.5 is the home win, and higher lines make over less likely."""
    chances = {
        (key[0].slug, key[1], key[2]): chance
        for key, chance in zip(
            market_list(Platform.SPORTYBET, ALL).keys, implied(Platform.SPORTYBET, ALL, 1.75, 0.85), strict=True
        )
    }
    home, draw, away = (chances["1x2_ft", None, outcome] for outcome in ("1", "X", "2"))
    assert home > away
    assert chances["double_chance_ft", None, "1X"] == pytest.approx(home + draw)
    assert chances["asian_handicap_ft", -0.5, "1"] == pytest.approx(home)
    assert chances["asian_handicap_ft", 0.0, "1"] == pytest.approx(home / (home + away))
    assert chances["handicap_3way_ft", -1.0, "2"] == pytest.approx(away + draw)
    overs = [chances["over_under_ft", line, "Over"] for line in (0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5)]
    assert overs == sorted(overs, reverse=True)
    assert chances["one_up_ft", None, "1"] > chances["two_up_ft", None, "1"] > home


@pytest.mark.parametrize(
    ("specifier", "line"),
    [
        ("", None),
        ("total=2.5", 2.5),
        ("hcp=-0.5", -0.5),
        ("hcp=0:1", -1),
        ("hcp=2:0", 2),
        ("minsnr=10|total=1.5", 1.5),
        ("goalnr=1", None),
        ("from=1|to=10", None),
        ("variant=sr:exact_goals:6+", None),
    ],
)
def test_the_line_of_a_specifier_is_the_total_or_the_home_sides_handicap(specifier: str, line: float | None) -> None:
    """Three-way handicaps are given as goals of home and away."""
    assert line_of_specifier(specifier) == line


def test_a_sheet_starts_with_the_main_markets_everywhere() -> None:
    """The smallest list has the markets that every bookmaker compares, and some unknown ones."""
    for platform in STAND_INS:
        slugs = {offer.site.market.slug for offer in market_list(platform, 45).offers}
        assert {"1x2_ft", "double_chance_ft", "over_under_ft", "btts_ft", "draw_no_bet_ft"} <= slugs
        assert {"asian_handicap_ft", "handicap_3way_ft"} <= slugs
        if platform is not BETKING:
            assert {"1x2_1h", "1x2_2h", "one_up_ft", "two_up_ft"} <= slugs
        ids = [(offer.site.id, offer.line, offer.specifier) for offer in market_list(platform, ALL).offers]
        shared = sum(site.startswith(("S_HAOU", "S_HA1HOU", "S_HA2HOU")) for site, _, _ in ids)
        assert len(ids) - len(set(ids)) == shared // 2
