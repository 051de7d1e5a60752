"""static/live.js in Node against servers, proxies and programs that do what is rare: refusals, limits, silence."""

import asyncio
import shutil
from collections.abc import AsyncIterator

import pytest

from tests.routes.pages.conftest import missing
from tests.routes.pages.noding import WITH_WEBSOCKET, WITHOUT_WEBSOCKET, FakeServer, fake_server, node
from tests.routes.pages.test_live_node import PRICES, answer_filter, begin, entry, event, image, open_watch, outcome

PATIENCE_SECONDS = 30
REFUSAL = {"status": 400, "errors": [{"field": "event_id", "message": "name events"}]}


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


async def test_every_type_of_a_topic_has_its_event_and_comes_once_through_a_change_of_transport(
    fake: FakeServer,
) -> None:
    """Alerts, opportunities, and types that a later server may add."""
    fake.takes_websocket = False
    async with node(WITH_WEBSOCKET) as program:
        await program.run(
            f"""
            const topics = ["alerts", "opportunities"];
            const live = kept.live = new LiveClient({{ base: '{fake.url}', topics, upgradeMs: 30 }});
            kept.told = []; kept.all = [];
            for (const type of ["alert", "opportunity", "later"])
                live.addEventListener(type, ({{ detail }}) => kept.told.push([type, detail.data.n]));
            live.addEventListener("message", ({{ detail }}) => kept.all.push(detail.type));
            live.open();
            """
        )
        stream = await fake.line(1)
        await stream.acknowledge(1)
        await program.until("kept.live.transport === 'sse'")
        fake.takes_websocket = True
        socket = await fake.line(2)
        for seq, kind in enumerate(("alert", "opportunity", "later"), 2):
            await stream.send(kind, {"n": seq}, seq)
        await program.until("kept.told.length === 3")
        await socket.acknowledge(1)
        for seq, kind in enumerate(("alert", "opportunity", "later", "alert"), 2):
            await socket.send(kind, {"n": seq}, seq)
        await program.until("kept.told.some(([, n]) => n === 5)")
        expected = [["alert", 2], ["opportunity", 3], ["later", 4], ["alert", 5]]
        assert await program.value("kept.told") == expected
        assert await program.value("kept.all.filter((type) => type !== 'connection_ack').length") == len(expected)


async def test_origin_is_the_servers_whatever_its_name() -> None:
    """A name with `ws` in it stays as it is."""
    async with node(WITHOUT_WEBSOCKET) as program:
        await program.run(
            """
            const never = new Promise(() => {});
            globalThis.fetch = async (url, { headers }) => ((kept.origin = headers.Origin), never);
            kept.live = new LiveClient({ base: "https://news.example" }).open();
            """
        )
        assert await program.value("kept.origin") == "https://news.example"
        await program.run(
            """
            kept.live.close();
            class Fake { readyState = 1; close() {} constructor(url, { headers }) { kept.origin = headers.Origin; } }
            kept.live = new LiveClient({ base: "https://news.example", WebSocket: Fake }).open();
            """
        )
        assert await program.value("kept.origin") == "https://news.example"
        await program.run("kept.live.close()")


async def test_client_without_an_address_says_so() -> None:
    """Only a page has one by itself. The client can be opened later."""
    async with node(WITHOUT_WEBSOCKET) as program:
        said = await program.run("try { new LiveClient().open(); } catch (error) { return error.message; }")
        assert "base" in said


async def test_option_that_is_undefined_has_its_default(fake: FakeServer) -> None:
    """A time that is no number would be none: the client would connect without a pause."""
    async with node(WITHOUT_WEBSOCKET) as program:
        names = ("topics", "watch", "since", "openMs", "answerMs", "leastWaitMs", "mostWaitMs")
        given = ", ".join(f"{name}: undefined" for name in names)
        await program.run(
            f"""
            const live = kept.live = new LiveClient({{ base: '{fake.url}', {given} }});
            kept.waits = [];
            live.addEventListener("state", ({{ detail: {{ state, retryInMs }} }}) => {{
                if (state === "waiting") kept.waits.push(retryInMs);
            }});
            live.open();
            """
        )
        line = await fake.line(1)
        assert line.query == {}
        await line.acknowledge()
        await program.until("kept.live.state === 'live'")
        line.is_over.set()
        await program.until("kept.waits.length === 1")
        assert 250 <= (await program.value("kept.waits"))[0] <= 500


async def test_image_after_a_gap_leaves_nothing_of_one_that_broke_off(fake: FakeServer) -> None:
    """A client that is too slow loses the rest of an image, and gets another one of everything."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1, 2]})
        line = await fake.line(1)
        await line.acknowledge()
        await line.asked()
        await line.send("subscription_update", {"topics": ["odds"]}, 1)
        await line.send("odds_image", image(event(1), final=False))
        await line.send("error", {"code": "gap", "detail": "missed", "missed": 3}, 1)
        await line.send("odds_image", image(event(2)), 9)
        await program.until("kept.watch.copy.has(2)")
        assert await program.value("[[...kept.watch.copy.keys()], kept.gaps]") == [[2], ["slow"]]


async def test_websocket_that_cannot_be_made_is_replaced_by_sse(fake: FakeServer) -> None:
    """Browsers throw for `ws:` on a page of `https:`. SSE takes over, and nothing is left of the attempt."""
    async with node(WITHOUT_WEBSOCKET) as program:
        await program.run(
            "kept.live = new LiveClient({ base: BASE, WebSocket: class {"
            " constructor() { throw new DOMException('insecure', 'SecurityError'); } } }).open();".replace(
                "BASE", repr(fake.url)
            )
        )
        await (await fake.line(1)).acknowledge()
        await program.until("kept.live.transport === 'sse'")
        await program.run("kept.live.close()")
        assert await program.ends() == 0


async def test_websocket_that_never_opens_is_closed(fake: FakeServer) -> None:
    """Otherwise each attempt would leave one that waits for an answer."""
    async with node(WITHOUT_WEBSOCKET) as program:
        await program.run(
            f"""
            kept.made = 0; kept.closed = 0;
            class Hung {{ readyState = 0; constructor() {{ kept.made++; }} close() {{ kept.closed++; }} send() {{}} }}
            const options = {{ WebSocket: Hung, openMs: 40, leastWaitMs: 10, mostWaitMs: 20, upgradeMs: 1e6 }};
            kept.live = new LiveClient({{ base: '{fake.url}', ...options }}).open();
            """
        )
        await program.until("kept.made >= 3 && kept.closed >= 2")
        await program.run("kept.live.close()")
        await program.until("kept.closed === kept.made")


async def test_client_that_is_closed_while_it_waits_for_a_ticket_lets_the_program_end() -> None:
    """A server that takes the request and does not answer it keeps nothing running."""
    asked = asyncio.Event()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        asked.set()
        await reader.read()
        writer.close()

    async with await asyncio.start_server(take, "127.0.0.1", 0) as server, node(WITH_WEBSOCKET) as program:
        base = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await program.run(f"kept.live = new LiveClient({{ base: '{base}', token: 'qo_1' }}).open();")
        async with asyncio.timeout(PATIENCE_SECONDS):
            await asked.wait()
        await program.run("kept.live.close()")
        assert await program.ends() == 0


async def test_client_that_is_closed_while_it_connects_stays_closed(fake: FakeServer) -> None:
    """Also by a listener that hears that it connects."""
    async with node(WITH_WEBSOCKET) as program:
        await program.run(
            f"""
            const live = kept.live = new LiveClient({{ base: '{fake.url}', openMs: 600_000 }});
            live.addEventListener("state", ({{ detail }}) => detail.state === "connecting" && live.close());
            live.open();
            """
        )
        line = await fake.line(1)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await line.is_over.wait()
        assert await program.value("kept.live.state") == "closed"


async def test_filter_that_came_too_soon_is_sent_again(fake: FakeServer) -> None:
    """The server takes so many messages a second. The newest filter is the one that counts."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1]})
        line = await begin(fake, event(1))
        await program.until("kept.news.length === 1")
        await program.run("kept.watch.update({ event_id: [2] }); kept.watch.update({ event_id: [3] });")
        await answer_filter(line, event(2), count=2)
        await line.asked(3)
        await line.send("error", {"code": "rate_limited", "detail": "more than 10 messages a second"}, 1)
        assert await answer_filter(line, event(3), count=4) == {"event_id": [3], "image": True}
        await program.until("kept.watch.copy.has(3)")
        await line.end()
        assert (await fake.line(2)).query["event_id"] == "3"


@pytest.mark.parametrize("code", ["invalid_filter", "too_large"])
async def test_watch_is_whole_again_after_a_refused_filter(fake: FakeServer, code: str) -> None:
    """The watch is told. With the next filter that is possible, a broken connection is resumed by its cursor."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"market": "all"})
        line = await fake.line(1)
        await line.acknowledge()
        await line.asked()
        await line.send("error", {"code": code, "detail": "name events"}, 1)
        await program.until("kept.news.length === 1")
        assert await program.value("kept.news") == [["refused", code]]
        await program.run("kept.watch.update({ event_id: [1] })")
        await answer_filter(line, event(1), count=2)
        await program.until("kept.watch.copy.size === 1")
        await line.end()
        assert (await fake.line(2)).query["event_id"] == "1"


async def test_refused_filter_does_not_keep_the_other_topics_away(fake: FakeServer) -> None:
    """An image of the filter before makes nothing whole: the query must not have the one that was refused."""
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1]})
        line = await fake.line(1)
        await line.acknowledge()
        await line.asked()
        await line.send("subscription_update", {"topics": ["odds"]}, 1)
        await program.run("kept.watch.update({ market: 'all' })")
        await line.asked(2)
        await line.send("error", {"code": "invalid_filter", "detail": "name events"}, 1)
        await line.send("odds_image", image(event(1)), 1)
        await program.until("kept.watch.copy.size === 1")
        await line.end()
        line = await fake.line(2)
        assert "market" not in line.query
        await line.acknowledge()
        assert (await line.asked())["filter"] == {"market": "all", "image": True}


async def test_filter_that_is_refused_over_sse_says_why_and_a_new_one_is_tried_at_once(fake: FakeServer) -> None:
    """SSE refuses with a status, WebSocket with a message: the watch gets the same."""
    fake.refusal = REFUSAL
    async with node(WITHOUT_WEBSOCKET) as program:
        await program.run(
            f"""
            const live = kept.live = new LiveClient({{ base: '{fake.url}', leastWaitMs: 60_000, mostWaitMs: 60_000 }});
            kept.watch = live.watchOdds({{ market: "all" }});
            kept.watch.addEventListener("refused", ({{ detail }}) => (kept.why = detail));
            live.open();
            """
        )
        await program.until("kept.live.state === 'waiting'")
        assert await program.value("kept.why") == {"code": "invalid_filter", "detail": "event_id: name events"}
        fake.refusal = None
        await program.run("kept.watch.update({ event_id: [1] })")
        assert (await fake.line(1)).query["event_id"] == "1"


async def test_refused_query_is_not_tried_over_the_other_transport(fake: FakeServer) -> None:
    """It would be refused there as well, and the watch would be told twice."""
    fake.refusal = REFUSAL
    async with node(WITH_WEBSOCKET) as program:
        await program.run(
            f"const options = {{ base: '{fake.url}', leastWaitMs: 60_000, mostWaitMs: 60_000 }};"
            "kept.watch = watchOdds({ market: 'all' }, options);"
            "kept.told = []; kept.watch.addEventListener('refused', ({ detail }) => kept.told.push(detail.detail));"
        )
        line = await fake.line(1)
        await line.send("error", {"code": "invalid_filter", "detail": "name events"})
        await program.until("kept.told.length === 1")
        await line.end(1008, "invalid filter")
        await program.until("kept.watch.client.state === 'waiting'")
        assert await program.value("kept.told") == ["name events"]
        await program.run("kept.watch.update({ event_id: [1] })")
        assert (await fake.line(2)).query["event_id"] == "1"


async def test_new_filter_over_sse_ends_an_attempt_by_websocket(fake: FakeServer) -> None:
    """It would begin before what the new stream leaves out, so messages would come twice."""
    fake.takes_websocket = False
    async with node(WITH_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1]}, upgradeMs=30, openMs=600_000, pingMs=600_000)
        stream = await fake.line(1)
        await stream.acknowledge(1)
        await program.until("kept.live.transport === 'sse'")
        fake.takes_websocket = True
        socket = await fake.line(2)
        await stream.send("scrape_progress", {"n": 6}, 6)
        await program.until("kept.seen.length === 1")
        fake.takes_websocket = False
        await program.run("kept.watch.update({ event_id: [2] })")
        stream = await fake.line(3)
        await stream.acknowledge(9, recovered=False)
        async with asyncio.timeout(PATIENCE_SECONDS):
            await socket.is_over.wait()
        await stream.send("odds_image", image(event(2, entry(outcome("1", 2.0)))), 9)
        await program.until("kept.watch.copy.has(2)")
        assert await program.value(PRICES) == [[2, "betpawa 1 2"]]
        assert await program.value("kept.seen") == [6]


async def test_server_without_room_says_when_to_come_back(fake: FakeServer) -> None:
    """A stream that ends with `retry:` before any message: the client waits exactly so long."""
    async with node(WITHOUT_WEBSOCKET) as program:
        await open_watch(program, fake, {"event_id": [1]})
        await program.run(
            "kept.waits = []; kept.live.addEventListener('state', ({ detail }) => kept.waits.push(detail.retryInMs));"
        )
        await (await fake.line(1)).end(retry_ms=777)
        await program.until("kept.live.state === 'waiting'")
        assert await program.value("kept.waits.at(-1)") == 777
