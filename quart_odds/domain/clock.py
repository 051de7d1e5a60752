"""The current time, times as text and as numbers. Every datetime in the application is aware and in UTC."""

import time
from datetime import UTC, datetime, timedelta

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def utc_now() -> datetime:
    """Return the current time in UTC, time zone included."""
    return datetime.now(UTC)


def to_micros(moment: datetime) -> int:
    """Return a time as microseconds since 1970 (UTC). Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return (moment - _EPOCH) // _MICROSECOND


def of_micros(micros: int) -> datetime:
    """Return the time that is this many microseconds after 1970 (UTC). Raises OverflowError if there is none."""
    return _EPOCH + timedelta(microseconds=micros)


def iso_z(moment: datetime) -> str:
    """Format a time as `2026-11-22T10:00:00.123Z`, always with milliseconds. Raises ValueError for a naive datetime."""
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no time zone")
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"


def awake_or_not() -> float:
    """Return a monotonic time in seconds. Time while the machine is suspended counts if the system supports that."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()
