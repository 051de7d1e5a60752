"""The engine: it follows every change, says since when an opportunity is there, and what happened to it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.fair import Chance, pack_chance
from quart_odds.domain.odds import Competition
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.opportunities import MOST_OF_EVENT, OpportunityEngine, Track, What
from quart_odds.odds.opportunity import Identity
from quart_odds.odds.opportunity_search import OpportunitySearch
from quart_odds.odds.snapshots import take
from tests.odds.making import NOW, PREMIER, STALE_AFTER, X1, header, key, listed, mapped

BETPAWA, SPORTYBET, BET9JA = Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA
OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)
GAIN = {BETPAWA: {OVER: 2.1, UNDER: 1.75}, SPORTYBET: {OVER: 1.75, UNDER: 2.1}}


class Followed:
    """A cache, an engine that is told of each change, a clock, and what the engine told about arbitrage."""

    def __init__(self, *, is_told: bool = True) -> None:
        self.now = NOW
        self.cache = OddsCache()
        self.engine = OpportunityEngine(self.cache, STALE_AFTER, clock=lambda: self.now, slice_seconds=0)
        self.engine.on_told = self._note
        self.told: list[tuple[What, float]] = []
        self._is_told = is_told

    def _note(self, what: What, track: Track, at: datetime) -> None:
        assert at == self.now
        if track.opportunity.kind == "arbitrage":
            self.told.append((what, track.opportunity.margin))

    def offer(
        self,
        platform: Platform,
        odds: Mapping[int, float],
        *,
        name: str = "1",
        hours: float = 6,
        chance: Chance | None = None,
    ) -> None:
        """Record the odds of a match at a bookmaker, which may give the same probability for each."""
        event = header(platform, f"{platform}-{name}", name, kickoff=NOW + timedelta(hours=hours))
        chances = {} if chance is None else dict.fromkeys(odds, pack_chance(chance))
        self.take(self.cache.apply(replace(mapped(event, odds), chances=chances), self.now))

    def take(self, change: object) -> None:
        """Tell the engine of a change."""
        if self._is_told:
            self.engine.note(change)  # type: ignore[arg-type]

    def current(self, kind: str = "arbitrage") -> list[Track]:
        """Return the opportunities of a kind that are not listed apart."""
        return [
            each for each in self.engine.current() if each.opportunity.kind == kind and not each.opportunity.reasons
        ]


def gaining() -> Followed:
    """Return a match with the odds of `GAIN`."""
    match = Followed()
    for platform, odds in GAIN.items():
        match.offer(platform, odds)
    return match


def test_an_opportunity_appears_changes_and_is_gone() -> None:
    """It is the same one while its market and line gain, whatever the prices and bookmakers."""
    match = gaining()
    (track,) = match.current()
    assert (track.first_seen_at, track.best_margin, match.told) == (NOW, 5.0, [("appeared", 5.0)])
    match.now = NOW + timedelta(seconds=30)
    match.offer(BET9JA, {OVER: 2.2, UNDER: 1.7})
    (track,) = match.current()
    assert (track.first_seen_at, track.best_margin, track.opportunity.margin) == (NOW, 7.44, 7.44)
    match.offer(BET9JA, {OVER: 2.04, UNDER: 1.7})
    (track,) = match.current()
    assert (track.first_seen_at, track.best_margin, track.opportunity.margin) == (NOW, 7.44, 5.0)
    match.offer(SPORTYBET, {OVER: 1.75, UNDER: 1.8})
    assert match.current() == []
    assert match.told == [("appeared", 5.0), ("changed", 7.44), ("changed", 5.0), ("gone", 5.0)]


def test_what_was_only_seen_again_is_no_change() -> None:
    """The same prices are told once."""
    match = Followed()
    for _ in range(2):
        for platform, odds in GAIN.items():
            match.offer(platform, odds)
        match.current()
    assert match.told == [("appeared", 5.0)]


def test_an_opportunity_ends_with_its_oldest_price_and_is_back_when_that_is_seen_again() -> None:
    """Nothing has to change for that but the time."""
    match = gaining()
    assert len(match.current()) == 1
    match.now += STALE_AFTER
    assert len(match.current()) == 1
    match.offer(BETPAWA, GAIN[BETPAWA])
    match.now += timedelta(seconds=1)
    assert match.current() == []
    assert [each.opportunity.reasons for each in match.engine.current() if each.opportunity.kind == "arbitrage"] == [
        ("stale",)
    ]
    match.offer(SPORTYBET, GAIN[SPORTYBET])
    (track,) = match.current()
    assert track.first_seen_at == match.now
    assert match.told == [("appeared", 5.0), ("gone", 5.0), ("appeared", 5.0)]


def test_an_opportunity_ends_when_its_match_starts() -> None:
    """It is found again only for those who ask for matches that have started, and nobody is told."""
    match = Followed()
    for platform, odds in GAIN.items():
        match.offer(platform, odds, hours=0.01)
    assert len(match.current()) == 1
    match.now += timedelta(minutes=1)
    assert match.current() == []
    (started,) = [each for each in match.engine.current(include_started=True) if each.opportunity.kind == "arbitrage"]
    assert started.first_seen_at is None
    assert match.told == [("appeared", 5.0), ("gone", 5.0)]


def test_an_opportunity_ends_when_a_bookmaker_takes_the_match_down() -> None:
    """Whether the cache is told so or loses the event as a whole."""
    match = gaining()
    assert len(match.current()) == 1
    change = match.cache.withdraw(SPORTYBET, "sportybet-1", match.now)
    match.take(change)
    assert match.current() == []
    match.offer(SPORTYBET, GAIN[SPORTYBET])
    assert len(match.current()) == 1
    match.cache.clear()
    assert match.current() == []
    assert [what for what, _ in match.told] == ["appeared", "gone", "appeared", "gone"]


ODDS = st.sampled_from([1.3, 1.7, 1.9, 1.98, 2.05, 2.2, 2.4, 9.0])
LINES = [key("over_under_ft", side, line) for side in ("Over", "Under") for line in (1.5, 2.5, 3.5)]
STEP = st.tuples(
    st.sampled_from(list(Platform)),
    st.dictionaries(st.sampled_from([*X1, *LINES]), ODDS, max_size=9),
    st.booleans(),
    st.sampled_from([0, 1, 200]),
)


@settings(deadline=None)
@given(st.lists(STEP, max_size=12), st.booleans())
def test_following_the_changes_leads_to_what_a_new_search_finds(
    steps: list[tuple[Platform, dict[int, float], bool, int]], is_told: bool
) -> None:
    """Only what changed is searched, and nothing differs from an engine that begins at the end."""
    match = Followed(is_told=is_told)
    for platform, odds, is_list, seconds in steps:
        match.now += timedelta(seconds=seconds)
        event = header(platform, f"{platform}-1", "1", kickoff=NOW + timedelta(hours=6))
        match.take(match.cache.apply((listed if is_list else mapped)(event, odds), match.now))
        match.engine.current()
    fresh = OpportunityEngine(match.cache, STALE_AFTER, clock=lambda: match.now)
    assert shown(match.engine) == shown(fresh)


NONSENSE = [key("over_under_ft", side, line + 0.5) for line in range(30) for side in ("Over", "Under")]


def test_of_an_event_with_very_many_the_best_are_kept() -> None:
    """Nonsense in every market of a bookmaker fills no memory. What is left out is counted, and may be back."""
    match = Followed()
    for platform, gaining in ((BETPAWA, "Over"), (SPORTYBET, "Under")):
        better = {each: 2.05 + place / 1000 for place, each in enumerate(NONSENSE)}
        worse = dict.fromkeys(NONSENSE, 1.5)
        sides = [key("over_under_ft", gaining, line + 0.5) for line in range(30)]
        match.offer(platform, worse | {each: better[each] for each in sides})
    every = OpportunitySearch(next(iter(match.cache.events.values())), match.now, STALE_AFTER).whole()
    kept = match.engine.current()
    assert (len(kept), match.engine.left_out) == (MOST_OF_EVENT, len(every) - MOST_OF_EVENT)
    least = min(each.opportunity.margin for each in kept if not each.opportunity.reasons)
    clean = sorted((each.margin for each in every if not each.reasons), reverse=True)
    assert least == clean[min(MOST_OF_EVENT, len(clean)) - 1]
    assert [what for what, _ in match.told].count("gone") == 0
    match.offer(SPORTYBET, {NONSENSE[0]: 1.5, NONSENSE[1]: 2.05})
    assert [each.opportunity.margin for each in match.current()] == [2.5]
    assert match.engine.left_out == 0


def shown(engine: OpportunityEngine) -> dict[Identity, object]:
    """Return what an engine has, without the history of it."""
    return {
        each.opportunity.identity: (
            each.opportunity.margin,
            each.opportunity.reasons,
            [(leg.value, leg.holders) for leg in each.opportunity.legs],
        )
        for each in engine.current()
    }


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition."""
    async with asyncio.timeout(20):
        while not condition():
            await asyncio.sleep(0.005)


async def test_the_task_searches_what_changes_by_itself() -> None:
    """Nobody has to ask, and the loop is free between events."""
    match = Followed()
    for number in range(3):
        for platform, odds in GAIN.items():
            match.offer(platform, odds, name=str(number))
    match.engine.open()
    try:
        await until(lambda: len(match.told) == 3)
        match.offer(SPORTYBET, {OVER: 1.75, UNDER: 1.8}, name="1")
        await until(lambda: match.told[-1] == ("gone", 5.0))
        # Time alone ends the others.
        match.now += STALE_AFTER + timedelta(seconds=1)
        await until(lambda: len(match.told) == 6)
    finally:
        await match.engine.close()


def test_a_cache_that_was_read_again_is_no_reason_to_begin_anew() -> None:
    """Its events are other objects, of the same matches."""
    match = gaining()
    (before,) = match.current()
    match.now += timedelta(seconds=5)
    take(match.cache).restore(match.cache)
    (track,) = match.current()
    assert track.event is match.cache.events[1]
    assert (track.first_seen_at, match.told) == (before.first_seen_at, [("appeared", 5.0)])


async def test_an_event_that_leaves_the_cache_during_a_search_is_left_out() -> None:
    """It may do so whenever the loop is free."""
    match = Followed()
    for number in range(3):
        for platform, odds in GAIN.items():
            match.offer(platform, odds, name=str(number))
    search = asyncio.create_task(match.engine.refresh())
    await asyncio.sleep(0)
    match.cache.forget(3)
    await search
    assert sorted(track.event.id for track in match.current()) == [1, 2]


STEPS = 5
"""Times that the loop is free while the event of `GAIN` is searched."""


async def searched_up_to(match: Followed, step: int) -> asyncio.Task[None]:
    """Begin a search, and return when the loop has been free as often as this."""
    search = asyncio.create_task(match.engine.refresh())
    for _ in range(step):
        await asyncio.sleep(0)
    assert not search.done()
    return search


async def test_the_loop_is_free_while_an_event_is_searched() -> None:
    """A large event takes longer than the loop may be held."""
    match = gaining()
    search = await searched_up_to(match, STEPS)
    assert match.told == []
    await search
    assert match.told == [("appeared", 5.0)]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_an_event_that_changes_while_it_is_searched_is_searched_as_it_is_then(step: int) -> None:
    """Nothing is told of prices that are not there any more, and no change is lost."""
    match = gaining()
    search = await searched_up_to(match, step)
    match.offer(SPORTYBET, {OVER: 1.75, UNDER: 2.04})
    await search
    assert match.told == [("appeared", 3.48)]
    search = asyncio.create_task(match.engine.refresh())
    await asyncio.sleep(0)
    match.offer(BET9JA, {OVER: 2.2, UNDER: 1.7})
    await search
    assert [each.opportunity.margin for each in match.current()] == [5.85]
    assert match.told == [("appeared", 3.48), ("changed", 5.85)]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_a_feed_that_has_other_prices_while_an_event_is_searched_ends_no_search(step: int) -> None:
    """Its probabilities are those of its prices, and go with no others."""
    match = Followed()
    match.offer(BETPAWA, GAIN[BETPAWA])
    match.offer(SPORTYBET, GAIN[SPORTYBET], chance=Chance(0.5))
    search = await searched_up_to(match, step)
    match.offer(SPORTYBET, {OVER: 1.75, UNDER: 2.04} | X1, chance=Chance(0.5))
    await search
    assert match.told == [("appeared", 3.48)]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_who_asks_during_a_search_gets_the_answer_of_the_moment(step: int) -> None:
    """What the search finds then is nothing new."""
    match = gaining()
    search = await searched_up_to(match, step)
    (track,) = match.current()
    match.now += timedelta(seconds=1)
    await search
    assert match.current() == [track]
    assert match.told == [("appeared", 5.0)]


@pytest.mark.parametrize("step", range(1, STEPS + 1))
async def test_an_event_that_kicks_off_while_it_is_searched_is_not_told(step: int) -> None:
    """Its prices are not those from before the match any more."""
    match = gaining()
    search = await searched_up_to(match, step)
    match.now += timedelta(hours=6)
    await search
    assert match.current() == []
    assert match.told == []


async def test_an_event_that_kicks_off_while_a_part_of_it_is_searched_is_searched_as_a_whole() -> None:
    """What is watched until the kick-off ends with it, also in the parts that did not change."""
    match = Followed()
    for platform, odds in GAIN.items():
        match.offer(platform, odds, hours=0.01)
    assert len(match.current()) == 1
    match.offer(BETPAWA, GAIN[BETPAWA] | X1, hours=0.01)
    search = await searched_up_to(match, 1)
    match.now += timedelta(minutes=1)
    await search
    assert [each.opportunity.kind for each in match.engine.current(include_started=True)].count("arbitrage") == 1


def test_a_renamed_competition_is_no_reason_to_begin_anew() -> None:
    """The event is searched again as a whole, and its opportunity is the same."""
    match = gaining()
    (before,) = match.current()
    match.now += timedelta(seconds=5)
    event = header(BETPAWA, "betpawa-1", "1", competition=Competition("18", "Cup", PREMIER.country))
    match.take(match.cache.apply(mapped(event, GAIN[BETPAWA]), match.now))
    (track,) = match.current()
    assert track.first_seen_at == before.first_seen_at
    assert match.told == [("appeared", 5.0)]
