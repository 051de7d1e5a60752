"""A server in a separate process, and clients on raw sockets, which can do what no library would."""

import asyncio
import json
import os
import re
import select
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

from tests.tokens import put_token

ROOT = Path(__file__).parents[2]
START_SECONDS = 30.0
PROXIED = {"allowed_hosts", "trusted_proxies", "root_path"}
"""Settings with which every request needs a token."""
NOWHERE = "http://127.0.0.1:9"

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10


class Served:
    """A running server, as its users and the process table see it."""

    def __init__(
        self, process: subprocess.Popen[str], port: int, log: Path, headers: Mapping[str, str] | None = None
    ) -> None:
        self.headers = dict(headers or {})
        self.process = process
        self.port = port
        self.log = log

    @property
    def memory_kb(self) -> int:
        """The resident memory of the server."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+) kB", status)
        assert found is not None
        return int(found[1])

    def post(self, path: str) -> None:
        """Send a POST, and wait for the response."""
        with urlopen(
            Request(f"http://127.0.0.1:{self.port}{path}", headers=self.headers, method="POST"), timeout=30
        ) as answer:
            answer.read()

    def get(self, path: str) -> Any:
        """Return the JSON at a path."""
        with urlopen(Request(f"http://127.0.0.1:{self.port}{path}", headers=self.headers), timeout=30) as answer:
            return json.load(answer)

    def state(self) -> dict[str, int]:
        """Return the state of the hub: listeners, connections, tasks and so on."""
        state: dict[str, int] = self.get("/probe/state")
        return state

    async def until(self, **wanted: int) -> dict[str, int]:
        """Wait until the hub's state includes these values."""
        async with asyncio.timeout(20):
            while True:
                state = await asyncio.to_thread(self.state)
                if state.items() >= wanted.items():
                    return state
                await asyncio.sleep(0.02)

    def terminate(self) -> None:
        """Stop the server as an operator or a container runtime does."""
        self.process.send_signal(signal.SIGTERM)

    def wait(self, seconds: float) -> float:
        """Wait for the process to end, and return how long it took. Fails if it takes longer than `seconds`."""
        began = time.monotonic()
        code = self.process.wait(seconds)
        assert code == 0, self.log.read_text()
        return time.monotonic() - began


@contextmanager
def served(folder: Path, *options: str, python: str = sys.executable, **settings: object) -> Iterator[Served]:
    """Serve the application under the launcher, on a free port. With settings of a proxy there is a token."""
    given = {
        "database_url": f"sqlite:///{folder / 'odds.db'}",
        "max_connections_per_address": 0,
        **{f"{name}_url": NOWHERE for name in ("betpawa", "sportybet", "bet9ja")},
        "request_tries": 1,
        **settings,
    }
    headers = put_token(str(given["database_url"])) if PROXIED & given.keys() else {}
    command = [python, "-m", "tests.server.server", *options, *(f"{name}={value}" for name, value in given.items())]
    with _running(command, folder, {}) as (process, log):
        line = _first_line(process, log)
        yield Served(process, int(line.rpartition(":")[2]), log, headers)


@contextmanager
def plain_hypercorn(folder: Path, *options: str) -> Iterator[Served]:
    """Serve the application under Hypercorn's own command, as on any ASGI server, optionally with more options."""
    with socket.create_server(("127.0.0.1", 0), backlog=128) as listening:
        number = listening.fileno()
        os.set_inheritable(number, True)
        command = [sys.executable, "-m", "hypercorn", "-w", "0", "--bind", f"fd://{number}", *options]
        command.append("quart_odds:create_app()")
        environ = {"QUART_ODDS_DATABASE_URL": f"sqlite:///{folder / 'odds.db'}", "QUART_ODDS_DECODE_WORKERS": "0"}
        with _running(command, folder, environ, keep=(number,)) as (process, log):
            yield Served(process, listening.getsockname()[1], log)


@contextmanager
def _running(
    command: list[str], folder: Path, environ: Mapping[str, str], keep: tuple[int, ...] = ()
) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    path = folder / "server.log"
    with path.open("w") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **environ},
            pass_fds=keep,
        )
    try:
        yield process, path
    finally:
        process.kill()
        process.wait(10)
        assert process.stdout is not None
        process.stdout.close()


def _first_line(process: subprocess.Popen[str], log: Path) -> str:
    assert process.stdout is not None
    if not select.select([process.stdout], [], [], START_SECONDS)[0] or not (line := process.stdout.readline()):
        raise AssertionError(f"the server did not start:\n{log.read_text()}")
    return line.strip()


@dataclass
class Frame:
    """One WebSocket frame from the server."""

    opcode: int
    payload: bytes

    @property
    def json(self) -> dict[str, Any]:
        value: dict[str, Any] = json.loads(self.payload)
        return value

    @property
    def code(self) -> int:
        """The code of a close frame."""
        return int.from_bytes(self.payload[:2], "big")


class Peer:
    """One raw connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.head = b""

    async def request(self, head: str) -> bytes:
        """Send the head of a request, and return the head of the response."""
        self.writer.write(head.encode())
        async with asyncio.timeout(20):
            self.head = await self.reader.readuntil(b"\r\n\r\n")
        return self.head

    @property
    def status(self) -> int:
        return int(self.head.split(b" ", 2)[1])

    async def frame(self) -> Frame:
        """Return the next frame, which has to be unmasked, final and uncompressed."""
        async with asyncio.timeout(20):
            first, second = await self.reader.readexactly(2)
            assert first & 0x70 == 0, "compressed"
            assert first & 0x80, "not final"
            size = second
            assert second < 128, "masked"
            if size == 126:
                size = int.from_bytes(await self.reader.readexactly(2), "big")
            elif size == 127:
                size = int.from_bytes(await self.reader.readexactly(8), "big")
            return Frame(first & 15, await self.reader.readexactly(size))

    async def until_close(self) -> Frame:
        """Read up to the close frame, and return it."""
        while (frame := await self.frame()).opcode != CLOSE:
            pass
        return frame

    async def rest(self) -> bytes:
        """Return all bytes up to the end of the connection."""
        async with asyncio.timeout(20):
            return await self.reader.read()

    async def chunk(self) -> bytes:
        """Return the next chunk of a chunked response; empty at its end."""
        async with asyncio.timeout(20):
            size = int(await self.reader.readline(), 16)
            return (await self.reader.readexactly(size + 2))[:-2]

    def say(self, payload: bytes | str, opcode: int = TEXT, *, is_final: bool = True) -> None:
        """Send a frame, masked, as required of a client."""
        self.writer.write(frame_bytes(payload.encode() if isinstance(payload, str) else payload, opcode, is_final))

    def reset(self) -> None:
        """Vanish without closing properly: send a reset instead of a FIN."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def close(self) -> None:
        """Close the connection."""
        self.writer.transport.abort()
        await asyncio.sleep(0)


def frame_bytes(payload: bytes, opcode: int = TEXT, is_final: bool = True) -> bytes:
    """Return a frame with a mask of zeros, which leaves the payload unchanged."""
    first = bytes([opcode | (0x80 if is_final else 0)])
    size = len(payload)
    if size < 126:
        head = first + bytes([0x80 | size])
    elif size < 65536:
        head = first + b"\xfe" + size.to_bytes(2, "big")
    else:
        head = first + b"\xff" + size.to_bytes(8, "big")
    return head + b"\x00\x00\x00\x00" + payload


def websocket_head(port: int, path: str = "/api/ws", *more: str) -> str:
    """Return the head of a WebSocket handshake."""
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Version: 13",
        *more,
    ]
    return "\r\n".join(lines) + "\r\n\r\n"


def stream_head(port: int, path: str = "/api/sse", *more: str, version: str = "1.1") -> str:
    """Return the head of a request for an event stream."""
    lines = [f"GET {path} HTTP/{version}", f"Host: 127.0.0.1:{port}", "Accept: text/event-stream", *more]
    return "\r\n".join(lines) + "\r\n\r\n"


@asynccontextmanager
async def connected(port: int, receive_buffer: int | None = None) -> AsyncIterator[Peer]:
    """Open a connection, and abort it at the end."""
    peer = await connect(port, receive_buffer)
    try:
        yield peer
    finally:
        await peer.close()


async def connect(port: int, receive_buffer: int | None = None) -> Peer:
    """Open a connection. With a small receive buffer it can take little without reading."""
    sock = socket.socket()
    sock.setblocking(False)
    if receive_buffer:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
    async with asyncio.timeout(20):
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock, limit=1 << 16 if receive_buffer is None else 1024)
    return Peer(reader, writer)


async def websocket(port: int, path: str = "/api/ws", *more: str, receive_buffer: int | None = None) -> Peer:
    """Open a WebSocket. Its first message is still unread."""
    peer = await connect(port, receive_buffer)
    await peer.request(websocket_head(port, path, *more))
    assert peer.status == 101, peer.head
    return peer


async def event_stream(port: int, path: str = "/api/sse", *more: str, receive_buffer: int | None = None) -> Peer:
    """Open an event stream, and read its response head."""
    peer = await connect(port, receive_buffer)
    await peer.request(stream_head(port, path, *more))
    assert peer.status == 200, peer.head
    return peer


class Watcher:
    """A well-behaved client: it reads everything it is sent, and measures the age of each message."""

    def __init__(self, peer: Peer) -> None:
        self._peer = peer
        self.ages: list[float] = []
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        while True:
            message = (await self._peer.frame()).json
            if "at" in message:
                self.ages.append(time.monotonic() - message["at"])

    @property
    def p99_ms(self) -> float:
        return sorted(self.ages)[int(len(self.ages) * 0.99)] * 1000

    async def had(self, count: int) -> None:
        """Wait until it has received this many messages."""
        async with asyncio.timeout(30):
            while len(self.ages) < count:
                if self._task.done():
                    self._task.result()
                await asyncio.sleep(0.01)

    async def close(self) -> None:
        self._task.cancel()
        await asyncio.wait([self._task])
        await self._peer.close()


@asynccontextmanager
async def watching(port: int) -> AsyncIterator[Watcher]:
    """Run a well-behaved client alongside the rest of a test."""
    watcher = Watcher(await websocket(port))
    try:
        yield watcher
    finally:
        await watcher.close()
