"""Clients that keep a copy: whatever changes, is cut, is slow or chooses anew, image and changes equal the cache."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quart_odds.broadcast import ODDS, BroadcastRegistry, LogBounds, Subscriber
from quart_odds.broadcast.framing import CHUNK, FRAME_WITH_CURSOR, Framing
from quart_odds.domain.catalogue import promoted_key
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent, Prices, pack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.promotions import BOOSTED
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.views import image_event
from quart_odds.websocket.messages import gap_notice
from quart_odds.websocket.odds_feed import OddsFeed
from quart_odds.websocket.odds_filter import OddsFilter, make_filter
from quart_odds.websocket.odds_images import OddsImages
from tests.broadcast.listeners import ManualClock, RecordingSink, read_messages
from tests.odds.making import X1, key
from tests.websocket.copies import CopiedEvent, OddsCopy

EVENTS = (1, 2, 3)
BOOSTED_HOME = promoted_key(key("1x2_ft", "1"), BOOSTED)
PLATFORMS = tuple(Platform)
BEFORE = utc_now() - timedelta(hours=1)
KICKOFF = utc_now() + timedelta(days=1)
SMALL = LogBounds(least_entries=6, least_bytes=0, least_seconds=0.0, most_entries=6, most_bytes=1 << 20)
CORNERS = {key("corners_1x2_ft", name): 2.0 for name in ("1", "X", "2")}

FILTERS = (
    lambda: make_filter([1]),
    lambda: make_filter([1, 2], market="all"),
    lambda: make_filter([2, 3], platforms=[Platform.SPORTYBET]),
    lambda: make_filter([3], market=["3743"]),
    lambda: make_filter(tournament_ids=[1]),
    lambda: make_filter(image=True),
)


@dataclass
class Client:
    """One client: it reads, is cut, comes back with the cursor that it read last, and keeps a copy.

    Once it has asked for something else, cursors from before the answer are worth nothing to it.
    """

    registry: BroadcastRegistry
    framing: Framing
    copy: OddsCopy = field(default_factory=OddsCopy)
    wanted: OddsFilter = field(default_factory=lambda: FILTERS[0]())
    cursor: str | None = None
    subscriber: Subscriber | None = None
    sink: RecordingSink = field(default_factory=RecordingSink)
    seen: int = 0
    asked: int = 0
    answered: int = 0

    def join(self) -> None:
        """Connect, with the last cursor."""
        if self.subscriber is not None:
            return
        self.sink, self.seen, self.asked, self.answered = RecordingSink(), 0, 0, 0
        place = self.registry.place(self.cursor, {ODDS}, self.wanted)

        def ack(subscriber: Subscriber) -> dict[str, Any]:
            return {"type": "connection_ack", "timestamp": "", "data": {"recovered": place.recovered}}

        self.subscriber = self.registry.connect(
            self.sink, self.framing, topics={ODDS}, filtered=self.wanted, place=place, handshake=ack
        )

    def cut(self, lost: int) -> None:
        """Lose the connection, and with it the last bytes that were on their way."""
        if self.subscriber is not None:
            self.read(lost)
            self.registry.disconnect(self.subscriber)
            self.subscriber = None

    def choose(self, wanted: OddsFilter) -> None:
        """Ask for something else, over the connection or with the next one."""
        self.wanted = wanted
        self.cursor = None
        self.asked += 1
        if self.subscriber is not None:
            answer = {"type": "subscription_update", "timestamp": "", "data": {"number": self.asked}}
            self.registry.reselect(self.subscriber, {ODDS}, wanted, answer)

    def read(self, lost: int = 0) -> None:
        """Apply what has arrived, apart from the last bytes."""
        received = self.sink.received
        messages = read_messages(received[: len(received) - lost] if lost else received, self.framing)
        for each in messages[self.seen :]:
            self.copy.apply(each.value)
            data = each.value["data"]
            assert isinstance(data, dict)
            self.answered = data.get("number", self.answered)
            if self.answered == self.asked:
                self.cursor = each.cursor or self.cursor
        self.seen = max(self.seen, len(messages))


class World:
    """A cache, its feed and registry, and a few clients."""

    def __init__(self, bounds: LogBounds) -> None:
        self.cache = OddsCache()
        self.registry = BroadcastRegistry(gap_notice=gap_notice, bounds=bounds, clock=ManualClock())
        self.feed = OddsFeed(lambda content: self.registry.publish(content, ODDS), self.cache)
        self.images = OddsImages(self.cache, self.registry.log, self.feed.tournaments)
        self.registry.open_image = self.images
        self.clients = [Client(self.registry, framing) for framing in (FRAME_WITH_CURSOR, CHUNK)]
        self.at = BEFORE

    def tick(self) -> datetime:
        """Let a second pass."""
        self.at += timedelta(seconds=1)
        return self.at

    def tell(self, *changes: EventChange | None) -> None:
        """Pass changes to the feed, as the odds service does."""
        for change in changes:
            if change is not None:
                self.feed(change)

    def fetch(self, event: int, platform: Platform, odds: dict[int, float], **header: Any) -> None:
        """Record a body of an event."""
        self.tell(self.cache.apply(MappedEvent(self.header(event, platform, **header), priced(odds)), self.tick()))

    def header(self, event: int, platform: Platform, **changed: Any) -> EventHeader:
        """Return the header of an event at a bookmaker."""
        fields: dict[str, Any] = {
            "platform": platform,
            "external_id": f"{platform}-{event}",
            "sportradar_id": f"7000{event}",
            "home_team": f"Home {event}",
            "away_team": f"Away {event}",
            "kickoff": KICKOFF,
            "competition": Competition(str(event % 2), f"Cup {event % 2}", "Nigeria"),
        }
        return EventHeader(**(fields | changed))

    async def settle(self) -> None:
        """Wait until every client has been sent everything."""
        async with asyncio.timeout(30):
            while True:
                self.registry.flusher.flush()
                listening = [each.subscriber for each in self.clients if each.subscriber is not None]
                if all(each.is_current for each in listening):
                    return
                await asyncio.sleep(0)

    def check(self) -> None:
        """Compare each client's copy with the cache."""
        for client in self.clients:
            wanted = OddsCopy()
            events = [
                orjson.loads(
                    orjson.dumps(
                        image_event(event, markets=client.wanted.view.markets, platforms=client.wanted.view.platforms)
                    )
                )
                for event in self.cache.events.values()
                if client.wanted.selects(event.id, self.feed.tournaments.of(event))
            ]
            wanted.apply(
                {"type": "odds_image", "data": {"events": events, "final": True, "scope": "all", "removed": []}}
            )
            assert client.copy.events.keys() == wanted.events.keys()
            for event_id, event in wanted.events.items():
                copied = client.copy.events[event_id]
                assert copied.prices == event.prices
                assert shown(copied) == shown(event)
            assert client.copy.unknown == 0


def shown(event: CopiedEvent) -> tuple[object, ...]:
    """Return what changes of an event are told of, apart from its prices. Times of fetches are not."""
    names = ("home_team", "away_team", "kickoff", "sportradar_id", "tournament_id", "tournament_name")
    flags = {slug: (each["available"], each["reversed"]) for slug, each in event.bookmakers.items()}
    return tuple(event.fields[name] for name in names), flags


def priced(odds: dict[int, float]) -> Prices:
    """Return prices. Negative odds are those of a suspended price."""
    return Prices.from_pairs(sorted((key, pack_value(abs(value), value > 0)) for key, value in odds.items()))


some_odds = st.sampled_from([1.5, 2.0, -2.0, 3.25])
bodies = st.dictionaries(st.sampled_from([*X1, BOOSTED_HOME, *CORNERS]), some_odds, max_size=5)
events = st.sampled_from(EVENTS)
platforms = st.sampled_from(PLATFORMS)
clients = st.integers(0, 1)
Step = tuple[Any, ...]


def do(world: World, step: Step) -> None:
    """Take a step."""
    match step:
        case ("body", event, platform, odds):
            world.fetch(event, platform, odds)
        case ("kickoff", event, platform, odds, hours):
            world.fetch(event, platform, odds, kickoff=KICKOFF + timedelta(hours=hours))
        case ("reversed", event, platform, odds):
            world.fetch(event, platform, odds, home_team=f"Away {event}", away_team=f"Home {event}")
        case ("rematched", event, platform, odds, other):
            world.fetch(event, platform, odds, sportradar_id=f"7000{other}")
        case ("withdrawn", event, platform):
            world.tell(world.cache.withdraw(platform, f"{platform}-{event}", world.tick()))
        case ("missing", platform):
            at = world.tick()
            world.tell(*world.cache.mark_missing(platform, {f"{platform}-1": at}, at))
        case ("cut", client, lost):
            world.clients[client].cut(lost)
        case ("choose", client, place):
            world.clients[client].choose(FILTERS[place]())
        case ("stall", client):
            world.clients[client].sink.stall()
        case ("read on", client):
            world.clients[client].sink.read_on()
        case ("read", client):
            world.clients[client].read()
        case ("join", client):
            world.clients[client].join()
        case ("flush",):
            world.registry.flusher.flush()
        case ("tick",):
            world.registry.flusher.upkeep.tick()
        case ("reload",):
            world.registry.reload_images(ODDS)
        case _:
            raise AssertionError(step)


def step(name: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[Step]:
    """Return a strategy for steps of one kind."""
    return st.tuples(st.just(name), *arguments)


steps: st.SearchStrategy[Step] = st.one_of(
    step("body", events, platforms, bodies),
    step("body", events, platforms, bodies),
    step("kickoff", events, platforms, bodies, st.integers(0, 2)),
    step("reversed", events, platforms, bodies),
    step("rematched", events, platforms, bodies, events),
    step("withdrawn", events, platforms),
    step("missing", platforms),
    step("cut", clients, st.integers(0, 900)),
    step("choose", clients, st.integers(0, len(FILTERS) - 1)),
    *(step(name, clients) for name in ("stall", "read on", "read", "join")),
    *(step(name) for name in ("flush", "tick", "reload")),
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.tuples(steps, st.booleans()), max_size=40), st.sampled_from([SMALL, LogBounds()]))
def test_image_and_changes_equal_the_cache(chosen: list[tuple[Step, bool]], bounds: LogBounds) -> None:
    """Over any interleaving of changes, cuts, slow reads, filter changes and resumes, on both transports."""

    async def run() -> None:
        world = World(bounds)
        for each, is_turn in chosen:
            do(world, each)
            if is_turn:
                await asyncio.sleep(0)
        for client in world.clients:
            client.sink.read_on()
            client.join()
        await world.settle()
        for client in world.clients:
            client.read()
        try:
            world.check()
        finally:
            world.registry.close()
            await world.images.close()

    asyncio.run(run())
