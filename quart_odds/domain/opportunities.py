"""What an opportunity is worth: stakes for a bank, what they pay at worst, Kelly's fraction, and what is too good.

An arbitrage backs every outcome of a market, a middle the over of one line and the under of a higher one, a value bet
one outcome that pays more than is fair. All functions are pure. Stakes and profits are in the currency of the bank and
exact: they are counted in whole units of what one can stake.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import lru_cache
from statistics import median
from typing import Literal, get_args

from quart_odds.domain.fair import Chance

Kind = Literal["arbitrage", "value", "middle"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Reason = Literal["stale", "in_play", "reversed_sides", "one_bookmaker", "outlier", "too_good"]
"""Why an opportunity is listed apart.

`stale`: its oldest price is too old. `in_play`: prices from before the kick-off beside prices from after it.
`reversed_sides`: a bookmaker has home and away swapped. `one_bookmaker`: a bookmaker alone prices the market below 1,
which is an error. `outlier`: a price is far above those of the others. `too_good`: worth more than is credible.
"""
REASONS: tuple[Reason, ...] = get_args(Reason)

OUTLIER_FACTOR = 1.6
"""A price above this many times the median of the others is an error, or not of the same outcome."""

MOST_CREDIBLE_PERCENT = 20.0
"""Whatever is worth more than this percentage of the stake is an error of somebody."""

MOST_LOSS_PERCENT = 2.0
"""By so much of the stake may a middle lose when the result is not between its lines."""


@dataclass(frozen=True, slots=True)
class Stakes:
    """A bank shared among outcomes: the stake on each, and the profit in the worst and in the best case.

    A profit below 0 is a loss. `worst_profit` counts every outcome as one that may win, and no refunds.
    """

    stakes: tuple[Decimal, ...]
    worst_profit: Decimal
    best_profit: Decimal

    @property
    def total(self) -> Decimal:
        """What is staked, at most the bank."""
        return sum(self.stakes, Decimal(0))

    @property
    def is_profitable(self) -> bool:
        """Whether something is won whatever happens. Rounding may leave nothing of a small gain."""
        return self.worst_profit > 0


def arbitrage_stakes(odds: Sequence[float], bank: Decimal, unit: Decimal, *, winners: int = 1) -> Stakes:
    """Share a bank among all outcomes of a market so that each pays about the same, in whole units.

    `winners` of the outcomes win. Raises ValueError for odds that are not above 1, for a number of winners that is not
    at least 1 and less than the number of outcomes, and for a bank or a unit that is not above 0.
    """
    if not 1 <= winners < len(odds):
        raise ValueError(f"{winners} of {len(odds)} outcomes cannot be all that win, with some that lose")

    def profits(stakes: Sequence[int], thousandths: Sequence[int]) -> tuple[int, int]:
        pays = sorted(stake * each for stake, each in zip(stakes, thousandths, strict=True))
        staked = 1000 * sum(stakes)
        return 2 * (sum(pays[:winners]) - staked), 2 * (sum(pays[-winners:]) - staked)

    return _stakes(odds, bank, unit, profits)


def middle_stakes(odds: tuple[float, float], lines: tuple[float, float], bank: Decimal, unit: Decimal) -> Stakes:
    """Share a bank between the over of the lower line and the under of the higher one, in whole units.

    The profits are those over all results, with refunds. Raises ValueError as `arbitrage_stakes` does, and for lines
    that do not rise.
    """
    results = _middle_results(lines)

    def profits(stakes: Sequence[int], thousandths: Sequence[int]) -> tuple[int, int]:
        # Of a stake, half may win and half be refunded, so twice of each is a whole number.
        found = [
            sum(
                stake * (round(2 * won) * each + round(2 * refunded) * 1000 - 2000)
                for stake, each, (won, refunded) in zip(stakes, thousandths, result, strict=True)
            )
            for result in results
        ]
        return min(found), max(found)

    return _stakes(odds, bank, unit, profits)


def arbitrage_percent(odds: Sequence[float], *, winners: int = 1) -> float:
    """Return the profit from backing all outcomes at equal payouts, in percent of the stake; below 0 for a loss."""
    return (winners / math.fsum([1 / each for each in odds]) - 1) * 100


def middle_percents(odds: tuple[float, float], lines: tuple[float, float]) -> tuple[float, float]:
    """Return the worst and the best profit of a middle at equal payouts, in percent of the stake.

    `odds` and `lines` are those of the over, on the lower line, and of the under, on the higher one. Raises ValueError
    for lines that do not rise.
    """
    shares = [1 / each for each in odds]
    total = math.fsum(shares)
    profits = [
        sum(
            share / total * (won * each + refunded - 1)
            for share, each, (won, refunded) in zip(shares, odds, result, strict=True)
        )
        for result in _middle_results(lines)
    ]
    return min(profits) * 100, max(profits) * 100


def settled(line: float, total: int, *, is_over: bool) -> tuple[float, float]:
    """Return which shares of a stake win and are refunded at a total: a quarter line is half a stake on either side."""
    sides = (line - 0.25, line + 0.25) if line * 2 % 1 else (line, line)
    won = sum(total > each if is_over else total < each for each in sides) / 2
    refunded = sum(total == each for each in sides) / 2
    return won, refunded


def kelly_fraction(chance: Chance, odds: float) -> float:
    """Return the share of the bank to stake at these odds so that its logarithm grows most; 0 without value.

    J. L. Kelly (1956), with refunds: what is refunded neither gains nor loses. Raises ValueError for odds that are not
    above 1.
    """
    if not odds > 1:
        raise ValueError(f"odds are above 1, and not {odds}")
    lose = max(0.0, 1 - chance.win - chance.refund)
    if chance.win == 0:
        return 0.0
    edge = chance.win * (odds - 1) - lose
    return min(1.0, max(0.0, edge / ((odds - 1) * (chance.win + lose))))


def kelly_stakes(chance: Chance, odds: float, bank: Decimal, unit: Decimal) -> Stakes:
    """Return the stake of Kelly's fraction of a bank, rounded down to whole units: it is lost in the worst case.

    Raises ValueError as `arbitrage_stakes` and `kelly_fraction` do.
    """
    _check_bank(bank, unit)
    stake = unit * int(bank * Decimal(kelly_fraction(chance, odds)) / unit)
    return Stakes((stake,), -stake, stake * (Decimal(round(odds * 1000)) / 1000 - 1))


def is_outlier(odds: float, others: Sequence[float]) -> bool:
    """Whether odds are too far above those of the other bookmakers to be of the same outcome. Never without others."""
    return bool(others) and odds > OUTLIER_FACTOR * median(others)


@lru_cache(maxsize=4096)
def _middle_results(lines: tuple[float, float]) -> tuple[tuple[tuple[float, float], tuple[float, float]], ...]:
    """Return how over and under are settled at each total, from far below the lines to far above them."""
    low, high = lines
    if not 0 < low < high:
        raise ValueError(f"the lines {low} and {high} are not above 0 and rising")
    totals = range(max(0, math.floor(low) - 1), math.ceil(high) + 2)
    return tuple((settled(low, each, is_over=True), settled(high, each, is_over=False)) for each in totals)


_Profits = Callable[[Sequence[int], Sequence[int]], tuple[int, int]]
"""Returns the worst and the best profit of stakes, in units, at odds, in thousandths: in two-thousandths of a unit."""


def _stakes(odds: Sequence[float], bank: Decimal, unit: Decimal, profits: _Profits) -> Stakes:
    """Round stakes down, add units to the least payout while the bank has any, and keep what is best at worst.

    Everything is counted in whole numbers, so nothing is lost to floating point.
    """
    if not all(math.isfinite(each) and each > 1 for each in odds):
        raise ValueError(f"odds are finite and above 1, and not {list(odds)}")
    _check_bank(bank, unit)
    units, thousandths = int(bank / unit), [round(each * 1000) for each in odds]
    total = sum(Fraction(1, each) for each in thousandths)
    stakes = [int(units / (each * total)) for each in thousandths]
    found = [(*profits(stakes, thousandths), tuple(stakes))]
    while sum(stakes) < units:
        pays = [stake * each for stake, each in zip(stakes, thousandths, strict=True)]
        stakes[pays.index(min(pays))] += 1
        found.append((*profits(stakes, thousandths), tuple(stakes)))
    worst, most, rounded = max(found, key=lambda each: each[0])
    return Stakes(tuple(unit * each for each in rounded), unit * worst / 2000, unit * most / 2000)


def _check_bank(bank: Decimal, unit: Decimal) -> None:
    if not (bank.is_finite() and unit.is_finite() and bank > 0 and unit > 0):
        raise ValueError(f"a bank of {bank} and a unit of {unit} are not both above 0")
