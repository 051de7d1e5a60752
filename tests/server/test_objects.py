"""What a live connection costs, counted in Python's objects: that does not vary, as a process's memory does."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from tests.server.harness import Peer, Served, connect, event_stream, served, websocket

COUNT = 200
MOST_LEFT = 10
"""What a request may leave to the collector. Werkzeug's router leaves eight: a local function that calls itself."""
OTHERS = 300
"""How many objects may come and go without any connection, with the test's own requests and the server's tasks."""
MOST_TRACKED = {"--uvloop": 13, "--asyncio": 25}
"""What a live connection may have. With asyncio, it includes a socket, a selector's key, and a callback's context."""
MORE_TASKS = 10
"""How many tasks of the server's own may have begun meanwhile."""


async def _websocket(port: int) -> Peer:
    peer = await websocket(port)
    assert (await peer.frame()).json["type"] == "connection_ack"
    return peer


async def _stream(port: int) -> Peer:
    peer = await event_stream(port)
    while b"connection_ack" not in await peer.chunk():
        pass
    return peer


async def _objects(server: Served, *, collects: bool) -> dict[str, int]:
    """Return the counts, and have the collector run by itself or not from now on."""
    counts: dict[str, int] = await asyncio.to_thread(server.get, f"/probe/objects?collects={int(collects)}")
    return counts


async def _open(server: Served, opened: Callable[[int], Awaitable[Peer]], count: int) -> list[Peer]:
    peers = [await opened(server.port) for _ in range(count)]
    # The remaining connection is the one that requests this state.
    await server.until(connections=count + 1)
    return peers


async def _close(server: Served, peers: list[Peer]) -> None:
    for peer in peers:
        await peer.close()
    await server.until(connections=1, listening=0, places=0)


@pytest.mark.parametrize("loop", MOST_TRACKED)
@pytest.mark.parametrize(
    ("opened", "requests"),
    [
        pytest.param(_websocket, 1, id="websocket"),
        pytest.param(_stream, 1, id="event stream"),
        pytest.param(connect, 0, id="nothing sent"),
    ],
)
async def test_a_connection_costs_a_few_objects_and_leaves_none_to_the_collector(
    tmp_path: Path, loop: str, opened: Callable[[int], Awaitable[Peer]], requests: int
) -> None:
    """It has no task. All that began it is freed at once, and so is the connection when it ends.

    Otherwise, what is left would stay until the next full collection, of which there are few, and which stop the loop.
    """
    with served(tmp_path, loop) as server:
        # The first ones make what all share.
        await _close(server, await _open(server, opened, 10))
        await _objects(server, collects=False)
        before = await _objects(server, collects=False)
        peers = await _open(server, opened, COUNT)
        during = await _objects(server, collects=False)
        assert during["tasks"] <= before["tasks"] + MORE_TASKS
        assert during["tracked"] - before["tracked"] <= COUNT * MOST_TRACKED[loop] + OTHERS
        assert during["unreachable"] <= COUNT * MOST_LEFT * requests + OTHERS
        await _close(server, peers)
        after = await _objects(server, collects=True)
        if loop == "--uvloop":
            # A transport of asyncio refers to itself, and a timer of asyncio that was cancelled stays for its time.
            assert after["unreachable"] <= OTHERS
            assert after["tracked"] - before["tracked"] <= OTHERS
