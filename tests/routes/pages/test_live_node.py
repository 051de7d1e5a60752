"""static/live.js in Node, against a server that a test controls message by message: watches, and their copies."""

import shutil
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from tests.routes.pages.conftest import missing
from tests.routes.pages.noding import EPOCH, WITH_WEBSOCKET, FakeServer, Json, Line, NodeProcess, fake_server, node

QUICK = {"leastWaitMs": 10, "mostWaitMs": 20, "upgradeMs": 100_000, "openMs": 3000}
AT = "2026-11-22T10:00:00.000Z"
LATER = "2026-11-22T10:00:07.000Z"

OPEN = """
const live = kept.live = new LiveClient(OPTIONS);
kept.told = []; kept.gaps = []; kept.seen = []; kept.states = [];
live.addEventListener("message", ({ detail }) => kept.told.push(detail.type));
live.addEventListener("gap", ({ detail }) => kept.gaps.push(detail.reason));
live.addEventListener("state", ({ detail }) => kept.states.push(detail.state));
live.addEventListener("scrape_progress", ({ detail }) => kept.seen.push(detail.data.n));
const watch = kept.watch = live.watchOdds(FILTER);
kept.news = []; kept.lost = [];
for (const name of ["image", "change", "event", "gap", "refused"])
    watch.addEventListener(name, ({ detail }) => {
        kept.news.push([name, detail.event_id ?? detail.final ?? detail.reason ?? detail.code]);
    });
live.open();
"""


@pytest.fixture(autouse=True)
def installed() -> None:
    """Skip the tests, or fail them in CI, if there is no Node."""
    if shutil.which("node") is None:
        missing("no node in the PATH: install Debian's nodejs to run the tests of static/live.js")


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A server that the test controls."""
    async with fake_server() as opened:
        yield opened


async def open_watch(program: NodeProcess, fake: FakeServer, filtered: Json, **options: object) -> None:
    """Open a client with a watch. What it dispatches is in `kept`."""
    given = orjson.dumps(QUICK | {"base": fake.url} | options).decode()
    await program.run(OPEN.replace("OPTIONS", given).replace("FILTER", orjson.dumps(filtered).decode()))


def outcome(name: str, odds: float, **values: object) -> Json:
    """Return an outcome of a market."""
    times = {"changed_at": AT, "last_seen_at": AT}
    return {"name": name, "odds": odds, "is_active": True, "available": True, "promotion": None} | times | values


def entry(*outcomes: Json, line: float | None = None, promotion: str | None = None) -> Json:
    """Return a market entry as an image has it."""
    return {
        "betpawa_market_id": "3743",
        "line": line,
        "promotion": promotion,
        "outcomes": list(outcomes),
        "margin": 4.2,
        "available": True,
        "unavailable_since": None,
        "last_seen_at": AT,
        "source_changed_at": None,
    }


def event(number: int, *markets: Json) -> Json:
    """Return an event as an image has it, with these markets at BetPawa."""
    state = {"bookmaker_slug": "betpawa", "available": True, "reversed": False, "late": False}
    return {
        "id": number,
        "home_team": "Home",
        "away_team": "Away",
        "kickoff": AT,
        "bookmakers": [state | {"has_odds": True}],
        "markets_by_bookmaker": [state | {"markets": list(markets)}],
    }


def image(*events: Json, final: bool = True, scope: str = "all", **values: object) -> Json:
    """Return a page of an image."""
    return {"events": list(events), "final": final, "scope": scope, **values}


def change(number: int, *changes: Json, source: str = "betpawa") -> Json:
    """Return a change of prices."""
    return {
        "event_id": number,
        "sportradar_id": None,
        "source": source,
        "seen_at": LATER,
        "source_changed_at": None,
        "changes": list(changes),
    }


def moved(name: str, odds: float, **values: object) -> Json:
    """Return one price of a change."""
    fields = {"market_id": "3743", "line": None, "outcome": name, "odds": odds, "previous": None}
    return fields | {"is_active": True, "available": True, "promotion": None, "market_promotion": None} | values


PRICES = (
    "[...kept.watch.copy.values()].map((e) => [e.id, ...e.markets_by_bookmaker.flatMap((b) => b.markets.flatMap("
    "(m) => m.outcomes.map((o) => `${b.bookmaker_slug} ${o.name} ${o.odds}`)))])"
)


async def begin(fake: FakeServer, *events: Json, number: int = 1) -> Line:
    """Acknowledge a WebSocket, take its filter, and answer with an image."""
    line = await fake.line(number)
    await line.acknowledge()
    await answer_filter(line, *events)
    return line


async def answer_filter(line: Line, *events: Json, count: int = 1) -> Json:
    """Take a filter that the client sends, and answer with an image. Returns the filter."""
    asked = await line.asked(count)
    assert (asked["type"], asked["topics"]) == ("subscribe", ["odds"])
    await line.send("subscription_update", {"topics": ["odds"], "filter": asked["filter"]}, 1)
    await line.send("odds_image", image(*events), 1)
    filtered: Json = asked["filter"]
    return filtered


async def test_copy_follows_images_changes_and_events(fake: FakeServer) -> None:
    """Prices change, appear and leave; further offers vanish with their last price; a new bookmaker gets its part."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1, 2]})
        plain = entry(outcome("1", 2.0), outcome("X", 3.0))
        line = await begin(fake, event(1, plain, entry(outcome("1", 2.4), promotion="boosted")), event(2, plain))
        await program.until("kept.watch.copy.size === 2")
        gone = {"is_active": False, "available": False}
        await line.send("odds_change", change(1, moved("1", 2.1), moved("2", 4.0)), 2)
        await line.send("odds_change", change(1, moved("1", 2.4, market_promotion="boosted", **gone)), 3)
        await line.send("odds_change", change(1, moved("X", 3.0, **gone), moved("Yes", 1.9, market_id="3795")), 4)
        newcomer = {"bookmaker_slug": "bet9ja", "available": True, "reversed": True, "late": False, "has_odds": True}
        said = {"event": {"id": 1, "home_team": "Other"}, "bookmakers": [newcomer], "source": "bet9ja"}
        await line.send("event_change", {"event_id": 1, "change": "new", **said}, 5)
        await line.send("odds_change", change(1, moved("1", 2.2), source="bet9ja"), 6)
        await line.send("event_change", {"event_id": 2, "change": "removed", "event": None, "bookmakers": []}, 7)
        await program.until("kept.news.length === 7")
        assert await program.value(PRICES) == [
            [1, "betpawa 1 2.1", "betpawa X 3", "betpawa 2 4", "betpawa Yes 1.9", "bet9ja 1 2.2"]
        ]
        copied = await program.value("kept.watch.copy.get(1)")
        betpawa, bet9ja = copied["markets_by_bookmaker"]
        own = betpawa["markets"][0]
        assert own["outcomes"][1] == outcome("X", 3.0, changed_at=LATER, last_seen_at=LATER, **gone)
        assert (own["last_seen_at"], own["available"], "margin" in own) == (LATER, True, False)
        assert (copied["home_team"], bet9ja["reversed"]) == ("Other", True)
        assert [name for name, _ in await program.value("kept.news")] == [
            "image", "change", "change", "change", "event", "change", "event",
        ]  # fmt: skip


async def test_image_of_everything_drops_the_rest_with_its_last_page(fake: FakeServer) -> None:
    """Until then nothing is dropped; an image of changes drops only what it names; a broken-off one, nothing."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1, 2, 3]})
        line = await begin(fake, event(1), event(2), event(3))
        ids = "[...kept.watch.copy.keys()]"
        await program.until(f"{ids}.length === 3")
        await line.send("odds_image", image(event(1, entry(outcome("1", 9.0))), scope="changed", removed=[3]), 2)
        await program.until(f"{ids}.length === 2")
        await line.send("odds_image", image(event(2), final=False))
        await program.until("kept.news.length === 3")
        assert await program.value(ids) == [1, 2]
        await line.send("subscription_update", {"topics": ["odds"]}, 2)
        await line.send("odds_image", image(event(4), final=False))
        await line.send("odds_image", image(event(1)), 2)
        await program.until("kept.news.length === 5")
        assert await program.value(f"{ids}.sort()") == [1, 4]


async def test_connection_resumes_with_its_filter(fake: FakeServer) -> None:
    """A whole copy needs only what came after its cursor; the query names filter and cursor, and no image is needed."""
    async with node(WITH_WEBSOCKET) as program:
        filtered = {"event_id": [1, 2], "market": ["3743"], "platform": ["betpawa"], "min_move": 2}
        await open_watch(program, fake, filtered, topics=["scrape_progress"])
        line = await begin(fake, event(1, entry(outcome("1", 2.0))))
        assert line.query == {"topics": "scrape_progress", "cursor": "1"}
        assert line.said[0]["filter"] == filtered | {"image": True}
        await program.until("kept.news.length === 1")
        await line.send("odds_change", change(1, moved("1", 2.5)), 5)
        await program.until("kept.news.length === 2")
        await line.end()
        line = await fake.line(2)
        assert line.query == {
            "topics": "scrape_progress,odds", "event_id": "1,2", "market": "3743", "platform": "betpawa",
            "min_move": "2", "image": "1", "since": f"{EPOCH}-5",
        }  # fmt: skip
        await line.acknowledge(5)
        await line.send("odds_change", change(1, moved("1", 2.6)), 6)
        await program.until("kept.news.length === 3")
        assert await program.value(PRICES) == [[1, "betpawa 1 2.6"]]
        assert line.said == []


async def test_connection_that_breaks_within_an_image_asks_for_it_again(fake: FakeServer) -> None:
    """The other topics resume from before the image, and the filter is sent once more. Nothing is reported as lost."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1, 2]})
        line = await fake.line(1)
        await line.acknowledge(3)
        asked = await line.asked()
        await line.send("subscription_update", {"topics": [], "filter": asked["filter"]}, 99)
        await line.send("odds_image", image(event(1), final=False), 99)
        await program.until("kept.news.length === 1")
        await line.end()
        line = await fake.line(2)
        assert line.query == {"topics": "scrape_progress,odds_updates", "since": f"{EPOCH}-3"}
        await line.acknowledge(3)
        await answer_filter(line, event(2))
        await program.until("kept.news.length === 2")
        assert await program.value("[...kept.watch.copy.keys()]") == [2]
        assert await program.value("kept.gaps") == []


async def test_restarted_server_replaces_the_copy(fake: FakeServer) -> None:
    """The server does not know the cursor: the watch reports a gap, and the image that follows is all there is."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1, 2]})
        line = await begin(fake, event(1), event(2))
        await program.until("kept.watch.copy.size === 2")
        await line.end()
        line = await fake.line(2)
        await line.acknowledge(recovered=False)
        await line.send("odds_image", image(event(2, entry(outcome("1", 7.0)))), 1)
        await program.until("kept.news.length === 3")
        assert await program.value("kept.news") == [["image", True], ["gap", "restart"], ["image", True]]
        assert await program.value(PRICES) == [[2, "betpawa 1 7"]]


async def test_new_filter_is_sent_over_the_same_websocket(fake: FakeServer) -> None:
    """Only with the last filter's image is the copy whole; until then a broken connection leads to a new image."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1]})
        line = await begin(fake, event(1))
        await program.until("kept.news.length === 1")
        await program.run("kept.watch.update({ event_id: [2] }); kept.watch.update({ event_id: [3], market: 'all' });")
        assert await answer_filter(line, event(2), count=2) == {"event_id": [2], "image": True}
        await program.until("kept.news.length === 2")
        assert (await line.asked(3))["filter"] == {"event_id": [3], "market": "all", "image": True}
        await line.end()
        line = await fake.line(2)
        assert "event_id" not in line.query
        await line.acknowledge()
        assert (await answer_filter(line, event(3)))["event_id"] == [3]
        await program.until("kept.news.length === 3")
        assert await program.value("[...kept.watch.copy.keys()]") == [3]
        await program.run("kept.watch.close()")
        assert await line.asked(2) == {"type": "unsubscribe", "topics": ["odds"]}
        assert await program.value("kept.states.at(-1)") == "live"


async def test_client_without_websocket_uses_sse_alone(fake: FakeServer) -> None:
    """A new filter reopens the stream, which begins with the newest state. What is missed so is a gap of its own."""
    async with node("--no-experimental-websocket") as program:
        await open_watch(program, fake, {"event_id": [1]}, upgradeMs=1)
        line = await fake.line(1)
        assert (line.transport, line.query) == (
            "sse", {"topics": "scrape_progress,odds_updates,odds", "image": "1", "event_id": "1"}
        )  # fmt: skip
        await line.acknowledge(4)
        await line.send("odds_image", image(event(1)), 4)
        await line.send("scrape_progress", {"n": 1}, 6)
        await program.until("kept.seen.length === 1")
        await program.run("kept.watch.update({ event_id: [2] })")
        line = await fake.line(2)
        assert (line.query["event_id"], line.query["since"]) == ("2", "0-0")
        await line.acknowledge(8, recovered=False)
        await line.send("odds_image", image(event(2)), 8)
        await program.until("kept.watch.copy.has(2)")
        assert await program.value("[kept.gaps, kept.news.filter(([name]) => name === 'gap')]") == [["filter"], []]
        await line.end()
        line = await fake.line(3)
        assert (line.query["event_id"], line.query["since"]) == ("2", f"{EPOCH}-8")
        await line.acknowledge(recovered=False)
        await program.until("kept.gaps.at(-1) === 'restart'")
        assert {each.transport for each in fake.lines} == {"sse"}


@pytest.mark.parametrize("flags", [[WITH_WEBSOCKET], ["--no-experimental-websocket"]])
async def test_watch_of_its_own_asks_for_nothing_else(fake: FakeServer, flags: Sequence[str]) -> None:
    """`watchOdds` opens a client for the topic `odds` alone, whose filter is in the query; `close` ends it."""
    async with node(*flags) as program:
        await program.run(f"kept.watch = watchOdds({{ event_id: [1] }}, {{ base: '{fake.url}' }}); kept.news = []")
        line = await fake.line(1)
        expected = {"topics": "odds", "image": "1", "event_id": "1"}
        assert line.query == expected | ({"cursor": "1"} if line.transport == "websocket" else {})
        await line.acknowledge()
        await line.send("odds_image", image(event(1)), 1)
        await program.until("kept.watch.copy.size === 1")
        await program.run("kept.watch.close()")
        await line.is_over.wait()
        assert await program.value("kept.watch.client.state") == "closed"


async def test_refused_filter_is_reported(fake: FakeServer) -> None:
    """The watch says what is wrong, and the client stays connected."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"market": "all"})
        line = await fake.line(1)
        await line.acknowledge()
        await line.asked()
        await line.send("error", {"code": "invalid_filter", "detail": "name events"}, 1)
        await program.until("kept.news.length === 1")
        assert await program.value("[kept.news, kept.live.state]") == [[["refused", "invalid_filter"]], "live"]


async def test_watch_without_images_resumes_by_cursor(fake: FakeServer) -> None:
    """There is no image to wait for: the answer to the filter is enough."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"image": False})
        line = await fake.line(1)
        await line.acknowledge()
        assert (await line.asked())["filter"] == {"image": False}
        await line.send("subscription_update", {"topics": ["odds"]}, 1)
        await line.send("odds_change", change(1, moved("1", 2.0)), 2)
        await program.until("kept.news.length === 1")
        await line.end()
        line = await fake.line(2)
        assert (line.query["image"], line.query["since"]) == ("0", f"{EPOCH}-2")


async def test_change_of_transport_neither_repeats_nor_loses_odds(fake: FakeServer) -> None:
    """What SSE brought while a WebSocket opened is not applied twice: an older state must not undo a newer one."""
    fake.takes_websocket = False
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1]}, upgradeMs=30)
        stream = await fake.line(1)
        assert stream.transport == "sse"
        await stream.acknowledge(1)
        await stream.send("odds_image", image(event(1, entry(outcome("1", 2.0)))), 1)
        await program.until("kept.watch.copy.size === 1")
        fake.takes_websocket = True
        socket = await fake.line(2)
        assert (socket.transport, socket.query["since"], socket.query["event_id"]) == ("websocket", f"{EPOCH}-1", "1")
        state = image(event(1, entry(outcome("1", 3.0))), scope="changed")
        messages: list[tuple[str, Json, int]] = [
            ("odds_image", state, 2), ("odds_change", change(1, moved("1", 4.0)), 3),
        ]  # fmt: skip
        for each in messages:
            await stream.send(*each)
        await program.until("kept.news.length === 3")
        await socket.acknowledge(1)
        for each in messages:
            await socket.send(*each)
        await socket.send("odds_change", change(1, moved("X", 5.0)), 4)
        await program.until("kept.news.length >= 4")
        assert await program.value(PRICES) == [[1, "betpawa 1 4", "betpawa X 5"]]
        assert await program.value("kept.news.length") == 4


async def test_websocket_that_breaks_before_it_repeats_what_sse_brought_is_resumed_after_that(fake: FakeServer) -> None:
    """Its acknowledgement has the cursor with which it was opened, and SSE has gone on since."""
    fake.takes_websocket = False
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1]}, upgradeMs=30)
        stream = await fake.line(1)
        await stream.acknowledge(1)
        await stream.send("odds_image", image(event(1, entry(outcome("1", 2.0)))), 1)
        await program.until("kept.watch.copy.size === 1")
        fake.takes_websocket = True
        socket = await fake.line(2)
        await stream.send("odds_change", change(1, moved("1", 3.0)), 2)
        await program.until("kept.news.length === 2")
        await socket.acknowledge(1)
        await program.until("kept.live.transport === 'websocket'")
        await socket.end()
        assert (await fake.line(3)).query["since"] == f"{EPOCH}-2"


async def test_client_needs_nothing_of_a_browser(fake: FakeServer) -> None:
    """Node has no document, location and window; the class to use for WebSocket can be given."""
    async with node("--no-experimental-websocket") as program:
        missing_here: Any = await program.value(
            "['document', 'location', 'WebSocket'].map((n) => typeof globalThis[n])"
        )
        assert missing_here == ["undefined"] * 3
        await program.run(
            """
            kept.sockets = [];
            class Fake {
                readyState = 1;
                constructor(url) { kept.sockets.push(String(url)); setTimeout(() => this.say({ recovered: true })); }
                say(data) { this.onmessage({ data: JSON.stringify({ type: "connection_ack", data }) }); }
                close() {}
                send() {}
            }
            kept.options = { base: "https://odds.example", topics: ["scrape_progress"], WebSocket: Fake };
            kept.live = new LiveClient(kept.options).open();
            """
        )
        await program.until("kept.live.transport === 'websocket'")
        assert await program.value("kept.sockets") == ["wss://odds.example/api/ws?topics=scrape_progress&cursor=1"]
        await program.run("kept.live.close()")
        for base in ("https://odds.example/", "https://www.example/odds", "https://www.example/odds/"):
            await program.run(f"kept.live = new LiveClient({{ ...kept.options, base: '{base}' }}).open();")
            await program.until("kept.live.transport === 'websocket'")
            [address] = await program.value("kept.sockets.slice(-1)")
            assert address.startswith(f"{base.replace('https', 'wss').rstrip('/')}/api/ws?")
            await program.run("kept.live.close()")


async def test_websocket_that_fails_without_a_close_is_given_up(fake: FakeServer) -> None:
    """Some classes report an error and nothing more: SSE takes over at once."""
    async with node("--no-experimental-websocket") as program:
        await program.run(
            "kept.live = new LiveClient({ base: BASE, WebSocket: class { readyState = 3; close() {}"
            " constructor() { setTimeout(() => this.onerror({})); } } }).open();".replace("BASE", repr(fake.url))
        )
        stream = await fake.line(1)
        assert stream.transport == "sse"
        await stream.acknowledge()
        await program.until("kept.live.transport === 'sse'")
        await program.run("kept.live.close()")
