"""nginx in front of one server with several workers, below a path: addresses of clients, limits, and all answers."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from websockets.asyncio.client import connect

from tests.deploy.proxies import SITE, Certificate, Proxy, running_proxy
from tests.deploy.test_proxies import answer_of, message_with
from tests.redis_servers import running_redis
from tests.server.harness import Peer
from tests.server.serving import Server
from tests.server.several_workers import LISTENERS, two_workers
from tests.tokens import HEADERS

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

ROOT = "/odds"
MOST = 4
"""Connections per address, which is two for each worker."""
TRIES = 40
"""So many that each of two workers gets at least two, except once in a billion times."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    """A server with two workers."""
    settings = {
        "root_path": ROOT,
        "allowed_hosts": SITE,
        "trusted_proxies": "127.0.0.1",
        "max_connections_per_address": MOST,
    }
    with running_redis() as engine:
        async with two_workers(tmp_path_factory.mktemp("server"), engine, **settings) as server:
            yield server


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def proxy(
    server: Server, tmp_path_factory: pytest.TempPathFactory, certificate: Certificate
) -> AsyncIterator[Proxy]:
    """nginx in front of it, with one line for the server."""
    folder = tmp_path_factory.mktemp("nginx")
    with running_proxy("nginx", folder, certificate, [server.port], below_path=True) as proxy:
        yield proxy


async def admitted(proxy: Proxy, source: str, stack: AsyncExitStack) -> int:
    """Open WebSockets from an address, each with another invented one, and return how many were admitted."""
    peers: list[Peer] = []
    for number in range(TRIES):
        invented = f"203.0.113.{number}"
        headers = (f"X-Forwarded-For: {invented}", f"Forwarded: for={invented}", f"X-Real-IP: {invented}")
        peers.append(await proxy.websocket("", *headers, path=f"{ROOT}/api/ws", source=source))
        stack.push_async_callback(peers[-1].close)
    statuses = [peer.status for peer in peers]
    assert set(statuses) <= {101, 503}
    return statuses.count(101)


async def test_the_limit_per_address_is_that_of_all_workers_together(server: Server, proxy: Proxy) -> None:
    """It counts the client behind the proxy at each worker, and neither the proxy nor an address that one invents."""
    async with AsyncExitStack() as stack:
        assert await admitted(proxy, "127.0.0.5", stack) == MOST
        assert await admitted(proxy, "127.0.0.6", stack) == MOST


async def test_forwarded_addresses_from_elsewhere_prove_nothing(server: Server, proxy: Proxy) -> None:
    """Whoever reaches a worker directly, and is no trusted proxy, cannot use up the connections of another client."""
    async with AsyncExitStack() as stack:
        for _ in range(TRIES):
            await stack.enter_async_context(
                connect(
                    f"ws://127.0.0.1:{server.port}/api/ws",
                    compression=None,
                    local_addr=("127.0.0.9", 0),
                    additional_headers={"X-Forwarded-For": "127.0.0.7", **HEADERS},
                )
            )
        assert await admitted(proxy, "127.0.0.7", stack) == MOST


async def test_every_worker_answers_below_the_path(server: Server, proxy: Proxy) -> None:
    """Pages, redirects, the API, commands and both kinds of streams, whichever worker has them."""
    answered: set[int] = set()
    at_once = 0
    async with asyncio.timeout(60):
        while answered != {1, 2}:
            # All at once, because nginx keeps a connection for the next request, and with it the worker. And more each
            # time, because all that it keeps may be those of one worker.
            at_once += LISTENERS
            answered.update(await asyncio.gather(*(worker_that_answers(proxy) for _ in range(at_once))))
    status, _, headers, _ = await answer_of(proxy, ROOT)
    assert (status, headers["location"]) == (308, f"{ROOT}/")
    status, _, _, body = await answer_of(proxy, f"{ROOT}/openapi.json")
    assert json.loads(body)["servers"][0]["url"] == ROOT
    websocket = await proxy.websocket("?cursor=1", path=f"{ROOT}/api/ws")
    stream = await proxy.stream(f"{ROOT}/api/sse")
    try:
        first = await message_with(websocket, "connection_ack")
        assert stream.status == 200
        said = b""
        while b"\n\n" not in said.partition(b"connection_ack")[2]:
            said += await stream.chunk()
        assert first["data"]["epoch"].encode() in said
    finally:
        await websocket.close()
        await stream.close()


async def worker_that_answers(proxy: Proxy) -> int:
    """Ask for a page, a redirect and the API, and return the worker that the last one came from."""
    status, _, _, body = await answer_of(proxy, f"{ROOT}/")
    assert status == 200
    assert f'href="{ROOT}/runs"'.encode() in body
    status, _, headers, _ = await answer_of(proxy, f"{ROOT}/schedule/resume", "--request", "POST")
    assert (status, headers["location"]) == (303, f"{ROOT}/")
    status, _, _, body = await answer_of(proxy, f"{ROOT}/api/health")
    assert status == 200
    return int(json.loads(body)["process"]["worker"])
