"""Stakes, their profit in the worst case, Kelly's fraction, and what is too good to be true."""

import math
from decimal import Decimal
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.fair import Chance
from quart_odds.domain.opportunities import (
    arbitrage_percent,
    arbitrage_stakes,
    is_outlier,
    kelly_fraction,
    middle_percents,
    middle_stakes,
    settled,
)

ODDS = st.integers(1001, 200_000).map(lambda thousandths: thousandths / 1000)
BANKS = st.integers(1, 5_000_000).map(lambda cents: Decimal(cents) / 100)
UNITS = st.sampled_from([Decimal("0.01"), Decimal("0.5"), Decimal(1), Decimal(50), Decimal(100)])
LINES = st.tuples(st.integers(1, 30), st.integers(1, 30)).filter(lambda each: each[0] < each[1])


def exact(odds: float) -> Decimal:
    """Return odds of three decimals as they are."""
    return Decimal(round(odds * 1000)) / 1000


def test_ten_thousand_naira_in_steps_of_a_hundred_still_profit() -> None:
    """2.10 and 2.10 guarantee five percent, also in stakes of 100."""
    stakes = arbitrage_stakes([2.1, 2.1], Decimal(10_000), Decimal(100))
    assert [int(each) for each in stakes.stakes] == [5000, 5000]
    assert (int(stakes.total), int(stakes.worst_profit), stakes.is_profitable) == (10_000, 500, True)


def test_rounding_may_leave_nothing_of_a_small_gain() -> None:
    """2.02 and 1.99 gain 0.2 percent, and 1,000 in steps of 500 lose."""
    assert arbitrage_stakes([2.02, 1.99], Decimal(10_000), Decimal(1)).is_profitable
    rounded = arbitrage_stakes([2.02, 1.99], Decimal(1000), Decimal(500))
    assert (int(rounded.worst_profit), rounded.is_profitable) == (-5, False)


def test_nothing_is_staked_of_a_bank_below_the_unit() -> None:
    """There is no profit in it, and no loss."""
    stakes = arbitrage_stakes([2.1, 2.1], Decimal(99), Decimal(100))
    assert (int(stakes.total), int(stakes.worst_profit), stakes.is_profitable) == (0, 0, False)


def test_two_of_the_outcomes_of_double_chance_pay() -> None:
    """Each has a stake, and two of three stakes win."""
    stakes = arbitrage_stakes([1.6, 1.6, 1.6], Decimal(300), Decimal(1), winners=2)
    assert [int(each) for each in (*stakes.stakes, stakes.worst_profit)] == [100, 100, 100, 20]


@settings(deadline=None)
@given(st.lists(ODDS, min_size=2, max_size=6), BANKS, UNITS, st.integers(1, 5))
def test_stakes_fit_the_bank_and_the_profit_is_the_worst_case(
    odds: list[float], bank: Decimal, unit: Decimal, winners: int
) -> None:
    """Whatever outcomes win, no less is won than said, and no more than the best case says."""
    winners = min(winners, len(odds) - 1)
    found = arbitrage_stakes(odds, bank, unit, winners=winners)
    assert found.total <= bank
    assert all(stake >= 0 and stake % unit == 0 for stake in found.stakes)
    pays = [stake * exact(each) for stake, each in zip(found.stakes, odds, strict=True)]
    profits = [sum(won) - found.total for won in combinations(pays, winners)]
    assert (min(profits), max(profits)) == (found.worst_profit, found.best_profit)


@settings(deadline=None)
@given(st.lists(ODDS, min_size=2, max_size=6))
def test_with_a_large_bank_the_profit_is_what_the_odds_say(odds: list[float]) -> None:
    """Fine stakes leave out next to nothing of the gain in percent."""
    found = arbitrage_stakes(odds, Decimal(10**9), Decimal("0.01"))
    assert float(found.worst_profit) / 10**9 * 100 == pytest.approx(arbitrage_percent(odds), abs=0.001)


@settings(deadline=None)
@given(ODDS, ODDS, LINES, BANKS, UNITS)
def test_a_middle_never_loses_more_than_its_worst_case(
    over: float, under: float, quarters: tuple[int, int], bank: Decimal, unit: Decimal
) -> None:
    """At any total, the stakes return at least the worst and at most the best case."""
    lines = quarters[0] / 4, quarters[1] / 4
    found = middle_stakes((over, under), lines, bank, unit)
    assert found.total <= bank
    for total in range(20):
        returned = Decimal(0)
        for stake, odds, line, is_over in zip(found.stakes, (over, under), lines, (True, False), strict=True):
            won, refunded = settled(line, total, is_over=is_over)
            returned += stake * (exact(odds) * Decimal(won) + Decimal(refunded))
        assert found.worst_profit <= returned - found.total <= found.best_profit


def test_between_the_lines_both_sides_of_a_middle_win() -> None:
    """Over 2.5 and under 3.5 at 1.98 each lose one percent, or gain 98."""
    assert middle_percents((1.98, 1.98), (2.5, 3.5)) == pytest.approx((-1, 98))
    # At exactly two goals the over is refunded, at exactly three it wins too.
    assert middle_percents((1.98, 1.98), (2.0, 2.5)) == pytest.approx((-1, 49))


@pytest.mark.parametrize(
    ("line", "total", "is_over", "shares"),
    [
        (2.5, 3, True, (1, 0)),
        (2.5, 2, True, (0, 0)),
        (2.0, 2, True, (0, 1)),
        (2.0, 2, False, (0, 1)),
        (2.25, 2, True, (0, 0.5)),
        (2.25, 2, False, (0.5, 0.5)),
        (2.75, 3, True, (0.5, 0.5)),
        (2.75, 3, False, (0, 0.5)),
    ],
)
def test_whole_and_quarter_lines_refund(line: float, total: int, is_over: bool, shares: tuple[float, float]) -> None:
    """A total on the line refunds the stake, or half of it."""
    assert settled(line, total, is_over=is_over) == shares


@settings(deadline=None)
@given(ODDS, st.floats(0, 1), st.floats(0, 1))
def test_kelly_stakes_a_share_of_the_bank_and_nothing_without_value(odds: float, win: float, part: float) -> None:
    """It is between 0 and 1, and above 0 only if the expected gain is."""
    chance = Chance(win, (1 - win) * part)
    fraction = kelly_fraction(chance, odds)
    assert 0 <= fraction <= 1
    if chance.expected_value(odds) < -1e-9:
        assert fraction == 0
    if chance.expected_value(odds) > 1e-9:
        assert fraction > 0


@settings(deadline=None)
@given(ODDS, st.floats(0.01, 0.98), st.floats(0, 0.9))
def test_no_other_share_grows_the_bank_more_than_kellys(odds: float, win: float, part: float) -> None:
    """A little more or less gives a lower expected logarithm."""
    chance = Chance(win, (1 - win) * part)
    best = kelly_fraction(chance, odds)

    def growth(share: float) -> float:
        lose = 1 - chance.win - chance.refund
        return chance.win * math.log1p(share * (odds - 1)) + lose * math.log1p(-share)

    for share in (best * 0.9, min(best * 1.1, 0.999)):
        assert growth(share) <= growth(min(best, 0.9999)) + 1e-6


def test_kelly_at_even_odds_is_the_edge() -> None:
    """55 percent at 2.0 stake a tenth of the bank; refunds halve the edge and what is at risk alike."""
    assert kelly_fraction(Chance(0.55), 2.0) == pytest.approx(0.1)
    assert kelly_fraction(Chance(0.275, 0.5), 2.0) == pytest.approx(0.1)


def test_a_price_far_above_the_median_of_the_others_is_an_outlier() -> None:
    """26.0 against 2.60 and 2.55 is; a price without others is not."""
    assert is_outlier(26.0, [2.6, 2.55])
    assert is_outlier(1.61, [1.0])
    assert not is_outlier(4.1, [2.6, 2.55])
    assert not is_outlier(26.0, [])


@pytest.mark.parametrize(
    ("odds", "bank", "unit", "winners"),
    [([2.0], 1, 1, 1), ([2.0, 1.0], 1, 1, 1), ([2.0, math.inf], 1, 1, 1), ([2.0, 2.0], 0, 1, 1), ([2.0, 2.0], 1, 0, 1)],
)
def test_what_cannot_be_staked_is_refused(odds: list[float], bank: int, unit: int, winners: int) -> None:
    """One outcome, odds that pay nothing or are not finite, no bank, no unit."""
    with pytest.raises(ValueError, match=r"outcomes|odds|bank"):
        arbitrage_stakes(odds, Decimal(bank), Decimal(unit), winners=winners)


def test_lines_of_a_middle_rise() -> None:
    """Over 3.5 and under 2.5 is none."""
    with pytest.raises(ValueError, match="rising"):
        middle_percents((2.0, 2.0), (3.5, 2.5))
    with pytest.raises(ValueError, match="above 1"):
        kelly_fraction(Chance(0.5), 1.0)
