"""The polling policy: which lists and which events of a bookmaker are worth the next requests.

Pure computation on times in seconds, without I/O and without a clock of its own. A sweep asks it for the lists to read
and then for the events whose details to fetch, and reports what it found.

The expected delay of a change is half the time between two reads. The sum of all delays is smallest if a list is read
the more often the more its prices change, in proportion to the square root of that rate. Reading the list with the
largest rate × age² per request first approximates this without a plan for the future (compare Cho and Garcia-Molina,
"Synchronizing a database to improve freshness", 2000).
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

STARVING_SHARE = 0.5
"""The part of a round's details that may go to events over the age limit while other events moved."""

SOON_SECONDS = 3 * 3600.0
"""Details of an event that kicks off within this time are fetched at an interval that shortens towards the kick-off."""

SOON_PARTS = 30
"""That interval is the time left until the kick-off, divided by this, but not less than LEAST_INTERVAL_SECONDS."""

LEAST_INTERVAL_SECONDS = 60.0
"""The shortest interval between two fetches of an event's details, unless its main prices moved."""

WATCHED_INTERVAL_SECONDS = 60.0
"""The interval between two fetches of the details of an event that somebody watches."""

LEAST_AGE_SECONDS = 20.0
"""Details younger than this are not fetched again, whatever moved."""

FIRST_WAIT_SECONDS = 60.0
"""How long an event waits after its details could not be fetched. The wait doubles with each further failure, up to the
age that no details should exceed."""

PRIOR_STRENGTH = 1.0
"""How many changes the usual rate is worth against the observed changes of an event."""

EMPTY_LIST_RATE = 1 / 3600
"""The assumed rate of changes of a list without known events: a new event may appear in it."""

BARE_LISTS_SECONDS = 60.0
"""How often lists without prices are read. They only tell which events there are."""


def assumed_rate(seconds_to_kickoff: float) -> float:
    """Return how often the main prices of an event may change, per second, at this time before the kick-off.

    Once a minute at the kick-off, twice an hour six hours before, and a few times a day some days before. This is only
    a starting point: what is observed at the bookmaker replaces it soon.
    """
    return 1 / (60 + max(seconds_to_kickoff, 0.0) / 12)


class RateCurve:
    """How the rate of changes depends on the time until the kick-off, learned from all events of a bookmaker.

    The time is divided into spans, each twice as long as the one before. Old observations count less and less.
    """

    def __init__(self) -> None:
        self._moves = [0.0] * _SPANS
        self._seconds = [0.0] * _SPANS

    def rate(self, seconds_to_kickoff: float) -> float:
        """Return the usual rate of changes of an event, per second."""
        span = _span(seconds_to_kickoff)
        # The assumed rate counts as much as one observed change.
        return (self._moves[span] + 1) / (self._seconds[span] + 1 / assumed_rate(_middle(span)))

    def observe(self, seconds_to_kickoff: float, seconds: float, has_moved: bool) -> None:
        """Note that an event was watched for this long, and whether it had moved at the end."""
        span = _span(seconds_to_kickoff)
        self._moves[span] += has_moved
        self._seconds[span] += seconds
        if self._moves[span] > _MOST_MOVES:
            self._moves[span] /= 2
            self._seconds[span] /= 2


_SPANS = 16
_SHORTEST_SPAN = 300.0
_MOST_MOVES = 1000.0


def _span(seconds_to_kickoff: float) -> int:
    return min(_SPANS - 1, int(max(seconds_to_kickoff, 0.0) / _SHORTEST_SPAN).bit_length())


def _middle(span: int) -> float:
    return _SHORTEST_SPAN * 0.75 * float(2**span)


@dataclass(frozen=True, slots=True)
class Candidate:
    """An event whose details could be fetched. Times are in seconds, on the same clock as everything here.

    `detailed_at` is None if the details have never been fetched.
    """

    external_id: str
    kickoff: float
    detailed_at: float | None
    is_watched: bool = False


@dataclass(slots=True)
class _Event:
    """What is known of an event's changes. `expected` is the number of changes that were usual in that time.

    `shown_at` is when a list last had the event.
    """

    list_name: str
    kickoff: float
    read_at: float
    shown_at: float
    moved_at: float | None = None
    moves: int = 0
    expected: float = 0.0

    @property
    def factor(self) -> float:
        """How much more often than usual the prices of this event change."""
        return (self.moves + PRIOR_STRENGTH) / (self.expected + PRIOR_STRENGTH)


@dataclass(slots=True)
class _Attempts:
    """How often an event's details were asked for in vain, and when last."""

    count: int
    at: float

    def wait_seconds(self, max_age_seconds: float) -> float:
        # More doublings than these exceed every limit, and their number has no bound.
        return min(max_age_seconds, FIRST_WAIT_SECONDS * 2.0 ** min(self.count - 1, _MOST_DOUBLINGS))


_MOST_DOUBLINGS = 32


@dataclass(slots=True)
class _List:
    requests: int = 1
    read_at: float | None = None
    has_prices: bool = True


class PollingPolicy:
    """The policy for one bookmaker. Events that no list has shown for a while are forgotten with `forget`."""

    def __init__(self) -> None:
        self._events: dict[str, _Event] = {}
        self._lists: dict[str, _List] = {}
        self._attempts: dict[str, _Attempts] = {}
        self._curve = RateCurve()

    def are_lists_due(self, now: float) -> bool:
        """Return whether lists are worth requests: not if none of them has prices and all were read lately."""
        return not self._lists or any(
            each.has_prices or each.read_at is None or not 0 <= now - each.read_at < BARE_LISTS_SECONDS
            for each in self._lists.values()
        )

    def plan_lists(self, names: Sequence[str], now: float, requests: float) -> list[str]:
        """Return the lists to read now, the most urgent first.

        `requests` is the number of requests that lists may take. All lists are read if they fit, otherwise those that
        are worth most; at least one.
        """
        rates = self._list_rates(now)
        ordered = sorted(names, key=lambda name: self._urgency(name, rates, now), reverse=True)
        left = requests
        planned: list[str] = []
        for name in ordered:
            left -= self._lists.get(name, _List()).requests
            if left < 0 and planned:
                break
            planned.append(name)
        return planned

    def plan_details(
        self, candidates: Iterable[Candidate], now: float, count: int, max_age_seconds: float
    ) -> list[str]:
        """Return the ids of at most `count` events whose details to fetch now, the most urgent first.

        First those whose main prices moved since, or whose details are not known; then those that kick off soon, at an
        interval that shortens towards the kick-off; then those that somebody watches; then the oldest. Details older
        than `max_age_seconds` come before all others, within STARVING_SHARE of `count` if others moved.

        An event whose details were asked for in vain waits first, longer each time, so that it takes no requests from
        the others.
        """
        self._forget_attempts(now, max_age_seconds)
        tiers: list[list[tuple[float, str]]] = [[], [], [], [], []]
        for each in candidates:
            age = math.inf if each.detailed_at is None else now - each.detailed_at
            if age < LEAST_AGE_SECONDS or each.kickoff <= now or self._waits(each, now, max_age_seconds):
                continue
            tiers[self._tier(each, age, now, max_age_seconds)].append((age, each.external_id))
        for tier in tiers:
            tier.sort(key=lambda entry: (-entry[0], entry[1]))
        starving, moved = tiers[0], tiers[1]
        first = min(len(starving), max(math.ceil(count * STARVING_SHARE), count - len(moved)))
        ordered = [*starving[:first], *moved, *starving[first:], *tiers[2], *tiers[3], *tiers[4]]
        return [external_id for _, external_id in ordered[:count]]

    def note_list(self, name: str, requests: int, at: float, *, has_prices: bool = True) -> None:
        """Note that a list was read completely, with how many requests, and whether it has prices or no events."""
        self._lists[name] = _List(max(1, requests), at, has_prices)

    def note_event(self, external_id: str, list_name: str, kickoff: float, at: float) -> None:
        """Note that a list had an event."""
        event = self._events.get(external_id)
        if event is None:
            self._events[external_id] = _Event(list_name, kickoff, at, at)
        else:
            event.list_name, event.kickoff, event.shown_at = list_name, kickoff, at

    def kickoff_shown_after(self, external_id: str, at: float) -> float | None:
        """Return the kick-off of an event that a list has shown after this time; None if none has."""
        event = self._events.get(external_id)
        return event.kickoff if event is not None and event.shown_at > at else None

    def note_prices(self, external_id: str, at: float, *, has_moved: bool) -> None:
        """Note that a list had an event's prices, and whether they had changed since they were last seen."""
        if (event := self._events.get(external_id)) is not None:
            self._observe(event, at, has_moved)
            if has_moved:
                event.moved_at = at

    def note_attempt(self, external_id: str, at: float) -> None:
        """Note that an event's details are asked for. Unless `note_detail` follows, the attempt has failed."""
        known = self._attempts.get(external_id)
        self._attempts[external_id] = _Attempts(1 if known is None else known.count + 1, at)

    def note_detail(self, external_id: str, at: float, *, has_moved: bool) -> None:
        """Note that an event's details were fetched, and whether main prices had changed since they were last seen."""
        self._attempts.pop(external_id, None)
        if (event := self._events.get(external_id)) is not None:
            self._observe(event, at, has_moved)
            event.moved_at = None

    def keep_only(self, external_ids: frozenset[str], names: Iterable[str]) -> None:
        """Forget all other events and lists, which the bookmaker no longer has."""
        kept = frozenset(names)
        self._events = {key: event for key, event in self._events.items() if key in external_ids}
        self._lists = {name: each for name, each in self._lists.items() if name in kept}

    def rates(self, now: float) -> Mapping[str, float]:
        """Return the estimated rate of changes of each known event, per second."""
        return {external_id: self._rate(event, now) for external_id, event in self._events.items()}

    def _rate(self, event: _Event, now: float) -> float:
        return self._curve.rate(event.kickoff - now) * event.factor

    def _observe(self, event: _Event, at: float, has_moved: bool) -> None:
        seconds, left = max(0.0, at - event.read_at), event.kickoff - at
        event.expected += self._curve.rate(left) * seconds
        event.moves += has_moved
        event.read_at = max(at, event.read_at)
        self._curve.observe(left, seconds, has_moved)

    def _waits(self, each: Candidate, now: float, max_age_seconds: float) -> bool:
        attempts = self._attempts.get(each.external_id)
        if attempts is None:
            return False
        if each.detailed_at is not None and each.detailed_at >= attempts.at:
            # Somebody else has fetched the details meanwhile: a full run or a refresh.
            del self._attempts[each.external_id]
            return False
        # A clock that was set back makes nobody wait.
        return 0 <= now - attempts.at < attempts.wait_seconds(max_age_seconds)

    def _forget_attempts(self, now: float, max_age_seconds: float) -> None:
        """Forget events that would have been tried again long ago if they were still there."""
        longest = 2 * max_age_seconds
        self._attempts = {key: each for key, each in self._attempts.items() if now - each.at <= longest}

    def _tier(self, each: Candidate, age: float, now: float, max_age_seconds: float) -> int:
        event = self._events.get(each.external_id)
        has_moved = event is not None and event.moved_at is not None
        if math.isfinite(age) and age >= max_age_seconds:
            return 0
        if has_moved or not math.isfinite(age):
            return 1
        left = each.kickoff - now
        if left < SOON_SECONDS and age >= max(LEAST_INTERVAL_SECONDS, left / SOON_PARTS):
            return 2
        if each.is_watched and age >= WATCHED_INTERVAL_SECONDS:
            return 3
        return 4

    def _list_rates(self, now: float) -> dict[str, float]:
        rates: dict[str, float] = {}
        for event in self._events.values():
            rates[event.list_name] = rates.get(event.list_name, EMPTY_LIST_RATE) + self._rate(event, now)
        return rates

    def _urgency(self, name: str, rates: Mapping[str, float], now: float) -> float:
        known = self._lists.get(name)
        if known is None or known.read_at is None:
            return math.inf
        age = max(0.0, now - known.read_at)
        return rates.get(name, EMPTY_LIST_RATE) * age * age / known.requests
