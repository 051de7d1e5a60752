"""Three ways to spend the same requests on one bookmaker: full runs in a row, our polling, and the best there is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from benchmarks.freshness_world import Delays, World, is_main
from quart_odds.domain.odds import EventHeader
from quart_odds.sandbox.world.world import Fixture
from quart_odds.scraping.progress_tracker import PlatformTracker
from quart_odds.scraping.rounds import Rounds
from quart_odds.scraping.sweep import sweep_platform

INTERVAL_SECONDS = 5.0
"""The sweep interval of our polling."""
MAX_DETAIL_AGE_SECONDS = 30 * 60.0
REVIEW_SECONDS = 60.0
"""How often the policy that knows all true rates looks at them: they grow towards the kick-off."""


@dataclass(slots=True)
class Measured:
    """What one policy achieved at one bookmaker."""

    delays: Delays
    list_requests: int
    detail_requests: int
    seconds: float
    lists: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """The events of each list, by the bookmaker's ids."""


async def full_runs(world: World, seconds: float) -> Measured:
    """Full runs in a row that use their lists only to find events: discover all, then fetch all, and again."""
    client = world.client
    while world.elapsed < seconds:
        headers = [listed.header async for listed in client.discover() if not listed.is_in_play]
        for header in headers:
            if world.elapsed < seconds and header.kickoff > world.now:
                await _fetch(world, header)
    return Measured(world.end(), world.list_requests, world.detail_requests, world.elapsed)


async def polling(world: World, seconds: float, rate: float) -> Measured:
    """Our own polling: rounds of the product's policy, client and parsers at its cache."""
    rounds = Rounds(
        world.cache,
        rate=lambda _: rate,
        interval_seconds=lambda: INTERVAL_SECONDS,
        max_detail_age_seconds=MAX_DETAIL_AGE_SECONDS,
        is_busy=lambda _: False,
        watched=(),
        now=lambda: world.now,
        clock=lambda: world.elapsed,
    )
    due = 0.0
    while world.elapsed < seconds:
        world.wait_until(due)
        due += INTERVAL_SECONDS * max(1, math.ceil((world.elapsed - due) / INTERVAL_SECONDS))
        tracker = PlatformTracker(world.platform)
        part = rounds.begin(world.platform)
        await sweep_platform(world.client, tracker, world, lambda: world.now, world.decoder, part)
    by_list: dict[str, list[str]] = {}
    for external_id, name in world.client.lists.items():
        by_list.setdefault(name, []).append(external_id)
    return Measured(world.end(), world.list_requests, world.detail_requests, world.elapsed, by_list)


def optimum(world: World, seconds: float, ours: Measured, *, aim: str) -> Measured:
    """Spend as many list and detail requests as ours did, knowing the true rate of each event at each moment.

    The aim is the least expected delay (`delay`) or the greatest expected share of prices that are right at a moment
    (`freshness`): the two forms of Cho and Garcia-Molina's problem. A list or event is read when its age is greatest in
    relation to its best interval. As in ours, events whose main prices moved have their details fetched first.
    """
    best = _Optimum(world, ours, aim)
    share = ours.list_requests / (ours.list_requests + ours.detail_requests)
    owed = 0.0
    while world.elapsed < seconds:
        owed += share
        is_list = owed >= 1
        owed -= is_list
        world.spend(is_detail=not is_list)
        if is_list:
            best.read_list()
        else:
            best.fetch_detail()
    return Measured(world.end(), world.list_requests, world.detail_requests, world.elapsed)


class _Optimum:
    def __init__(self, world: World, ours: Measured, aim: str) -> None:
        self._world = world
        self._aim = aim
        self._lists = ours.lists
        fixtures = {
            fixture.listings[world.platform].external_id: fixture
            for fixture in world.books.fixtures
            if world.platform in fixture.listings
        }
        self._fixtures = {each: fixtures[each] for events in ours.lists.values() for each in events}
        per_second = (ours.list_requests + ours.detail_requests) / ours.seconds
        share = ours.list_requests / (ours.list_requests + ours.detail_requests)
        self._list_budget, self._detail_budget = per_second * share, per_second * (1 - share)
        self._list_read = dict.fromkeys(self._lists, -math.inf)
        self._detail_read = dict.fromkeys(self._fixtures, -math.inf)
        self._moved: dict[str, None] = {}
        self._reviewed = -math.inf
        self._list_often: dict[str, float] = {}
        self._detail_often: dict[str, float] = {}

    def read_list(self) -> None:
        self._review()
        name = _most_overdue(self._list_often, self._list_read, self._world.elapsed)
        self._list_read[name] = self._world.elapsed
        for external_id in self._lists[name]:
            if self._world.learned(external_id, partial(is_main, self._world.platform)):
                self._moved[external_id] = None

    def fetch_detail(self) -> None:
        self._review()
        if self._moved:
            external_id = next(iter(self._moved))
        else:
            external_id = _most_overdue(self._detail_often, self._detail_read, self._world.elapsed)
        self._moved.pop(external_id, None)
        self._detail_read[external_id] = self._world.elapsed
        self._world.learned(external_id, lambda _: True)

    def _review(self) -> None:
        now = self._world.elapsed
        if now - self._reviewed < REVIEW_SECONDS:
            return
        self._reviewed = now
        rates = {each: self._rate(fixture) for each, fixture in self._fixtures.items()}
        in_lists = {name: [rates[each] for each in events] for name, events in self._lists.items()}
        alone = {each: [rate] for each, rate in rates.items() if rate > 0}
        self._list_often = _frequencies(in_lists, self._list_budget, self._aim)
        # Details bring all prices, main ones as well, and always aim at the least delay.
        self._detail_often = _frequencies(alone, self._detail_budget, "delay")

    def _rate(self, fixture: Fixture) -> float:
        process = self._world.books.process
        assert process is not None
        soon = self._world.now + timedelta(seconds=REVIEW_SECONDS / 2)
        return process.rate(self._world.platform, fixture, soon)


def _most_overdue(often: Mapping[str, float], read_at: Mapping[str, float], now: float) -> str:
    return max(often, key=lambda name: often[name] * (now - read_at[name]))


def _frequencies(groups: Mapping[str, Sequence[float]], budget: float, aim: str) -> dict[str, float]:
    """Return how often per second to read each group of events, given their rates, so that all reads fit the budget."""
    total = {name: sum(rates) for name, rates in groups.items()}
    if aim == "delay":
        # The delay of a change is half an interval on average: the sum of rate / frequency is least in this proportion.
        roots = {name: math.sqrt(rate) for name, rate in total.items()}
        whole = sum(roots.values()) or 1.0
        return {name: budget * root / whole for name, root in roots.items()}
    return _freshest(groups, budget)


def _freshest(groups: Mapping[str, Sequence[float]], budget: float) -> dict[str, float]:
    """Maximise the expected number of events whose prices are right, by bisection for the worth of one more read."""
    low, high = 1e-6, 1e6
    often: dict[str, float] = {}
    for _ in range(24):
        worth = math.sqrt(low * high)
        often = {name: _frequency_worth(rates, worth) for name, rates in groups.items()}
        if sum(often.values()) > budget:
            low = worth
        else:
            high = worth
    return often


def _frequency_worth(rates: Sequence[float], worth: float) -> float:
    """Return the frequency at which one more read per second improves freshness by `worth`; 0 if none does."""
    low, high = 1e-4, 5.0
    if _gain(rates, low) <= worth:
        return 0.0
    for _ in range(12):
        middle = math.sqrt(low * high)
        if _gain(rates, middle) > worth:
            low = middle
        else:
            high = middle
    return low


def _gain(rates: Sequence[float], often: float) -> float:
    """Return the derivative of the freshness f/r × (1 - exp(-r/f)), added up over events of these rates."""
    gain = 0.0
    for rate in rates:
        if rate > 0:
            ratio = rate / often
            gain += (1 - math.exp(-ratio) * (1 + ratio)) / rate
    return gain


async def _fetch(world: World, header: EventHeader) -> None:
    raw = await world.client.fetch(header)
    mapped = await world.decoder.decode(raw)
    world.client.release(raw)
    await world.record(mapped, world.now)
