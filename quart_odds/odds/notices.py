"""Tells listeners which events' odds changed: `odds_update`, one stream a bookmaker, coalesced.

A notice goes out at once when its bookmaker was quiet, then at most one each `interval_seconds`. It is never empty, it
names events whose odds or availability changed, and a bookmaker's first odds of an event are such a change.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import EventChange

INTERVAL_SECONDS = 0.05

Publish = Callable[[list[int], Platform, int], None]
"""Called with event ids (ascending, each once), their bookmaker, and how many snapshots the notice sums up."""


@dataclass(slots=True)
class _Source:
    event_ids: set[int] = field(default_factory=set)
    snapshots: int = 0
    timer: asyncio.TimerHandle | None = None


class OddsNotifier:
    """Call it with every EventChange; it publishes what is worth telling. A snapshot is one fetch that changed one."""

    def __init__(self, publish: Publish, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._publish = publish
        self._interval_seconds = interval_seconds
        self._sources = {platform: _Source() for platform in Platform}

    def __call__(self, change: EventChange) -> None:
        """Takes a change; publishes now if its bookmaker was quiet, else with the others of the interval."""
        if not change.is_change:
            return
        source = self._sources[change.platform]
        source.event_ids.update(change.event_ids)
        source.snapshots += 1
        if source.timer is None:
            self._tell(change.platform)

    def close(self) -> None:
        """Publishes what waits, and nothing later by itself."""
        for platform, source in self._sources.items():
            if source.timer is not None:
                source.timer.cancel()
                source.timer = None
            self._send(platform)

    def _tell(self, platform: Platform) -> None:
        """Publishes what waits and rests for the interval; a source that stayed silent becomes quiet again."""
        source = self._sources[platform]
        source.timer = None
        if source.event_ids:
            source.timer = asyncio.get_running_loop().call_later(self._interval_seconds, self._tell, platform)
            self._send(platform)

    def _send(self, platform: Platform) -> None:
        source = self._sources[platform]
        if source.event_ids:
            event_ids, snapshots = sorted(source.event_ids), source.snapshots
            source.event_ids, source.snapshots = set(), 0
            self._publish(event_ids, platform, snapshots)
