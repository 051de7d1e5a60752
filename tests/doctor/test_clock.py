"""This machine's clock, told from others' clocks."""

from datetime import UTC, datetime, timedelta

import pytest

from quart_odds.doctor.clock import ClockReading, clock, reading, reading_of_header
from quart_odds.doctor.findings import Status

NOW = datetime(2026, 11, 30, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("ahead", "uncertain", "status"),
    [
        (0.1, 0.0, Status.OK),
        (2.5, 0.6, Status.OK),
        (2.5, 0.4, Status.WARNING),
        (-2.5, 0.4, Status.WARNING),
        (31.0, 0.5, Status.FAILED),
        (-3600.0, 1.0, Status.FAILED),
    ],
)
def test_it_is_off_by_what_no_uncertainty_explains(ahead: float, uncertain: float, status: Status) -> None:
    """Two seconds are a warning, thirty a failure. What to do is said."""
    found = clock([ClockReading("BetPawa", ahead, uncertain)])
    assert found.status is status
    assert (found.advice is None) == (status is Status.OK)
    assert ("ahead of" in found.detail) == (ahead < 0)


def test_one_clock_that_is_wrong_is_outvoted() -> None:
    """The median counts."""
    readings = [ClockReading(name, ahead, 0.1) for name, ahead in (("a", 0.0), ("b", 500.0), ("c", 0.2))]
    assert clock(readings).status is Status.OK


def test_without_any_clock_that_is_said() -> None:
    """It is a warning: nothing is known to be wrong."""
    assert clock([]).status is Status.WARNING


def test_the_middle_of_an_exchange_is_when_the_time_was_told() -> None:
    """The way there and back is the uncertainty."""
    found = reading("the database", NOW, NOW - timedelta(seconds=5), NOW - timedelta(seconds=3))
    assert (found.ahead_seconds, found.uncertain_seconds) == (4.0, 1.0)


def test_a_date_header_has_whole_seconds() -> None:
    """So it is half a second more uncertain, and half a second later on average."""
    found = reading_of_header("x", "Mon, 30 Nov 2026 12:00:00 GMT", None, NOW, NOW)
    assert found == ClockReading("x", 0.5, 0.5)


@pytest.mark.parametrize(
    ("date", "age"), [(None, None), ("", None), ("yesterday", None), ("Mon, 30 Nov 2026 12:00:00 GMT", "17")]
)
def test_a_header_that_is_missing_odd_or_old_says_nothing(date: str | None, age: str | None) -> None:
    """A cache keeps the Date of the answer that it repeats, and adds an Age."""
    assert reading_of_header("x", date, age, NOW, NOW) is None
