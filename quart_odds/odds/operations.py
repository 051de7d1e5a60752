"""The operations on the cache of odds, one for each way in which the odds service changes it.

The same operations in the same order make equal caches in every process. So an operation has all that its effect
depends on, the current time among it, and `carry_out` alone applies operations, at the process that writes and at all
others. An operation is never modified, also not by carrying it out.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from quart_odds.domain.odds import ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.ports import StoredEvent


@dataclass(frozen=True, slots=True)
class Recorded:
    """A healthy fetch, see `OddsCache.apply`.

    Of `mapped`, the header, the prices, promotions and `source_changed` have an effect, and the `unmapped` markets of
    a body.
    """

    mapped: MappedEvent
    seen_at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Discovered:
    """A discovery, see `OddsCache.mark_missing`."""

    platform: Platform
    seen: Mapping[str, datetime]
    at: datetime
    listed: ListedCompetitions
    believe_after: timedelta
    now: datetime


@dataclass(frozen=True, slots=True)
class Withdrawn:
    """A bookmaker says that there is no such event, or that it is in play, see `OddsCache.withdraw`."""

    platform: Platform
    external_id: str
    at: datetime
    now: datetime


@dataclass(frozen=True, slots=True)
class Forgotten:
    """Events that are long over leave the memory, see `OddsCache.archive`."""

    event_ids: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Recalled:
    """An event that only the database had is listed again.

    `stored` is None if the database no longer has it, or if the cache has it already.
    """

    event_id: int
    stored: StoredEvent | None
    now: datetime


Operation = Recorded | Discovered | Withdrawn | Forgotten | Recalled


def carry_out(cache: OddsCache, operation: Operation) -> list[EventChange]:
    """Let a cache take an operation. Returns what it changed.

    Raises CacheFullError, and changes nothing, for a new event of a bookmaker that has too many already.
    """
    match operation:
        case Recorded(mapped, seen_at, now):
            change = cache.apply(mapped, seen_at, now)
            if not mapped.is_partial:
                cache.unmapped.note(change.odds_id, mapped)
            return [change]
        case Discovered(platform, seen, at, listed, believe_after, now):
            return cache.mark_missing(platform, seen, at, listed=listed, believe_after=believe_after, now=now)
        case Withdrawn(platform, external_id, at, now):
            withdrawn = cache.withdraw(platform, external_id, at, now)
            return [] if withdrawn is None else [withdrawn]
        case Forgotten(event_ids):
            for event_id in event_ids:
                cache.archive(event_id)
            return []
        case Recalled(event_id, stored):
            if stored is not None:
                # Copies, because the cache modifies what it has.
                cache.restore(replace(stored.event), [replace(event_odds) for event_odds in stored.odds])
            cache.archived.discard(event_id)
            return []
