"""How long after a bookmaker changed a price, by its own word, listeners were told."""

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from quart_odds.domain.catalogue import offer_code
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import EventChange

BOUNDS = (1.0, 2.5, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0)
"""Upper bounds of the counted delays, in seconds."""


@dataclass(slots=True)
class Delays:
    """The delays at one bookmaker since the start. `counts` has one for each of BOUNDS, and one for all above."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    sum_seconds: float = 0.0

    def add(self, seconds: float) -> None:
        """Count one delay."""
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.sum_seconds += seconds


class ChangeDelays:
    """Counts the delay of each market and line that changed, for bookmakers that say when they changed it.

    The first prices of an event, or of its first body, are no change. A delay below zero, because the bookmaker's clock
    is ahead, counts as 0.
    """

    def __init__(self) -> None:
        self.by_platform: dict[Platform, Delays] = {}

    def note(self, change: EventChange, source_changed: Mapping[int, int], told_at: datetime) -> None:
        """Count a change that was just published. `source_changed` is that of its fetch, see `MappedEvent`."""
        repriced = change.repriced
        if not repriced or not source_changed:
            return
        delays = self.by_platform.setdefault(change.platform, Delays())
        for code in {offer_code(key) for key, _, _ in repriced}:
            at = source_changed.get(code)
            if at is not None:
                delays.add(max(told_at.timestamp() - at / 1000, 0.0))
