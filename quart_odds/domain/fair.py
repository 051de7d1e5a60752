"""What a price is worth: fair odds and expected value from a probability, and probabilities without a margin from odds.

A bookmaker's odds imply more than there is: the inverses of a market's full set sum to more than the number of outcomes
that win. The methods here take that surplus out. They differ in how they share it among favourites and outsiders.

All functions are pure, work on plain floats, and take any market: `winners` is how many of its outcomes win at once, 2
of the 3 of double chance. What they return sums to `winners`, keeps the order of the odds (outcomes with lower odds are
never less probable), and has no value below 0 or above 1.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

Method = Literal["multiplicative", "additive", "power", "shin"]
METHODS: tuple[Method, ...] = get_args(Method)
DEFAULT_METHOD: Method = "power"

CHANCE_UNIT = 1_000_000
"""Probabilities are packed in units of 1e-6: bookmakers give six to ten decimals."""

CHANCE_TOLERANCE = 1e-6
"""By so much may a bookmaker's probabilities sum to more than 1."""

CHANCE_WIN_BITS = 20
CHANCE_WIN_MASK = (1 << CHANCE_WIN_BITS) - 1
MAX_PACKED_CHANCE = CHANCE_UNIT << CHANCE_WIN_BITS | CHANCE_UNIT

MOST_EXPONENT = 1e4
"""Where the search for an exponent ends. Odds of 1.001 need about 2,000 for a probability of one in eight."""

STEPS = 100
"""The most steps of a search. Most take five."""

PRECISION = 1e-14


@dataclass(frozen=True, slots=True)
class Chance:
    """The probability that an outcome wins, and that the stake is refunded: from 0 to 1, at most 1 together."""

    win: float
    refund: float = 0.0

    def __post_init__(self) -> None:
        if not (0 <= self.win <= 1 and 0 <= self.refund <= 1 and self.win + self.refund <= 1 + CHANCE_TOLERANCE):
            raise ValueError(f"{self.win!r} and {self.refund!r} are not probabilities that sum to 1 at most")

    @property
    def fair_odds(self) -> float:
        """The decimal odds at which nobody gains in the long run; infinite for what cannot win."""
        return (1 - self.refund) / self.win if self.win else math.inf

    def expected_value(self, odds: float) -> float:
        """Return the expected gain of a stake of 1 at decimal odds: 0.05 is five percent of the stake."""
        return odds * self.win + self.refund - 1


def pack_chance(chance: Chance) -> int:
    """Return a chance as one integer of 40 bits: the refund in the upper half, the win in the lower half."""
    return round(chance.refund * CHANCE_UNIT) << CHANCE_WIN_BITS | round(chance.win * CHANCE_UNIT)


def unpack_chance(packed: int) -> Chance:
    """Return the chance that `pack_chance` was given, to six decimals. Raises ValueError if it is none."""
    return Chance((packed & CHANCE_WIN_MASK) / CHANCE_UNIT, (packed >> CHANCE_WIN_BITS) / CHANCE_UNIT)


def probabilities(odds: Sequence[float], method: Method = DEFAULT_METHOD, *, winners: int = 1) -> list[float]:
    """Return the probability of each outcome, given the decimal odds of a market's full set.

    Raises ValueError for odds that are not above 1 or not finite, for fewer than two outcomes, and for a number of
    winners that is not at least 1 and less than the number of outcomes.
    """
    return _METHODS[method](_inverses(odds, winners), winners)


def multiplicative(odds: Sequence[float], *, winners: int = 1) -> list[float]:
    """Divide all inverse odds by the same number. Every outcome bears the margin in proportion to its probability."""
    return probabilities(odds, "multiplicative", winners=winners)


def additive(odds: Sequence[float], *, winners: int = 1) -> list[float]:
    """Subtract the same number from all inverse odds, and none below 0. Outsiders bear most of the margin."""
    return probabilities(odds, "additive", winners=winners)


def power(odds: Sequence[float], *, winners: int = 1) -> list[float]:
    """Raise all inverse odds to the same power. Outsiders bear more of the margin than favourites, as they do in fact.

    See S. Clarke, S. Kovalchik and M. Ingram, "Adjusting bookmaker's odds to allow for overround" (2017).
    """
    return probabilities(odds, "power", winners=winners)


def shin(odds: Sequence[float], *, winners: int = 1) -> list[float]:
    """Take the margin for a protection against bettors who know the result: H. S. Shin (1993), B. Jullien (1994).

    There is no such share of bettors if the inverse odds sum to no more than `winners`; then this is `multiplicative`.
    """
    return probabilities(odds, "shin", winners=winners)


def _inverses(odds: Sequence[float], winners: int) -> list[float]:
    """Return the inverse odds of a market's full set. Raises ValueError, see `probabilities`."""
    if not all(math.isfinite(each) and each > 1 for each in odds):
        raise ValueError(f"odds are finite and above 1, and not {[each for each in odds if not each > 1]}")
    if not 1 <= winners < len(odds):
        raise ValueError(f"{winners} of {len(odds)} outcomes cannot be all that win, with some that lose")
    return [1 / each for each in odds]


def _multiplicative(shares: list[float], winners: int) -> list[float]:
    total = math.fsum(shares)
    return _capped([each * winners / total for each in shares], winners)


def _additive(shares: list[float], winners: int) -> list[float]:
    """Subtract the same from all that stay above 0, or below 1 if the odds have no margin but a bonus."""
    shift = (math.fsum(shares) - winners) / len(shares)
    is_bounded = [False] * len(shares)
    while True:
        values = [min(1.0, max(0.0, each - shift)) for each in shares]
        now = [not 0 < each < 1 for each in values]
        if now == is_bounded or all(now):
            return values
        is_bounded = now
        free = [each for each, is_out in zip(shares, now, strict=True) if not is_out]
        bounded = math.fsum(each for each, is_out in zip(values, now, strict=True) if is_out)
        shift = (math.fsum(free) + bounded - winners) / len(free)


def _power(shares: list[float], winners: int) -> list[float]:
    low, high = (0.0, 1.0) if math.fsum(shares) <= winners else (1.0, 1.5)
    while high < MOST_EXPONENT and math.fsum([each**high for each in shares]) > winners:
        low, high = high, 2 * high
    return _solved(lambda exponent: [each**exponent for each in shares], winners, low, high)


def _shin(shares: list[float], winners: int) -> list[float]:
    shares = [each / winners for each in shares]
    total = math.fsum(shares)
    if total <= 1:
        return _multiplicative(shares, winners)

    def of_insiders(z: float) -> list[float]:
        # Shin's formula with its numerator made rational: it has no division by zero where z is 1.
        parts = [each * each / total for each in shares]
        return [2 * each / (math.sqrt(z * z + 4 * (1 - z) * each) + z) for each in parts]

    return _capped([each * winners for each in _solved(of_insiders, 1, 0.0, 1.0)], winners)


_METHODS: Mapping[Method, Callable[[list[float], int], list[float]]] = {
    "multiplicative": _multiplicative,
    "additive": _additive,
    "power": _power,
    "shin": _shin,
}


def _solved(values_of: Callable[[float], list[float]], wanted: float, low: float, high: float) -> list[float]:
    """Return the values at the parameter, between these two, at which they sum to what is wanted.

    Their sum falls as the parameter rises. Found by C. Ridders' method (1979). What rounding leaves is shared in
    proportion.
    """
    surplus_low, surplus_high = (math.fsum(values_of(each)) - wanted for each in (low, high))
    found = low if abs(surplus_low) < abs(surplus_high) else high
    for _ in range(STEPS):
        if surplus_low <= 0 or surplus_high >= 0:
            break
        middle = (low + high) / 2
        surplus = math.fsum(values_of(middle)) - wanted
        root = math.sqrt(surplus * surplus - surplus_low * surplus_high)
        former, found = found, middle + (middle - low) * surplus / root
        if abs(found - former) <= PRECISION * abs(found) or not low < found < high:
            break
        surplus_found = math.fsum(values_of(found)) - wanted
        points = sorted(((low, surplus_low), (middle, surplus), (found, surplus_found), (high, surplus_high)))
        low, surplus_low = max(each for each in points if each[1] > 0)
        high, surplus_high = min(each for each in points if each[1] <= 0)
    values = values_of(found)
    total = math.fsum(values)
    return [min(1.0, each * wanted / total) for each in values]


def _capped(values: list[float], winners: int) -> list[float]:
    """Cut values above 1 to 1, and give what they had to the others in proportion, so that the sum stays."""
    while max(values) > 1:
        fixed = [each >= 1 for each in values]
        rest = math.fsum(each for each, is_fixed in zip(values, fixed, strict=True) if not is_fixed)
        factor = (winners - sum(fixed)) / rest if rest else 0.0
        values = [1.0 if is_fixed else each * factor for each, is_fixed in zip(values, fixed, strict=True)]
    return values
