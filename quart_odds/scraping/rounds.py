"""The rounds of polling: what each sweep reads at each bookmaker, within the budget of requests.

A round is a run of mode `sweep`: its lists first, then as many details as the budget allows until the next round. The
policy (`scraping.polling`) decides; this module tells it what there is and what was found.
"""

import math
import time
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from quart_odds.bookmakers.discovery import ListRead
from quart_odds.domain.catalogue import main_numbers, market_number_of
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import EventOdds
from quart_odds.scraping.not_found import NotFoundJudge
from quart_odds.scraping.polling import Candidate, PollingPolicy

END_SHARE = 0.9
"""The part of the interval after which a round starts no more requests, so that it is over when the next one is due."""

LIST_SHARE = 0.5
"""The part of a bookmaker's requests that lists may use. The rest goes to details, so that these never stop."""

MOST_KEPT_REQUESTS = 1.0
"""How many unspent requests of a round the next one may use, of each kind. With a budget that has not even one request
for a round, one of some rounds has it."""


class CachedEvents(Protocol):
    """The events in memory. The odds cache implements it."""

    @property
    def events(self) -> Mapping[int, CachedEvent]:
        """Every event by its id."""

    def knows(self, platform: Platform, external_id: str) -> bool:
        """Return whether there are odds of a bookmaker's event."""
        ...


class Rounds:
    """Plans the rounds at all bookmakers, and keeps what was learned from one to the next.

    `rate` is the current budget of a bookmaker in requests per second, `is_busy` whether a full run fetches every event
    of the bookmaker anyway, `watched` the ids of the events that somebody watches.
    """

    def __init__(
        self,
        cache: CachedEvents,
        *,
        rate: Callable[[Platform], float],
        interval_seconds: Callable[[], float],
        max_detail_age_seconds: float,
        is_busy: Callable[[Platform], bool],
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
        self._judges = {platform: NotFoundJudge() for platform in Platform}
        self._purses = {platform: Purse() for platform in Platform}
        self._bare: dict[Platform, dict[str, EventHeader]] = {platform: {} for platform in Platform}
        """Events that a list had without prices and that the cache does not know: only their bodies have their odds."""

    def begin(self, platform: Platform) -> "Round":
        """Begin a bookmaker's part of a round, now."""
        interval = self._interval_seconds()
        purse = self._purses[platform]
        purse.lists = min(purse.lists, MOST_KEPT_REQUESTS) + LIST_SHARE * self.requests(platform, interval)
        until = self._clock() + interval * END_SHARE
        return Round(self, platform, self._policies[platform], self._judges[platform], purse, until)

    def requests(self, platform: Platform, seconds: float) -> float:
        """Return how many requests the bookmaker's budget allows in this time."""
        return self._rate(platform) * max(seconds, 0.0)

    def candidates(self, platform: Platform) -> Iterator[tuple[Candidate, EventHeader]]:
        """Yield the events to poll, none of them while a full run fetches them all."""
        if self._is_busy(platform):
            return
        for event_id, event_odds, kickoff in self._polled(platform):
            header, at = event_odds.header, event_odds.detailed_at
            yield (
                Candidate(
                    header.external_id,
                    kickoff,
                    None if at is None else at.timestamp(),
                    event_id in self._watched,
                ),
                header,
            )
        for external_id, header in self._never_fetched(platform).items():
            yield Candidate(external_id, header.kickoff.timestamp(), None), header

    def polled_ids(self, platform: Platform) -> frozenset[str]:
        """Return the bookmaker's ids of all events to poll."""
        known = {event_odds.header.external_id for _, event_odds, _ in self._polled(platform)}
        return frozenset(known | self._never_fetched(platform).keys())

    def note_listed(self, listed: ListedEvent) -> None:
        """Note an event that a list had, before its kick-off."""
        header = listed.header
        if listed.odds is None:
            self._bare[header.platform][header.external_id] = header
        else:
            self._bare[header.platform].pop(header.external_id, None)

    def _never_fetched(self, platform: Platform) -> Mapping[str, EventHeader]:
        """Forget the events that have begun or that the cache knows by now, and return the others."""
        now = self._now()
        kept = {
            external_id: header
            for external_id, header in self._bare[platform].items()
            if header.kickoff > now and not self._cache.knows(platform, external_id)
        }
        self._bare[platform] = kept
        return kept

    def _polled(self, platform: Platform) -> Iterator[tuple[int, EventOdds, float]]:
        """Yield the events to poll, each with its id and its kick-off in epoch seconds.

        These are the events that the bookmaker lists now, and those that it withdrew and that a list has shown since:
        only their own bodies can bring them back.
        """
        policy = self._policies[platform]
        for event_id, event in self._cache.events.items():
            event_odds = event.odds.get(platform)
            if event_odds is None:
                continue
            if event_odds.gone_at is None:
                yield event_id, event_odds, event_odds.header.kickoff.timestamp()
            elif event_odds.is_withdrawn:
                # The kick-off is that of the list: the match may have been put off.
                shown = policy.kickoff_shown_after(event_odds.header.external_id, event_odds.gone_at.timestamp())
                if shown is not None:
                    yield event_id, event_odds, shown

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


@dataclass(slots=True)
class Purse:
    """The requests that a bookmaker's lists may take, and those left over from details. Lists may be in debt."""

    lists: float = MOST_KEPT_REQUESTS
    details: float = 0.0


class Round:
    """One bookmaker's part of one round. `judge` is to be told what the bookmaker answers about events."""

    def __init__(
        self,
        rounds: Rounds,
        platform: Platform,
        policy: PollingPolicy,
        judge: NotFoundJudge,
        purse: Purse,
        until: float,
    ) -> None:
        self.judge = judge
        self._rounds = rounds
        self._platform = platform
        self._policy = policy
        self._purse = purse
        self._until = until
        self._priced: dict[str, bool] = {}
        """Whether there was a price in each list that had events."""

    @property
    def may_read_lists(self) -> bool:
        """Whether there is a request for lists, and they are worth it. If not, the round has details only."""
        return self._purse.lists >= 1 and self._policy.are_lists_due(self._rounds.timestamp())

    @property
    def is_over(self) -> bool:
        """Whether it is too late to start another request."""
        return self._rounds.clock() >= self._until

    def choose(self, names: Sequence[str], spent: int = 0) -> Sequence[str]:
        """Return the lists to read, the most urgent first, at least one.

        `spent` is the number of requests that were needed to know them, for the tree or the first page.
        """
        self._policy.keep_only(self._rounds.polled_ids(self._platform), names)
        return self._policy.plan_lists(names, self._rounds.timestamp(), self._purse.lists - spent)

    def spend_on_lists(self, requests: int) -> None:
        """Note how many requests the lists took, the tree and retries included."""
        self._purse.lists -= requests

    def note_listed(self, listed: ListedEvent) -> None:
        """Note an event of a list, unless the list says that it is in play."""
        header, name = listed.header, listed.list_name
        self._priced[name] = self._priced.get(name, False) or listed.odds is not None
        if listed.is_in_play:
            return
        self._rounds.note_listed(listed)
        at = self._at() if listed.fetched_at is None else listed.fetched_at.timestamp()
        self._policy.note_event(header.external_id, name, header.kickoff.timestamp(), at)

    def note_change(self, mapped: MappedEvent, change: EventChange) -> None:
        """Note what the prices of an event changed, in a list or in its details."""
        external_id = mapped.header.external_id
        if mapped.is_partial:
            self._policy.note_prices(external_id, self._at(), has_moved=bool(change.repriced))
        else:
            self._policy.note_detail(external_id, self._at(), has_moved=has_main_change(change))

    def note_attempt(self, external_id: str) -> None:
        """Note that an event's details are asked for. Unless a change by them is noted, the attempt has failed."""
        self._policy.note_attempt(external_id, self._at())

    def note_lists(self, read: Mapping[str, ListRead]) -> None:
        """Note which lists were read completely."""
        at = self._at()
        for name, reading in read.items():
            if reading.is_complete:
                self._policy.note_list(name, reading.requests, at, has_prices=self._priced.get(name, True))

    def details(self) -> list[EventHeader]:
        """Return the events whose details to fetch, the most urgent first: as many as the budget allows."""
        if self.is_over:
            return []
        allowed = self._purse.details + self._rounds.requests(self._platform, self._until - self._rounds.clock())
        found = list(self._rounds.candidates(self._platform))
        headers = {header.external_id: header for _, header in found}
        planned = self._policy.plan_details(
            (candidate for candidate, _ in found),
            self._rounds.timestamp(),
            int(allowed),
            self._rounds.max_detail_age_seconds,
        )
        self._purse.details = min(allowed - len(planned), MOST_KEPT_REQUESTS)
        return [headers[external_id] for external_id in planned]

    @property
    def fetchers(self) -> int:
        """How many details to fetch at once. As many as a second allows, so that none waits long for its turn."""
        return max(1, math.ceil(self._rounds.requests(self._platform, 1.0)))

    def _at(self) -> float:
        return self._rounds.timestamp()


def has_main_change(change: EventChange) -> bool:
    """Return whether a main market's price changed. A first price is no change."""
    numbers = main_numbers(change.platform)
    return any(market_number_of(key) in numbers for key, _, _ in change.repriced)
