"""The rounds of polling: what each sweep reads at each bookmaker, within the budget of requests.

A round is a run of mode `sweep`: its lists first, then as many details as the budget allows until the next round. The
policy (`scraping.polling`) decides; this module tells it what there is and what was found.
"""

import math
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from quart_odds.bookmakers.discovery import ListRead
from quart_odds.domain.catalogue import main_numbers, market_number_of
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.scraping.polling import Candidate, PollingPolicy

END_SHARE = 0.9
"""The part of the interval after which a round starts no more requests, so that it is over when the next one is due."""


class CachedEvents(Protocol):
    """The events in memory. The odds cache implements it."""

    @property
    def events(self) -> Mapping[int, CachedEvent]:
        """Every event by its id."""


class Rounds:
    """Plans the rounds at all bookmakers, and keeps what was learned from one to the next.

    `rate` is the current budget of a bookmaker in requests per second, `is_busy` whether a full run fetches every event
    anyway, `watched` the ids of the events that somebody watches.
    """

    def __init__(
        self,
        cache: CachedEvents,
        *,
        rate: Callable[[Platform], float],
        interval_seconds: Callable[[], float],
        max_detail_age_seconds: float,
        is_busy: Callable[[], bool],
        watched: Container[int],
        now: Callable[[], datetime] = utc_now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._cache = cache
        self._rate = rate
        self._interval_seconds = interval_seconds
        self._max_detail_age_seconds = max_detail_age_seconds
        self._is_busy = is_busy
        self._watched = watched
        self._now = now
        self._clock = clock
        self._policies = {platform: PollingPolicy() for platform in Platform}

    def begin(self, platform: Platform) -> "Round":
        """Begin a bookmaker's part of a round, now."""
        interval = self._interval_seconds()
        return Round(self, platform, self._policies[platform], interval, self._clock() + interval * END_SHARE)

    def requests(self, platform: Platform, seconds: float) -> float:
        """Return how many requests the bookmaker's budget allows in this time."""
        return self._rate(platform) * max(seconds, 0.0)

    def candidates(self, platform: Platform) -> Iterator[tuple[Candidate, EventHeader]]:
        """Yield the events that the bookmaker lists now, none of them while a full run fetches them all."""
        if self._is_busy():
            return
        for event_id, event in self._cache.events.items():
            event_odds = event.odds.get(platform)
            if event_odds is None or event_odds.gone_at is not None:
                continue
            header, at = event_odds.header, event_odds.detailed_at
            yield (
                Candidate(
                    header.external_id,
                    header.kickoff.timestamp(),
                    None if at is None else at.timestamp(),
                    event_id in self._watched,
                ),
                header,
            )

    def listed_ids(self, platform: Platform) -> frozenset[str]:
        """Return the bookmaker's ids of all events that it lists now."""
        found = (event.odds.get(platform) for event in self._cache.events.values())
        return frozenset(each.header.external_id for each in found if each is not None and each.gone_at is None)

    @property
    def max_detail_age_seconds(self) -> float:
        """The age that no event's details should exceed."""
        return self._max_detail_age_seconds

    def clock(self) -> float:
        """Return the time of the clock that measures intervals."""
        return self._clock()

    def timestamp(self) -> float:
        """Return the current time in epoch seconds."""
        return self._now().timestamp()


class Round:
    """One bookmaker's part of one round."""

    def __init__(
        self, rounds: Rounds, platform: Platform, policy: PollingPolicy, interval_seconds: float, until: float
    ) -> None:
        self._rounds = rounds
        self._platform = platform
        self._policy = policy
        self._interval_seconds = interval_seconds
        self._until = until

    @property
    def is_over(self) -> bool:
        """Whether it is too late to start another request."""
        return self._rounds.clock() >= self._until

    def choose(self, names: Sequence[str]) -> Sequence[str]:
        """Return the lists to read, the most urgent first."""
        self._policy.keep_only(self._rounds.listed_ids(self._platform), names)
        requests = self._rounds.requests(self._platform, self._interval_seconds)
        return self._policy.plan_lists(names, self._rounds.timestamp(), requests)

    def note_listed(self, listed: ListedEvent) -> None:
        """Note an event of a list."""
        header = listed.header
        self._policy.note_event(header.external_id, listed.list_name, header.kickoff.timestamp(), self._at())

    def note_change(self, mapped: MappedEvent, change: EventChange) -> None:
        """Note what the prices of an event changed, in a list or in its details."""
        external_id = mapped.header.external_id
        if mapped.is_partial:
            self._policy.note_prices(external_id, self._at(), has_moved=not change.is_new and bool(change.changed))
        else:
            self._policy.note_detail(external_id, self._at(), has_moved=not change.is_new and has_main_change(change))

    def note_lists(self, read: Mapping[str, ListRead]) -> None:
        """Note which lists were read completely."""
        at = self._at()
        for name, reading in read.items():
            if reading.is_complete:
                self._policy.note_list(name, reading.requests, at)

    def details(self) -> list[EventHeader]:
        """Return the events whose details to fetch, the most urgent first: as many as the budget allows."""
        count = int(self._rounds.requests(self._platform, self._until - self._rounds.clock()))
        found = list(self._rounds.candidates(self._platform))
        headers = {header.external_id: header for _, header in found}
        planned = self._policy.plan_details(
            (candidate for candidate, _ in found),
            self._rounds.timestamp(),
            count,
            self._rounds.max_detail_age_seconds,
        )
        return [headers[external_id] for external_id in planned]

    @property
    def fetchers(self) -> int:
        """How many details to fetch at once. As many as a second allows, so that none waits long for its turn."""
        return max(1, math.ceil(self._rounds.requests(self._platform, 1.0)))

    def _at(self) -> float:
        return self._rounds.timestamp()


def has_main_change(change: EventChange) -> bool:
    """Return whether a main market's price changed."""
    numbers = main_numbers(change.platform)
    return any(market_number_of(key) in numbers for key, _, _ in change.changed)
