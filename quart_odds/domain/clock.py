"""The current time and its format on the wire. Every datetime in the application is aware and in UTC."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Return the current time in UTC, time zone included."""
    return datetime.now(UTC)


def iso_z(moment: datetime) -> str:
    """Format a time as `2026-11-22T10:00:00.123Z`, always with milliseconds. Raises ValueError for a naive datetime."""
    if moment.tzinfo is not UTC:
        if moment.tzinfo is None:
            raise ValueError(f"{moment!r} has no time zone")
        moment = moment.astimezone(UTC)
    return f"{moment.isoformat(timespec='milliseconds')[:-6]}Z"
