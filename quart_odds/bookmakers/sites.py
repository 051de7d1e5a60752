"""What a client needs to know of a site: which requests list its events, and how to read the answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError

_COMPETITIONS_AT_ONCE = 10
"""How many of BetPawa's competitions one request lists: a tenth of the requests, and few of them need a second page."""


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
    """A page of a list of events: its request, the competitions that it lists, and how many events come before it."""

    request: Request
    competition_ids: tuple[str, ...]
    skip: int = 0


Listings = tuple[Sequence[Listing], Sequence[BookmakerError]]
"""First pages of lists of events, and what was wrong with other competitions."""

Page = tuple[Sequence[EventHeader], Sequence[BookmakerError], Listing | None]
"""Events of a page, what was wrong with others, and the page after it."""


class Site(Protocol):
    """A bookmaker's addresses and JSON. Reading raises BookmakerError where the body as a whole is not understood."""

    platform: Platform
    headers: Mapping[str, str]

    def root(self) -> Request:
        """What lists the competitions."""
        ...

    def listings(self, plain: bytes) -> Listings:
        """First pages of the lists of events, from the root's body."""
        ...

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """The events of a page."""
        ...

    def event(self, header: EventHeader) -> Request:
        """What asks for one event with all its prices."""
        ...


class BetPawaSite:
    """BetPawa: some competitions at once, paged by 100."""

    platform = Platform.BETPAWA
    headers: Mapping[str, str] = betpawa.HEADERS

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
        headers, errors, size = betpawa.parse_list(plain, listing.request.where)
        is_last = size < betpawa.PAGE_SIZE
        following = None if is_last else self._page(listing.competition_ids, listing.skip + betpawa.PAGE_SIZE)
        return headers, errors, following

    def event(self, header: EventHeader) -> Request:
        """One event."""
        return Request(betpawa.EVENT_PATH + header.external_id, f"event {header.external_id}")

    def _page(self, ids: tuple[str, ...], skip: int) -> Listing:
        where = f"competitions {', '.join(ids)}" + (f" from {skip}" if skip else "")
        query = {"q": betpawa.list_query(list(ids), skip)}
        return Listing(Request(betpawa.LIST_PATH, where, query), ids, skip)


class SportyBetSite:
    """SportyBet: the tree of tournaments, then each tournament's events."""

    platform = Platform.SPORTYBET
    headers: Mapping[str, str] = sportybet.HEADERS

    def root(self) -> Request:
        """The tree of football tournaments."""
        return Request(sportybet.TREE_PATH, "the list of tournaments", sportybet.tree_query())

    def listings(self, plain: bytes) -> Listings:
        """A list for each tournament."""
        tournaments, errors = sportybet.parse_tournaments(plain)
        listings = [
            Listing(
                Request(
                    sportybet.LIST_PATH,
                    f"{tournament.external_id} ({tournament.country}, {tournament.name})",
                    method="POST",
                    body=sportybet.list_body(tournament.external_id),
                ),
                (tournament.external_id,),
            )
            for tournament in (listed.competition for listed in tournaments)
        ]
        return listings, errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """The site sends a tournament whole."""
        headers, errors = sportybet.parse_list(plain, listing.request.where)
        return headers, errors, None

    def event(self, header: EventHeader) -> Request:
        """One event."""
        query = {"eventId": header.external_id, "productId": sportybet.PRE_MATCH}
        return Request(sportybet.EVENT_PATH, f"event {header.external_id}", query)


class Bet9jaSite:
    """Bet9ja: the tree of soccer groups, then each group's events."""

    platform = Platform.BET9JA
    headers: Mapping[str, str] = bet9ja.HEADERS

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
                    f"group {group.external_id} ({group.country}, {group.name})",
                    bet9ja.list_query(group.external_id),
                ),
                (group.external_id,),
            )
            for group in (listed.competition for listed in groups)
        ]
        return listings, errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """The site sends a group whole."""
        headers, errors = bet9ja.parse_list(plain, listing.request.where)
        return headers, errors, None

    def event(self, header: EventHeader) -> Request:
        """One event."""
        return Request(bet9ja.EVENT_PATH, f"event {header.external_id}", {"EVENTID": header.external_id})


SITES: Mapping[Platform, Site] = {
    Platform.BETPAWA: BetPawaSite(),
    Platform.SPORTYBET: SportyBetSite(),
    Platform.BET9JA: Bet9jaSite(),
}
