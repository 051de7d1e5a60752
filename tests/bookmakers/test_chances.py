"""Probabilities in bodies: read where they are probabilities, and else as if there were none."""

import math

import pytest

from quart_odds.bookmakers.lookup import Accumulator
from quart_odds.domain.fair import Chance, unpack_chance
from tests.odds.making import X1, header

HOME, *_ = X1


@pytest.mark.parametrize(
    ("win", "refund", "expected"),
    [
        (0.395274, 0.0, Chance(0.395274)),
        ("0.3952740001", "0E-10", Chance(0.395274)),
        (0.200702, 0.236001, Chance(0.200702, 0.236001)),
        (1, 0, Chance(1)),
    ],
)
def test_a_probability_is_kept_with_its_price(win: object, refund: object, expected: Chance) -> None:
    """As a number or as text, to six decimals."""
    accumulator = Accumulator()
    accumulator.add(HOME, "2.40", True)
    accumulator.chance(HOME, win, refund)
    assert {key: unpack_chance(chance) for key, chance in accumulator.event(header()).chances.items()} == {
        HOME: expected
    }


@pytest.mark.parametrize(
    ("win", "refund"),
    [
        (-0.1, 0),
        (1.01, 0),
        (0.9, 0.2),
        (0, 0),
        ("0E-10", 0),
        (math.nan, 0),
        ("nan", 0),
        ("inf", 0),
        ("", 0),
        ("0." + "3" * 5000, 0),
        (None, 0),
        (True, 0),
        ([0.3], 0),
        ({"win": 0.3}, 0),
        (10**400, 0),
        (0.3, "x"),
        (0.3, None),
    ],
)
def test_what_is_no_probability_costs_no_price(win: object, refund: object) -> None:
    """The price is there, and nothing is counted as dropped."""
    accumulator = Accumulator()
    accumulator.add(HOME, "2.40", True)
    accumulator.chance(HOME, win, refund)
    event = accumulator.event(header())
    assert (len(event.prices), event.dropped, event.chances) == (1, 0, {})
