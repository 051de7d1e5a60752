"""What the odds service needs of a database: protocols, and the values that pass through them.

`quart_odds.storage` implements them. Every method that reaches the database raises StorageError when it is slow,
locked, full or gone.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quart_odds.domain.platforms import Platform
from quart_odds.errors import NotWriterError
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.history import Change
from quart_odds.odds.retention import Removal


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was stored, with its event odds, not yet joined: `OddsCache.restore` does that."""

    event: CachedEvent
    odds: tuple[EventOdds, ...]

    def joined(self) -> CachedEvent:
        """The event with its odds in place, for a caller that puts it into no cache."""
        odds = {event_odds.header.platform: event_odds for event_odds in self.odds}
        self.event.odds = {platform: odds[platform] for platform in Platform if platform in odds}
        return self.event


@dataclass(frozen=True, slots=True)
class ArchivedOdds:
    """The keys by which an event that only the database has is found when a bookmaker lists it again."""

    event_id: int
    key: str
    platform: Platform
    external_id: str
    genius_id: str | None


@dataclass(frozen=True, slots=True)
class StoredOdds:
    """What a process finds at its start: recent events, the keys of older ones, competitions, the highest ids.

    `revision` is the database's revision at the time of reading (see `OddsStore.odds_revision`).
    """

    events: list[StoredEvent]
    archived: list[ArchivedOdds]
    competitions: list[tuple[int, Platform, str]]
    last_event_id: int
    last_odds_id: int
    revision: int

    def restore(self, cache: OddsCache) -> None:
        """Replace everything in a cache, in one turn of the loop, so that nobody sees half of it."""
        cache.clear()
        for competition_id, platform, external_id in self.competitions:
            cache.restore_competition(competition_id, platform, external_id)
        cache.start_ids_after(self.last_event_id, self.last_odds_id)
        for each in self.events:
            cache.restore(each.event, each.odds)
        for gone in self.archived:
            cache.archived.add(gone.event_id, gone.key, gone.platform, gone.external_id, gone.genius_id)


@dataclass(frozen=True, slots=True)
class WriterRow:
    """Who writes, as the database says: the term, and the name of the process. The name is None if nobody writes."""

    term: int
    holder: str | None


class StoredHistory(Protocol):
    """The database, as far as the whole history of event odds is concerned."""

    async def first_prices(self, odds_id: int) -> list[Change]:
        """The first prices of event odds, ordered by time; empty if retention has removed them."""
        ...

    async def changes_after(self, odds_id: int, last: Change | None) -> list[Change]:
        """The next page of changes after `last`, ordered by time; empty at the end."""
        ...


class StoredMoves(Protocol):
    """The database, as far as the movement of current prices is concerned."""

    async def recent_prices(
        self, odds_ids: Collection[int], markets: Collection[int], since: int
    ) -> dict[int, tuple[list[Change], list[Change]]]:
        """First prices and changes of these markets by the id of their event odds, each ordered by time.

        All changes after the epoch second `since`, and of earlier ones those that say what there was then: of each
        price the last one, the first and the last one that could be bet on.
        """
        ...


class OddsWriter(Protocol):
    """Writes changes of one cache to the database in the background, in batches."""

    rows_written: int
    batches_written: int
    rows_lost: int

    @property
    def is_full(self) -> bool:
        """Whether so many rows are waiting that `room` would wait, too."""
        ...

    @property
    def waiting(self) -> int:
        """The number of event odds that wait to be committed."""
        ...

    @property
    def waiting_rows(self) -> int:
        """The number of history rows that wait to be committed."""
        ...

    def begin(self, term: int | None) -> None:
        """Write in this term from now on. A batch in another term is refused: its ids may have been used twice."""
        ...

    def put(self, change: EventChange) -> None:
        """Queue a change that the cache has just made, on behalf of the current recording. Never waits."""
        ...

    async def room(self) -> None:
        """Return when few enough rows are waiting."""
        ...

    async def confirm(self, timeout_seconds: float | None = None) -> None:
        """Return when everything queued before is committed.

        Raises StorageError if that takes too long, or if odds of the current recording were refused.
        """
        ...

    async def give_up(self, reason: NotWriterError) -> None:
        """Drop everything that is waiting and report the reason to its recordings."""
        ...

    async def close(self, timeout_seconds: float | None = None) -> None:
        """Write what is waiting, as far as time allows, and stop."""
        ...


class OddsStore(Protocol):
    """The database, as far as current odds are concerned."""

    @property
    def term(self) -> int | None:
        """The term in which this process holds the writer lock; None while it does not."""
        ...

    @property
    def holds_lease(self) -> bool:
        """Whether this process may write now, for certain. It stops before its lease ends."""
        ...

    async def take_writer_lock(self) -> bool:
        """Whether this process is the one that writes, asked anew each time. Renews its lease."""
        ...

    async def odds_revision(self) -> int:
        """A number that changes with everything the writer commits."""
        ...

    async def load(self, since: datetime) -> StoredOdds:
        """Everything that the cache needs: events that kick off, or were last seen, at `since` or later."""
        ...

    async def load_event(self, event_id: int) -> StoredEvent | None:
        """One event, however old; None if there is no such id."""
        ...

    async def remove_old(self, odds_before: datetime, runs_before: datetime, term: int | None) -> Removal:
        """Delete what is older than these moments. Raises NotWriterError outside this process's own term."""
        ...

    def odds_writer(
        self, cache: OddsCache, *, on_refused: Callable[[NotWriterError], None], confirm_seconds: float
    ) -> OddsWriter:
        """A writer for a cache. `on_refused` is called when the database has another writer by now."""
        ...
