"""Competitions across bookmakers: which are the same one, and which are not for want of proof."""

from collections.abc import Sequence
from itertools import count

from quart_odds.domain.odds import Competition
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.competitions import MatchedCompetition
from tests.odds.making import NOW, header, mapped, minutes_on

BETPAWA, SPORTYBET, BET9JA, MSPORT = Platform.BETPAWA, Platform.SPORTYBET, Platform.BET9JA, Platform.MSPORT
Listed = Sequence[tuple[Platform, Competition]]

_numbers = count(1)


def listed(cache: OddsCache, *where: tuple[Platform, Competition]) -> int:
    """List a new match at these bookmakers, and return its event's id."""
    number = next(_numbers)
    for platform, competition in where:
        event = header(platform, f"{platform}-{number}", str(number), competition=competition)
        event_id = cache.apply(mapped(event), NOW).event_id
    return event_id


def competition_of(cache: OddsCache, event_id: int) -> MatchedCompetition:
    """Return the competition of an event."""
    return cache.competitions().of(cache.events[event_id])


def names(cache: OddsCache) -> set[tuple[str, str, int]]:
    """Return country, name and number of bookmakers of each competition."""
    found = {cache.competitions().of(event) for event in cache.events.values()}
    return {(each.country, each.name, len(each.ids)) for each in found}


def test_competitions_with_most_of_their_matches_in_common_are_the_same() -> None:
    """Whatever they are called. An event that the first bookmaker lacks has the competition that it calls otherwise."""
    cache = OddsCache()
    first, second = Competition("1", "Premiership", "England"), Competition("x", "English Premier League", "England")
    for _ in range(2):
        listed(cache, (BETPAWA, first), (SPORTYBET, second))
    alone = listed(cache, (SPORTYBET, second))
    assert names(cache) == {("England", "Premiership", 2)}
    assert competition_of(cache, alone).id == cache.competition_id(BETPAWA, first)


def test_one_match_in_another_competition_merges_nothing() -> None:
    """A bookmaker's mistake is outvoted, and half of the matches is not most of them."""
    cache = OddsCache()
    league, cup = Competition("1", "League", "Peru"), Competition("2", "Cup", "Peru")
    group_a, group_b = Competition("a", "Qualification A", "Peru"), Competition("b", "Qualification B", "Peru")
    for _ in range(2):
        listed(cache, (BETPAWA, league), (SPORTYBET, group_a))
        listed(cache, (BETPAWA, league), (SPORTYBET, group_b))
    listed(cache, (BETPAWA, cup))
    assert names(cache) == {("Peru", "League", 1), ("Peru", "Cup", 1)}


def test_two_competitions_of_one_bookmaker_are_never_the_same() -> None:
    """Not even if those of a third bookmaker would join them."""
    cache = OddsCache()
    one, other = Competition("1", "Serie A", "Brazil"), Competition("2", "Serie A, Relegation", "Brazil")
    middle, third = Competition("m", "Serie A", "Brazil"), Competition("t", "Serie A", "Brazil")
    for _ in range(3):
        listed(cache, (BETPAWA, one), (SPORTYBET, middle))
    for _ in range(2):
        listed(cache, (SPORTYBET, middle), (BET9JA, third))
    listed(cache, (BETPAWA, other), (BET9JA, third))
    found = {cache.competitions().of(event) for event in cache.events.values()}
    ids = [cache.competition_id(BETPAWA, each) for each in (one, other)]
    assert all(len(set(ids).intersection(each.ids)) <= 1 for each in found)
    assert len(found) == 2


def test_sportradars_ids_decide_before_everything_else() -> None:
    """The same id is the same competition without any common match; two ids are never the same one."""
    cache = OddsCache()
    same = listed(cache, (SPORTYBET, Competition("sr:tournament:17", "Premier League", "England")))
    also = listed(cache, (MSPORT, Competition("sr:tournament:17", "EPL", "UK")))
    assert competition_of(cache, same) == competition_of(cache, also)
    listed(
        cache,
        (SPORTYBET, Competition("sr:tournament:18", "Championship", "England")),
        (MSPORT, Competition("sr:tournament:24", "League One", "England")),
    )
    assert len(competition_of(cache, 3).ids) == 1


def test_equal_names_are_the_same_unless_matches_contradict() -> None:
    """Case and accents make no difference. Common matches of one of them with another competition are stronger."""
    cache = OddsCache()
    one = listed(cache, (BETPAWA, Competition("1", "Primera División", "Chile")))
    other = listed(cache, (SPORTYBET, Competition("x", "Primera Division", "CHILE")))
    assert competition_of(cache, one) == competition_of(cache, other)
    elsewhere = Competition("y", "Premier League", "Ghana")
    for _ in range(2):
        listed(cache, (BETPAWA, Competition("2", "Premier League", "Kenya")), (SPORTYBET, elsewhere))
    named_alike = listed(cache, (SPORTYBET, Competition("z", "Premier League", "Kenya")))
    assert competition_of(cache, named_alike).ids == (
        cache.competition_id(SPORTYBET, Competition("z", "Premier League", "Kenya")),
    )


def test_a_bookmaker_that_has_a_name_twice_is_not_matched_by_it() -> None:
    """Nobody knows which of the two it is."""
    cache = OddsCache()
    for number in ("1", "2"):
        listed(cache, (BETPAWA, Competition(number, "Friendlies", "World")))
    alone = listed(cache, (SPORTYBET, Competition("x", "Friendlies", "World")))
    assert len(competition_of(cache, alone).ids) == 1


def test_spellings_of_a_country_are_the_same_if_a_shared_competition_proves_it() -> None:
    """Then competitions of the same name in it are the same as well. Without proof, two names are two countries."""
    cache = OddsCache()
    listed(cache, (BETPAWA, Competition("1", "MLS", "USA")), (SPORTYBET, Competition("x", "MLS", "United States")))
    one = listed(cache, (BETPAWA, Competition("2", "USL Championship", "USA")))
    other = listed(cache, (SPORTYBET, Competition("y", "USL Championship", "United States")))
    lone = listed(cache, (SPORTYBET, Competition("z", "Open Cup", "United States")))
    elsewhere = listed(cache, (BET9JA, Competition("q", "Open Cup", "U.S.A")))
    competitions = cache.competitions()
    assert competitions.country_key("usa") == competitions.country_key("United States")
    assert competition_of(cache, one) == competition_of(cache, other)
    assert competition_of(cache, lone).country == "USA"
    assert competition_of(cache, elsewhere) != competition_of(cache, lone)


def test_one_competition_elsewhere_does_not_make_two_countries_one() -> None:
    """A bookmaker that puts a cup under Europe has Spain as well: these stay two."""
    cache = OddsCache()
    for number in ("1", "2"):
        listed(
            cache, (BETPAWA, Competition(number, f"Liga {number}", "Spain")), (BET9JA, Competition(number, "L", "ES"))
        )
    listed(cache, (BETPAWA, Competition("9", "Copa", "Spain")), (BET9JA, Competition("9", "Copa", "Europe")))
    competitions = cache.competitions()
    assert competitions.country_key("Spain") == competitions.country_key("ES")
    assert competitions.country_key("Spain") != competitions.country_key("Europe")


def test_what_is_the_same_follows_the_events_and_is_kept_between() -> None:
    """Nothing is computed again because a price changed; a match that more bookmakers list joins their competitions."""
    cache = OddsCache()
    one, other = Competition("1", "One", "A"), Competition("2", "Other", "A")
    event_id = listed(cache, (BETPAWA, one))
    kept = cache.competitions()
    known = cache.events[event_id].leading.header
    cache.apply(mapped(known, {}), minutes_on(1))
    assert cache.competitions() is kept
    cache.apply(mapped(header(SPORTYBET, "s", known.sportradar_id, competition=other)), NOW)
    assert len(competition_of(cache, event_id).ids) == 2
