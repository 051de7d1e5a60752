"""The events that somebody watches."""

import pytest

from quart_odds.odds.watched import MOST_WATCHED, WatchedEvents, read_watched


def test_an_event_is_watched_until_the_last_watcher_leaves() -> None:
    """Two may watch the same event."""
    watched = WatchedEvents()
    watched.add(frozenset({1, 2}))
    watched.add(frozenset({2, 3}))
    assert [each in watched for each in (1, 2, 3, 4)] == [True, True, True, False]
    watched.discard(frozenset({2, 3}))
    assert [each in watched for each in (1, 2, 3)] == [True, True, False]
    watched.discard(frozenset({1, 2}))
    assert len(watched) == 0


def test_an_event_may_be_watched_at_another_process() -> None:
    """What is told to others is what exists and is watched here, the most watched first if it is too much."""
    watched = WatchedEvents()
    watched.elsewhere = lambda: {7}
    watched.add(frozenset({1, 2, 99}))
    watched.add(frozenset({2, 3}))
    assert [each in watched for each in (1, 7, 8)] == [True, True, False]
    assert watched.here([1, 2, 3, 4, 7]) == (1, 2, 3)
    assert watched.here([1, 2, 3, 4, 7], most=1) == (2,)


def test_ids_are_read_from_text() -> None:
    """Spaces and empty entries do not matter, and an id counts once."""
    assert read_watched(" 1, 2,,2 ") == {1, 2}
    assert read_watched(None) == read_watched("") == frozenset()


@pytest.mark.parametrize("text", ["a", "-1", "1.5", "٣", "9" * 11, ",".join(map(str, range(MOST_WATCHED + 1)))])
def test_other_text_is_refused(text: str) -> None:
    """Nothing of it is taken."""
    with pytest.raises(ValueError, match="event ids"):
        read_watched(text)
