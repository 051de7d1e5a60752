"""static/live.js in Node against a real served app: its copies are what the API says, over both transports."""

import asyncio
import contextlib
import random
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.routes.pages.conftest import NODE_MODULES, Serve, missing
from tests.routes.pages.noding import WITH_WEBSOCKET, WITHOUT_WEBSOCKET, WS, NodeProcess, node
from tests.routes.pages.proxy import proxied
from tests.routes.pages.test_followed_odds import EVENTS, fill, offer, offering, post, prices, shuffled
from tests.routes.pages.test_live_client import undisturbed
from tests.routes.pages.visiting import until
from tests.server.serving import Server, served
from tests.tokens import TOKEN

NODE_20 = NODE_MODULES / "node" / "bin" / "node"


@dataclass(frozen=True)
class Way:
    """A Node, the system's by default, and how the client connects there."""

    flag: str = WITHOUT_WEBSOCKET
    has_ws: bool = False
    program: Path | None = None

    @property
    def transport(self) -> str:
        """The transport that is used."""
        return "websocket" if self.has_ws or self.flag == WITH_WEBSOCKET else "sse"

    @property
    def options(self) -> str:
        """The beginning of the client's options."""
        return "WebSocket: Ws, " if self.has_ws else ""

    @contextlib.asynccontextmanager
    async def opened(self) -> AsyncIterator[NodeProcess]:
        """Run Node for the duration of a block. Without what it needs, the test is skipped, or fails in CI."""
        for path in (self.program, WS if self.has_ws else None):
            if path is not None and not path.is_file():
                missing(f"no {path}: see .ci/run")
        async with node(self.flag, program=self.program, has_ws=self.has_ws) as program:
            yield program


WAYS = {
    "own class": Way(WITH_WEBSOCKET),
    "sse": Way(),
    "ws": Way(has_ws=True),
    "node 20 sse": Way(program=NODE_20),
    "node 20 ws": Way(program=NODE_20, has_ws=True),
}

Price = tuple[str, str, float | None, str | None, str, float, bool, bool, str | None]

COPIED = """
return Object.fromEntries([...kept.watch.copy].map(([id, event]) => [id, event.markets_by_bookmaker.flatMap((book) =>
    book.markets.flatMap((one) => one.outcomes.map((each) => [book.bookmaker_slug, one.betpawa_market_id, one.line,
        one.promotion, each.name, each.odds, each.is_active, each.available, each.promotion])))]));
"""


@pytest.fixture(autouse=True)
def installed() -> None:
    """Skip the tests, or fail them in CI, if there is no Node."""
    if shutil.which("node") is None:
        missing("no node in the PATH: install Debian's nodejs to run the tests of static/live.js")


def sorted_prices(found: Any) -> list[Price]:
    """Return prices in an order of their own."""
    return sorted(map(tuple, found), key=repr)


async def api_prices(server: Server, number: int) -> list[Price]:
    """Return the prices of an event as the API shows them."""
    async with (
        aiohttp.ClientSession(raise_for_status=True) as session,
        session.get(f"{server.url}/api/events/{number}") as answer,
    ):
        event = await answer.json()
    return sorted_prices(
        (book["bookmaker_slug"], one["betpawa_market_id"], one["line"], one["promotion"], each["name"], each["odds"],
         each["is_active"], each["available"], each["promotion"])
        for book in event["markets_by_bookmaker"] for one in book["markets"] for each in one["outcomes"]
    )  # fmt: skip


async def is_exact(program: NodeProcess, server: Server, numbers: Sequence[int]) -> None:
    """Wait until the copy has exactly these events, with the prices of the API."""
    found: list[dict[str, list[Price]]] = []

    async def is_same() -> bool:
        copied = await program.run(COPIED)
        expected = {str(each): await api_prices(server, each) for each in numbers}
        found[:] = [{number: sorted_prices(each) for number, each in copied.items()}, expected]
        return found[0] == found[1]

    try:
        await until(is_same, "the copy is what the API says", seconds=10)
    except AssertionError:
        state = await program.value("[kept.live.state, kept.live.transport, kept.live.cursor, kept.gaps]")
        differing = {
            number: set(found[0].get(number, ())) ^ set(found[1].get(number, ()))
            for number in found[0].keys() | found[1].keys()
        }
        pytest.fail(f"the copy and the API differ in {differing}; the client is {state}")


@pytest.mark.timeout(120)
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_copy_is_what_the_api_says(tmp_path: Path, way: Way) -> None:
    """Through anything that bookmakers do, new filters, a cut connection, and a restart of the server."""
    dice = random.Random(11)
    async with way.opened() as program, offering(tmp_path) as server, proxied(server.port) as proxy:
        await fill(server, dice)
        options = f"{{ {way.options}base: '{proxy.url}', leastWaitMs: 20, mostWaitMs: 100, openMs: 20_000 }}"
        await program.run(f"kept.live = new LiveClient({options}).open(); kept.gaps = [];")
        await program.run("kept.live.addEventListener('gap', ({ detail }) => kept.gaps.push(detail.reason));")
        await program.run("kept.watch = kept.live.watchOdds({ event_id: [1, 2, 3], market: 'all' });")
        await is_exact(program, server, [1, 2, 3])
        await post(server, *[shuffled(dice, dice.randint(1, EVENTS)) for _ in range(30)])
        await is_exact(program, server, [1, 2, 3])
        await program.run("kept.watch.update({ event_id: [3, 4], market: 'all' });")
        await post(server, *[shuffled(dice, dice.randint(3, 4)) for _ in range(20)])
        await is_exact(program, server, [3, 4])
        proxy.cut_all()
        await post(server, *[shuffled(dice, dice.randint(3, 4)) for _ in range(20)])
        await is_exact(program, server, [3, 4])
        assert set(await program.value("kept.gaps")) <= {"filter"}
        # Before the restart: a server that is away for long sends a client to the other transport.
        assert await program.value("kept.live.transport") == way.transport
        await server.stop()
        async with offering(tmp_path) as again:
            await post(again, offer("betpawa", 4, prices(dice)), offer("sportybet", 3, None))
            proxy.target = again.port
            await is_exact(program, again, [3, 4])
            assert (await program.value("kept.gaps"))[-1] == "restart"


async def test_refused_filter_says_why(tmp_path: Path) -> None:
    """All markets need events; the watch gets the server's reason."""
    async with offering(tmp_path) as server, node(WITH_WEBSOCKET) as program:
        await program.run(f"kept.live = new LiveClient({{ base: '{server.url}' }}).open();")
        await program.run(
            "kept.watch = kept.live.watchOdds({ market: 'all' });"
            "kept.watch.addEventListener('refused', ({ detail }) => (kept.said = detail));"
        )
        await program.until("kept.said")
        assert await program.value("kept.said.code") == "invalid_filter"
        assert "event_id" in await program.value("kept.said.detail")


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_a_client_with_a_token_connects_and_comes_back(tmp_path: Path, way: Way) -> None:
    """By a new ticket for each WebSocket, and by a header for each stream. Without a token it is refused."""
    async with (
        served(tmp_path, {"allowed_hosts": "odds.example"}) as server,
        way.opened() as program,
        proxied(server.port) as proxy,
    ):
        options = f"{way.options}base: '{proxy.url}', leastWaitMs: 20, mostWaitMs: 100, openMs: 20_000"
        await program.run(f"kept.live = new LiveClient({{ {options}, token: '{TOKEN}' }}).open(); kept.opened = 0;")
        await program.run(
            "kept.live.addEventListener('state', ({ detail }) => { kept.opened += detail.state === 'live'; });"
        )
        await program.until(f"kept.live.transport === '{way.transport}'")
        proxy.cut_all()
        await program.until(f"kept.opened >= 1 && kept.live.transport === '{way.transport}'")
        await program.run(f"kept.other = new LiveClient({{ {options} }}).open(); kept.reasons = [];")
        await program.run("kept.other.addEventListener('state', ({ detail }) => kept.reasons.push(detail.reason));")
        await program.until("kept.reasons.includes('status 401')")
        await program.run("kept.live.close(); kept.other.close();")


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
async def test_progress_is_whole_through_a_cut_and_the_program_ends(serve: Serve, way: Way) -> None:
    """Each step of a run comes once, whatever breaks. Then nothing of a closed client keeps Node running."""
    async with (
        serve(requests=1) as server,
        proxied(server.port) as proxy,
        server.websocket() as reference,
        way.opened() as program,
    ):
        await program.run(
            f"""
            const topics = ["scrape_progress"];
            const live = kept.live = new LiveClient({{ {way.options}base: '{proxy.url}', topics, leastWaitMs: 20 }});
            kept.told = []; kept.gaps = [];
            live.addEventListener("scrape_progress", ({{ detail }}) => kept.told.push(detail.data));
            live.addEventListener("gap", ({{ detail }}) => kept.gaps.push(detail.reason));
            live.open();
            """
        )
        await program.until("kept.live.state === 'live'")
        assert await program.value("[kept.live.transport, process.versions.node.split('.')[0] >= 20]") == [
            way.transport,
            True,
        ]
        if way.program is not None:
            assert (await program.value("process.versions.node")).startswith("20.")
        whole = asyncio.create_task(undisturbed(server, reference))
        async with aiohttp.ClientSession() as session, session.post(f"{server.url}/api/scrape") as answer:
            assert answer.status == 202
        for count in (2, 5):
            await program.until(f"kept.told.length >= {count}")
            proxy.cut_all()
        expected = await whole
        await program.until("kept.told.some((each) => each.platform === null && each.phase === 'completed')")
        assert await program.value("kept.told") == expected
        assert await program.value("kept.gaps") == []
        await program.run("kept.live.close()")
        assert await program.ends() == 0
