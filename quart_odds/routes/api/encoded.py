"""Response bodies of the odds API: encoded once per change and kept, with ETag, 304 and gzip."""

import asyncio
import gzip
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import blake2b

import orjson
from quart import Request, Response
from werkzeug.http import quote_etag

from quart_odds.domain.clock import utc_now
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.fair_prices import FairPrices
from quart_odds.odds.views import best_prices, bookmaker_markets, list_item
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.api.cooperative_yield import CooperativeYield
from quart_odds.routes.api.query import FAR, EventsQuery, StartedQuery, next_kickoff, select_events
from quart_odds.services import services

GZIP_FROM_BYTES = 1400
"""Smaller bodies fit into one packet and are not compressed."""

GZIP_LEVEL = 4
"""At this level, 100 KB of events shrink to a twelfth in about a millisecond."""

KEPT_PAGES = 128
KEPT_DETAILS = 128


@dataclass(slots=True)
class Body:
    """A JSON body with its ETag. The gzip form is created on first use and kept."""

    content: bytes
    etag: str
    zipped: bytes | None = None

    @classmethod
    def of(cls, value: object) -> "Body":
        """Encode a value, with an ETag computed from its bytes."""
        content = orjson.dumps(value)
        return cls(content, blake2b(content, digest_size=9).hexdigest())

    def answer(self, request: Request, *, odds_cursor: str | None = None) -> Response:
        """Return 200 with the body, or 304 if the client already has it."""
        as_gzip = len(self.content) >= GZIP_FROM_BYTES and request.accept_encodings.quality("gzip") > 0
        etag = f"{self.etag}-gzip" if as_gzip else self.etag
        headers = {"ETag": quote_etag(etag), "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if odds_cursor is not None:
            headers["Odds-Cursor"] = odds_cursor
        if request.if_none_match.contains_weak(etag):
            return Response(b"", 304, headers=headers)
        content = self.content
        if as_gzip:
            if self.zipped is None:
                self.zipped = gzip.compress(content, GZIP_LEVEL, mtime=0)
            content = self.zipped
            headers["Content-Encoding"] = "gzip"
        return Response(content, headers=headers, content_type="application/json")


@dataclass(slots=True)
class _Page:
    """A page and its period of validity, which begins when the page was made: a clock may be set back."""

    version: int
    made_at: datetime
    valid_until: datetime
    body: Body

    def is_right(self, version: int, now: datetime) -> bool:
        return self.version == version and self.made_at <= now < self.valid_until


class EventBodies:
    """The encoded events of one cache. An event is encoded on the first request after a change; pages join the results.

    Everything is kept by version. The cache uses each version once, even after it was cleared and refilled.
    """

    def __init__(self, cache: OddsCache, stale_after: timedelta, *, clock: Callable[[], datetime] = utc_now) -> None:
        self._cache = cache
        self._clock = clock
        self._items: dict[int, tuple[int, bytes, bytes]] = {}
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._tournaments: dict[str, _Page] = {}
        self._details: OrderedDict[int, _Page] = OrderedDict()
        self.stale_after = stale_after
        self.encoded = 0

    def page(self, query_string: str, query: EventsQuery) -> Body:
        """Return the page that a query selects. It is kept under the text of the query string."""
        cache, now = self._cache, self._clock()
        kept = self._pages.get(query_string)
        if kept is not None and kept.is_right(cache.version, now):
            self._pages.move_to_end(query_string)
            return kept.body
        found = select_events(cache, query, now)
        shown = query.cut(found)
        self._forget_others()
        body = self._page_body(shown, len(found), query, kept.body if kept else None)
        valid_until = FAR if query.include_started else next_kickoff(cache, now)
        self._pages[query_string] = _Page(cache.version, now, valid_until, body)
        self._pages.move_to_end(query_string)
        if len(self._pages) > KEPT_PAGES:
            self._pages.popitem(last=False)
        return body

    def tournaments(self, query: StartedQuery, rows: Callable[[datetime], list[dict[str, object]]]) -> Body:
        """Return the list of tournaments that a query selects. `rows` builds it for a given time."""
        cache, now = self._cache, self._clock()
        # Keyed by the parsed query, which has few possible values; query strings are unlimited.
        key = query.model_dump_json()
        kept = self._tournaments.get(key)
        if kept is None or not kept.is_right(cache.version, now):
            valid_until = FAR if query.include_started else next_kickoff(cache, now)
            kept = self._tournaments[key] = _Page(cache.version, now, valid_until, Body.of(rows(now)))
        return kept.body

    def item(self, event: CachedEvent) -> bytes:
        """Return an event as lists show it, encoded."""
        return self._item(event)[1]

    def _item(self, event: CachedEvent) -> tuple[int, bytes, bytes]:
        """Return an event's version, the event as lists show it, encoded, and a digest of that."""
        kept = self._items.get(event.id)
        if kept is None or kept[0] != event.version:
            kept = self._items[event.id] = _encode_item(event)
            self.encoded += 1
        return kept

    async def detail(self, event: CachedEvent) -> Body:
        """Return an event with all its markets."""
        kept, now = self._details.get(event.id), self._clock()
        if kept is not None and kept.is_right(event.version, now):
            self._details.move_to_end(event.id)
            return kept.body
        version = event.version
        body, valid_until = await encode_detail(event, now, self.stale_after)
        self._details[event.id] = _Page(version, now, valid_until, body)
        self._details.move_to_end(event.id)
        if len(self._details) > KEPT_DETAILS:
            self._details.popitem(last=False)
        return body

    def _page_body(self, shown: list[CachedEvent], total: int, query: EventsQuery, former: Body | None) -> Body:
        items = [_encode_item(event) if query.bookmakers else self._item(event) for event in shown]
        # By content, which is the same in every process that serves these odds. Versions are not.
        etag = blake2b(repr((total, query.page, query.page_size)).encode(), digest_size=9)
        for _, _, digest in items:
            etag.update(digest)
        if former is not None and former.etag == etag.hexdigest():
            return former
        tail = b'],"total":%d,"page":%d,"page_size":%d}' % (total, query.page, query.page_size)
        return Body(b'{"events":[' + b",".join([encoded for _, encoded, _ in items]) + tail, etag.hexdigest())

    def _forget_others(self) -> None:
        """Drop the items of events that are no longer in the cache."""
        events = self._cache.events
        if len(self._items) > 2 * len(events) + 100:
            self._items = {event_id: kept for event_id, kept in self._items.items() if event_id in events}


def _encode_item(event: CachedEvent) -> tuple[int, bytes, bytes]:
    encoded = orjson.dumps(list_item(event))
    return event.version, encoded, blake2b(encoded, digest_size=16).digest()


async def encode_detail(event: CachedEvent, now: datetime, stale_after: timedelta) -> tuple[Body, datetime]:
    """Encode an event with all its markets as of one moment. Also returns when the first of its fair odds is too old.

    This takes about 2 ms per bookmaker; other tasks run between bookmakers, and during the comparison.
    """
    frozen = event.frozen()
    markets = []
    for event_odds in frozen.odds.values():
        markets.append(orjson.Fragment(orjson.dumps(bookmaker_markets(frozen, event_odds))))
        await asyncio.sleep(0)
    best, valid_until = [], FAR
    turn = CooperativeYield()
    for each, fresh_until in best_prices(frozen, FairPrices(frozen, now, stale_after)):
        best.append(each)
        valid_until = min(valid_until, fresh_until or FAR)
        if turn.is_due:
            await asyncio.sleep(0)
    return Body.of({**list_item(frozen), "markets_by_bookmaker": markets, "best_prices": best}), valid_until


async def find_event(event_id: int) -> CachedEvent:
    """Return an event from the cache, or a past one from the database. Raises a 404."""
    found = await services().served.find(event_id)
    if found is None:
        raise Problem(404, "No such event", f"there is no event {event_id}")
    return found
