"""Opportunities at chosen bookmakers: what is possible at them alone, whatever the others pay."""

import asyncio
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.catalogue import offer_code, unpack_key
from quart_odds.domain.fair import Chance
from quart_odds.domain.platforms import Platform
from quart_odds.odds import opportunity_choices
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.opportunities import MOST_OF_EVENT, OpportunityEngine, Track
from quart_odds.odds.opportunity_choices import MOST_CHOICES, ChosenOpportunities, OpportunityChoices
from quart_odds.odds.opportunity_search import OpportunitySearch
from quart_odds.odds.snapshots import take
from tests.odds.from_scratch import FED, searched_from_scratch, shape
from tests.odds.making import NOW, STALE_AFTER, X1, header, listed, mapped
from tests.odds.test_opportunities import GAIN, LINES, NONSENSE, Followed
from tests.odds.test_opportunities import ODDS as FEW_ODDS
from tests.odds.test_opportunity_search import BOOK, CHANCES, HIGHER_UNDER, OVER, UNDER, Match

BETPAWA, SPORTYBET, BET9JA = Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA
FIVE = tuple(Platform)[:5]
CHOICES = [each for count in range(1, len(FIVE)) for each in combinations(FIVE, count)]


class Chosen(Followed):
    """A followed match, and the opportunities at any choice of bookmakers."""

    def __init__(self) -> None:
        super().__init__()
        self.choices = OpportunityChoices(self.engine)

    def at(self, *platforms: Platform, kind: str = "arbitrage") -> list[Track]:
        """Return the opportunities of a kind at these bookmakers that are not listed apart."""
        every = self.choices.of(platforms).current()
        return [each for each in every if each.opportunity.kind == kind and not each.opportunity.reasons]


def offer_nonsense(match: Chosen, one: Platform, other: Platform) -> None:
    """Let two bookmakers have more opportunities than are kept, in other lines than OVER and UNDER."""
    odd = [each for each in NONSENSE if each not in (OVER, UNDER)]
    match.offer(one, {each: 2.36 if unpack_key(each)[1] == 0 else 1.5 for each in odd})
    match.offer(other, {each: 1.5 if unpack_key(each)[1] == 0 else 2.36 for each in odd})


@settings(deadline=None, max_examples=60)
@given(
    st.lists(BOOK, min_size=4, max_size=5),
    st.booleans(),
    st.sets(st.sampled_from(FIVE), max_size=2),
    st.sets(st.sampled_from(FIVE[1:]), max_size=1),
)
def test_a_choice_has_what_a_search_of_its_prices_alone_finds(
    books: list[dict[int, float]], is_fed: bool, old: set[Platform], crossed: set[Platform]
) -> None:
    """For every choice there is. What is fair, and which prices are not to be believed, is as for all.

    Of probabilities for a part of a market, the search of all need not make use; then nor does that of some.
    """
    match = Match()
    for platform, odds in zip(FIVE, books, strict=False):
        chances = {each: Chance(CHANCES[each]) for each in odds} if is_fed and platform in FED else None
        at = NOW - 2 * STALE_AFTER if platform in old else NOW
        match.offer(platform, odds, at, chances=chances, is_reversed=platform in crossed)
    event = match.cache.events[1]
    at_all = {each.identity[1] for each in match.search().whole() if each.kind == "value"}
    choices = OpportunityChoices(OpportunityEngine(match.cache, STALE_AFTER, clock=lambda: NOW))
    for chosen in CHOICES:
        expected = set(searched_from_scratch(event, chosen, is_fed=is_fed))
        if is_fed:
            expected = {each for each in expected if each[0] != "value" or each[1] in at_all}
        found = choices.of(chosen)
        tracks = found.current()
        assert all(platform in chosen for each in tracks for leg in each.opportunity.legs for platform in leg.platforms)
        assert found.left_out == max(0, len(expected) - MOST_OF_EVENT)
        if found.left_out:
            assert len(tracks) == MOST_OF_EVENT
            assert set(map(shape, tracks)) <= expected
        else:
            assert set(map(shape, tracks)) == expected
        assert len(tracks) == len(set(map(shape, tracks)))


STEP = st.tuples(
    st.sampled_from(FIVE),
    st.dictionaries(st.sampled_from([*X1, *LINES]), FEW_ODDS, max_size=9),
    st.booleans(),
)


@settings(deadline=None, max_examples=60)
@given(st.lists(STEP, max_size=12), st.sets(st.sampled_from(FIVE), min_size=1, max_size=4))
def test_what_is_kept_of_a_choice_follows_every_change(
    steps: list[tuple[Platform, dict[int, float], bool]], chosen: set[Platform]
) -> None:
    """It is at any time what somebody finds who asks for the first time."""
    match = Chosen()
    for platform, odds, is_list in steps:
        match.now += timedelta(seconds=1)
        event = header(platform, f"{platform}-1", "1", kickoff=NOW + timedelta(hours=6))
        match.take(match.cache.apply((listed if is_list else mapped)(event, odds), match.now))
        kept = set(map(shape, match.choices.of(chosen).current()))
        fresh = OpportunityEngine(match.cache, STALE_AFTER, clock=lambda: match.now)
        assert kept == set(map(shape, OpportunityChoices(fresh).of(chosen).current()))


def test_what_a_better_price_elsewhere_hides_is_found() -> None:
    """Among all, the third bookmaker's price counts; at the two others, theirs do."""
    match = Chosen()
    match.offer(BETPAWA, {OVER: 2.1, UNDER: 1.75, HIGHER_UNDER: 1.3})
    match.offer(SPORTYBET, {OVER: 1.75, UNDER: 2.1, HIGHER_UNDER: 1.95})
    match.offer(BET9JA, {OVER: 2.3, UNDER: 1.62, HIGHER_UNDER: 1.96})
    assert [each.opportunity.margin for each in match.current()] == [9.77]
    (found,) = match.at(BETPAWA, SPORTYBET)
    assert (found.opportunity.margin, [leg.platform for leg in found.opportunity.legs]) == (5.0, [BETPAWA, SPORTYBET])
    (middle,) = match.at(BETPAWA, SPORTYBET, kind="middle")
    assert [leg.platform for leg in middle.opportunity.legs] == [BETPAWA, SPORTYBET]
    assert match.at(BETPAWA, BET9JA) == []


def test_history_is_told_where_all_have_the_same_prices() -> None:
    """Since when others are there nobody knows, so nothing is told."""
    match = Chosen()
    for platform, odds in GAIN.items():
        match.offer(platform, odds)
    match.offer(BET9JA, {OVER: 2.1, UNDER: 1.75})
    assert len(match.current()) == 1
    match.now += timedelta(seconds=30)
    # At both choices, the same price is at one bookmaker fewer.
    for other in (BETPAWA, BET9JA):
        (track,) = match.at(other, SPORTYBET)
        assert (track.first_seen_at, track.best_margin, track.opportunity.margin) == (NOW, 5.0, 5.0)
        assert track.opportunity.legs[0].platforms == [other]
    match.offer(BET9JA, {OVER: 2.2, UNDER: 1.7})
    (better,), (hidden,) = match.at(BET9JA, SPORTYBET), match.at(BETPAWA, SPORTYBET)
    assert (better.first_seen_at, better.best_margin) == (NOW, 7.44)
    assert (hidden.first_seen_at, hidden.best_margin) == (None, 5.0)


def test_one_bookmaker_has_value_bets_and_no_arbitrage() -> None:
    """What is fair say the others. A market that gains at one bookmaker alone is listed apart, as among all."""
    match = Chosen()
    match.offer(BETPAWA, {OVER: 2.1, UNDER: 1.75})
    match.offer(SPORTYBET, {OVER: 1.92, UNDER: 1.92})
    match.offer(BET9JA, {OVER: 2.2, UNDER: 2.2})
    (value,) = match.at(BETPAWA, kind="value")
    assert value.opportunity.fair is not None
    assert (value.opportunity.margin, value.opportunity.fair.source) == (5.0, "no_vig:power:sportybet")
    assert all(match.at(platform) == [] for platform in FIVE)
    apart = [each for each in match.choices.of([BET9JA]).current() if each.opportunity.kind == "arbitrage"]
    assert [each.opportunity.reasons for each in apart] == [("one_bookmaker",)]


def test_outliers_are_told_by_the_prices_of_all() -> None:
    """Beside 1.9 alone, 3.2 would be one: not where others pay 2.5. Alone it would be none: but others pay 1.9."""
    for usual, expected in ((2.5, ()), (1.9, ("outlier",))):
        match = Chosen()
        match.offer(FIVE[0], {OVER: 1.9, UNDER: 1.5})
        match.offer(FIVE[1], {OVER: usual, UNDER: 1.4})
        match.offer(FIVE[2], {OVER: 3.2, UNDER: 1.4})
        match.offer(FIVE[3], {OVER: usual, UNDER: 1.4})
        match.offer(FIVE[4], {UNDER: 1.5})
        for other in (FIVE[0], FIVE[4]):
            found = match.choices.of([FIVE[2], other]).current()
            assert [each.opportunity.reasons for each in found if each.opportunity.kind == "arbitrage"] == [expected]


def test_a_price_of_the_choice_that_gets_too_old_is_set_aside_until_it_is_seen_again() -> None:
    """Also if all prices of the best opportunity of all stay fresh."""
    match = Chosen()
    match.offer(BETPAWA, {OVER: 2.05, UNDER: 1.75})
    match.now += timedelta(seconds=100)
    match.offer(SPORTYBET, {OVER: 1.75, UNDER: 2.1})
    match.offer(BET9JA, {OVER: 2.1, UNDER: 1.75})
    assert len(match.at(BETPAWA, SPORTYBET)) == 1
    match.now = NOW + STALE_AFTER
    assert len(match.at(BETPAWA, SPORTYBET)) == 1
    match.now += timedelta(seconds=1)
    assert (len(match.current()), match.at(BETPAWA, SPORTYBET)) == (1, [])
    match.offer(BETPAWA, {OVER: 2.05, UNDER: 1.75})
    assert len(match.at(BETPAWA, SPORTYBET)) == 1


def test_of_very_many_those_are_found_that_all_have_left_out() -> None:
    """Nonsense of others pushes nothing out of the list of a choice."""
    match = Chosen()
    for platform, odds in GAIN.items():
        match.offer(platform, odds)
    assert len(match.at(*GAIN)) == 1
    offer_nonsense(match, FIVE[2], FIVE[3])
    assert len(match.engine.current()) == MOST_OF_EVENT
    assert all(offer_code(OVER) not in each.opportunity.offers for each in match.engine.current())
    choice = match.choices.of(list(GAIN))
    (track,) = match.at(*GAIN)
    assert (track.opportunity.margin, track.first_seen_at, choice.left_out) == (5.0, None, 0)
    nonsense = match.choices.of(FIVE[2:4])
    assert len(nonsense.current()) == MOST_OF_EVENT
    assert 0 < nonsense.left_out < match.engine.left_out
    match.cache.clear()
    assert (nonsense.current(), nonsense.left_out) == ([], 0)


def test_started_events_and_those_that_are_gone() -> None:
    """The first are found for those who ask for them, the second are forgotten."""
    match = Chosen()
    match.offer(BET9JA, {OVER: 2.2, UNDER: 1.7}, hours=0.01)
    for platform, odds in GAIN.items():
        match.offer(platform, odds, hours=0.01)
    assert len(match.at(*GAIN)) == 1
    match.now += timedelta(minutes=1)
    assert match.at(*GAIN) == []
    started = match.choices.of(list(GAIN)).current(include_started=True)
    assert [each.opportunity.margin for each in started if each.opportunity.kind == "arbitrage"] == [5.0]
    match.cache.clear()
    assert match.choices.of(list(GAIN)).current(include_started=True) == []


def test_a_cache_that_was_read_again_is_searched_again() -> None:
    """Its events are other objects, of the same matches."""
    match = Chosen()
    match.offer(BET9JA, {OVER: 2.2, UNDER: 1.7})
    for platform, odds in GAIN.items():
        match.offer(platform, odds)
    assert len(match.at(*GAIN)) == 1
    take(match.cache).restore(match.cache)
    (track,) = match.at(*GAIN)
    assert track.event is match.cache.events[1]


class Counting:
    """Counts searches."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.events: list[int] = []
        patch.setattr(opportunity_choices, "OpportunitySearch", self._search)

    def _search(
        self, event: CachedEvent, now: datetime, max_age: timedelta, chosen: Collection[Platform]
    ) -> OpportunitySearch:
        self.events.append(event.id)
        return OpportunitySearch(event, now, max_age, chosen)

    def since(self) -> list[int]:
        """Return the events that were searched since the last call."""
        events, self.events = self.events, []
        return events


HIDING: Mapping[Platform, Mapping[int, float]] = {**GAIN, BET9JA: {OVER: 2.2, UNDER: 1.7}}


def hiding(names: Collection[str] = "1") -> Chosen:
    """Return matches of which the best opportunity is at all bookmakers, and another one at two of them."""
    match = Chosen()
    for name in names:
        for platform, odds in HIDING.items():
            match.offer(platform, odds, name=name)
    return match


def test_an_event_is_searched_once_for_a_choice_until_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the order of the choice. Nothing is searched where all have only what the chosen have."""
    match = hiding("12")
    match.offer(BETPAWA, GAIN[BETPAWA], name="3")
    match.offer(SPORTYBET, GAIN[SPORTYBET], name="3")
    counted = Counting(monkeypatch)
    first = match.at(BETPAWA, SPORTYBET)
    assert (len(first), sorted(counted.since())) == (3, [1, 2])
    assert (match.at(SPORTYBET, BETPAWA), counted.since()) == (first, [])
    match.offer(BET9JA, {OVER: 2.15, UNDER: 1.7}, name="2")
    assert (len(match.at(BETPAWA, SPORTYBET)), counted.since()) == (3, [2])


def test_all_bookmakers_cost_nothing_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them in any order, those that have odds, and none named are the same."""
    match = hiding()
    counted = Counting(monkeypatch)
    other_order = tuple(Platform)[::-1]
    assert match.choices.of([]) is match.choices.of(other_order) is match.engine
    for chosen in ((), other_order, tuple(HIDING)):
        assert match.at(*chosen) == match.current()
    offer_nonsense(match, BETPAWA, SPORTYBET)
    assert match.at(*HIDING) == match.current()
    assert match.choices.of(tuple(HIDING)).left_out == match.engine.left_out > 0
    assert counted.since() == []


def test_few_choices_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks for every choice there is fills no memory. The choice that is asked for again and again stays."""
    match = hiding()
    counted = Counting(monkeypatch)
    usual = match.choices.of([BETPAWA, SPORTYBET])
    for chosen in CHOICES:
        match.at(*chosen)
        assert match.choices.of([BETPAWA, SPORTYBET]) is usual
    assert len(CHOICES) > MOST_CHOICES
    counted.since()
    match.at(BETPAWA, SPORTYBET)
    assert counted.since() == []
    match.at(*CHOICES[0])
    assert counted.since() == [1]


async def test_the_loop_is_free_between_events() -> None:
    """What changes or leaves meanwhile is as it is when the search has ended."""
    match = hiding("123")
    await match.engine.refresh()
    choice = match.choices.of([BETPAWA, SPORTYBET])
    assert isinstance(choice, ChosenOpportunities)
    searching, turns = asyncio.create_task(choice.refresh()), 0
    while not searching.done():
        turns += 1
        if turns == 2:
            match.cache.forget(3)
            match.offer(SPORTYBET, {OVER: 1.75, UNDER: 1.8}, name="1")
        await asyncio.sleep(0)
    assert turns > 3
    assert [each.event.id for each in choice.current() if each.opportunity.kind == "arbitrage"] == [2]
