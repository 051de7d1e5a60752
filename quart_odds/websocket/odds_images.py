"""Images: the state that a listener to `odds` begins with, taken at one place in the log and written page by page.

Taking an image copies references only. Its events are rendered afterwards, a few milliseconds at a time, by one task
for all listeners; each event is rendered once per version and view.
"""

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator
from contextvars import Context

import orjson
import structlog

from quart_odds.broadcast import ODDS, EventLog
from quart_odds.broadcast.content import Filter
from quart_odds.domain.clock import utc_now
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.views import image_event
from quart_odds.websocket.messages import odds_image_message
from quart_odds.websocket.odds_filter import OddsFilter
from quart_odds.websocket.odds_tournaments import Tournaments
from quart_odds.websocket.odds_view import OddsView

PAGE_BYTES = 48 * 1024
"""About the size of a page. At least one event is on it."""

TURN_SECONDS = 0.002
"""How long events are rendered before other tasks run."""

KEPT_BYTES = 8 * 1024 * 1024
"""Rendered events that are kept for the next listener with the same view."""

log = structlog.get_logger(__name__)


class OddsImage:
    """The events that a filter selects, as they were at one moment. An Image."""

    def __init__(
        self, images: "OddsImages", view: OddsView, events: list[CachedEvent], on_page: Callable[[], None]
    ) -> None:
        self.view = view
        self.waiting = deque(events)
        self.scope = "all"
        self.removed: list[int] = []
        self._images = images
        self._on_page = on_page
        self._page: bytes | None = None
        self._error: Exception | None = None
        self._is_last = False
        self._is_done = False
        self._is_wanted = False

    @property
    def is_done(self) -> bool:
        """Whether all pages have been taken."""
        return self._is_done

    def take_page(self) -> tuple[str, bytes] | None:
        """Return the name and the JSON of the next page; None if it is not ready yet. Raises what rendering raised."""
        if self._error is not None:
            raise self._error
        page, self._page = self._page, None
        if page is None:
            self._is_wanted = True
            return None
        if self._is_last:
            self._is_done = True
        else:
            self._images.render_later(self)
        return "odds_image", page

    def ready(self, events: list[bytes], *, is_last: bool) -> None:
        """Put down the next page."""
        message = odds_image_message(
            [orjson.Fragment(each) for each in events],
            is_final=is_last,
            scope=self.scope,
            removed=self.removed if is_last else [],
        )
        self._page, self._is_last = orjson.dumps(message), is_last
        self._tell()

    def fail(self, error: Exception) -> None:
        """Let the next `take_page` raise an error."""
        self._error = error
        self._tell()

    def _tell(self) -> None:
        if self._is_wanted:
            self._is_wanted = False
            self._on_page()


class OddsImages:
    """Takes images of a cache and renders them. What the registry calls to open an image."""

    def __init__(self, cache: OddsCache, event_log: EventLog, tournaments: Tournaments) -> None:
        self.rendered = 0
        self._cache = cache
        self._log = event_log
        self._tournaments = tournaments
        self._queue: deque[OddsImage] = deque()
        self._task: asyncio.Task[None] | None = None
        self._frozen: dict[int, CachedEvent] = {}
        self._events: OrderedDict[tuple[int, int, OddsView], bytes] = OrderedDict()
        self._size = 0

    def __call__(self, filtered: Filter, since: int | None, on_page: Callable[[], None]) -> OddsImage:
        """Take an image of what a filter selects; with `since`, of what has changed from that log entry on."""
        assert isinstance(filtered, OddsFilter)
        changed = None if since is None else self._log.changed_subjects(ODDS, since)
        events = [self._freeze(each) for each in self._selected(filtered, changed)]
        image = OddsImage(self, filtered.view, events, on_page)
        if changed is not None:
            image.scope = "changed"
            image.removed = self._removed(filtered, changed)
        self.render_later(image)
        return image

    def render_later(self, image: OddsImage) -> None:
        """Render the next page of an image when it is its turn."""
        self._queue.append(image)
        if self._task is None or self._task.done():
            # It renders for others as well: it must not have the context of the connection that starts it.
            self._task = asyncio.create_task(self._render(), name="odds-images", context=Context())

    async def close(self) -> None:
        """Stop rendering."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _selected(self, filtered: OddsFilter, changed: Collection[object] | None) -> Iterator[CachedEvent]:
        """Yield the events in memory that a filter selects. Events that it does not name have to be ahead."""
        events = self._cache.events
        now = utc_now()
        if filtered.subjects is not None and not filtered.tournament_ids:
            found = [events[each] for each in sorted(filtered.event_ids) if each in events]
        else:
            found = list(events.values())
        for event in found:
            is_ahead = event.id in filtered.event_ids or event.header.kickoff > now
            is_changed = changed is None or ("event", event.id) in changed
            if is_ahead and is_changed and filtered.selects(event.id, self._tournaments.of(event)):
                yield event

    def _removed(self, filtered: OddsFilter, changed: Collection[object]) -> list[int]:
        """Return the events that have changed and are no longer in memory, as far as the filter may select them."""
        ids = (subject[1] for subject in changed if isinstance(subject, tuple) and subject[0] == "event")
        gone = [each for each in ids if each not in self._cache.events]
        return sorted(each for each in gone if not filtered.event_ids or each in filtered.event_ids)

    def _freeze(self, event: CachedEvent) -> CachedEvent:
        """Return the event as it is now. Images that are taken of the same version share it."""
        kept = self._frozen.get(event.id)
        if kept is None or kept.version != event.version:
            if len(self._frozen) > 2 * len(self._cache.events) + 100:
                self._frozen.clear()
            kept = self._frozen[event.id] = event.frozen()
        return kept

    async def _render(self) -> None:
        turn_ends = time.perf_counter() + TURN_SECONDS
        while self._queue:
            image = self._queue.popleft()
            page: list[bytes] = []
            size = 0
            try:
                while image.waiting and size < PAGE_BYTES:
                    page.append(self._rendered(image.waiting.popleft(), image.view))
                    size += len(page[-1])
                    if time.perf_counter() >= turn_ends:
                        await asyncio.sleep(0)
                        turn_ends = time.perf_counter() + TURN_SECONDS
                image.ready(page, is_last=not image.waiting)
            except Exception as error:
                log.exception("odds_images.failed")
                image.fail(error)

    def _rendered(self, event: CachedEvent, view: OddsView) -> bytes:
        key = (event.id, event.version, view)
        kept = self._events.get(key)
        if kept is not None:
            self._events.move_to_end(key)
            return kept
        made = orjson.dumps(image_event(event, markets=view.markets, platforms=view.platforms))
        self.rendered += 1
        self._events[key] = made
        self._size += len(made)
        while self._size > KEPT_BYTES and len(self._events) > 1:
            _, dropped = self._events.popitem(last=False)
            self._size -= len(dropped)
        return made
