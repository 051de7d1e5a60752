"""The polling policy, on a simulated clock."""

import math
from datetime import timedelta
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.odds import OddsCache
from quart_odds.scraping.polling import (
    BARE_LISTS_SECONDS,
    FIRST_WAIT_SECONDS,
    LEAST_AGE_SECONDS,
    LEAST_INTERVAL_SECONDS,
    SOON_PARTS,
    Candidate,
    PollingPolicy,
    RateCurve,
    assumed_rate,
)
from quart_odds.scraping.rounds import has_main_change
from tests.odds.making import NOW, OVER_UNDER, X1, listed, mapped

HOUR = 3600.0
DAY = 24 * HOUR
MAX_AGE = 30 * 60.0


def far(external_id: str, detailed_at: float | None, *, is_watched: bool = False) -> Candidate:
    """An event that kicks off in days."""
    return Candidate(external_id, 5 * DAY, detailed_at, is_watched)


def note(policy: PollingPolicy, external_id: str, name: str, kickoff: float, at: float, *, has_moved: bool) -> None:
    """Note that a list had an event and its prices."""
    policy.note_event(external_id, name, kickoff, at)
    policy.note_prices(external_id, at, has_moved=has_moved)


def read(policy: PollingPolicy, name: str, at: float, requests: int = 1) -> None:
    """Note that a list of ten quiet events was read."""
    for number in range(10):
        note(policy, f"{name}/{number}", name, 5 * DAY, at, has_moved=False)
    policy.note_list(name, requests, at)


def test_all_lists_are_read_if_they_fit() -> None:
    """There are requests for all of them, so nothing is left out."""
    policy = PollingPolicy()
    assert sorted(policy.plan_lists(["a", "b", "c"], 0.0, 3)) == ["a", "b", "c"]


def test_lists_take_no_more_requests_than_they_may() -> None:
    """With more lists than requests, those that do not fit are left out."""
    policy = PollingPolicy()
    names = [str(number) for number in range(100)]
    assert len(policy.plan_lists(names, 0.0, 20.5)) == 20


def test_at_least_one_list_is_read() -> None:
    """Even one that takes more requests than there are."""
    policy = PollingPolicy()
    read(policy, "long", 0.0, requests=50)
    assert policy.plan_lists(["long"], 10.0, 5) == ["long"]


def test_lists_without_prices_are_read_now_and_then() -> None:
    """They only tell which events there are, and leave the requests to details."""
    policy = PollingPolicy()
    assert policy.are_lists_due(0.0)
    policy.note_list("bare", 10, 0.0, has_prices=False)
    assert not policy.are_lists_due(BARE_LISTS_SECONDS - 1)
    assert policy.are_lists_due(BARE_LISTS_SECONDS)
    assert policy.are_lists_due(-1.0), "after the clock was set back"
    policy.note_list("priced", 1, 0.0)
    assert policy.are_lists_due(1.0)


def test_unread_lists_come_first() -> None:
    """Nothing is known of them."""
    policy = PollingPolicy()
    read(policy, "known", 0.0)
    assert policy.plan_lists(["known", "new"], 1000.0, 1) == ["new"]


def test_a_list_whose_events_move_is_read_more_often() -> None:
    """Its rate is learned from what was seen to move, and quiet lists are still read."""
    policy = PollingPolicy()
    reads = {"quiet": 0, "busy": 0}
    for second in range(0, 3600, 10):
        at = float(second)
        for name in policy.plan_lists(["quiet", "busy"], at, 1):
            reads[name] += 1
            for number in range(10):
                moved = name == "busy" and number == 0 and second > 0
                note(policy, f"{name}/{number}", name, 5 * DAY, at, has_moved=moved)
            policy.note_list(name, 1, at)
    assert reads["busy"] > 2 * reads["quiet"]
    assert reads["quiet"] > 5


def test_lists_with_events_near_kickoff_come_first() -> None:
    """Before anything was seen to move, prices near the kick-off are assumed to move more."""
    policy = PollingPolicy()
    for name, kickoff in (("far", 5 * DAY), ("near", HOUR)):
        note(policy, name, name, kickoff, 0.0, has_moved=False)
        policy.note_list(name, 1, 0.0)
    assert policy.plan_lists(["far", "near"], 60.0, 1) == ["near"]


def test_details_of_events_that_moved_come_first_then_soon_watched_and_oldest() -> None:
    """The order of the policy, with one event of each kind."""
    policy = PollingPolicy()
    at = 1000.0
    note(policy, "moved", "list", 5 * DAY, 0.0, has_moved=False)
    note(policy, "moved", "list", 5 * DAY, at, has_moved=True)
    candidates = [
        far("oldest", 100.0),
        far("old", 200.0),
        far("watched", at - 100, is_watched=True),
        Candidate("soon", at + HOUR, at - HOUR / SOON_PARTS - 1),
        far("moved", at - 100),
        far("unknown", None),
    ]
    planned = policy.plan_details(candidates, at, 10, MAX_AGE)
    assert planned == ["unknown", "moved", "soon", "watched", "oldest", "old"]


def test_a_detail_settles_a_move() -> None:
    """After its details were fetched, an event is no longer among those that moved."""
    policy = PollingPolicy()
    note(policy, "a", "list", 5 * DAY, 0.0, has_moved=False)
    note(policy, "a", "list", 5 * DAY, 100.0, has_moved=True)
    policy.note_detail("a", 110.0, has_moved=False)
    assert policy.plan_details([far("a", 110.0), far("b", 100.0)], 200.0, 1, MAX_AGE) == ["b"]


def test_the_interval_of_details_shortens_towards_the_kickoff() -> None:
    """Details are due every two minutes an hour before the kick-off, and every minute at the end."""
    policy = PollingPolicy()

    def is_due(left: float, age: float) -> bool:
        at = 10 * DAY
        soon, other = Candidate("soon", at + left, at - age), far("other", at - age - 1)
        other = Candidate("other", at + 5 * DAY, other.detailed_at)
        return policy.plan_details([soon, other], at, 1, math.inf) == ["soon"]

    assert is_due(HOUR, HOUR / SOON_PARTS)
    assert not is_due(HOUR, HOUR / SOON_PARTS - 1)
    assert is_due(300.0, LEAST_INTERVAL_SECONDS)
    assert not is_due(4 * HOUR, HOUR)


def test_fresh_details_and_started_matches_are_left_alone() -> None:
    """Neither is worth a request."""
    policy = PollingPolicy()
    at = 1000.0
    candidates = [far("fresh", at - LEAST_AGE_SECONDS + 1), Candidate("started", at, None)]
    assert policy.plan_details(candidates, at, 10, MAX_AGE) == []


def test_events_over_the_age_limit_are_fetched_even_if_others_always_move() -> None:
    """Half of the requests go to them, so that nothing starves, and half to those that moved."""
    policy = PollingPolicy()
    at = 10_000.0
    moving = [f"moving{number}" for number in range(100)]
    for name in moving:
        note(policy, name, "list", 5 * DAY, 0.0, has_moved=False)
        note(policy, name, "list", 5 * DAY, at, has_moved=True)
    candidates = [far(name, at - 60) for name in moving] + [far(f"starving{n}", 0.0) for n in range(100)]
    planned = policy.plan_details(candidates, at, 10, MAX_AGE)
    assert sum(each.startswith("starving") for each in planned) == 5


@settings(deadline=None)
@given(seed=st.integers(0, 2**32), count=st.integers(1, 30), budget=st.integers(2, 8))
def test_nothing_starves(seed: int, count: int, budget: int) -> None:
    """Whatever moves, details get no older than the limit plus the time that the budget needs for all of them."""
    random = Random(seed)
    policy = PollingPolicy()
    detailed = {f"e{number}": 0.0 for number in range(count)}
    limit, step = 300.0, 30.0
    longest = limit + step * (2 * math.ceil(count / budget) + 2)
    at = 0.0
    for _ in range(60):
        at += step
        for external_id in detailed:
            note(policy, external_id, "list", 5 * DAY, at, has_moved=random.random() < 0.8)
        for external_id in policy.plan_details([far(*each) for each in detailed.items()], at, budget, limit):
            detailed[external_id] = at
            policy.note_detail(external_id, at, has_moved=False)
        assert at - min(detailed.values()) <= longest


@pytest.mark.parametrize("was_detailed", [False, True], ids=["never fetched", "fetched before"])
def test_events_that_always_fail_take_nothing_from_the_others(was_detailed: bool) -> None:
    """Ten of a hundred never answer; with eight details in five seconds the others are as fresh as without them."""
    policy = PollingPolicy()
    failing = {f"e{number:03}" for number in range(10)}
    known = {f"e{number:03}": -float(number) for number in range(100)}
    detailed: dict[str, float | None] = {
        each: None if each in failing and not was_detailed else at for each, at in known.items()
    }
    asked = dict.fromkeys(known, 0)
    at = 0.0
    for _ in range(1440):
        at += 5.0
        for external_id in policy.plan_details([far(*each) for each in detailed.items()], at, 8, MAX_AGE):
            asked[external_id] += 1
            policy.note_attempt(external_id, at)
            if external_id not in failing:
                detailed[external_id] = at
                policy.note_detail(external_id, at, has_moved=False)
        if at > 200:
            # A round of 90 takes 56 seconds; five failing ones may come in between.
            assert at - min(detailed[each] or 0.0 for each in known if each not in failing) <= 75
    # Two hours: after 0, 1, 3, 7, 15 and 31 minutes, then every half an hour.
    assert {asked[each] for each in failing} <= {8, 9, 10}


def test_an_event_that_failed_waits_twice_as_long_each_time_up_to_the_age_limit() -> None:
    """An answer starts it anew, whoever fetched it."""
    policy = PollingPolicy()

    def waited(at: float, detailed_at: float | None = None) -> float:
        """Fail at this time, and return after how long the event is due again."""
        policy.note_attempt("a", at)
        return next(
            float(seconds)
            for seconds in range(int(MAX_AGE) + 1)
            if policy.plan_details([far("a", detailed_at)], at + seconds, 1, MAX_AGE)
        )

    at = 0.0
    for expected in (FIRST_WAIT_SECONDS, 2 * FIRST_WAIT_SECONDS, 4 * FIRST_WAIT_SECONDS):
        assert waited(at) == expected
        at += expected
    for _ in range(5):
        longest = waited(at)
        at += longest
    assert longest == MAX_AGE
    policy.note_detail("a", at, has_moved=False)
    assert waited(at) == FIRST_WAIT_SECONDS
    assert policy.plan_details([far("a", at + 1)], at + 1 + LEAST_AGE_SECONDS, 1, MAX_AGE) == ["a"]
    assert waited(at + 60, at + 1) == FIRST_WAIT_SECONDS


def test_a_clock_that_was_set_back_makes_no_event_wait() -> None:
    """The last attempt is then in the future."""
    policy = PollingPolicy()
    policy.note_attempt("a", 1e6)
    assert policy.plan_details([far("a", None)], 1000.0, 1, MAX_AGE) == ["a"]


@given(st.lists(st.tuples(st.text(max_size=3), st.floats(0, 1e6), st.none() | st.floats(0, 1e6)), max_size=20))
def test_a_plan_names_each_event_once_and_never_too_many(entries: list[tuple[str, float, float | None]]) -> None:
    """Whatever the times are."""
    policy = PollingPolicy()
    candidates = {name: Candidate(name, kickoff, detailed) for name, kickoff, detailed in entries}
    planned = policy.plan_details(candidates.values(), 5e5, 5, MAX_AGE)
    assert len(planned) == len(set(planned)) <= 5
    assert set(planned) <= set(candidates)


def test_gone_events_and_lists_are_forgotten() -> None:
    """Their rates would otherwise be added up for ever."""
    policy = PollingPolicy()
    read(policy, "a", 0.0)
    read(policy, "b", 0.0)
    policy.keep_only(frozenset({"a/1"}), ["a"])
    assert list(policy.rates(0.0)) == ["a/1"]


def test_the_assumed_rate_grows_towards_the_kickoff() -> None:
    """And never exceeds one change a minute."""
    rates = [assumed_rate(left) for left in (5 * DAY, DAY, 6 * HOUR, HOUR, 0.0, -HOUR)]
    assert rates == sorted(rates)
    assert rates[-1] == 1 / 60


def test_the_curve_learns_how_often_a_bookmaker_changes_its_prices() -> None:
    """At each time before the kick-off, whatever was assumed, and again when the bookmaker changes its habits."""
    curve = RateCurve()
    for left, interval in ((5 * DAY, 7200.0), (HOUR, 30.0)):
        for _ in range(200):
            curve.observe(left, interval, True)
        assert math.isclose(curve.rate(left), 1 / interval, rel_tol=0.1)
    for _ in range(20_000):
        curve.observe(HOUR, 300.0, True)
    assert math.isclose(curve.rate(HOUR), 1 / 300, rel_tol=0.1)


def test_the_first_body_of_an_event_that_a_list_had_has_not_moved_its_prices() -> None:
    """An event whose prices never moved would be asked for more often than others."""
    cache = OddsCache()
    cache.apply(listed(odds=X1), NOW)
    opened = cache.apply(mapped(odds=X1 | OVER_UNDER), NOW + timedelta(seconds=9))
    assert len(opened.changed) == 2
    assert not has_main_change(opened)
    assert has_main_change(cache.apply(mapped(odds=X1), NOW + timedelta(seconds=20)))
