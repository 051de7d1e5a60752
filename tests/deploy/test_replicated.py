"""Two servers with one log in Redis, behind one proxy: a client is bound to neither of them."""

import asyncio
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.deploy.proxies import SITE, Certificate, Proxy, running_proxy
from tests.deploy.test_proxies import answer_of, message_with
from tests.redis_servers import running_redis
from tests.server.harness import Served, served

ROOT = "/odds"


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Served]]:
    """The server that writes, and one that follows, both below a path."""
    folders = [tmp_path_factory.mktemp(name) for name in ("writer", "follower")]
    with ExitStack() as stack:
        settings = {
            "engine_url": stack.enter_context(running_redis()).url,
            "database_url": f"sqlite:///{folders[0] / 'odds.db'}",
            "root_path": ROOT,
            "allowed_hosts": SITE,
            "trusted_proxies": "127.0.0.1",
        }
        yield [stack.enter_context(served(folder, **settings)) for folder in folders]


async def test_a_client_resumes_exactly_at_the_other_server(
    servers: list[Served], tmp_path: Path, certificate: Certificate
) -> None:
    """What was published while it was away arrives, and nothing twice, though another process has to send it."""
    writer, follower = servers
    with running_proxy("nginx", tmp_path, certificate, [writer.port, follower.port], below_path=True) as proxy:
        peers = [await proxy.websocket("?cursor=1", path=f"{ROOT}/api/ws") for _ in range(2)]
        acknowledged = [(await message_with(peer, "connection_ack"))["data"] for peer in peers]
        assert acknowledged[0]["epoch"] == acknowledged[1]["epoch"]
        await writer.until(listening=1)
        await follower.until(listening=1)
        await assert_commands_are_carried_out_below_the_path(proxy)
        await asyncio.to_thread(writer.post, "/probe/publish")
        cursors = [(await message_with(peer, "scrape_progress"))["id"] for peer in peers]
        assert cursors[0] == cursors[1]
        for peer in peers:
            await peer.close()
        # The proxy, too, knows by then that they have left.
        await writer.until(listening=0)
        await follower.until(listening=0)
        await asyncio.to_thread(writer.post, "/probe/publish?messages=3&stamp=0")
        # One lands at each server, whichever had it before.
        again = [await proxy.websocket(f"?since={cursors[0]}", path=f"{ROOT}/api/ws") for _ in range(2)]
        for peer in again:
            assert (await message_with(peer, "connection_ack"))["data"]["recovered"]
            assert [(await message_with(peer, "scrape_progress"))["n"] for _ in range(3)] == [0, 1, 2]
        await writer.until(listening=1)
        await follower.until(listening=1)
        for peer in again:
            await peer.close()


async def assert_commands_are_carried_out_below_the_path(proxy: Proxy) -> None:
    """Assert that either server takes a command, and that the answer stays below the path."""
    for number in range(4):
        path = f"{ROOT}/api/scheduler/{'resume' if number % 2 else 'pause'}"
        status, _, _, body = await answer_of(proxy, path, "--request", "POST")
        assert status == 200, body
        assert json.loads(body)["paused"] is (number % 2 == 0)
        status, _, headers, _ = await answer_of(proxy, f"{ROOT}/schedule/resume", "--request", "POST")
        assert (status, headers["location"]) == (303, f"{ROOT}/")
