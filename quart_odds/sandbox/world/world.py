"""The football that the stand-in bookmakers offer: leagues, teams and events, and their names at each bookmaker."""

import unicodedata
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import count, islice
from random import Random

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world import stand_ins
from quart_odds.sandbox.world.names import FORMS, FRIENDLIES, LEAGUES, SUFFIXES, places
from quart_odds.sandbox.world.stand_ins import FIRST_THREE, STAND_INS, no_stand_in

AT_ALL_THREE = 0.8
"""The proportion of events at all of the first three bookmakers. The others are at two of them."""
STARTED = 7
"""The remainder by 29 of the numbers of events that have just started."""
NOT_AT_BETKING = 4
"""BetKing lacks the events whose numbers end in this digit, and those that have started."""
OTHER_FEED = 12
"""The remainder by 31 of the numbers of events for which BetKing gives the id of another feed, not SportRadar's."""
FRIENDLY_GAMES = 125
"""The size of the competition that does not fit on one page of BetPawa. Only large worlds have it."""
LARGE_WORLD = 400
GAMES_A_ROUND = 7
"""How many events a league has at least, if the world is large enough to use all its leagues."""


@dataclass(frozen=True, slots=True)
class League:
    """A competition. Each bookmaker's id is derived from `number`, its position in the world."""

    number: int
    country_number: int
    country: str
    name: str
    is_virtual: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """How a bookmaker identifies and names an event.

    `other_id` is the id of another feed that it gives where SportRadar's is expected, empty if it gives that one.
    """

    external_id: str
    home: str
    away: str
    other_id: str = ""


@dataclass(frozen=True, slots=True)
class Fixture:
    """An event. `sportradar_id` is None if SportRadar does not know it; `rates` are the expected goals per team."""

    number: int
    sportradar_id: str | None
    league: League
    kickoff: datetime
    rates: tuple[float, float]
    listings: Mapping[Platform, Listing]
    source: str = "BET_RADAR"

    @property
    def is_matchable(self) -> bool:
        """Whether clients can match it between bookmakers: it is a real match that SportRadar knows."""
        return self.sportradar_id is not None and not self.league.is_virtual

    @property
    def matchable_at(self) -> tuple[Platform, ...]:
        """The bookmakers, by name, at which clients can match it: those that tell its SportRadar id."""
        return tuple(p for p in sorted(self.listings) if not self.listings[p].other_id) if self.is_matchable else ()


def most_competitions(events: int) -> int:
    """Return the largest number of competitions that this many events can have."""
    is_large = events >= LARGE_WORLD
    fitting = (events - FRIENDLY_GAMES * is_large) // GAMES_A_ROUND
    return is_large + max(1, min(len(LEAGUES) * len(places()), fitting))


def make_world(
    events: int,
    seed: int,
    now: datetime,
    competitions: int | None = None,
    bookmakers: Collection[Platform] = STAND_INS,
) -> tuple[Fixture, ...]:
    """Generate this many events with a SportRadar id, each at two or more bookmakers, plus a few special ones.

    Clients should leave the special ones out or cannot match them. Events are ordered by kick-off, and a few have
    started. `competitions` is their number without those of the special events, at most `most_competitions`; None means
    one for every eight events. The same arguments produce the same world. With fewer `bookmakers` it has the same
    listings of these, and lacks the events that none of them lists.
    """
    random = Random(f"world {seed}")
    numbers = count(1)
    start = now.replace(minute=0, second=0, microsecond=0)
    fixtures: list[Fixture] = []
    for league, home, away in islice(_pairings(events, competitions, random), events):
        number = next(numbers)
        started = number % 29 == STARTED
        minutes = -15 * random.randint(1, 5) if started else 30 * random.randint(2, 6 * 48)
        kickoff = start + timedelta(minutes=minutes)
        fixtures.append(_fixture(number, league, home, away, kickoff, random, _platforms(random)))
    fixtures += _odd_ones(numbers, start, random)
    found = [_listed_at(fixture, bookmakers) for fixture in fixtures]
    return tuple(sorted((f for f in found if f.listings), key=lambda fixture: (fixture.kickoff, fixture.number)))


def _listed_at(fixture: Fixture, bookmakers: Collection[Platform]) -> Fixture:
    listings = {platform: listing for platform, listing in fixture.listings.items() if platform in bookmakers}
    return replace(fixture, listings=listings)


def _platforms(random: Random) -> tuple[Platform, ...]:
    """Return which of the first three bookmakers list an event."""
    if random.random() < AT_ALL_THREE:
        return FIRST_THREE
    missing = random.choice(FIRST_THREE)
    return tuple(platform for platform in FIRST_THREE if platform is not missing)


def _others(number: int, platforms: Collection[Platform]) -> Iterator[Platform]:
    """Yield the other bookmakers that list an event. Nothing is drawn, so the first three stay as they are."""
    if stand_ins.SPORTYBET in platforms:
        yield stand_ins.MSPORT
    if number % 10 != NOT_AT_BETKING and number % 29 != STARTED:
        yield stand_ins.BETKING


def _pairings(events: int, competitions: int | None, random: Random) -> Iterator[tuple[League, str, str]]:
    """Yield league, home team and away team, with as many rounds per league as needed for this many events."""
    numbers = count(1)
    is_large = events >= LARGE_WORLD
    if is_large:
        friendlies = League(next(numbers), 0, *FRIENDLIES)
        everywhere = [town for towns in places().values() for town in towns]
        random.shuffle(everywhere)
        for index in range(FRIENDLY_GAMES):
            yield friendlies, f"{everywhere[2 * index]} FC", f"{everywhere[2 * index + 1]} United"
    leagues = [
        (League(next(numbers), country_number, country, name), towns)
        for name in LEAGUES
        for country_number, (country, towns) in enumerate(places().items(), 1)
    ]
    wanted = max(1, min(len(leagues), events // 8 if competitions is None else competitions - is_large))
    rounds = [(league, _rounds(league, towns, random)) for league, towns in leagues[:wanted]]
    while True:
        for league, games in rounds:
            for home, away in next(games):
                yield league, home, away


def _rounds(league: League, towns: tuple[str, ...], random: Random) -> Iterator[list[tuple[str, str]]]:
    """Yield rounds in which all teams meet by the circle method, then again with home and away swapped."""
    forms = list(FORMS)
    random.shuffle(forms)
    suffix = SUFFIXES.get(league.name, "")
    teams = [f"{town} {forms[index % len(forms)]}{suffix}" for index, town in enumerate(towns)]
    while True:
        for _ in range(len(teams) - 1):
            half = len(teams) // 2
            yield list(zip(teams[:half], reversed(teams[half:]), strict=True))
            teams = [teams[0], teams[-1], *teams[1:-1]]
        teams = [teams[0], *reversed(teams[1:])]


def _fixture(
    number: int,
    league: League,
    home: str,
    away: str,
    kickoff: datetime,
    random: Random,
    platforms: tuple[Platform, ...],
) -> Fixture:
    sportradar_id = str(70_000_000 + number * 37 + random.randint(0, 36))
    rates = (round(0.75 + 0.25 * random.randint(0, 5), 2), round(0.6 + 0.25 * random.randint(0, 4), 2))
    everywhere = (*platforms, *_others(number, platforms))
    listings = {platform: _listing(platform, number, sportradar_id, home, away) for platform in everywhere}
    return Fixture(number, sportradar_id, league, kickoff, rates, listings)


def _listing(platform: Platform, number: int, sportradar_id: str, home: str, away: str) -> Listing:
    match platform:
        case stand_ins.BETPAWA:
            return Listing(str(33_000_000 + number * 11), home, away)
        case stand_ins.SPORTYBET:
            return Listing(f"sr:match:{sportradar_id}", _sporty_name(home), _sporty_name(away))
        case stand_ins.BET9JA:
            return Listing(str(769_000_000 + number * 13), _bet9ja_name(home), _bet9ja_name(away))
        case stand_ins.MSPORT:
            return Listing(f"sr:match:{sportradar_id}", _sporty_name(home), _sporty_name(away))
        case stand_ins.BETKING:
            other_id = str(540_000 + number) if number % 31 == OTHER_FEED else ""
            return Listing(str(5_000_000 + number * 17), _betking_name(home), _betking_name(away), other_id)
        case _:
            raise no_stand_in(platform)


def _sporty_name(name: str) -> str:
    """Return SportyBet's name: "Leeds United FC" for BetPawa's "Leeds United", "Kano" for "Kano FC"."""
    return name.removesuffix(" FC") if name.endswith(" FC") else f"{name} FC" if name.endswith("United") else name


def _bet9ja_name(name: str) -> str:
    """Return Bet9ja's name, without diacritics and abbreviated: "Nurnberg Utd"."""
    special = str.maketrans({"ł": "l", "Ł": "L", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "ı": "i", "ß": "ss"})
    plain = unicodedata.normalize("NFKD", name.translate(special)).encode("ascii", "ignore").decode()
    return plain.replace(" United", " Utd").replace(" Athletic", " Ath").removesuffix(" FC")


def _betking_name(name: str) -> str:
    """Return BetKing's name, which is short: "Leeds" for "Leeds United" and "Kano" for "Kano FC"."""
    return name.removesuffix(" FC").removesuffix(" United")


def _odd_ones(numbers: Iterator[int], start: datetime, random: Random) -> list[Fixture]:
    """Generate simulated and video-game matches to be left out, and one event that SportRadar does not know."""
    simulated = League(901, 901, "Simulated Reality League", "Premier League SRL", is_virtual=True)
    efootball = League(902, 902, "eFootball", "eSoccer Battle - 8 mins play", is_virtual=True)
    kickoff = start + timedelta(hours=5)
    found = [
        _fixture(next(numbers), simulated, f"{home} SRL", f"{away} SRL", kickoff, random, FIRST_THREE)
        for home, away in (("Bristol", "Leeds"), ("Derby", "Hull"))
    ]
    for code in ("B6EVbBGmJS4C0||i9eGgZIw", "11111111734"):
        number = next(numbers)
        listing = Listing(f"sr:match:{code}", f"Parma (Ace{number})", f"Lecce (Rex{number})")
        source = "BET_GENIUS" if code.isdigit() else "BETER"
        found.append(
            Fixture(number, None, efootball, kickoff, (1.5, 1.1), {stand_ins.SPORTYBET: listing}, source=source)
        )
    number = next(numbers)
    local = League(903, 6, "Nigeria", "State Challenge Cup")
    alone = Listing(str(33_000_000 + number * 11), "Ijebu-Ode Sporting", "Ota Rovers")
    found.append(Fixture(number, None, local, kickoff, (1.25, 1.1), {stand_ins.BETPAWA: alone}, source="GENIUSSPORTS"))
    return found
