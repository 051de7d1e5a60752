"""Where the odds that a run finds go. The odds service implements it: cache, notices and database."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from quart_odds.domain.odds import ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import EventChange
from quart_odds.scraping.progress_tracker import PlatformTracker

MANY_MISSING = 10
"""If this many events vanish from complete lists at once, it is reported as an error: the lists may be wrong."""


class OddsSink(Protocol):
    """Takes the odds that a run finds."""

    async def record(self, mapped: MappedEvent, seen_at: datetime) -> EventChange | None:
        """Record one event's odds, and return what changed. Waits only while the database is far behind.

        `seen_at` is when the answer that has them arrived. What a later answer said of a market and line stays.
        """

    def knows(self, platform: Platform, external_id: str) -> bool:
        """Return whether odds of this bookmaker's event have been recorded before."""

    async def mark_missing(
        self, platform: Platform, seen: Mapping[str, datetime], at: datetime, listed: ListedCompetitions
    ) -> Sequence[EventChange]:
        """Record which events a discovery found. `listed` says which competitions it listed completely.

        `seen` says when the list that had an event arrived, by the bookmaker's id. `at` is when the discovery began:
        what its lists lack is missing since then, however long the run went on. An event that a complete list lacks is
        missed. If another complete list lacks it at least five minutes later, it is gone. Returns the changes of both
        kinds: `is_missed` is True for the former, `is_available` is False for the latter.
        """

    async def withdraw(self, platform: Platform, external_id: str, at: datetime) -> object:
        """Mark an event as gone at once: the bookmaker answered that it no longer has it, or the match has begun."""

    async def confirm(self) -> None:
        """Wait until everything recorded is committed. Raises StorageError if it cannot be committed."""


def believable(told: Mapping[str, datetime], listed: int) -> dict[str, datetime]:
    """Return which events are no longer offered, and since when, as a bookmaker told; none if those are most.

    If most of the `listed` events are in play or not found, it is the site that has changed: they are still there.
    """
    return dict(told) if 2 * len(told) <= listed else {}


async def mark_missing(
    sink: OddsSink, tracker: PlatformTracker, seen: Mapping[str, datetime], at: datetime, listed: ListedCompetitions
) -> None:
    """Record which events a platform's lists have, and note in the tracker how many others are missed or gone.

    `seen` and `at` are as in `OddsSink.mark_missing`.
    """
    changes = await sink.mark_missing(tracker.platform, seen, at, listed)
    missed = sum(change.is_missed for change in changes)
    gone = sum(change.is_available is False for change in changes)
    tracker.note_missing(missed, gone, is_fault=missed + gone >= MANY_MISSING)
