"""How large an export will be, so that it can be said before it is asked for."""

from collections.abc import Iterable, Mapping

from quart_odds.export.formats import FORMATS
from quart_odds.export.parquet import is_offered
from quart_odds.odds.event import CachedEvent

_BYTES: Mapping[str, tuple[int, int]] = {"csv": (0, 230), "jsonl": (0, 560), "parquet": (12_000, 6)}
"""Bytes of an export of current prices by format, and of each price: measured with names as long as real ones."""


def offered_formats() -> list[str]:
    """Return the formats that this server can write."""
    return [each.name for each in FORMATS.values() if each.name != "parquet" or is_offered()]


def price_count(events: Iterable[CachedEvent]) -> int:
    """Return the number of prices of events, with all their markets."""
    return sum(event_odds.price_count for event in events for event_odds in event.odds.values())


def export_bytes(shape: str, prices: int) -> int:
    """Return about how long an export of so many current prices is in a format."""
    first, each = _BYTES[shape]
    return first + each * prices


def size_words(size: int) -> str:
    """Format a number of bytes: `4 KB`, `1.2 MB`, `378 MB`."""
    if size < 1_000_000:
        return f"{-(-size // 1000)} KB"
    return f"{size / 1_000_000:.1f} MB" if size < 10_000_000 else f"{size / 1_000_000:,.0f} MB"
