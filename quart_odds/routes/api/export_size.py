"""How large an export will be, so that it can be said before it is asked for."""

from collections.abc import Iterable, Mapping

from quart_odds.export.formats import FORMATS
from quart_odds.export.parquet import is_offered
from quart_odds.odds.event import CachedEvent

ROW_BYTES: Mapping[str, int] = {"csv": 210, "jsonl": 520, "parquet": 12}
"""Bytes of a row with one price, by format: measured with names as long as real ones."""


def offered_formats() -> list[str]:
    """Return the formats that this server can write."""
    return [each.name for each in FORMATS.values() if each.name != "parquet" or is_offered()]


def price_count(events: Iterable[CachedEvent]) -> int:
    """Return the number of prices of events, with all their markets."""
    return sum(event_odds.price_count for event in events for event_odds in event.odds.values())


def size_words(size: int) -> str:
    """Format a number of bytes: `0.3 MB`, `378 MB`."""
    megabytes = size / 1_000_000
    return f"{max(megabytes, 0.1):.1f} MB" if megabytes < 10 else f"{megabytes:,.0f} MB"
