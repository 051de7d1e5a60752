"""nginx and Caddy with the configurations of docs/deploy, in front of real servers."""

import asyncio
import json
import re
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.proxies import HOST, Certificate, Proxy, free_port, running_proxy
from tests.server.harness import CLOSE, Peer, Served, served

NAMES = ("nginx", "caddy")
BEHIND_PROXY = {"allowed_hosts": HOST, "trusted_proxies": "127.0.0.1"}
MOST_PER_ADDRESS = 2


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server for all tests that do not stop it."""
    folder = tmp_path_factory.mktemp("server")
    with served(folder, **BEHIND_PROXY, max_connections_per_address=str(MOST_PER_ADDRESS)) as server:
        yield server


@pytest.fixture(scope="module", params=NAMES)
def proxy(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    certificate: Certificate,
    server: Served,
) -> Iterator[Proxy]:
    """Each proxy in front of that server."""
    folder = tmp_path_factory.mktemp(request.param)
    with running_proxy(request.param, folder, certificate, [server.port] * 2) as proxy:
        yield proxy


@asynccontextmanager
async def curling(proxy: Proxy, path: str, *options: str) -> AsyncIterator[asyncio.StreamReader]:
    """Read what curl receives over HTTP/2, as it comes."""
    command = proxy.curl(path, *options)
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def answer_of(proxy: Proxy, path: str, *options: str) -> tuple[int, str, dict[str, str], bytes]:
    """Return status, version, headers and body of a response to curl."""
    command = proxy.curl(
        path, "--dump-header", "/dev/stderr", "--write-out", "\n%{http_code} %{http_version}", *options
    )
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=40)
    assert done.returncode == 0, done.stderr
    body, _, end = done.stdout.rpartition(b"\n")
    status, version = end.decode().split()
    lines = [line.partition(":") for line in done.stderr.decode().splitlines() if ":" in line]
    return int(status), version, {name.lower(): value.strip() for name, _, value in lines}, body


async def line_with(stream: asyncio.StreamReader, words: str) -> str:
    """Return the next line that contains these words."""
    async with asyncio.timeout(20):
        while line := (await stream.readline()).decode():
            if words in line:
                return line
    raise AssertionError(f"the stream ended before {words!r}")


async def message_with(peer: Peer, kind: str) -> dict[str, Any]:
    """Return the next message of this type on a WebSocket."""
    while (message := (await peer.frame()).json)["type"] != kind:
        pass
    return message


async def test_messages_arrive_when_they_are_published(server: Served, proxy: Proxy) -> None:
    """An event stream over HTTP/2 and a WebSocket have each message before the next one is published."""
    websocket = await proxy.websocket("", f"Origin: {proxy.url}")
    assert websocket.status == 101, websocket.head
    options = ("--header", "Accept: text/event-stream", "--header", "Accept-Encoding: gzip", "--include")
    async with curling(proxy, "/api/sse", *options) as stream:
        assert "HTTP/2 200" in await line_with(stream, "HTTP/")
        await server.until(listening=2)
        for number in range(3):
            await asyncio.to_thread(server.post, "/probe/publish")
            # A line that can be read is not compressed.
            assert '"scrape_progress"' in await line_with(stream, "data: {"), number
            await message_with(websocket, "scrape_progress")
        websocket.say(json.dumps({"type": "ping"}))
        await message_with(websocket, "pong")
    # The server notices that a client behind the proxy has left.
    await server.until(listening=1)
    await websocket.close()
    await server.until(listening=0)


async def test_the_api_is_answered_over_http2_and_compressed(proxy: Proxy) -> None:
    """JSON and pages are compressed for clients that accept it. A body that is too long is refused."""
    for path, has in (("/openapi.json", b'"openapi"'), ("/docs", b"<!doctype html>")):
        status, version, headers, body = await answer_of(proxy, path, "--compressed")
        assert (status, version) == (200, "2")
        assert headers["content-encoding"] == "gzip"
        assert has in body
    status, _, _, _ = await answer_of(proxy, "/api/scrape", "--data", "x" * 70_000)
    assert status == 413


async def test_only_a_page_of_the_address_in_the_browser_may_change_something(proxy: Proxy) -> None:
    """The scheme is what the proxy says, and the port is that of the browser. Another page is refused."""
    browser = ("--request", "POST", "--user-agent", "Mozilla/5.0", "--header")
    for origin, expected in (
        (proxy.url, 303),
        (proxy.url.replace("https", "http"), 403),
        (f"https://{HOST}", 403),
        ("https://evil.example", 403),
    ):
        status, version, _, _ = await answer_of(proxy, "/schedule/pause", *browser, f"Origin: {origin}")
        assert (status, version) == (expected, "2"), origin
    foreign = await proxy.websocket("", "Origin: https://evil.example")
    assert foreign.status == 403
    await foreign.close()


async def test_the_limit_per_address_counts_the_client_and_no_address_that_it_invents(
    server: Served, proxy: Proxy
) -> None:
    """An invented X-Forwarded-For gives no more connections; another address does."""
    peers = [
        await proxy.websocket("", f"X-Forwarded-For: 203.0.113.{number}", f"Forwarded: for=203.0.113.{number}")
        for number in range(MOST_PER_ADDRESS + 1)
    ]
    assert [peer.status for peer in peers] == [101, 101, 503]
    other = await proxy.websocket(source="127.0.0.2")
    assert other.status == 101
    for peer in (*peers, other):
        await peer.close()
    await server.until(listening=0)


@pytest.mark.parametrize("below_path", [False, True])
@pytest.mark.parametrize("name", NAMES)
async def test_nobody_gets_in_from_other_networks(
    name: str, below_path: bool, tmp_path: Path, certificate: Certificate
) -> None:
    """A configuration that nobody has changed lets in private networks alone, whatever token somebody has."""
    changes = {"allow 127.0.0.0/8;": ""} if name == "nginx" else {"private_ranges": "10.0.0.0/8"}
    ports = [free_port(), free_port()]
    with running_proxy(name, tmp_path, certificate, ports, below_path=below_path, changes=changes) as proxy:
        for path in ("/odds/", "/odds/api/ws", "/odds/healthz"):
            status, _, _, _ = await answer_of(proxy, path)
            assert status == 403, path


async def test_a_stop_sends_clients_to_another_process_that_tells_them_what_they_miss(
    tmp_path: Path, certificate: Certificate
) -> None:
    """Through each proxy, clients get 1012 or `retry:`, and the cursor of one process is answered by the other."""
    folders = [tmp_path / name for name in ("first", "second", *NAMES)]
    for folder in folders:
        folder.mkdir()
    with ExitStack() as stack:
        first, second = [stack.enter_context(served(folder, **BEHIND_PROXY)) for folder in folders[:2]]
        ports = [first.port, second.port]
        proxies = [
            stack.enter_context(running_proxy(folder.name, folder, certificate, ports)) for folder in folders[2:]
        ]
        behind = [(proxy, await proxy.websocket("?cursor=1")) for proxy in proxies for _ in range(4)]
        assert [peer.status for _, peer in behind] == [101] * 8
        cursors = [(await message_with(peer, "connection_ack"))["data"]["cursor"] for _, peer in behind]
        # Each proxy gives each server half of the connections.
        await first.until(listening=4)
        await second.until(listening=4)
        streams = [await proxy.stream() for proxy in proxies for _ in range(2)]
        await first.until(listening=6)
        first.terminate()
        told = await closed_by([peer for _, peer in behind])
        assert [behind[place][0].name for place in told] == ["nginx", "nginx", "caddy", "caddy"]
        await assert_half_end(streams)
        await asyncio.to_thread(first.wait, 10)
        for place in told:
            again = await behind[place][0].websocket(f"?since={cursors[place]}")
            assert again.status == 101
            acknowledged = (await message_with(again, "connection_ack"))["data"]
            assert not acknowledged["recovered"]
            assert not cursors[place].startswith(acknowledged["epoch"])
            await again.close()
        for proxy in proxies:
            await assert_requests_are_answered(proxy)
        for peer in (*streams, *(peer for _, peer in behind)):
            await peer.close()


async def closed_by(sockets: list[Peer]) -> list[int]:
    """Return which WebSockets were closed with the notice of a restart, which is half of them."""
    waiting = {asyncio.create_task(peer.until_close()): place for place, peer in enumerate(sockets)}
    places: list[int] = []
    try:
        async with asyncio.timeout(20):
            while len(places) < len(sockets) // 2:
                done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    frame = task.result()
                    assert (frame.opcode, frame.code) == (CLOSE, 1012)
                    assert re.fullmatch(rb"retry_ms=\d+", frame.payload[2:])
                    places.append(waiting.pop(task))
    finally:
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
    return sorted(places)


async def assert_half_end(streams: list[Peer]) -> None:
    """Assert that half of the event streams end, and that the last block of each says when to come back."""
    tasks = [asyncio.create_task(stream.rest()) for stream in streams]
    try:
        async with asyncio.timeout(20):
            while sum(task.done() for task in tasks) < len(tasks) // 2:
                await asyncio.wait([task for task in tasks if not task.done()], return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            if task.done():
                assert re.search(rb"retry: \d+\n\n\r\n0\r\n\r\n$", task.result()), task.result()[-100:]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def assert_requests_are_answered(proxy: Proxy) -> None:
    """Assert that a process which is gone costs nobody an answer, not even who changes something."""
    for _ in range(3):
        for path, *options in (("/healthz",), ("/api/scheduler/pause", "--request", "POST")):
            status, _, _, _ = await answer_of(proxy, path, *options)
            assert status == 200, path
