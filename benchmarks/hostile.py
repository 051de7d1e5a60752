"""What a well-behaved client notices of hostile peers: `python -m benchmarks.hostile`.

The server, the hostile peers and the client are three processes on this machine. The client sends a ping on a WebSocket
every 150 ms and requests `/healthz` every 100 ms, on one connection each. A closed peer reconnects at once.
"""

import asyncio
import contextlib
import multiprocessing
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.synchronize import Event
from pathlib import Path

import aiohttp
import click
from websockets.asyncio.client import connect

from benchmarks.processes import usage

PONG_SECONDS = 0.15
HEALTH_SECONDS = 0.1
START_SECONDS = 40
MASK = b"\0\0\0\0"
CHUNK = b"10000\r\n" + b"x" * 65536 + b"\r\n"


@dataclass(frozen=True)
class Kind:
    """What a hostile peer sends: `before` once, then `again` for as long as it can."""

    title: str
    peers: int
    before: bytes = b""
    again: bytes = b""
    is_websocket: bool = True


def _head(start: str, *more: str) -> bytes:
    return "\r\n".join([f"{start} HTTP/1.1", "Host: 127.0.0.1", *more, "", ""]).encode()


CHUNKED = _head("PUT /api/settings", "Transfer-Encoding: chunked")

KINDS = (
    Kind("none", 0),
    Kind("pings", 1, again=(b"\x89\x80" + MASK) * 2000),
    Kind("pings", 10, again=(b"\x89\x80" + MASK) * 2000),
    Kind("pongs", 10, again=(b"\x8a\x80" + MASK) * 2000),
    Kind("empty fragments", 10, before=b"\x01\x80" + MASK, again=(b"\x00\x80" + MASK) * 2000),
    Kind("messages of 60 KB", 10, again=b"\x81\xfe\xea\x60" + MASK + b"x" * 60_000),
    Kind("pipelined requests", 10, again=_head("GET /healthz") * 500, is_websocket=False),
    Kind("endless bodies", 10, before=CHUNKED, again=CHUNK, is_websocket=False),
    Kind("bodies in one-byte chunks", 10, before=CHUNKED, again=b"1\r\nx\r\n" * 5000, is_websocket=False),
    Kind("HTTP/2 PRIORITY frames", 10, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"\0\0\5\2\0" * 5000, is_websocket=False),
)

HANDSHAKE = _head(
    "GET /api/ws",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
)


def flood(port: int, kind: Kind, is_over: Event) -> None:
    """Act as this many hostile peers, in a separate process, until it is over."""
    threads = [threading.Thread(target=_peer, args=(port, kind, is_over), daemon=True) for _ in range(kind.peers)]
    for thread in threads:
        thread.start()
    is_over.wait()


def _peer(port: int, kind: Kind, is_over: Event) -> None:
    while not is_over.is_set():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=10) as peer:
            if kind.is_websocket:
                peer.sendall(HANDSHAKE)
                peer.recv(4096)
            threading.Thread(target=_read, args=(peer,), daemon=True).start()
            peer.sendall(kind.before)
            while not is_over.is_set():
                peer.sendall(kind.again)


def _read(peer: socket.socket) -> None:
    """Read to the end, then close, so that the writer reconnects."""
    with contextlib.suppress(OSError):
        while peer.recv(65536):
            pass
        peer.shutdown(socket.SHUT_RDWR)


@dataclass
class Felt:
    """Waiting times of the client in milliseconds."""

    pongs: list[float]
    health: list[float]
    errors: int = 0


async def be_a_client(port: int, seconds: float) -> Felt:
    """Send requests continuously and measure."""
    felt = Felt([], [])
    until = time.monotonic() + seconds

    async def ask_pongs() -> None:
        async with connect(f"ws://127.0.0.1:{port}/api/ws", compression=None, ping_interval=None) as client:
            await client.recv()
            while time.monotonic() < until:
                began = time.perf_counter()
                await client.send('{"type":"ping"}')
                while b'"pong"' not in await client.recv(decode=False):
                    pass
                felt.pongs.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(PONG_SECONDS)

    async def ask_health() -> None:
        async with aiohttp.ClientSession() as session:
            while time.monotonic() < until:
                began = time.perf_counter()
                async with session.get(f"http://127.0.0.1:{port}/healthz") as answer:
                    await answer.read()
                    felt.errors += answer.status != 200
                felt.health.append((time.perf_counter() - began) * 1000)
                await asyncio.sleep(HEALTH_SECONDS)

    for done in await asyncio.gather(ask_pongs(), ask_health(), return_exceptions=True):
        if isinstance(done, BaseException):
            click.echo(f"  the client failed: {done!r}", err=True)
            felt.errors += 1
    return felt


async def measure(kind: Kind, seconds: float) -> tuple[Felt, float]:
    """Return what the client noticed next to such peers, and the server's peak memory in MB."""
    spawning = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        environ = {name: value for name, value in os.environ.items() if not name.startswith("QUART_ODDS_")}
        environ |= {
            "QUART_ODDS_DATABASE_URL": f"sqlite:///{Path(folder) / 'odds.db'}",
            "QUART_ODDS_DECODE_WORKERS": "0",
        }
        server = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "quart_odds", "serve", "--bind", "127.0.0.1:0"),
            env=environ,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            port = await asyncio.wait_for(_port(server), START_SECONDS)
            is_over = spawning.Event()
            peers = spawning.Process(target=flood, args=(port, kind, is_over), daemon=True)
            peers.start()
            felt = await be_a_client(port, seconds)
            peak_mb = usage([server.pid]).peak_mb
            is_over.set()
            peers.join(10)
            peers.kill()
        finally:
            server.kill()
            await server.wait()
    return felt, peak_mb


async def _port(server: asyncio.subprocess.Process) -> int:
    assert server.stdout is not None
    async for line in server.stdout:
        address = line.decode().strip().rpartition("http://127.0.0.1:")[2]
        if address.isdigit():
            return int(address)
    raise click.ClickException("the server did not start")


def _percentiles(values: list[float]) -> list[str]:
    if len(values) < 2:
        return ["–", "–"]
    return [f"{value:.1f}" for value in (statistics.median(values), statistics.quantiles(values, n=100)[98])]


@click.command()
@click.option("--seconds", default=15.0, show_default=True, help="Duration of the measurement of each kind of peer.")
@click.option("--kind", "chosen", multiple=True, help="Only kinds whose title contains this text.")
def main(seconds: float, chosen: tuple[str, ...]) -> None:
    """Measure how hostile peers affect a well-behaved client, and print a table for docs/performance.md."""
    choose: Callable[[Kind], bool] = lambda kind: not chosen or any(each in kind.title for each in chosen)  # noqa: E731
    click.echo(
        "| peers | kind | pong p50 ms | pong p99 ms | /healthz p50 ms | /healthz p99 ms | errors | peak memory |"
    )
    click.echo("| ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for kind in filter(choose, KINDS):
        felt, peak_mb = asyncio.run(measure(kind, seconds))
        cells = [*_percentiles(felt.pongs), *_percentiles(felt.health), str(felt.errors), f"{peak_mb:.0f} MB"]
        click.echo(f"| {kind.peers} | {kind.title} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
