"""What a client needs to know of a site: which requests list its events, and how to read the answers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.bookmakers.fields import count_or_none, values
from quart_odds.domain.odds import Competition, EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, IncompleteListError

_COMPETITIONS_AT_ONCE = 10
"""How many of BetPawa's competitions one request lists: a tenth of the requests, and few of them need a second page."""

_OVERLAP = 5
"""How many events of a page the next one repeats. Where it does not, the list moved, and an event may have slipped
between the two."""

MAX_ID_LENGTH = 100
"""Characters of a bookmaker's id of an event or a competition."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a site; `where` says in an error what it was for. `body` is JSON."""

    path: str
    where: str
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: object = None


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of a list of events: its request, the competitions that it lists, and how many events come before it.

    `name` is what people call it, `expected` how many events the site's own tree counts in it. `before` are the ids of
    the page before, in order.
    """

    request: Request
    competition_ids: tuple[str, ...]
    name: str
    skip: int = 0
    expected: int | None = None
    before: tuple[str, ...] = ()


Listings = tuple[Sequence[Listing], Sequence[BookmakerError]]
"""First pages of lists of events, and what was wrong with other competitions."""

Page = tuple[Sequence[EventHeader], Sequence[BookmakerError], Listing | None]
"""Events of a page, what was wrong with others or with the page as a whole, and the page after it."""


class Site(Protocol):
    """A bookmaker's addresses and JSON. Reading raises BookmakerError where the body as a whole is not understood."""

    platform: Platform
    headers: Mapping[str, str]
    hosts: Collection[str]
    """The hosts that are the bookmaker's own, between which it may redirect."""

    def root(self) -> Request:
        """What lists the competitions."""
        ...

    def listings(self, plain: bytes) -> Listings:
        """First pages of the lists of events, from the root's body. Without errors they are all that there are."""
        ...

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """The events of a page. Without errors they are all that it should have."""
        ...

    def event(self, header: EventHeader) -> Request:
        """What asks for one event with all its prices."""
        ...


class BetPawaSite:
    """BetPawa: some competitions at once, paged by 100."""

    platform = Platform.BETPAWA
    headers: Mapping[str, str] = betpawa.HEADERS
    hosts: Collection[str] = ("www.betpawa.ng", "betpawa.ng")

    def root(self) -> Request:
        """The categories of football."""
        return Request(betpawa.CATEGORIES_PATH, "the list of competitions")

    def listings(self, plain: bytes) -> Listings:
        """A list for every ten competitions."""
        ids, errors = betpawa.parse_competitions(plain)
        starts = range(0, len(ids), _COMPETITIONS_AT_ONCE)
        return [self._page(tuple(ids[start : start + _COMPETITIONS_AT_ONCE]), 0) for start in starts], errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """A page is the last when it is short: the site gives no total."""
        headers, malformed, size = betpawa.parse_list(plain, listing.request.where)
        errors: list[BookmakerError] = [*malformed]
        listed = [_id(event, "id") for event in _events(plain, "responses", "responses")]
        if listing.before and listed[:_OVERLAP] != list(listing.before[-_OVERLAP:]):
            reason = "the list moved while it was read, so that events may be missing"
            errors.append(IncompleteListError(self.platform, reason, where=listing.name))
        is_new = not set(listed) <= set(listing.before)
        if size < betpawa.PAGE_SIZE or not is_new:
            return headers, errors, None
        skip = listing.skip + betpawa.PAGE_SIZE - _OVERLAP
        return headers, errors, self._page(listing.competition_ids, skip, tuple(listed))

    def event(self, header: EventHeader) -> Request:
        """One event."""
        return Request(betpawa.EVENT_PATH + header.external_id, f"event {header.external_id}")

    def _page(self, ids: tuple[str, ...], skip: int, before: tuple[str, ...] = ()) -> Listing:
        name = f"competitions {', '.join(ids)}"
        where = name + (f" from {skip}" if skip else "")
        query = {"q": betpawa.list_query(list(ids), skip)}
        return Listing(Request(betpawa.LIST_PATH, where, query), ids, name, skip, before=before)


class SportyBetSite:
    """SportyBet: the tree of tournaments, then each tournament's events."""

    platform = Platform.SPORTYBET
    headers: Mapping[str, str] = sportybet.HEADERS
    hosts: Collection[str] = ("www.sportybet.com", "sportybet.com")

    def root(self) -> Request:
        """The tree of football tournaments."""
        return Request(sportybet.TREE_PATH, "the list of tournaments", sportybet.tree_query())

    def listings(self, plain: bytes) -> Listings:
        """A list for each tournament."""
        tournaments, malformed = sportybet.parse_tournaments(plain)
        listings = [
            Listing(
                Request(
                    sportybet.LIST_PATH,
                    f"{tournament.external_id} ({_name(tournament)})",
                    method="POST",
                    body=sportybet.list_body(tournament.external_id),
                ),
                (tournament.external_id,),
                _name(tournament),
                expected=listed.expected,
            )
            for listed in tournaments
            for tournament in [listed.competition]
        ]
        return listings, [*malformed, *self._contradictions(plain)]

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """The site sends a tournament whole."""
        headers, malformed = sportybet.parse_list(plain, listing.request.where)
        listed = {_id(event, "eventId") for event in _events(plain, "data", "events", through="tournaments")}
        return headers, [*malformed, *_shortage(self.platform, listing, len(listed))], None

    def event(self, header: EventHeader) -> Request:
        """One event."""
        query = {"eventId": header.external_id, "productId": sportybet.PRE_MATCH}
        return Request(sportybet.EVENT_PATH, f"event {header.external_id}", query)

    def _contradictions(self, plain: bytes) -> list[BookmakerError]:
        """Where the sport or a country counts more events than all that it names."""
        data = orjson.loads(plain.removeprefix(_BOM)).get("data")
        errors: list[BookmakerError] = []
        for sport in values(data.get("sportList") if isinstance(data, dict) else None):
            if isinstance(sport, dict) and sport.get("id") == sportybet.FOOTBALL:
                countries = [each for each in values(sport.get("categories")) if isinstance(each, dict)]
                errors += self._contradiction(sport, countries, "Football")
                for country in countries:
                    errors += self._contradiction(country, values(country.get("tournaments")), str(country.get("name")))
        return errors

    def _contradiction(self, whole: dict[str, Any], parts: Iterable[Any], name: str) -> list[BookmakerError]:
        total = count_or_none(whole.get("eventSize"))
        sizes = [count_or_none(part.get("eventSize") if isinstance(part, dict) else None) for part in parts]
        known = [size for size in sizes if size is not None]
        if total is None or len(known) < len(sizes) or sum(known) >= total:
            return []
        reason = f"the tree names competitions of {sum(known)} events, and counts {total}"
        return [IncompleteListError(self.platform, reason, where=name)]


class Bet9jaSite:
    """Bet9ja: the tree of soccer groups, then each group's events."""

    platform = Platform.BET9JA
    headers: Mapping[str, str] = bet9ja.HEADERS
    hosts: Collection[str] = ("sports.bet9ja.com", "www.bet9ja.com", "bet9ja.com")

    def root(self) -> Request:
        """The tree of sports."""
        return Request(bet9ja.SPORTS_PATH, "the list of groups", bet9ja.sports_query())

    def listings(self, plain: bytes) -> Listings:
        """A list for each group."""
        groups, errors = bet9ja.parse_groups(plain)
        listings = [
            Listing(
                Request(
                    bet9ja.LIST_PATH,
                    f"group {group.external_id} ({_name(group)})",
                    bet9ja.list_query(group.external_id),
                ),
                (group.external_id,),
                _name(group),
                expected=listed.expected,
            )
            for listed in groups
            for group in [listed.competition]
        ]
        return listings, errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """The site sends a group whole."""
        headers, malformed = bet9ja.parse_list(plain, listing.request.where)
        listed = {_id(event, "ID") for event in _events(plain, "D", "E")}
        return headers, [*malformed, *_shortage(self.platform, listing, len(listed))], None

    def event(self, header: EventHeader) -> Request:
        """One event."""
        return Request(bet9ja.EVENT_PATH, f"event {header.external_id}", {"EVENTID": header.external_id})


def _name(competition: Competition) -> str:
    return f"{competition.country}, {competition.name}"


def _events(plain: bytes, outer: str, inner: str, through: str | None = None) -> list[dict[str, Any]]:
    """All entries of a list of events, as they are: also those that are left out, or are not understood.

    Only for bodies that a parser has read as JSON.
    """
    holders = orjson.loads(plain.removeprefix(_BOM)).get(outer)
    if through is not None and isinstance(holders, dict):
        holders = holders.get(through)
    if isinstance(holders, dict):
        holders = [holders]
    return [
        event
        for holder in values(holders)
        for event in values(holder.get(inner) if isinstance(holder, dict) else None)
        if isinstance(event, dict)
    ]


def _id(event: dict[str, Any], field: str) -> str:
    """An entry's id as text, whatever it is: cut, because ids go from page to page."""
    found = event.get(field)
    return str(found)[:MAX_ID_LENGTH] if isinstance(found, str | int) else ""


def _shortage(platform: Platform, listing: Listing, listed: int) -> list[BookmakerError]:
    """What there is to say where a list has fewer events than the site's own tree counts."""
    if listing.expected is None or listed >= listing.expected:
        return []
    reason = f"{listed} of {listing.expected} events were listed"
    return [IncompleteListError(platform, reason, where=listing.name)]


SITES: Mapping[Platform, Site] = {
    Platform.BETPAWA: BetPawaSite(),
    Platform.SPORTYBET: SportyBetSite(),
    Platform.BET9JA: Bet9jaSite(),
}
