"""The one way to tell the time: aware UTC, milliseconds and Z on the wire."""

from datetime import UTC, datetime


def utc_now() -> datetime:
    """Now, aware, in UTC."""
    return datetime.now(UTC)


def iso_z(moment: datetime) -> str:
    """`2026-11-22T10:00:00.123Z`, always with milliseconds. Raises ValueError for a naive datetime."""
    if moment.tzinfo is None:
        raise ValueError(f"{moment!r} has no time zone")
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
