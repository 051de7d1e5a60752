"""The cache of current odds: ids, matching, new events and events that are gone."""

from dataclasses import replace
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.odds import EventHeader, ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.offers import promotion_word
from tests.odds.making import KICKOFF, NOW, PREMIER, X1, header, key, mapped, odds_at
from tests.platforms import FIRST_THREE

LATER = NOW + timedelta(minutes=5)
HOUR = timedelta(hours=1)


def test_the_same_match_at_all_bookmakers_is_one_event() -> None:
    """One SportRadar id is one event, and BetPawa names it, whichever bookmaker came first."""
    cache = OddsCache()
    for platform in reversed(list(Platform)):
        change = cache.apply(mapped(header(platform, f"{platform}-1", home=f"Home at {platform}")), NOW)
        assert change.event_id == 1
        assert change.is_new
        assert change.count == 5
    event = cache.events[1]
    assert list(event.odds) == list(Platform)
    assert event.header.home_team == "Home at betpawa"
    assert event.sportradar_id == "68995116"
    assert cache.find("68995116") is event


def test_the_same_fetch_again_is_no_change() -> None:
    """There is no change to report; only `seen_at` is newer."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    revision = cache.revision
    change = cache.apply(mapped(), LATER)
    assert not change.is_change
    assert (change.is_new, change.changed, change.is_available) == (False, (), None)
    assert cache.revision == revision
    assert cache.events[1].seen_at == LATER
    assert cache.events[1].changed_at == NOW


def test_a_moved_price_is_reported_with_both_values() -> None:
    """The change has the key, the value before and the value now."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    home = key("1x2_ft", "1")
    change = cache.apply(mapped(odds=X1 | {home: 2.5}), LATER)
    assert (home, 2400 << 1 | 1, 2500 << 1 | 1) in change.changed
    assert change.count == 3  # both prices of over/under are gone
    assert cache.events[1].changed_at == LATER


def test_a_far_kick_off_vetoes_the_match() -> None:
    """The differing event stands alone, without the id, and is reported together with the event that has it."""
    cache = OddsCache()
    cache.apply(mapped(header(Platform.BETPAWA, "a")), NOW)
    change = cache.apply(mapped(header(Platform.BET9JA, "b", kickoff=KICKOFF + HOUR)), NOW)
    assert change.event_id == 2
    assert cache.events[2].sportradar_id is None
    assert [(alone.id, other and other.id) for alone, other in cache.vetoed()] == [(2, 1)]


def test_events_without_an_id_stand_alone() -> None:
    """Without a SportRadar id there is no match, whatever the names are."""
    cache = OddsCache()
    for platform in (Platform.BETPAWA, Platform.BET9JA):
        cache.apply(mapped(header(platform, "same", None)), NOW)
    assert [event.sportradar_id for event in cache.events.values()] == [None, None]
    assert list(cache.vetoed()) == []


def test_a_quote_that_agrees_again_comes_back_to_its_match() -> None:
    """An event is removed when its only event odds move away; the change names the events concerned."""
    cache = OddsCache()
    cache.apply(mapped(header(Platform.BETPAWA, "a")), NOW)
    cache.apply(mapped(header(Platform.BET9JA, "b", kickoff=KICKOFF + HOUR)), NOW)
    change = cache.apply(mapped(header(Platform.BET9JA, "b")), LATER)
    assert change.event_id == 1
    assert change.emptied == (2,)
    assert change.event_ids == (1,)
    assert change.is_header_changed
    assert list(cache.events) == [1]
    assert list(cache.events[1].odds) == [Platform.BETPAWA, Platform.BET9JA]


def test_a_majority_displaces_the_first_comer() -> None:
    """If two bookmakers agree against the first one, the first one stands alone, and the change names both events."""
    cache = OddsCache()
    cache.apply(mapped(header(Platform.BETPAWA, "a", kickoff=KICKOFF + HOUR)), NOW)
    second = cache.apply(mapped(header(Platform.SPORTYBET, "b")), NOW)
    assert (second.event_id, second.moved) == (2, ())
    third = cache.apply(mapped(header(Platform.BET9JA, "c")), NOW)
    main = cache.find("68995116")
    assert main is not None
    assert list(main.odds) == [Platform.SPORTYBET, Platform.BET9JA]
    assert third.event_id == main.id
    moved = {event_odds.header.external_id for event_odds in map(cache.event_odds, third.moved) if event_odds}
    assert moved == {"a", "b"}
    assert set(third.event_ids) == set(cache.events)


def test_what_a_discovery_no_longer_lists_is_gone_at_that_bookmaker() -> None:
    """This is reported once and does not affect other bookmakers; a fetch brings the event back."""
    cache = OddsCache()
    for platform in (Platform.BETPAWA, Platform.SPORTYBET):
        cache.apply(mapped(header(platform, "a")), NOW)
    cache.apply(mapped(header(Platform.BETPAWA, "b", "2")), NOW)
    changes = cache.mark_missing(Platform.BETPAWA, {"b": LATER}, LATER)
    assert [(change.event_id, change.platform, change.is_available) for change in changes] == [
        (1, Platform.BETPAWA, False)
    ]
    assert changes[0].is_change
    assert cache.events[1].listed == [Platform.SPORTYBET]
    assert cache.events[1].header.platform is Platform.SPORTYBET
    assert cache.mark_missing(Platform.BETPAWA, {"b": LATER}, LATER) == []
    back = cache.apply(mapped(header(Platform.BETPAWA, "a")), LATER + HOUR)
    assert (back.is_available, back.changed, back.is_change) == (True, (), True)
    assert cache.events[1].listed == [Platform.BETPAWA, Platform.SPORTYBET]


def test_a_new_listing_takes_the_place_of_the_old_one() -> None:
    """A bookmaker that lists the match under a new id still has one place in the event."""
    cache = OddsCache()
    cache.apply(mapped(header(Platform.BETPAWA, "old")), NOW)
    cache.apply(mapped(header(Platform.SPORTYBET, "s")), NOW)
    cache.apply(mapped(header(Platform.BETPAWA, "new")), NOW)
    cache.mark_missing(Platform.BETPAWA, {"new": LATER}, LATER)
    main = cache.find("68995116")
    assert main is not None
    assert main.odds[Platform.BETPAWA].header.external_id == "new"


def test_events_are_ordered_by_kick_off() -> None:
    """When a kick-off changes, the order changes with it."""
    cache = OddsCache()
    cache.apply(mapped(header(external_id="a", sportradar_id="1")), NOW)
    cache.apply(mapped(header(external_id="b", sportradar_id="2", kickoff=KICKOFF - HOUR)), NOW)
    assert [event.id for event in cache.by_kickoff()] == [2, 1]
    cache.apply(mapped(header(external_id="b", sportradar_id="2", kickoff=KICKOFF + HOUR)), NOW)
    assert [event.id for event in cache.by_kickoff()] == [1, 2]


def test_a_forgotten_event_leaves_nothing_behind() -> None:
    """Its event odds, its key and its candidates are removed; a new event gets a new id."""
    cache = OddsCache()
    cache.apply(mapped(), NOW)
    cache.forget(1)
    assert not cache.events
    assert cache.event_odds(1) is None
    assert cache.find("68995116") is None
    assert cache.apply(mapped(), NOW).event_id == 2


def test_a_genius_id_matches_where_there_is_no_sportradar_id() -> None:
    """A bookmaker with both ids joins those with only a Genius Sports id, and the SportRadar id stays."""
    cache = OddsCache()
    alone = header(Platform.SPORTYBET, "s", None, genius_id="13000001")
    cache.apply(mapped(alone), NOW)
    cache.apply(mapped(header(Platform.BET9JA, "n", None, genius_id="13000001")), NOW)
    (event,) = cache.events.values()
    assert event.sportradar_id is None
    assert list(event.odds) == [Platform.SPORTYBET, Platform.BET9JA]
    change = cache.apply(mapped(header(Platform.BETPAWA, "b", "70000001", genius_id="13000001")), NOW)
    (event,) = cache.events.values()
    assert event.sportradar_id == "70000001"
    assert list(event.odds) == list(FIRST_THREE)
    assert change.event_ids == (event.id,)


def test_a_genius_id_of_two_matches_joins_neither() -> None:
    """It is unknown which of the two SportRadar ids is right."""
    cache = OddsCache()
    for name, sportradar_id in (("a", "70000001"), ("b", "70000002")):
        cache.apply(mapped(header(Platform.BETPAWA, name, sportradar_id, genius_id="13000001")), NOW)
    change = cache.apply(mapped(header(Platform.SPORTYBET, "s", None, genius_id="13000001")), NOW)
    assert list(cache.events[change.event_id].odds) == [Platform.SPORTYBET]


def test_an_event_that_two_complete_lists_lack_is_gone() -> None:
    """One miss is not enough, a list that has it again resets the count, and two lists at once count as one."""
    cache = OddsCache()
    cache.apply(mapped(header(Platform.BETPAWA, "a")), NOW)
    patience = timedelta(minutes=5)

    def miss(minutes: float, seen: tuple[str, ...] = ()) -> bool:
        at = NOW + timedelta(minutes=minutes)
        cache.mark_missing(Platform.BETPAWA, dict.fromkeys(seen, at), at, believe_after=patience)
        event_odds = odds_at(cache, Platform.BETPAWA, "a")
        assert event_odds is not None
        return event_odds.gone_at is not None

    assert [miss(1), miss(2), miss(3, ("a",)), miss(4), miss(8)] == [False] * 5
    assert miss(9)


def test_only_a_list_that_is_whole_can_lack_an_event() -> None:
    """A competition's broken list proves nothing; a complete tree without the competition does."""
    cache = OddsCache()
    cache.apply(mapped(header(Platform.BETPAWA, "a")), NOW)
    broken = ListedCompetitions(broken=frozenset({PREMIER.external_id}), is_tree_whole=True)
    assert cache.mark_missing(Platform.BETPAWA, {}, LATER, listed=broken) == []
    assert cache.mark_missing(Platform.BETPAWA, {}, LATER, listed=ListedCompetitions(frozenset({"other"}))) == []
    assert len(cache.mark_missing(Platform.BETPAWA, {}, LATER, listed=ListedCompetitions(is_tree_whole=True))) == 1


def test_a_postponed_event_keeps_its_id_while_a_bookmaker_lacks_it() -> None:
    """An event that a list lacks has no vote, so it follows the others to the new kick-off."""
    cache = OddsCache()
    for platform in FIRST_THREE:
        cache.apply(mapped(header(platform, f"{platform}-1")), NOW)
    later = KICKOFF + timedelta(days=2)
    for platform in (Platform.BETPAWA, Platform.SPORTYBET):
        cache.apply(mapped(header(platform, f"{platform}-1", kickoff=later)), LATER)
    cache.mark_missing(Platform.BET9JA, {}, LATER, believe_after=timedelta(minutes=5))
    (event,) = cache.events.values()
    assert event.id == 1
    assert event.header.kickoff == later
    assert list(event.odds) == list(FIRST_THREE)


def test_prices_fetched_after_the_kick_off_do_not_follow_those_of_before() -> None:
    """They are not pre-match prices: the last earlier ones stay, with the time of their fetch."""
    cache = OddsCache()
    home = key("1x2_ft", "1")
    cache.apply(mapped(), NOW)
    change = cache.apply(mapped(odds=X1 | {home: 1.05}), KICKOFF)
    event_odds = cache.event_odds(change.odds_id)
    assert event_odds is not None
    assert change.changed == ()
    assert event_odds.value_of(home) == 2400 << 1 | 1
    assert event_odds.seen_at == NOW
    late = cache.apply(mapped(header(Platform.BET9JA, "n")), KICKOFF)
    assert late.count == 5
    assert cache.events[1].comparable_odds == [event_odds]


def test_a_clock_that_was_ahead_is_dated_back() -> None:
    """New changes are dated near now and in order, and no date is in the future."""
    cache = OddsCache()
    home = key("1x2_ft", "1")
    cache.apply(mapped(header(kickoff=KICKOFF + timedelta(days=9))), NOW)
    ahead = NOW + timedelta(days=1)
    cache.apply(mapped(header(kickoff=KICKOFF + timedelta(days=9)), X1 | {home: 2.5}), ahead)
    change = cache.apply(mapped(header(kickoff=KICKOFF + timedelta(days=9)), X1 | {home: 2.6}), LATER)
    now = int(LATER.timestamp())
    assert (change.redated_after, change.moment) == (now, now + 1)
    event_odds = cache.event_odds(change.odds_id)
    assert event_odds is not None
    assert max(event_odds.changed) == now + 1


def test_a_plain_and_a_promoted_price_are_two_prices() -> None:
    """Each has its own history; a bookmaker's own promotion keeps its number even if a later fetch lists it second."""
    cache = OddsCache()
    home = key("1x2_ft", "1")
    first, second = promoted_key(home, 4), promoted_key(home, 5)

    def fetch(odds: dict[int, float], *words: str) -> MappedEvent:
        return replace(mapped(odds=X1 | odds), promotions=words)

    cache.apply(fetch({first: 2.6}, "half_up"), NOW)
    change = cache.apply(fetch({first: 2.7, second: 2.6}, "new_word", "half_up"), LATER)
    event_odds = cache.event_odds(change.odds_id)
    assert event_odds is not None
    assert event_odds.promotions == ("half_up", "new_word")
    assert [(promotion_word(event_odds, each), before, now) for each, before, now in change.changed] == [
        ("new_word", None, 2700 << 1 | 1)
    ]
    assert event_odds.value_of(home) == 2400 << 1 | 1


arrivals = st.lists(
    st.builds(
        header,
        st.sampled_from(list(Platform)),
        st.sampled_from(["a", "b"]),
        st.sampled_from(["1", "2", None]),
        kickoff=st.sampled_from([KICKOFF, KICKOFF + timedelta(minutes=8), KICKOFF + HOUR]),
    ),
    min_size=1,
    max_size=12,
)


@given(arrivals)
def test_the_book_holds_together_whatever_arrives(headers: list[EventHeader]) -> None:
    """All event odds are in exactly one event, no event is empty, and each event's odds agree with its key."""
    cache = OddsCache()
    for each in headers:
        change = cache.apply(mapped(each), NOW)
        assert set(change.event_ids) <= set(cache.events)
        assert not set(change.emptied) & set(cache.events)
        assert cache.events[change.event_id].odds[each.platform].header == each
    newest = {(each.platform, each.external_id): each for each in headers}
    held = [event_odds.header for event in cache.events.values() for event_odds in event.odds.values()]
    assert sorted(held, key=repr) == sorted(newest.values(), key=repr)
    for event in cache.events.values():
        assert event.odds
        assert cache.events[event.id] is event
        if event.sportradar_id:
            assert {event_odds.header.sportradar_id for event_odds in event.odds.values()} == {event.sportradar_id}
        else:
            assert len(event.odds) == 1
    assert sorted(event.id for event in cache.by_kickoff()) == sorted(cache.events)


@given(arrivals, st.randoms(use_true_random=False))
def test_the_same_offers_in_any_order_make_the_same_matches(headers: list[EventHeader], random: object) -> None:
    """The matches depend on what the bookmakers list, not on which one answered first."""
    newest = list({(each.platform, each.external_id): each for each in headers}.values())
    newest = [
        each for each in newest if each.external_id == "a"
    ]  # of one bookmaker's two candidates, the newer one wins

    def matches(order: list[EventHeader]) -> set[frozenset[tuple[Platform, str]]]:
        cache = OddsCache()
        for each in order:
            cache.apply(mapped(each), NOW)
        return {
            frozenset((event_odds.header.platform, event_odds.header.external_id) for event_odds in event.odds.values())
            for event in cache.events.values()
        }

    shuffled = list(newest)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert matches(shuffled) == matches(newest)
