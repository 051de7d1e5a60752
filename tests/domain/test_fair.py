"""Fair odds and probabilities without a margin: by properties, by hand, and beside three libraries."""

import importlib
import math
import random
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from importlib.util import find_spec, module_from_spec
from itertools import pairwise
from typing import Any

import pytest
import shin as shin_library
from goto_conversion import efficient_shin_conversion
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain import fair
from quart_odds.domain.fair import METHODS, Chance, Method, pack_chance, probabilities, unpack_chance

TOLERANCE = 1e-9
ODDS = st.lists(st.floats(1.001, 1000), min_size=2, max_size=20)


def markets(count: int, *, outcomes: tuple[int, ...] = (2, 3, 4, 8, 12)) -> list[list[float]]:
    """Return odds as bookmakers have them: any number of outcomes, with a margin of 2 to 15 percent."""
    randomness = random.Random(7)
    found = []
    for _ in range(count):
        weights = [randomness.uniform(0.03, 1) for _ in range(randomness.choice(outcomes))]
        margin = randomness.uniform(1.02, 1.15)
        odds = [sum(weights) / (each * margin) for each in weights]
        if min(odds) > 1.01:
            found.append(odds)
    return found


@pytest.fixture(scope="module")
def penaltyblog() -> Callable[[Sequence[float], str], list[float]]:
    """The library's conversion. Its package imports much that this part of it does not need, such as a plot library."""
    spec = find_spec("penaltyblog")
    assert spec is not None
    package = module_from_spec(ModuleSpec("penaltyblog", None, is_package=True))
    package.__path__ = list(spec.submodule_search_locations or ())
    before = sys.modules.get("penaltyblog")
    sys.modules["penaltyblog"] = package
    try:
        convert: Any = importlib.import_module("penaltyblog.implied").calculate_implied
    finally:
        if before is None:
            del sys.modules["penaltyblog"]
    return lambda odds, method: list(convert(list(odds), method=method).probabilities)


@pytest.mark.parametrize("method", METHODS)
def test_methods_equal_those_of_penaltyblog(
    method: Method, penaltyblog: Callable[[Sequence[float], str], list[float]]
) -> None:
    """On some three hundred markets, except where it gives an outsider less than nothing."""
    compared = 0
    for odds in markets(400):
        theirs = penaltyblog(odds, method)
        if min(theirs) > 0:
            compared += 1
            assert probabilities(odds, method) == pytest.approx(theirs, abs=TOLERANCE)
    assert compared > 300


def test_shin_s_method_equals_that_of_two_more_libraries() -> None:
    """One of them solves two outcomes only, in closed form."""
    for odds in markets(400):
        theirs = shin_library.calculate_implied_probabilities(odds, max_iterations=100_000, convergence_threshold=1e-15)
        assert fair.shin(odds) == pytest.approx(theirs, abs=TOLERANCE)
        if len(odds) == 2:
            assert fair.shin(odds) == pytest.approx(list(efficient_shin_conversion(list(odds))), abs=TOLERANCE)


@given(ODDS, st.sampled_from(METHODS), st.integers(1, 3))
def test_probabilities_sum_to_the_winners_keep_the_order_and_are_probabilities(
    odds: list[float], method: Method, winners: int
) -> None:
    """Whatever the odds: with a margin of any size, and without one."""
    if winners >= len(odds):
        with pytest.raises(ValueError, match="outcomes cannot be all that win"):
            probabilities(odds, method, winners=winners)
        return
    found = probabilities(odds, method, winners=winners)
    assert math.fsum(found) == pytest.approx(winners, abs=TOLERANCE)
    assert all(0 <= each <= 1 for each in found)
    by_odds = [each for _, each in sorted(zip(odds, found, strict=True))]
    assert all(after <= before + TOLERANCE for before, after in pairwise(by_odds))


@given(st.lists(st.integers(1, 1000), min_size=2, max_size=10), st.sampled_from(METHODS))
def test_odds_without_a_margin_are_themselves(weights: list[int], method: Method) -> None:
    """There is nothing to take out."""
    total = sum(weights)
    assert probabilities([total / each for each in weights], method) == pytest.approx(
        [each / total for each in weights], abs=TOLERANCE
    )


@pytest.mark.parametrize("method", METHODS)
def test_double_chance_is_right(method: Method) -> None:
    """Two of its three outcomes win. Its probabilities are those of 1X2, taken from 1."""
    wins = (0.5, 0.3, 0.2)
    fair_odds = [1 / (1 - each) for each in wins]
    assert probabilities(fair_odds, method, winners=2) == pytest.approx([1 - each for each in wins])
    shaded = probabilities([each * 0.95 for each in fair_odds], method, winners=2)
    assert sum(shaded) == pytest.approx(2)
    assert shaded[0] < shaded[1] < shaded[2] < 1


@pytest.mark.parametrize("odds", [[2.0], [2.0, 1.0], [2.0, 0.5], [2.0, math.nan], [2.0, math.inf], []])
def test_what_is_no_market_is_refused(odds: list[float]) -> None:
    """One outcome, and odds that pay nothing or are no numbers."""
    with pytest.raises(ValueError, match=r"above 1|outcomes"):
        probabilities(odds)


def test_a_chance_has_fair_odds_and_an_expected_value() -> None:
    """A refund gives the stake back: draw no bet, with a draw of 0.236."""
    plain, with_refund = Chance(0.25), Chance(0.2007, 0.236)
    assert plain.fair_odds == 4
    assert plain.expected_value(4.4) == pytest.approx(0.1)
    assert with_refund.fair_odds == pytest.approx(3.8067, abs=1e-4)
    assert with_refund.expected_value(with_refund.fair_odds) == pytest.approx(0)
    assert Chance(0).fair_odds == math.inf


@pytest.mark.parametrize("chance", [(1.1, 0), (-0.1, 0), (0.6, 0.6), (math.nan, 0), (0.5, math.nan)])
def test_what_is_no_probability_is_refused(chance: tuple[float, float]) -> None:
    """Each between 0 and 1, and both together as well."""
    with pytest.raises(ValueError, match="not probabilities"):
        Chance(*chance)


@given(st.integers(0, 1_000_000), st.integers(0, 1_000_000))
def test_a_chance_can_be_packed(win: int, refund: int) -> None:
    """To six decimals."""
    chance = Chance(win / 1_000_000, min(refund, 1_000_000 - win) / 1_000_000)
    assert unpack_chance(pack_chance(chance)) == chance
