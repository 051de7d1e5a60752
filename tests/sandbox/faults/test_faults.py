"""Faults can be written and parsed, and affect the right requests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.faults.faults import (
    FAULT_NAMES,
    Fault,
    FaultBoard,
    FaultKind,
    Where,
    fault_of_json,
    parse_fault,
    parse_faults,
)
from quart_odds.sandbox.world.stand_ins import STAND_INS

B = Platform.BETPAWA


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("403", Fault(FaultKind.FORBIDDEN)),
        ("timeout:0.5", Fault(FaultKind.TIMEOUT, share=0.5)),
        ("500@lists", Fault(FaultKind.BROKEN, where=Where.LISTS)),
        ("cut@details:0.1", Fault(FaultKind.CUT, share=0.1, where=Where.DETAILS)),
        ("500-then-fine", Fault(FaultKind.BROKEN, times=1)),
        ("429-retry-after", Fault(FaultKind.TOO_MANY, retry_after=1)),
        ("429-then-fine", Fault(FaultKind.TOO_MANY, times=1)),
        ("timeout@page", Fault(FaultKind.TIMEOUT, where=Where.PAGE)),
        ("short-list:0.25", Fault(FaultKind.SHORT_LIST, share=0.25)),
    ],
)
def test_a_fault_is_read_from_a_word(text: str, fault: Fault) -> None:
    """Optionally with a place and a share."""
    assert parse_fault(text) == fault
    assert str(fault) == text


@given(
    name=st.sampled_from(FAULT_NAMES),
    where=st.sampled_from(["", "@all", "@lists", "@details", "@page"]),
    share=st.floats(0.01, 1),
)
def test_a_fault_survives_text_and_json(name: str, where: str, share: float) -> None:
    """Its text parses to an equal fault, its JSON to one with the same effect."""
    fault = parse_fault(f"{name}{where}:{share:g}")
    assert parse_fault(str(fault)) == fault
    again = fault_of_json(fault.as_json())
    assert again is not None
    assert again.as_json() == fault.as_json()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nonsense", "choose from timeout, drip, 403"),
        ("timeout@moon", "choose from all, lists, details"),
        ("timeout:many", "number above 0"),
        ("timeout:2", "at most 1"),
        ("timeout:0", "not above 0"),
    ],
)
def test_a_wrong_fault_is_answered_with_what_is_allowed(text: str, said: str) -> None:
    """The error is a single sentence."""
    with pytest.raises(ValueError, match=said):
        parse_fault(text)


def test_faults_are_given_by_bookmaker() -> None:
    """`all` means all that there are, and a later fault replaces an earlier one."""
    assert parse_faults("betpawa=403, bet9ja=timeout:0.5") == {
        B: Fault(FaultKind.FORBIDDEN),
        Platform.BET9JA: Fault(FaultKind.TIMEOUT, share=0.5),
    }
    assert parse_faults("all=500") == dict.fromkeys(STAND_INS, Fault(FaultKind.BROKEN))
    assert parse_faults("all=500", (B,)) == {B: Fault(FaultKind.BROKEN)}
    assert parse_faults("") == {}
    with pytest.raises(ValueError, match=r"betpawa\|sportybet\|bet9ja\|msport\|betking\|all"):
        parse_faults("ladbrokes=403")
    with pytest.raises(ValueError, match=r"write betpawa\|all"):
        parse_faults("bet9ja=403", (B,))


@pytest.mark.parametrize(
    "value",
    [
        7,
        [],
        {},
        {"kind": 403},
        {"kind": "403", "colour": "red"},
        {"kind": "403", "share": "half"},
        {"kind": "403", "share": True},
        {"kind": "403", "events": "1"},
        {"kind": "403", "where": "moon"},
        {"kind": "403", "times": 0},
    ],
)
def test_json_that_is_no_fault_is_refused(value: object) -> None:
    """Any kind of invalid JSON is rejected."""
    with pytest.raises(ValueError):
        fault_of_json(value)


def test_a_fault_strikes_lists_and_details_unless_it_has_a_place() -> None:
    """Faults of lists affect lists. With a share or named events, a fault affects details."""
    board = FaultBoard()
    for fault, on_list, on_detail in (
        (Fault(FaultKind.FORBIDDEN), True, True),
        (Fault(FaultKind.EMPTY), True, False),
        (Fault(FaultKind.CUT, where=Where.DETAILS), False, True),
        (Fault(FaultKind.CUT, events=frozenset({"7"})), False, True),
        (Fault(FaultKind.CUT, events=frozenset({"8"})), False, False),
        (Fault(FaultKind.CUT, where=Where.LISTS), True, False),
    ):
        board.set(B, fault)
        assert (board.strike(B, "list") is not None, board.strike(B, "7", ("7", "x")) is not None) == (
            on_list,
            on_detail,
        )
    assert board.strike(Platform.BET9JA, "list") is None


def test_a_fault_of_a_page_strikes_the_second_page_alone() -> None:
    """Not the first or third, no list without a page number, and no detail."""
    board = FaultBoard({B: parse_fault("500@page")})
    assert [board.strike(B, "list", page=page) is not None for page in (1, 2, 3, None)] == [False, True, False, False]
    assert board.strike(B, "7", ("7", "x")) is None


def test_404_and_huge_strike_one_event() -> None:
    """The first event, unless a share or events are given."""
    board = FaultBoard({B: Fault(FaultKind.NOT_FOUND)})
    assert board.strike(B, "1", ("1",)) is None
    assert board.strike(B, "1", ("1",), is_first_event=True) is not None
    board.set(B, Fault(FaultKind.HUGE, share=1.0))
    assert board.strike(B, "1", ("1",)) is not None


def test_a_share_strikes_that_part_of_the_events_and_always_the_same() -> None:
    """About half of a thousand events."""
    board = FaultBoard({B: Fault(FaultKind.BROKEN, share=0.5)})
    struck = [board.strike(B, str(n), (str(70_000_000 + n * 37),)) is not None for n in range(1000)]
    assert 430 < sum(struck) < 570
    assert struck == [board.strike(B, str(n), (str(70_000_000 + n * 37),)) is not None for n in range(1000)]


def test_a_fault_for_a_time_strikes_each_address_once_and_is_forgotten_with_it() -> None:
    """500, then success. Setting the fault again restarts the count."""
    board = FaultBoard({B: parse_fault("500-then-fine")})
    assert [board.strike(B, a) is not None for a in ("x", "y", "x", "y")] == [True, True, False, False]
    board.set(B, parse_fault("500-then-fine"))
    assert board.strike(B, "x") is not None
    board.set(B, None)
    assert board.strike(B, "z") is None
