"""Stand-in bookmakers without a server, and requests to them."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import orjson

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.app import generated_sites
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Ask, Site
from quart_odds.sandbox.sites.books import Books
from quart_odds.sandbox.world.world import Fixture
from tests.platforms import FIRST_THREE

MSPORT, BETKING = Platform.of("msport"), Platform.of("betking")
NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MSPORT_PATH = "/api/ng/facts-center/query/frontend"
BETKING_PATH = "/api/feeds/prematch"
HEADERS: Mapping[Platform, Mapping[str, str]] = {
    Platform.BETPAWA: {"x-pawa-brand": "betpawa-nigeria", "accept": "application/json"},
    Platform.SPORTYBET: {"content-type": "application/json;charset=UTF-8"},
    Platform.BET9JA: {"referer": "https://sports.bet9ja.com/"},
    MSPORT: {"operid": "2", "clientid": "web", "platform": "web"},
    BETKING: {"referer": "https://www.betking.com/", "origin": "https://www.betking.com"},
}


def sites(options: SandboxOptions | None = None) -> tuple[Books, dict[Platform, Site]]:
    """Create books and bookmakers, by default the first three and 60 events whose prices do not move."""
    return generated_sites(options or SandboxOptions(move=0, bookmakers=FIRST_THREE), NOW)


def at_all(books: Books) -> Fixture:
    """Return the first event that is at all bookmakers, and that clients can match between them."""
    return next(fixture for fixture in books.fixtures if books.bookmakers == {*fixture.matchable_at})


def ask(platform: Platform, path: str, method: str = "GET", body: object = None, **query: str) -> Ask:
    """Build a request as a well-behaved client sends it."""
    return Ask(method, path, query, HEADERS[platform], b"" if body is None else orjson.dumps(body))


def said(site: Site, request: Ask) -> Any:
    """Return the JSON of an answer, which must have status 200."""
    answer = site.refuse(request) or site.answer(request)
    assert answer.status == 200, answer
    return orjson.loads(answer.write())


def detail(site: Site, fixture: Fixture) -> Any:
    """Return the body of an event."""
    return said(site, detail_ask(site.platform, fixture.listings[site.platform].external_id))


def detail_ask(platform: Platform, external_id: str) -> Ask:
    """Build the request for an event."""
    match platform:
        case Platform.BETPAWA:
            return ask(platform, f"/api/sportsbook/v4/events/{external_id}")
        case Platform.SPORTYBET:
            return ask(platform, "/api/ng/factsCenter/event", eventId=external_id, productId="3")
        case Platform.BET9JA:
            return ask(platform, "/desktop/feapi/PalimpsestAjax/GetEvent", EVENTID=external_id)
        case _ if platform is MSPORT:
            return ask(platform, f"{MSPORT_PATH}/match/detail", eventId=external_id, productId="3")
        case _ if platform is BETKING:
            return ask(platform, f"{BETKING_PATH}/event/en/1/{external_id}/0")
        case _:
            raise ValueError(platform)


def events_of(site: Site) -> list[dict[str, Any]]:
    """Find all events of a bookmaker the way a client does: from the tree down, page by page."""
    return list({_id(event): event for event in _listed(site)}.values())


def _id(event: dict[str, Any]) -> str:
    return str(event.get("eventId") or event.get("id") or event.get("ID") or event.get("ItemID"))


def _listed(site: Site) -> list[dict[str, Any]]:
    platform = site.platform
    match platform:
        case Platform.BETPAWA:
            tree = said(site, ask(platform, "/api/sportsbook/v4/categories/list/2"))
            regions = tree["withRegions"][0]["regions"]
            ids = [c["competition"]["id"] for region in regions for c in region["competitions"]]
            return [event for id_ in ids for event in _all_pages(site, id_)]
        case Platform.SPORTYBET:
            tree = said(site, ask(platform, "/api/ng/factsCenter/popularAndSportList", sportId="sr:sport:1"))
            categories = tree["data"]["sportList"][0]["categories"]
            tournaments = [[t["id"]] for category in categories for t in category["tournaments"]]
            body = [{"sportId": "sr:sport:1", "marketId": "1,18,16", "tournamentId": tournaments}]
            data = said(site, ask(platform, "/api/ng/factsCenter/pcEvents", "POST", body))["data"]
            return [event for tournament in data for event in tournament["events"]]
        case Platform.BET9JA:
            tree = said(site, ask(platform, "/desktop/feapi/PalimpsestAjax/GetSports", DISP="0"))
            groups = [id_ for country in tree["D"]["PAL"]["1"]["SG"].values() for id_ in country["G"]]
            path = "/desktop/feapi/PalimpsestAjax/GetEventsInGroupV2"
            return [event for id_ in groups for event in said(site, ask(platform, path, GROUPID=id_))["D"]["E"]]
        case _ if platform is MSPORT:
            return [event for page in msport_pages(site) for event in events_on(page)]
        case _ if platform is BETKING:
            days = ((NOW + timedelta(days=days)).date() for days in range(-1, 8))
            bodies = [said(site, ask(platform, f"{BETKING_PATH}/GetEvents/en/{day}/0/0/1")) for day in days]
            return [event for body in bodies for area in body["AreaMatches"] for event in area["Items"]]
        case _:
            raise ValueError(platform)


def msport_pages(site: Site, **query: str) -> list[Any]:
    """Return the pages of MSport's list until the cursor repeats, without that page. At most fifty."""
    pages: list[Any] = []
    query = {"sportId": "sr:sport:1", "limit": "100", **query}
    while len(pages) < 50:
        page = said(site, ask(MSPORT, f"{MSPORT_PATH}/sports-matches-list", **query))["data"]
        if page["lastEventId"] == query.get("lastEventId"):
            break
        pages.append(page)
        query["lastEventId"] = page["lastEventId"]
    return pages


def events_on(page: Any) -> list[dict[str, Any]]:
    """Return the events of a page of MSport's list."""
    return [event for tournament in page["tournaments"] for event in tournament["events"]]


def _all_pages(site: Site, competition: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    while True:
        page = by_queries(site, [competition], skip=len(found))
        found += page
        if len(page) < 100:
            return found


def by_queries(site: Site, competitions: list[str], *, skip: int = 0, take: int = 100) -> list[dict[str, Any]]:
    """Return a page of BetPawa's events of these competitions, with their 1X2."""
    text = queries(competitions, skip=skip, take=take)
    body = said(site, ask(Platform.BETPAWA, "/api/sportsbook/v4/events/lists/by-queries", q=text))
    return cast("list[dict[str, Any]]", body["responses"][0]["responses"])


def queries(competitions: list[str], *, skip: int = 0, take: int = 100, event_type: str = "UPCOMING") -> str:
    """Build the `q` of BetPawa's lists."""
    zones = {"competitions": competitions}
    query = {"eventType": event_type, "categories": ["2"], "zones": zones, "hasOdds": True}
    view = {"marketTypes": ["3743"]}
    return orjson.dumps({"queries": [{"query": query, "view": view, "skip": skip, "take": take}]}).decode()
