"""The requests that list each site's events, and the interpretation of their answers."""

from collections.abc import Collection, Iterable, Mapping
from typing import Any

import orjson

from quart_odds.bookmakers import bet9ja, betpawa, sportybet
from quart_odds.bookmakers.bodies import read_object
from quart_odds.bookmakers.fields import count_or_none, values
from quart_odds.bookmakers.site import Listing, Listings, Page, Request, Site, WholeList
from quart_odds.domain.odds import Competition, EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, IncompleteListError, MalformedBodyError

_COMPETITIONS_AT_ONCE = 10
"""BetPawa competitions per request. Needs a tenth of the requests, and few of them have a second page."""

_OVERLAP = 5
"""Events of a page that the next page repeats. If they differ, the list shifted and an event may have been missed."""

MAX_ID_LENGTH = 100
"""Maximum length of a bookmaker's id of an event or a competition."""

_BOM = b"\xef\xbb\xbf"


class BetPawaSite:
    """BetPawa: several competitions per list, with pages of 100 events."""

    platform = Platform.BETPAWA
    headers: Mapping[str, str] = betpawa.HEADERS
    hosts: Collection[str] = ("www.betpawa.ng", "betpawa.ng")
    whole_list: WholeList | None = None

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
        body = read_object(self.platform, plain, listing.request.where)
        events, malformed, size = betpawa.parse_listed(body, listing.request.where, listing.list_name)
        errors: list[BookmakerError] = [*malformed]
        listed = [_id(event, "id") for event in _events(body.get("responses"), "responses")]
        if listing.before and listed[:_OVERLAP] != list(listing.before[-_OVERLAP:]):
            reason = "the list moved while it was read, so that events may be missing"
            errors.append(IncompleteListError(self.platform, reason, where=listing.name))
        is_new = not set(listed) <= set(listing.before)
        if size < betpawa.PAGE_SIZE or not is_new:
            return Page(events, errors)
        skip = listing.skip + betpawa.PAGE_SIZE - _OVERLAP
        return Page(events, errors, self._page(listing.competition_ids, skip, tuple(listed)))

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        return Request(betpawa.EVENT_PATH + header.external_id, f"event {header.external_id}", kind="event")

    def _page(self, ids: tuple[str, ...], skip: int, before: tuple[str, ...] = ()) -> Listing:
        name = f"competitions {', '.join(ids)}"
        where = name + (f" from {skip}" if skip else "")
        query = {"q": betpawa.list_query(list(ids), skip)}
        return Listing(Request(betpawa.LIST_PATH, where, query), ids, name, name, skip, before=before)


class SportyBetSite:
    """SportyBet: a tree of tournaments with one list of events each, and a list of all events with pages."""

    platform = Platform.SPORTYBET
    headers: Mapping[str, str] = sportybet.HEADERS
    hosts: Collection[str] = ("www.sportybet.com", "sportybet.com")

    def __init__(self) -> None:
        self.whole_list: WholeList | None = WholeList(sportybet.UPCOMING_PAGE_SIZE, self._upcoming)

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
                tournament.external_id,
                expected=listed.expected,
            )
            for listed in tournaments
            for tournament in [listed.competition]
        ]
        return listings, [*malformed, *self._contradictions(plain)]

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. The site sends all events of a tournament at once, or a page of all events with their number."""
        body = read_object(self.platform, plain, listing.request.where)
        events, malformed = sportybet.parse_listed(body, listing.request.where, listing.list_name)
        errors: list[BookmakerError] = [*malformed]
        data = body.get("data")
        tournaments = data.get("tournaments") if isinstance(data, dict) else data
        listed = frozenset(_id(event, "eventId") for event in _events(tournaments, "events"))
        if listing.request.path != sportybet.UPCOMING_PATH:
            return Page(events, [*errors, *_shortage(self.platform, listing, len(listed))])
        total = count_or_none(data.get("totalNum") if isinstance(data, dict) else None)
        if total is None:
            errors.append(MalformedBodyError(self.platform, "no number", where=listing.name, field="data.totalNum"))
        return Page(events, errors, ids=listed, total=total)

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        query = {"eventId": header.external_id, "productId": sportybet.PRE_MATCH}
        return Request(sportybet.EVENT_PATH, f"event {header.external_id}", query, kind="event")

    def _upcoming(self, number: int) -> Listing:
        name = f"page {number}"
        request = Request(sportybet.UPCOMING_PATH, f"{name} of all events", sportybet.upcoming_query(number))
        return Listing(request, (), request.where, name)

    def _contradictions(self, plain: bytes) -> list[BookmakerError]:
        """Report the sport and countries whose event count exceeds that of their parts."""
        data = _json(plain).get("data")
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
    whole_list: WholeList | None = None

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
                f"group {group.external_id}",
                expected=listed.expected,
            )
            for listed in groups
            for group in [listed.competition]
        ]
        return listings, errors

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """See Site. The site sends all events of a group at once."""
        body = read_object(self.platform, plain, listing.request.where)
        events, malformed = bet9ja.parse_listed(body, listing.request.where, listing.list_name)
        listed = {_id(event, "ID") for event in _events(body.get("D"), "E")}
        return Page(events, [*malformed, *_shortage(self.platform, listing, len(listed))])

    def event(self, header: EventHeader) -> Request:
        """See Site."""
        return Request(bet9ja.EVENT_PATH, f"event {header.external_id}", {"EVENTID": header.external_id}, kind="event")


def _name(competition: Competition) -> str:
    return f"{competition.country}, {competition.name}"


def _json(plain: bytes) -> dict[str, Any]:
    """Return the object in a body that a parser has already accepted."""
    body: dict[str, Any] = orjson.loads(plain.removeprefix(_BOM))
    return body


def _events(holders: Any, inner: str) -> list[dict[str, Any]]:
    """Return the raw entries of lists of events, including those that are skipped or invalid."""
    return [
        event
        for holder in values([holders] if isinstance(holders, dict) else holders)
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
