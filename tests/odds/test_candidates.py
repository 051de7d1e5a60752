"""An id that a bookmaker gives to many events: it matches nothing, and does not slow down matching."""

from collections.abc import Iterable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache, candidates, matched_events
from quart_odds.odds.candidates import MAX_CANDIDATES
from quart_odds.odds.matching import Candidate, agreeing, lone_key, match_key
from tests.odds.making import NOW, header, mapped

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
RADAR, GENIUS = "68995116", "11111111"


def add(
    made: OddsCache,
    count: int,
    *,
    platform: Platform = BETPAWA,
    start: int = 0,
    radar: str | None = RADAR,
    genius: str | None = None,
) -> None:
    """Add this many events of a bookmaker that all name the same match."""
    for number in range(start, start + count):
        made.apply(mapped(header(platform, f"e{number}", radar, genius_id=genius)), NOW)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The number of candidates in each comparison."""
    counts: list[int] = []

    def count(each: Iterable[Candidate]) -> tuple[int, ...]:
        known = list(each)
        counts.append(len(known))
        return agreeing(known)

    monkeypatch.setattr(matched_events, "agreeing", count)
    return counts


@pytest.mark.parametrize(("radar", "genius"), [(RADAR, None), (None, GENIUS), (RADAR, GENIUS)])
def test_matching_takes_no_longer_for_an_id_that_many_events_have(
    radar: str | None, genius: str | None, compared: list[int]
) -> None:
    """Each event that appears, disappears or comes back takes the same time, however many there are."""
    made = OddsCache()
    add(made, 600, radar=radar, genius=genius)
    made.mark_missing(BETPAWA, {}, NOW)
    add(made, 600, radar=radar, genius=genius)
    assert max(compared) <= 6 * MAX_CANDIDATES
    assert sum(compared) <= 30 * 1800


def test_events_of_one_id_stand_alone_where_they_are_many() -> None:
    """The other bookmakers' events are matched without them."""
    made = OddsCache()
    add(made, MAX_CANDIDATES)
    assert made.find(RADAR) is not None
    add(made, 1, start=MAX_CANDIDATES)
    assert made.find(RADAR) is None
    assert len(made.events) == MAX_CANDIDATES + 1
    add(made, 1, platform=SPORTYBET)
    add(made, 1, platform=BET9JA)
    add(made, 30, start=MAX_CANDIDATES + 1)
    event = made.find(RADAR)
    assert event is not None
    assert list(event.odds) == [SPORTYBET, BET9JA]
    assert len(made.events) == MAX_CANDIDATES + 32
    assert {len(each.odds) for each in made.events.values() if each is not event} == {1}


def test_an_id_means_something_again_when_few_events_have_it() -> None:
    """Events that are gone do not count as part of a crowd that is listed."""
    made = OddsCache()
    add(made, 50)
    add(made, 1, platform=SPORTYBET)
    made.mark_missing(BETPAWA, {"e7": NOW}, NOW)
    event = made.find(RADAR)
    assert event is not None
    assert {platform: event_odds.header.external_id for platform, event_odds in event.odds.items()} == {
        BETPAWA: "e7",
        SPORTYBET: "e0",
    }


def test_a_genius_id_of_many_events_joins_none_of_them() -> None:
    """The events of the other bookmakers with this id are still one match."""
    made = OddsCache()
    add(made, MAX_CANDIDATES + 1, radar=None, genius=GENIUS)
    for platform, number in ((SPORTYBET, RADAR), (BET9JA, None)):
        made.apply(mapped(header(platform, "e0", number, genius_id=GENIUS)), NOW)
    event = made.find(RADAR)
    assert event is not None
    assert list(event.odds) == [SPORTYBET, BET9JA]
    assert len(made.events) == MAX_CANDIDATES + 2


STEPS = st.lists(
    st.tuples(
        st.sampled_from(list(Platform)), st.integers(0, 5), st.sampled_from(["68995116", "68995117", None, "gone"])
    ),
    max_size=40,
)


@given(STEPS)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_book_is_arranged_as_its_claims_say(
    monkeypatch: pytest.MonkeyPatch, steps: list[tuple[Platform, int, str | None]]
) -> None:
    """Whatever happened before, events of crowds stand alone, and all others are where `agreeing` puts them."""
    monkeypatch.setattr(candidates, "MAX_CANDIDATES", 2)
    made = OddsCache()
    for platform, number, radar in steps:
        if radar == "gone":
            made.withdraw(platform, f"e{number}", NOW)
        else:
            made.apply(mapped(header(platform, f"e{number}", radar)), NOW)
    odds = {event_odds.id: event_odds for event in made.events.values() for event_odds in event.odds.values()}
    for radar in {event_odds.header.sportradar_id for event_odds in odds.values()} - {None}:
        named = [event_odds for event_odds in odds.values() if event_odds.header.sportradar_id == radar]
        slots: dict[object, list[Candidate]] = {}
        for event_odds in named:
            candidate = Candidate(
                event_odds.id, event_odds.header.platform, event_odds.header.kickoff, event_odds.is_absent
            )
            slots.setdefault((candidate.platform, candidate.is_gone), []).append(candidate)
        together = agreeing(each for slot in slots.values() if len(slot) <= 2 for each in slot)
        for event_odds in named:
            event = made.get(event_odds.event_id)
            assert event is not None
            alone = lone_key(event_odds.header.platform, event_odds.header.external_id)
            assert event.key == (match_key(radar or "") if event_odds.id in together else alone)
            assert event.odds[event_odds.header.platform] is event_odds


def test_a_forgotten_crowd_leaves_nothing_behind() -> None:
    """The id can be used for the next match."""
    made = OddsCache()
    add(made, 20, genius=GENIUS)
    for event_id in list(made.events):
        made.forget(event_id)
    add(made, 1, start=100)
    add(made, 1, platform=SPORTYBET)
    event = made.find(RADAR)
    assert event is not None
    assert list(event.odds) == [BETPAWA, SPORTYBET]
