"""The server that `benchmarks.watch` measures: that of the fan-out, with events in memory and routes that publish odds.

    python -m benchmarks.watch_server --bind 127.0.0.1:PORT

`POST /bench/odds?messages=N&interval_ms=T&events=E` passes N changes of three main prices each to the odds feed, about
the events 1 to E in random order, as the cache reports them after a fetch. `sportradar_id` has the time of the change.
`POST /bench/unconcerned?messages=N` does so at once with events that nobody watches, and returns the CPU time.
"""

import asyncio
import gc
import random
import time
from collections.abc import AsyncIterator

import orjson
from quart import Blueprint, Response, current_app, request

from benchmarks import fanout_server
from benchmarks.storage import Bookmakers
from quart_odds.broadcast.framing import FRAME
from quart_odds.broadcast.sink import Sink
from quart_odds.domain.catalogue import CATALOGUE, pack_key
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.odds.columns import RecentColumns
from quart_odds.odds.event import EventChange
from quart_odds.services import Services, services
from quart_odds.websocket.odds_contents import EventChanged

EVENTS = 1300
BYTES = 650
"""The size of an `odds_change` of three prices."""

AT_ONCE = 4
"""Changes that are published together. A sweep learns of many at once, when it reads a list."""

blueprint = Blueprint("watch", __name__)


def prefill(parts: Services) -> None:
    """Put the events into the cache, with as many prices as real ones have.

    The prices stay unpacked, as they are when the feed is called: the cache has just applied a fetch then.
    """
    cache = parts.odds_service.cache
    if cache.events:
        return
    for mapped in Bookmakers(EVENTS + 100, 0.05).first():
        cache.apply(mapped, mapped.header.kickoff.replace(year=2020))
    unpacked = RecentColumns(most=len(Platform) * (EVENTS + 100))
    for event in cache.events.values():
        for event_odds in event.odds.values():
            event_odds.recent = unpacked
            unpacked.keep(event_odds, event_odds.columns)
    gc.freeze()


def change_of(parts: Services, event_id: int, number: int) -> EventChange:
    """Return a change of the three prices of 1X2, as if a fetch had brought it."""
    event = parts.odds_service.cache.events[event_id]
    event_odds = next(iter(event.odds.values()))
    market = CATALOGUE.by_slug["1x2_ft"]
    before, now = (pack_value(1.5 + (number + step) % 100 / 100, True) for step in (0, 1))
    changed = tuple((pack_key(market.number, index, None), before, now) for index in range(3))
    event.key = f"sr:t={time.monotonic():.6f}"
    return EventChange(event_id, event_odds.header.platform, event_odds.id, changed=changed, moment=number)


async def paced(messages: int, pause: float, at_once: int) -> AsyncIterator[int]:
    """Yield the numbers of messages, `at_once` of them together, and `pause` seconds apart on average."""
    due = time.monotonic()
    for number in range(messages):
        yield number
        if number % at_once == at_once - 1:
            due += pause * at_once
            await asyncio.sleep(max(0.0, due - time.monotonic()))


@blueprint.post("/bench/odds")
async def publish() -> Response:
    """Publish changes to those who watch their events, in the background."""
    messages = request.args.get("messages", 1000, int)
    pause = request.args.get("interval_ms", 5.0, float) / 1000
    events = request.args.get("events", EVENTS, int)
    at_once = request.args.get("at_once", AT_ONCE, int)
    parts = services()
    feed = parts.odds_feed
    numbers = random.Random(1)

    async def work() -> None:
        async for number in paced(messages, pause, at_once):
            feed(change_of(parts, 1 + numbers.randrange(events), number))

    current_app.add_background_task(work)
    return Response("{}", content_type="application/json")


@blueprint.post("/bench/sends")
async def send() -> Response:
    """Send as many messages of about that size, at the same times, to the same listeners: only what sockets cost."""
    messages = request.args.get("messages", 1000, int)
    pause = request.args.get("interval_ms", 5.0, float) / 1000
    parts = services()
    audience = parts.registry.flusher.audience
    numbers = random.Random(1)
    topic = "odds"

    def sinks_of(event_id: int) -> list[Sink]:
        content = EventChanged(utc_now(), "new", event_id, None, (("event", event_id),), None)
        return [each.sink for selection in audience.of_content(content, topic) for each in audience.group(selection)]

    sinks = [sinks_of(1 + number) for number in range(EVENTS)]

    async def work() -> None:
        async for _ in paced(messages, pause, AT_ONCE):
            payload = b'{"type":"odds_change","data":{"sportradar_id":"sr:t=%.6f"}}' % time.monotonic()
            frame = FRAME.encode(payload.ljust(BYTES), b"", "")
            for sink in sinks[numbers.randrange(EVENTS)]:
                if sink.is_open and not sink.pending():
                    sink.write(frame)

    current_app.add_background_task(work)
    return Response("{}", content_type="application/json")


@blueprint.post("/bench/unconcerned")
async def publish_to_nobody() -> Response:
    """Publish changes that concern nobody, and return the CPU time of each in microseconds."""
    messages = request.args.get("messages", 2000, int)
    parts = services()
    changes = [change_of(parts, EVENTS + 1 + number % 100, number) for number in range(messages)]
    began = time.process_time()
    for change in changes:
        parts.odds_feed(change)
    spent = time.process_time() - began
    return Response(orjson.dumps({"us": spent / messages * 1e6}), content_type="application/json")


@blueprint.post("/bench/prefill")
async def fill() -> Response:
    """Fill the cache."""
    prefill(services())
    return Response("{}", content_type="application/json")


if __name__ == "__main__":
    fanout_server.BLUEPRINTS.append(blueprint)
    fanout_server.main()
