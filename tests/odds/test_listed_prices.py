"""Prices that lists carry: they replace those of their markets and lines, and leave all others and their ages."""

import asyncio
import time
from dataclasses import dataclass, field, replace
from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.catalogue import CATALOGUE, offer_code, promoted_key
from quart_odds.domain.odds import MappedEvent, Prices
from quart_odds.domain.platforms import Platform
from quart_odds.odds import EventOdds, OddsCache, OddsService
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.history import OddsHistory, market_keys, market_states
from quart_odds.odds.offer_times import MAX_LISTS
from quart_odds.storage import open_store
from tests.odds.making import KICKOFF, NOW, OVER_UNDER, X1, header, here, key, listed, mapped, the_odds
from tests.odds.making import seconds_on as at

HOME, DRAW, AWAY = X1
OVER, UNDER = OVER_UNDER
BOTH_SCORE = {key("btts_ft", name): odds for name, odds in (("Yes", 1.8), ("No", 1.95))}


def epoch(seconds: float) -> int:
    """Return the same as an epoch second."""
    return int(at(seconds).timestamp())


def test_a_list_replaces_the_prices_of_its_markets_alone() -> None:
    """Other markets keep their prices, and the time at which they were last seen and changed."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    change = cache.apply(listed(odds=X1 | {HOME: 2.5}), at(60))
    event_odds = the_odds(cache)
    assert change.changed == ((HOME, 2400 << 1 | 1, 2500 << 1 | 1),)
    assert here(event_odds) == X1 | OVER_UNDER | {HOME: 2.5}
    assert (event_odds.seen_at_of(AWAY), event_odds.seen_at_of(OVER)) == (at(60), NOW)
    assert dict(zip(event_odds.keys, event_odds.changed, strict=True))[OVER] == epoch(0)
    assert (event_odds.seen_at, event_odds.listed_at, event_odds.detailed_at) == (NOW, at(60), NOW)
    assert cache.events[1].seen_at == at(60)


def test_an_outcome_that_a_list_lacks_is_gone_and_a_market_that_it_lacks_is_not() -> None:
    """The gone price was last seen when its own market and line was, be that in a list or in the event's body."""
    cache = OddsCache()
    cache.apply(mapped(odds=X1 | OVER_UNDER | BOTH_SCORE), NOW)
    cache.apply(listed(), at(60))
    change = cache.apply(listed(odds={HOME: 2.4, AWAY: 3.0, OVER: 1.98}), at(120))
    event_odds = the_odds(cache)
    assert [key for key, _, new in change.changed if new is None] == [DRAW, UNDER]
    assert event_odds.last_seen == {DRAW: epoch(60), UNDER: epoch(0)}
    assert here(event_odds).keys() == {HOME, AWAY, OVER, *BOTH_SCORE}
    assert cache.apply(listed(odds={HOME: 2.4, AWAY: 3.0, OVER: 1.98}), at(180)).changed == ()
    assert event_odds.last_seen == {DRAW: epoch(60), UNDER: epoch(0)}
    assert cache.apply(listed(), at(240)).changed == ((DRAW, None, 3300 << 1 | 1),)


def test_a_promoted_price_goes_with_its_market_and_line() -> None:
    """It is gone if a list has its market without it, and stays if a list has another market."""
    promoted = promoted_key(HOME, 2)
    cache = OddsCache()
    cache.apply(mapped(odds=X1 | OVER_UNDER | {promoted: 2.3}), NOW)
    assert cache.apply(listed(odds=OVER_UNDER), at(60)).changed == ()
    assert cache.apply(listed(), at(120)).changed == ((promoted, 2300 << 1 | 1, None),)
    assert cache.apply(listed(odds=X1 | {promoted: 2.3}), at(180)).count == 1


def test_lines_of_one_market_have_prices_and_ages_of_their_own() -> None:
    """A list that has one line says nothing about the other."""
    other = {key("over_under_ft", "Over", 3.5): 3.1, key("over_under_ft", "Under", 3.5): 1.35}
    cache = OddsCache()
    cache.apply(mapped(odds=OVER_UNDER | other), NOW)
    assert cache.apply(listed(odds=OVER_UNDER), at(60)).changed == ()
    event_odds = the_odds(cache)
    assert [event_odds.seen_at_of(key) for key in (*OVER_UNDER, *other)] == [at(60), at(60), NOW, NOW]


def test_a_list_can_be_the_first_to_have_an_event() -> None:
    """The event is new then. It has no body of its own until there is a fetch of one."""
    cache = OddsCache()
    change = cache.apply(listed(), NOW)
    event_odds = the_odds(cache)
    assert change.is_new
    assert change.count == 3
    assert (event_odds.seen_at, event_odds.listed_at, event_odds.detailed_at) == (NOW, NOW, None)
    assert cache.apply(mapped(), at(60)).count == 2
    assert (event_odds.seen_at, event_odds.listed_at, event_odds.detailed_at) == (at(60), NOW, at(60))
    assert event_odds.seen_at_of(HOME) == at(60)


def test_a_body_and_a_list_that_alternate_are_each_believed() -> None:
    """A price that a list changed is changed again by a body that has the former one, and so on."""
    cache = OddsCache()
    moved = X1 | {HOME: 2.5}
    counts = [
        cache.apply(each, at(60 * number)).count
        for number, each in enumerate(
            [mapped(), listed(odds=moved), mapped(), listed(odds=moved), listed(odds=moved), listed(), mapped()]
        )
    ]
    assert counts == [5, 1, 1, 1, 0, 1, 0]


def test_after_the_kick_off_a_list_replaces_nothing() -> None:
    """Pre-match prices stay as they were last seen, also if only lists had them."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.apply(listed(odds=X1 | {HOME: 2.5}), at(60))
    assert cache.apply(listed(odds=X1 | {HOME: 1.05}), KICKOFF).changed == ()
    assert cache.apply(mapped(odds=X1 | {HOME: 1.05}), KICKOFF).changed == ()
    event_odds = the_odds(cache)
    assert here(event_odds)[HOME] == 2.5
    assert (event_odds.fetched_at, event_odds.is_late) == (at(60), False)


def test_the_header_of_the_body_stays() -> None:
    """A list gives the kick-off and ids that are missing; it takes no id away and renames nothing."""
    cache = OddsCache()
    body = header(genius_id="13000001")
    cache.apply(mapped(body), NOW)
    short = replace(body, sportradar_id=None, genius_id=None, home_team="ARSENAL (ENG)")
    assert not cache.apply(listed(short), at(60)).is_header_changed
    assert the_odds(cache).header == body
    change = cache.apply(listed(replace(short, kickoff=KICKOFF + timedelta(hours=1))), at(120))
    assert change.is_header_changed
    assert the_odds(cache).header == replace(body, kickoff=KICKOFF + timedelta(hours=1))


def test_a_list_does_not_bring_back_what_the_bookmaker_withdrew() -> None:
    """Lists lag behind: else the event would be back and gone again with each run. Its own body brings it back."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.withdraw(Platform.BETPAWA, "e1", at(60))
    change = cache.apply(listed(odds=X1 | {HOME: 2.5}), at(120))
    assert change.is_seen_only
    assert the_odds(cache).gone_at == at(60)
    assert here(the_odds(cache))[HOME] == 2.4
    assert cache.apply(mapped(), at(180)).is_available is True


def test_a_list_brings_back_what_lists_had_lost() -> None:
    """An event that two lists lacked is back with the next list that has it."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    for seconds in (60, 400):
        cache.mark_missing(Platform.BETPAWA, {}, at(seconds), believe_after=timedelta(minutes=5))
    assert the_odds(cache).gone_at == at(400)
    change = cache.apply(listed(), at(460))
    assert (change.is_available, the_odds(cache).gone_at, the_odds(cache).missed_at) == (True, None, None)


def test_the_bookmakers_own_time_of_a_change_is_kept() -> None:
    """A body replaces all of them, a list those that it has. An impossible time is left out. None is a change."""
    cache = OddsCache()
    home, over = offer_code(HOME), offer_code(OVER)
    first = int(NOW.timestamp() * 1000) + 123
    cache.apply(replace(mapped(), source_changed={home: first, over: first}), NOW)
    event_odds = the_odds(cache)
    assert event_odds.source_changed_at(AWAY) == NOW + timedelta(milliseconds=123)
    change = cache.apply(listed(source_changed={home: first + 5, over: 10**18}), at(60))
    assert not change.is_change
    assert [event_odds.source_times.get(code) for code in (home, over)] == [first + 5, None]
    cache.apply(replace(mapped(), source_changed={over: first}), at(120))
    assert [event_odds.source_changed_at(key) for key in (HOME, OVER)] == [None, NOW + timedelta(milliseconds=123)]


def test_a_clock_that_was_ahead_leaves_no_age_in_the_future() -> None:
    """What was seen then counts as seen now."""
    far = header(kickoff=KICKOFF + timedelta(days=9))
    cache = OddsCache()
    cache.apply(mapped(far), NOW)
    cache.apply(listed(far, X1 | {HOME: 2.5}), NOW + timedelta(days=1))
    cache.apply(listed(far, OVER_UNDER | {OVER: 1.9}), at(60))
    event_odds = the_odds(cache)
    assert [event_odds.seen_at_of(key) for key in (HOME, OVER)] == [at(60), at(60)]
    assert event_odds.fetched_at == at(60)


def test_the_memory_of_lists_is_bounded() -> None:
    """A bookmaker that lists another line each time does not fill the memory; what is forgotten counts as older."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    for number in range(3 * MAX_LISTS):
        cache.apply(listed(odds={key("over_under_ft", "Over", number + 0.5): 1.9}), at(number + 1))
    event_odds = the_odds(cache)
    assert len(event_odds.listed) == MAX_LISTS
    assert event_odds.seen_at_of(key("over_under_ft", "Over", 0.5)) == NOW


def test_a_market_is_confirmed_when_it_was_itself_seen_again() -> None:
    """A list confirms the markets that it has, and no other."""
    cache = OddsCache()
    change = cache.apply(mapped(), NOW)
    opening = {key: new for key, _, new in change.changed if new is not None}
    cache.apply(listed(), at(60))
    past = OddsHistory(epoch(0), opening, ())
    states = [
        market_states(the_odds(cache), past, market_keys(CATALOGUE.by_slug[slug], line))
        for slug, line in (("1x2_ft", None), ("over_under_ft", 2.5))
    ]
    assert [[(state.at, state.is_confirmed) for state in each] for each in states] == [
        [(NOW, False), (at(60), True)],
        [(NOW, False)],
    ]


def test_a_sweep_that_finds_nothing_new_is_cheap() -> None:
    """A sweep applies thousands of events every few seconds: some 20 µs each, at most ten times that on a busy machine.

    The arrays of the prices are not unpacked for it.
    """
    cache = OddsCache()
    many = {key("over_under_ft", name, line / 4): 1.9 for line in range(1, 200) for name in ("Over", "Under")}
    for number in range(300):
        cache.apply(mapped(header(external_id=f"e{number}", sportradar_id=None), many | X1), NOW)
    sweep = [listed(header(external_id=f"e{number}", sportradar_id=None), X1 | OVER_UNDER) for number in range(300)]
    times = []
    for round_number in range(4):
        began = time.perf_counter()
        for each in sweep:
            cache.apply(each, at(60 + round_number))
        times.append((time.perf_counter() - began) / len(sweep))
    assert min(times[1:]) < 200e-6
    assert min(times[1:]) < times[0]


OFFERS = (
    (HOME, DRAW, AWAY, promoted_key(HOME, 2)),
    (OVER, UNDER),
    (key("over_under_ft", "Over", 3.5), key("over_under_ft", "Under", 3.5), promoted_key(OVER + 4, 3)),
)
PLACE = {each: number for number, offer in enumerate(OFFERS) for each in offer}
KEYS = list(PLACE)

fetches = st.lists(
    st.tuples(st.booleans(), st.dictionaries(st.sampled_from(KEYS), st.integers(2, 4), max_size=len(KEYS))),
    min_size=1,
    max_size=10,
)


@dataclass
class Model:
    """What event odds should be after a sequence of fetches, as plain dictionaries."""

    prices: dict[int, int] = field(default_factory=dict)
    gone: dict[int, tuple[int, int]] = field(default_factory=dict)
    seen: dict[int, int] = field(default_factory=dict)

    def take(self, is_partial: bool, fetch: dict[int, int], seconds: int) -> None:
        """Take one fetch, at this many seconds after NOW."""
        offers = {PLACE[key] for key in fetch} if is_partial else set(range(len(OFFERS)))
        for each in KEYS:
            if PLACE[each] not in offers:
                continue
            if each in fetch:
                self.gone.pop(each, None)
                self.prices[each] = fetch[each]
            elif each in self.prices:
                self.gone[each] = self.prices.pop(each), epoch(self.seen[PLACE[each]])
        for offer in offers:
            self.seen[offer] = seconds

    def check(self, event_odds: EventOdds) -> None:
        """Compare the model with event odds."""
        assert dict(iter(event_odds.prices())) == self.prices
        assert {key: value & ~GONE for key, value, _ in event_odds if value & GONE} == {
            key: value for key, (value, _) in self.gone.items()
        }
        assert event_odds.last_seen == {key: seen for key, (_, seen) in self.gone.items()}
        assert {place: event_odds.seen_at_of(OFFERS[place][0]) for place, seconds in self.seen.items() if seconds} == {
            place: at(seconds) for place, seconds in self.seen.items() if seconds
        }


def event_of(is_partial: bool, fetch: dict[int, int]) -> MappedEvent:
    """Return a decoded event with these packed values."""
    return MappedEvent(header(), Prices.from_pairs(fetch.items()), is_partial=is_partial)


@given(fetches)
def test_any_sequence_of_bodies_and_lists_gives_the_prices_that_a_naive_model_has(
    sequence: list[tuple[bool, dict[int, int]]],
) -> None:
    """Prices, gone prices and the times at which both were seen are right after each fetch; the changes add up."""
    cache, model = OddsCache(), Model()
    cache.apply(event_of(False, {}), NOW)
    model.take(False, {}, 0)
    known: dict[int, int] = {}
    for number, (is_partial, fetch) in enumerate(sequence, 1):
        change = cache.apply(event_of(is_partial, fetch), at(10 * number))
        for changed, old, new in change.changed:
            assert known.pop(changed, None) == old
            if new is not None:
                known[changed] = new
        model.take(is_partial, fetch, 10 * number)
        assert known == model.prices
        model.check(the_odds(cache))


@settings(max_examples=20, deadline=None)
@given(fetches, fetches)
def test_a_restart_between_bodies_and_lists_changes_nothing(
    before: list[tuple[bool, dict[int, int]]], after: list[tuple[bool, dict[int, int]]]
) -> None:
    """What was stored and loaded is what the model has, and so is everything that follows."""

    async def run() -> None:
        store, model = await open_store("sqlite:///:memory:"), Model()
        try:
            odds_service = OddsService(store, clock=lambda: NOW)
            await odds_service.record(event_of(False, {}), NOW)
            model.take(False, {}, 0)
            # More than a minute apart, so that the time of each fetch is stored.
            for number, (is_partial, fetch) in enumerate(before, 1):
                await odds_service.record(event_of(is_partial, fetch), at(100 * number))
                model.take(is_partial, fetch, 100 * number)
            await odds_service.close()
            again = OddsService(store, clock=lambda: NOW)
            await again.load()
            model.check(the_odds(again.cache))
            for number, (is_partial, fetch) in enumerate(after, 1 + len(before)):
                await again.record(event_of(is_partial, fetch), at(100 * number))
                model.take(is_partial, fetch, 100 * number)
                model.check(the_odds(again.cache))
            await again.close()
        finally:
            await store.aclose()

    asyncio.run(run())
