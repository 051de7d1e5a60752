"""The clock of this machine, compared with those of the bookmakers and of the database's server."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from statistics import median

from quart_odds.doctor.findings import Finding, failed, ok, warning

WARNING_SECONDS = 2.0
FAILED_SECONDS = 30.0
"""From here on, matches have kicked off and prices have aged by a clock that is plainly wrong."""

HTTP_DATE_SECONDS = 1.0
"""Resolution of a Date header."""

ADVICE = "let this machine keep its time by NTP (timedatectl set-ntp true, chrony)"


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The time of somebody else's clock, less that of this machine, within `uncertain_seconds` either way."""

    source: str
    ahead_seconds: float
    uncertain_seconds: float


def reading(source: str, told: datetime, asked_at: datetime, answered_at: datetime) -> ClockReading:
    """Return what an answer that told the time says about this machine's clock."""
    middle = asked_at + (answered_at - asked_at) / 2
    return ClockReading(source, (told - middle).total_seconds(), (answered_at - asked_at) / timedelta(seconds=1) / 2)


def reading_of_header(
    source: str, date: str | None, age: str | None, asked_at: datetime, answered_at: datetime
) -> ClockReading | None:
    """Return what a Date header says; None if there is none. That of an answer with an Age may be old."""
    if not date or age not in (None, "", "0"):
        return None
    try:
        told = parsedate_to_datetime(date)
    except ValueError:
        return None
    if told.tzinfo is None:
        told = told.replace(tzinfo=UTC)
    # The header leaves out the fraction of a second.
    half = timedelta(seconds=HTTP_DATE_SECONDS / 2)
    found = reading(source, told + half, asked_at, answered_at)
    return ClockReading(source, found.ahead_seconds, found.uncertain_seconds + HTTP_DATE_SECONDS / 2)


def clock(readings: Sequence[ClockReading]) -> Finding:
    """Return how this machine's clock is, by the median of all readings."""
    if not readings:
        return warning(
            "clock", "nobody told the time to compare it with", "check that the database or a bookmaker answers"
        )
    ahead = median(each.ahead_seconds for each in readings)
    uncertain = median(each.uncertain_seconds for each in readings)
    sources = ", ".join(each.source for each in readings)
    off = max(0.0, abs(ahead) - uncertain)
    facts = {"behind_seconds": round(ahead, 3), "uncertain_seconds": round(uncertain, 3)}
    if off < WARNING_SECONDS:
        return ok("clock", f"within {WARNING_SECONDS:g} s of {sources}", **facts)
    detail = f"{abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} {sources}"
    return (failed if off >= FAILED_SECONDS else warning)("clock", detail, ADVICE, **facts)
