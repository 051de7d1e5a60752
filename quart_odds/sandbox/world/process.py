"""When prices move: a random process in time, whose rate per event and bookmaker grows towards kick-off.

Each pair of an event and a bookmaker is an inhomogeneous Poisson process. The times are exact: the next one is found
by inverting the integral of the rate. Nothing here reads a clock.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heapify, heappop, heapreplace
from itertools import pairwise
from math import floor, log
from random import Random

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world.markets import MarketList, Offer
from quart_odds.sandbox.world.world import Fixture

RATES = ((24 * 3600.0, 1 / 3600), (6 * 3600.0, 1 / 600), (0.5 * 3600, 1 / 60))
"""Seconds before kick-off, and how often per second prices move then, on average over events.

Before the first point and after the last the rate is constant; between two points it is a power of the time left. From
kick-off on nothing moves.
"""
EVENT_SPREAD = 0.7
"""The standard deviation of the logarithm of an event's own factor, which is the same at all bookmakers."""
PAIR_SPREAD = 0.25
"""The same of a bookmaker's own factor for an event."""
MAIN_SHARE = 0.85
"""The proportion of moves that concern a main market. A part of them, and all others, concern other markets."""
OTHERS_AS_WELL = 0.4
MOST_LINES = 3
"""How many lines of a main market move at once at most."""
MOST_OTHERS = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Move:
    """A moment at which a bookmaker changes prices of an event.

    `offers` are the market lines that change. New prices are drawn from `random`, so that they are always the same.
    """

    at: datetime
    platform: Platform
    fixture: Fixture
    offers: tuple[Offer, ...]
    random: Random


@dataclass(frozen=True, slots=True)
class _Pair:
    """An event at a bookmaker. `factor` multiplies the rate; `kickoff` is in epoch seconds."""

    platform: Platform
    fixture: Fixture
    kickoff: float
    factor: float
    seed: str


class PriceProcess:
    """All moves of all events, in order of time.

    The same fixtures, seed, start and pace produce the same moves, whatever the steps in which it is advanced. `pace`
    multiplies all rates. `offered` returns a bookmaker's markets of an event. Only events that clients can match take
    part.
    """

    def __init__(
        self,
        fixtures: Sequence[Fixture],
        seed: int,
        start: datetime,
        offered: Callable[[Platform, Fixture], MarketList],
        pace: float = 1,
    ) -> None:
        if pace <= 0:
            raise ValueError(f"pace {pace:g} is not above 0")
        self._offered = offered
        self._pairs = tuple(_pairs(fixtures, seed, pace))
        self._index = {(pair.platform, pair.fixture.number): number for number, pair in enumerate(self._pairs)}
        self._due: list[tuple[float, int, int]] = []
        for number, pair in enumerate(self._pairs):
            moment = _next(pair, start.timestamp(), Random(f"{pair.seed}/0"))
            if moment is not None:
                self._due.append((moment, number, 1))
        heapify(self._due)

    @property
    def pairs(self) -> Iterator[tuple[Platform, Fixture]]:
        """The bookmakers and events whose prices move."""
        return ((pair.platform, pair.fixture) for pair in self._pairs)

    def rate(self, platform: Platform, fixture: Fixture, at: datetime) -> float:
        """Return how many moves per second a bookmaker makes at an event at that time. 0 if it takes no part."""
        number = self._index.get((platform, fixture.number))
        if number is None:
            return 0
        pair = self._pairs[number]
        return pair.factor * base_rate(pair.kickoff - at.timestamp())

    def expected(self, platform: Platform, fixture: Fixture, since: datetime, until: datetime) -> float:
        """Return how many moves a bookmaker makes at an event between two times, on average."""
        number = self._index.get((platform, fixture.number))
        if number is None:
            return 0
        pair = self._pairs[number]
        return pair.factor * _area(pair.kickoff - since.timestamp(), pair.kickoff - until.timestamp())

    def advance(self, to: datetime) -> Iterator[Move]:
        """Yield the moves that have not been yielded yet, up to and including `to`, in order of time."""
        seconds = to.timestamp()
        while self._due and self._due[0][0] <= seconds:
            moment, number, count = self._due[0]
            pair = self._pairs[number]
            random = Random(f"{pair.seed}/{count}")
            following = _next(pair, moment, random)
            if following is None:
                heappop(self._due)
            else:
                heapreplace(self._due, (following, number, count + 1))
            offers = _chosen(self._offered(pair.platform, pair.fixture), random)
            at = _EPOCH + timedelta(milliseconds=floor(moment * 1000))
            yield Move(at, pair.platform, pair.fixture, offers, random)


def base_rate(left: float) -> float:
    """Return the average moves per second of an event that kicks off in `left` seconds."""
    if left <= 0:
        return 0
    segment = next(segment for segment in _SEGMENTS if left >= segment.near)
    return float(segment.coefficient * left**-segment.exponent)


@dataclass(frozen=True, slots=True)
class _Segment:
    """The rate from `near` seconds before kick-off backwards: coefficient × left ^ -exponent. No exponent is 1."""

    near: float
    coefficient: float
    exponent: float

    def area(self, left: float, until: float) -> float:
        """Return the integral of the rate while the time left falls from `left` to `until`."""
        power = 1 - self.exponent
        return float(self.coefficient / power * (left**power - until**power))

    def left_after(self, left: float, area: float) -> float:
        """Return the time left when the integral from `left` on is `area`."""
        power = 1 - self.exponent
        return float((left**power - area * power / self.coefficient) ** (1 / power))


def _segments() -> Iterator[_Segment]:
    yield _Segment(RATES[0][0], RATES[0][1], 0)
    for (far, slow), (near, fast) in pairwise(RATES):
        exponent = log(fast / slow) / log(far / near)
        yield _Segment(near, slow * far**exponent, exponent)
    yield _Segment(0, RATES[-1][1], 0)


_SEGMENTS = tuple(_segments())


def _area(left: float, until: float) -> float:
    """Return the integral of the base rate while the time left falls from `left` to `until`."""
    area = 0.0
    until = max(until, 0)
    for segment in _SEGMENTS:
        if left > segment.near and left > until:
            stop = max(segment.near, until)
            area += segment.area(left, stop)
            left = stop
    return area


def _next(pair: _Pair, moment: float, random: Random) -> float | None:
    """Return the time of a pair's first move after `moment`, in epoch seconds. None if it kicks off before."""
    left, area = pair.kickoff - moment, random.expovariate(1) / pair.factor
    for segment in _SEGMENTS:
        if left <= segment.near:
            continue
        within = segment.area(left, segment.near)
        if area < within:
            return pair.kickoff - segment.left_after(left, area)
        area -= within
        left = segment.near
    return None


def _pairs(fixtures: Sequence[Fixture], seed: int, pace: float) -> Iterator[_Pair]:
    for fixture in fixtures:
        name = f"process {seed}/{fixture.number}"
        of_event = _factor(name, EVENT_SPREAD)
        for platform in fixture.matchable_at:
            factor = pace * of_event * _factor(f"{name}/{platform}", PAIR_SPREAD)
            yield _Pair(platform, fixture, fixture.kickoff.timestamp(), factor, f"{name}/{platform}")


def _factor(seed: str, spread: float) -> float:
    """Draw a log-normal factor whose mean is 1."""
    return Random(seed).lognormvariate(-spread * spread / 2, spread)


def _chosen(offered: MarketList, random: Random) -> tuple[Offer, ...]:
    """Choose the market lines that move: of a main market most of the time, of others, or both."""
    chosen: list[Offer] = []
    if offered.main and (random.random() < MAIN_SHARE or not offered.others):
        lines = random.choice(offered.main)
        chosen += random.sample(lines, random.randint(1, min(MOST_LINES, len(lines))))
    if offered.others and (not chosen or random.random() < OTHERS_AS_WELL):
        chosen += random.sample(offered.others, random.randint(1, min(MOST_OTHERS, len(offered.others))))
    return tuple(chosen)
