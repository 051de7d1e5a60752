"""Publishes which events' odds changed: notices (`odds_update`), coalesced for each bookmaker.

If a bookmaker was quiet, a notice is published at once; after that, at most one every `interval_seconds`. A notice is
never empty. It names the events whose odds or availability changed; a bookmaker's first odds of an event are a change.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import EventChange

INTERVAL_SECONDS = 0.05

Publish = Callable[[list[int], Platform, int, int], None]
"""Called with event ids (ascending, each once), their bookmaker, the number of snapshots in the notice, and how many of
these had first prices alone."""


@dataclass(slots=True)
class _Source:
    event_ids: set[int] = field(default_factory=set)
    snapshots: int = 0
    openings: int = 0
    timer: asyncio.TimerHandle | None = None


class OddsNotifier:
    """Publishes notices. Call it with every EventChange. A snapshot is one fetch that changed an event."""

    def __init__(self, publish: Publish, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._publish = publish
        self._interval_seconds = interval_seconds
        self._sources = {platform: _Source() for platform in Platform}
        self.conflated = 0
        """How many snapshots shared a notice with an earlier one."""

    def __call__(self, change: EventChange) -> None:
        """Publish a change now if its bookmaker was quiet, otherwise with the others of the interval."""
        if not change.is_change:
            return
        source = self._sources[change.platform]
        source.event_ids.update(change.event_ids)
        source.snapshots += 1
        source.openings += change.is_opening
        if source.timer is None:
            self._tell(change.platform)

    def close(self) -> None:
        """Publish all waiting changes, and stop the timers."""
        for platform, source in self._sources.items():
            if source.timer is not None:
                source.timer.cancel()
                source.timer = None
            self._send(platform)

    def _tell(self, platform: Platform) -> None:
        """Publish the waiting changes and start the interval. If there are none, the source is quiet again."""
        source = self._sources[platform]
        source.timer = None
        if source.event_ids:
            source.timer = asyncio.get_running_loop().call_later(self._interval_seconds, self._tell, platform)
            self._send(platform)

    def _send(self, platform: Platform) -> None:
        source = self._sources[platform]
        if source.event_ids:
            event_ids, snapshots, openings = sorted(source.event_ids), source.snapshots, source.openings
            source.event_ids, source.snapshots, source.openings = set(), 0, 0
            self.conflated += snapshots - 1
            self._publish(event_ids, platform, snapshots, openings)
