"""`quart-odds serve --workers`: the real server in several processes, its clients, and an operator's signals."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from quart_odds.cli import main
from quart_odds.server.channel import line_of
from quart_odds.server.serve import STOP_SECONDS
from quart_odds.server.sockets import listen_for_workers
from quart_odds.server.worker import worker_share
from quart_odds.settings import load_settings
from tests.redis_servers import TestRedis, running_redis
from tests.server.harness import PING, PONG, Peer, connected, event_stream, websocket, websocket_head
from tests.server.hasty_clients import HastyClients
from tests.server.serving import Json, Server, acknowledged, environment
from tests.server.several_workers import (
    DRAIN_SECONDS,
    LISTENERS,
    PATIENCE_SECONDS,
    lines_of,
    log_lines,
    processes,
    two_workers,
    until_gone,
    until_said,
)


@pytest.fixture(scope="module")
def redis_server() -> Iterator[TestRedis]:
    """A Redis server for the tests of this file."""
    with running_redis() as server:
        yield server


async def listeners(server: Server, stack: AsyncExitStack) -> list[ClientConnection]:
    """Open WebSockets, which `stack` closes."""
    opened = [await stack.enter_async_context(server.websocket()) for _ in range(LISTENERS)]
    for each in opened:
        await acknowledged(each)
    return opened


async def close_code(listener: ClientConnection) -> int | None:
    """Read to the end of a WebSocket, and return its close code. With 1012, the client is told when to come back."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        with contextlib.suppress(ConnectionClosed):
            while True:
                await listener.recv()
    if listener.close_code == 1012:
        assert (listener.close_reason or "").startswith("retry_ms=")
    return listener.close_code


@pytest.mark.alone
@pytest.mark.timeout(300)
async def test_a_killed_worker_is_replaced_and_clients_of_others_notice_nothing(
    tmp_path: Path, redis_server: TestRedis
) -> None:
    """Each log line names its process. The workers share one set of stand-ins, and SIGTERM drains all of them."""
    async with (
        two_workers(tmp_path, redis_server, "--sandbox", "--events", "6") as server,
        AsyncExitStack() as stack,
    ):
        before = await processes(server)
        assert before.keys() == {1, 2}
        urls = {_environ(pid)["QUART_ODDS_BETPAWA_URL"] for pid in before.values()}
        assert len(urls) == 1
        opened = await listeners(server, stack)
        os.kill(before[1], signal.SIGKILL)
        await until_said(server, "worker.ready", 3)
        after = await processes(server)
        assert (after.keys(), after[2]) == (before.keys(), before[2])
        assert after[1] != before[1]
        lost = [each for each in opened if each.close_code is not None]
        assert 0 < len(lost) < LISTENERS
        kept = [each for each in opened if each not in lost]
        async with asyncio.timeout(PATIENCE_SECONDS):
            for each in kept:
                await (await each.ping())
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        # A service manager sends SIGTERM to all processes. It is not the second signal, which would cut the drain.
        await until_said(server, "server.draining", 2)
        for pid in after.values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await server.process.wait() == 0
        assert time.monotonic() - began < DRAIN_SECONDS + STOP_SECONDS + 1
        assert {await close_code(each) for each in kept} == {1012}
        await until_gone(list(after.values()))
    assert sum(line.startswith("Quart Odds is at ") for line in server.said) == 1
    for line in log_lines(server):
        assert line.get("worker") in (1, 2) or line.get("process") == "supervisor", line
    assert {each["worker"] for each in lines_of(server, "server.stopped")} == {1, 2}


def _environ(pid: int) -> dict[str, str]:
    pairs = Path(f"/proc/{pid}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)


@pytest.mark.endurance
@pytest.mark.timeout(300)
async def test_a_restart_tells_each_listener_to_reconnect_and_refuses_nobody(
    tmp_path: Path, redis_server: TestRedis
) -> None:
    """Requests on new connections all succeed meanwhile. When the supervisor is killed, its workers drain."""
    async with two_workers(tmp_path, redis_server) as server, AsyncExitStack() as stack:
        before = await processes(server)
        opened = await listeners(server, stack)
        done = asyncio.Event()
        asking = [asyncio.create_task(_ask_until(server, done)) for _ in range(2)]
        server.process.send_signal(signal.SIGHUP)
        await until_said(server, "workers.restarted")
        done.set()
        answered = sum(await asyncio.gather(*asking))
        assert answered > 20
        assert {await close_code(each) for each in opened} == {1012}
        after = await processes(server)
        assert after.keys() == {1, 2}
        assert not set(after.values()) & set(before.values())
        reopened = await listeners(server, stack)
        server.process.kill()
        assert {await close_code(each) for each in reopened} == {1012}
        await until_gone(list(after.values()))


async def _ask_until(server: Server, done: asyncio.Event) -> int:
    """Send requests on new connections until `done`, and return how many were answered. Any error fails the test."""
    count = 0
    connector = aiohttp.TCPConnector(force_close=True)
    async with aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(20)) as session:
        while not done.is_set():
            async with session.get(f"{server.url}/healthz") as answer:
                assert answer.status == 200
            count += 1
            await asyncio.sleep(0.005)
    return count


@asynccontextmanager
async def as_worker(settings: Json) -> AsyncIterator[tuple[asyncio.subprocess.Process, Peer, int]]:
    """Run a worker, and yield its process, the supervisor's end of the channel, and the port.

    The channel is closed with the block.
    """
    [sock] = listen_for_workers("127.0.0.1:0", 10, 1)
    ours, theirs = socket.socketpair()
    with sock, theirs:
        port = sock.getsockname()[1]
        place = f"1:{theirs.fileno()}:{sock.fileno()}"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "quart_odds", "serve", "--as-worker", place),
            env=environment(settings),
            pass_fds=(theirs.fileno(), sock.fileno()),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
    reader, writer = await asyncio.open_unix_connection(sock=ours)
    try:
        yield process, Peer(reader, writer), port
    finally:
        writer.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            await process.communicate()


async def test_no_request_is_lost_by_a_stop_of_all_workers(tmp_path: Path, redis_server: TestRedis) -> None:
    """Each accepted connection gets its response, from this worker or the other one, and then others are refused."""
    async with two_workers(tmp_path, redis_server) as server:
        clients = HastyClients(server.port)
        sending = asyncio.create_task(clients.run())
        await clients.until_answered(100)
        server.process.send_signal(signal.SIGTERM)
        await sending
        assert clients.lost == []
        async with asyncio.timeout(PATIENCE_SECONDS):
            assert await server.process.wait() == 0


async def test_a_worker_that_cannot_start_tells_its_supervisor_why(tmp_path: Path) -> None:
    """The reason includes what operators may see, and nothing is printed twice."""
    settings = {"database_url": f"sqlite:///{tmp_path}/no/folder/odds.db"}
    async with as_worker(settings) as (process, channel, _), asyncio.timeout(PATIENCE_SECONDS):
        output, _ = await process.communicate()
        assert process.returncode == 1
        *_, line = (await channel.rest()).splitlines()
        assert "no/folder" in json.loads(line)["reason"]
        assert b"Error" not in output
        assert b"Traceback" not in output


async def test_a_worker_reports_and_hands_its_clients_over_when_it_is_replaced(tmp_path: Path) -> None:
    """It reports from its start on. When it may accept nothing more, it closes the connections that a proxy keeps.

    A connection whose first request is on the way is served once, and a stream goes on until the drain.
    """
    settings = {"database_url": f"sqlite:///{tmp_path}/odds.db", "decode_workers": 0}
    async with as_worker(settings) as (process, channel, port), AsyncExitStack() as stack:
        said: list[Json] = []
        async with asyncio.timeout(PATIENCE_SECONDS):
            while {"ready": True} not in said[:-2]:
                said.append(json.loads(await channel.reader.readline()))
        kept, fresh, early = [await stack.enter_async_context(connected(port)) for _ in range(3)]
        stream = await websocket(port)
        events = await event_stream(port)
        for each in (stream, events):
            stack.push_async_callback(each.close)
        head = f"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n\r\n"
        assert b"connection: close" not in (await kept.request(head)).lower()
        await kept.reader.readuntil(b"}")
        channel.writer.write(line_of({"accept": []}))
        assert await kept.rest() == b""
        assert b"connection: close" in (await fresh.request(head)).lower()
        assert fresh.status == 200
        assert (await fresh.rest()).endswith(b"}")
        await early.request(websocket_head(port))
        assert early.status == 101
        stream.say(b"beat", PING)
        while (await stream.frame()).opcode != PONG:
            pass
        channel.writer.write(line_of({"stop": True}))
        assert [(await each.until_close()).code for each in (stream, early)] == [1012, 1012]
        await events.reader.readuntil(b"\r\n0\r\n\r\n")
        events.writer.write(head.encode())
        assert await events.rest() == b"", "a proxy would keep the connection of a stream that has ended"
        assert said[0] == {"alive": True}
        assert said.count({"ready": True}) == 1
        assert said[-2:] == [{"alive": True}, {"alive": True}]
    assert process.returncode == 0


@pytest.mark.endurance
@pytest.mark.timeout(300)
async def test_a_worker_that_hangs_is_replaced_and_its_clients_resume(tmp_path: Path, redis_server: TestRedis) -> None:
    """It is killed after half a minute of silence. Clients of the other one notice nothing."""
    async with two_workers(tmp_path, redis_server) as server, AsyncExitStack() as stack:
        before = await processes(server)
        opened = await listeners(server, stack)
        os.kill(before[1], signal.SIGSTOP)
        await until_said(server, "worker.ready", 3)
        [line] = lines_of(server, "worker.ended")
        assert (line["worker"], line["pid"]) == (1, before[1])
        assert line["reason"] == "it has not reported for 30 s (ended by SIGKILL)"
        after = await processes(server)
        assert after[1] != before[1]
        assert after[2] == before[2]
        await until_gone([before[1]])
        lost = [each for each in opened if each.close_code is not None]
        assert 0 < len(lost) < LISTENERS


BLOCKED = """
import asyncio, sys, time
from quart_odds.server import worker
from quart_odds.server.channel import WorkerPlace

async def main():
    worker._end_with_supervisor(worker.SupervisorLink(WorkerPlace.of_text(sys.argv[1])), asyncio.Event(), 0.1)
    print("blocked", flush=True)
    time.sleep(60)

worker.STOP_SECONDS = 0.1
asyncio.run(main())
"""


async def test_a_worker_whose_loop_is_blocked_ends_when_its_supervisor_is_gone(tmp_path: Path) -> None:
    """It cannot drain, so its last resort ends it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", BLOCKED, f"1:{theirs.fileno()}:{theirs.fileno()}"),
            pass_fds=(theirs.fileno(),),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert await process.stdout.readline() == b"blocked\n"
                theirs.close()
                ours.close()
                assert await process.wait() == 1
        finally:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def test_limits_of_connections_are_shared_by_workers() -> None:
    """A share is rounded up, and no limit stays no limit."""
    shares = [
        (share.max_connections, share.max_connections_per_address)
        for limits in ((10_000, 100), (10, 3), (1, 0), (0, 1))
        for share in [
            worker_share(load_settings({}, max_connections=limits[0], max_connections_per_address=limits[1]), 4)
        ]
    ]
    assert shares == [(2500, 25), (3, 1), (1, 0), (0, 1)]


@pytest.mark.parametrize("options", [(), ("--sandbox",)])
def test_several_workers_without_redis_are_refused_before_anything_starts(
    options: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The error says why, and what to set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("QUART_ODDS_ENGINE_URL", raising=False)
    result = CliRunner().invoke(main, ["serve", "--bind", "127.0.0.1:0", "--workers", "2", *options])
    assert result.exit_code == 2
    assert "QUART_ODDS_ENGINE_URL=redis://" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", ["0", "65", "-1", "two"])
def test_a_number_of_workers_that_is_none_is_refused(number: str) -> None:
    """The error says what is allowed."""
    result = CliRunner().invoke(main, ["serve", "--workers", number])
    assert result.exit_code == 2
    assert "1<=x<=64" in result.output or "not a valid integer" in result.output


def test_a_place_from_somebody_else_is_refused() -> None:
    """`--as-worker` is between the supervisor and its workers."""
    result = CliRunner().invoke(main, ["serve", "--as-worker", "by hand"])
    assert result.exit_code == 2
    assert "--as-worker is for the supervisor" in result.output
