"""What is gone, and when lists and answers that prove it are recorded in another order than they were read."""

from collections.abc import Collection
from datetime import timedelta

from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.service import BELIEVE_MISSING_AFTER
from tests.odds.making import KICKOFF, NOW, X1, header, listed, mapped, the_odds
from tests.odds.making import minutes_on as at

HOME, *_ = X1
FAR = header(kickoff=KICKOFF + timedelta(days=9))


def known() -> OddsCache:
    """Return a cache whose only event was fetched at NOW."""
    cache = OddsCache()
    cache.apply(mapped(FAR), NOW)
    return cache


def test_a_late_withdrawal_does_not_redate_what_changed_since() -> None:
    """Newer changes are no sign of a clock that was ahead: they keep their dates and ages."""
    cache = known()
    cache.apply(listed(FAR, X1 | {HOME: 2.6}), at(5), at(5))
    cache.withdraw(Platform.BETPAWA, "e1", at(1), at(10))
    event_odds = the_odds(cache)
    assert event_odds.gone_at == at(1)
    assert event_odds.listed_at == at(5)
    assert max(event_odds.changed) == int(at(5).timestamp())
    assert cache.events[1].changed_at == at(5)


def missing(
    cache: OddsCache, read_at: float, now: float, seen: Collection[str] = (), sighted: float | None = None
) -> list[EventChange]:
    """Take complete lists that were read at `read_at` into the cache at `now`, both in minutes after NOW.

    They have the events `seen`, at `sighted` minutes, by default `read_at`.
    """
    sightings = dict.fromkeys(seen, at(read_at if sighted is None else sighted))
    return cache.mark_missing(
        Platform.BETPAWA, sightings, at(read_at), now=at(now), believe_after=BELIEVE_MISSING_AFTER
    )


def gone() -> OddsCache:
    """Return a cache whose only event two complete lists lacked, the second at five and a half minutes."""
    cache = known()
    missing(cache, 0.5, 0.5)
    missing(cache, 5.5, 6)
    assert the_odds(cache).gone_at == at(5.5)
    return cache


def test_an_answer_from_before_the_second_list_does_not_bring_an_event_back() -> None:
    """Neither a list nor a body that is recorded late: only one that is newer than what proved the event gone."""
    cache = gone()
    for stale in (listed(FAR, X1 | {HOME: 2.5}), mapped(FAR, X1 | {HOME: 2.6})):
        assert cache.apply(stale, at(5), at(7)).is_seen_only
    assert (the_odds(cache).gone_at, the_odds(cache).missed_at) == (at(5.5), at(0.5))
    assert cache.apply(listed(FAR), at(6.5), at(7)).is_available is True


def test_an_event_that_a_clock_ahead_called_gone_is_back_with_the_next_list() -> None:
    """Else it would be gone until the clock gets there."""
    cache = gone()
    assert cache.apply(listed(FAR), at(2), at(2)).is_available is True
    assert (the_odds(cache).gone_at, the_odds(cache).missed_at) == (None, None)


def test_an_answer_from_before_the_first_list_does_not_end_the_miss() -> None:
    """Its prices count all the same. One from after the list ends the miss."""
    cache = known()
    missing(cache, 3, 3)
    change = cache.apply(listed(FAR, X1 | {HOME: 2.5}), at(2), at(4))
    assert (change.count, change.is_miss_noted) == (1, False)
    assert the_odds(cache).missed_at == at(3)
    assert cache.apply(listed(FAR), at(3.5), at(4)).is_miss_noted
    assert the_odds(cache).missed_at is None


def test_a_run_that_ends_late_has_missed_nothing_for_longer_than_its_lists_say() -> None:
    """Lists that were read ten seconds apart prove nothing, though the second were recorded six minutes later."""
    cache = known()
    assert [change.is_missed for change in missing(cache, 1, 1)] == [True]
    assert missing(cache, 1.2, 7) == []
    assert missing(cache, 5.9, 7) == []
    assert [change.is_available for change in missing(cache, 6, 7)] == [False]


def test_an_absence_from_before_an_event_was_first_seen_is_no_miss() -> None:
    """Lists that are older than the event, or than its newest fetch, say nothing about it."""
    cache = OddsCache()
    cache.apply(listed(FAR), at(5), at(5))
    assert missing(cache, 1, 6) == []
    assert the_odds(cache).missed_at is None
    assert [change.is_missed for change in missing(cache, 6, 6)] == [True]


def test_an_absence_from_before_a_list_had_the_event_without_prices_is_no_miss() -> None:
    """Such a sighting changes no price, and proves all the same that the event is there."""
    cache = known()
    assert missing(cache, 5, 5, ["e1"]) == []
    assert missing(cache, 1, 6) == []
    assert the_odds(cache).missed_at is None
    assert [change.is_missed for change in missing(cache, 7, 7)] == [True]


def test_a_sighting_from_before_the_miss_does_not_end_it() -> None:
    """What a full run saw before a sweep missed the event is over. A sighting counts by its own time."""
    cache = known()
    missing(cache, 3, 3)
    assert missing(cache, 1, 6, ["e1"], sighted=2) == []
    assert the_odds(cache).missed_at == at(3)
    assert [change.is_missed for change in missing(cache, 1, 6, ["e1"], sighted=4)] == [False]
    assert the_odds(cache).missed_at is None


def test_what_a_clock_ahead_dated_does_not_keep_an_event_from_being_missed_and_found() -> None:
    """Fetches, sightings and misses that are dated in the future count for nothing."""
    for set_ahead in (
        lambda cache: cache.apply(listed(FAR), at(1000), at(1000)),
        lambda cache: missing(cache, 1000, 1000, ["e1"]),
        lambda cache: missing(cache, 1000, 1000),
    ):
        cache = known()
        set_ahead(cache)
        assert not any(change.is_available is False for change in missing(cache, 1, 1))
        assert the_odds(cache).missed_at == at(1)
        assert [change.is_missed for change in missing(cache, 2, 2, ["e1"])] == [False]
    missing(cache, 1000, 1000)
    assert [change.is_missed for change in missing(cache, 3, 3, ["e1"])] == [False]


def test_a_clock_that_is_set_back_during_a_run_dates_nothing_in_the_future() -> None:
    """Lists that began by the clock that was ahead count as read now: a miss of a moment ago is no proof with them."""
    cache = known()
    missing(cache, 1, 1)
    assert missing(cache, 60, 2) == []
    assert the_odds(cache).missed_at == at(1)
