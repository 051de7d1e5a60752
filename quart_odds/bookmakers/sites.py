"""The requests that list each site's events, and the interpretation of their answers."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import orjson

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.bookmakers.fields import count_or_none, values
from quart_odds.domain.odds import Competition, EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, IncompleteListError

_COMPETITIONS_AT_ONCE = 10
"""BetPawa competitions per request. Needs a tenth of the requests, and few of them have a second page."""

_OVERLAP = 5
"""Events of a page that the next page repeats. If they differ, the list shifted and an event may have been missed."""

MAX_ID_LENGTH = 100
"""Maximum length of a bookmaker's id of an event or a competition."""

_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a site. `where` describes its purpose in errors; `body` is JSON.

    Response times of requests of one `kind` are compared with each other.
    """

    path: str
    where: str
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: object = None
    kind: Literal["list", "event"] = "list"


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list of events: its request, the competitions it covers, and the number of events before it.

    `name` is for people. `expected` is the number of events according to the site's own tree. `before` holds the ids of
    the previous page, in order.
    """

    request: Request
    competition_ids: tuple[str, ...]
    name: str
    skip: int = 0
    expected: int | None = None
    before: tuple[str, ...] = ()


Listings = tuple[Sequence[Listing], Sequence[BookmakerError]]
"""The first page of each list of events, and the errors of other competitions."""

Page = tuple[Sequence[EventHeader], Sequence[BookmakerError], Listing | None]
"""The events of a page, the errors of other events or of the page, and the next page."""


class Site(Protocol):
    """The requests and JSON of a bookmaker. Parsing raises BookmakerError if a body is invalid as a whole."""

    platform: Platform
    headers: Mapping[str, str]
    hosts: Collection[str]
    """The bookmaker's own hosts, between which redirects are followed."""

    def root(self) -> Request:
        """Return the request for the list of competitions."""
        ...

    def listings(self, plain: bytes) -> Listings:
        """Parse the root's body into the first pages of all lists. They are complete if there are no errors."""
        ...

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """Parse the events of a page. They are complete if there are no errors."""
        ...

    def event(self, header: EventHeader) -> Request:
        """Return the request for one event with all its prices."""
        ...


class BetPawaSite:
    """BetPawa: several competitions per list, with pages of 100 events."""

    platform = Platform.BETPAWA
    headers: Mapping[str, str] = betpawa.HEADERS
    hosts: Collection[str] = ("www.betpawa.ng", "betpawa.ng")

    def root(self) -> Request:
        """See Site."""
        return Request(betpawa.CATEGORIES_PATH, "the list of competitions")

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers ten competitions."""
        ids, errors = betpawa.parse_competitions(plain)
        starts = range(0, len(ids), _COMPETITIONS_AT_ONCE)
        return [self._page(tuple(ids[start : start + _COMPETITIONS_AT_ONCE]), 0) for start in starts], errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. A short page is the last one, because the site sends no total."""
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
        """See Site."""
        return Request(betpawa.EVENT_PATH + header.external_id, f"event {header.external_id}", kind="event")

    def _page(self, ids: tuple[str, ...], skip: int, before: tuple[str, ...] = ()) -> Listing:
        name = f"competitions {', '.join(ids)}"
        where = name + (f" from {skip}" if skip else "")
        query = {"q": betpawa.list_query(list(ids), skip)}
        return Listing(Request(betpawa.LIST_PATH, where, query), ids, name, skip, before=before)


class SportyBetSite:
    """SportyBet: a tree of tournaments, and one list of events per tournament."""

    platform = Platform.SPORTYBET
    headers: Mapping[str, str] = sportybet.HEADERS
    hosts: Collection[str] = ("www.sportybet.com", "sportybet.com")

    def root(self) -> Request:
        """See Site."""
        return Request(sportybet.TREE_PATH, "the list of tournaments", sportybet.tree_query())

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers one tournament."""
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
        """See Site. The site sends all events of a tournament at once."""
        headers, malformed = sportybet.parse_list(plain, listing.request.where)
        listed = {_id(event, "eventId") for event in _events(plain, "data", "events", through="tournaments")}
        return headers, [*malformed, *_shortage(self.platform, listing, len(listed))], None

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        query = {"eventId": header.external_id, "productId": sportybet.PRE_MATCH}
        return Request(sportybet.EVENT_PATH, f"event {header.external_id}", query, kind="event")

    def _contradictions(self, plain: bytes) -> list[BookmakerError]:
        """Report the sport and countries whose event count exceeds that of their parts."""
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
        reason = f"the tree counts {total} events, but its competitions only {sum(known)}"
        return [IncompleteListError(self.platform, reason, where=name)]


class Bet9jaSite:
    """Bet9ja: a tree of soccer groups, and one list of events per group."""

    platform = Platform.BET9JA
    headers: Mapping[str, str] = bet9ja.HEADERS
    hosts: Collection[str] = ("sports.bet9ja.com", "www.bet9ja.com", "bet9ja.com")

    def root(self) -> Request:
        """See Site."""
        return Request(bet9ja.SPORTS_PATH, "the list of groups", bet9ja.sports_query())

    def listings(self, plain: bytes) -> Listings:
        """See Site. Each list covers one group."""
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
        """See Site. The site sends all events of a group at once."""
        headers, malformed = bet9ja.parse_list(plain, listing.request.where)
        listed = {_id(event, "ID") for event in _events(plain, "D", "E")}
        return headers, [*malformed, *_shortage(self.platform, listing, len(listed))], None

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        return Request(bet9ja.EVENT_PATH, f"event {header.external_id}", {"EVENTID": header.external_id}, kind="event")


def _name(competition: Competition) -> str:
    return f"{competition.country}, {competition.name}"


def _events(plain: bytes, outer: str, inner: str, through: str | None = None) -> list[dict[str, Any]]:
    """Return the raw entries of a list of events, including those that are skipped or invalid.

    Only for bodies that a parser has already accepted as JSON.
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
    """Return an entry's id as text. Truncated, because the ids are kept until the next page."""
    found = event.get(field)
    return str(found)[:MAX_ID_LENGTH] if isinstance(found, str | int) else ""


def _shortage(platform: Platform, listing: Listing, listed: int) -> list[BookmakerError]:
    """Report a list that has fewer events than the site's own tree announces."""
    if listing.expected is None or listed >= listing.expected:
        return []
    reason = f"{listed} of {listing.expected} events were listed"
    return [IncompleteListError(platform, reason, where=listing.name)]


SITES: Mapping[Platform, Site] = {
    Platform.BETPAWA: BetPawaSite(),
    Platform.SPORTYBET: SportyBetSite(),
    Platform.BET9JA: Bet9jaSite(),
}
