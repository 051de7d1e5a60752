"""The server and the sandbox bookmakers as processes, and clients of every kind that follow a run to its end."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from websockets.asyncio.client import ClientConnection, connect

from quart_odds.domain.platforms import Platform
from tests.hosts import LOOPBACK, Host
from tests.server.harness import PROXIED
from tests.tokens import put_token
from tests.traffic import traffic

Json = dict[str, Any]

START_SECONDS = 60
STOP_SECONDS = 10
RUN_SECONDS = 30
ADDRESS = re.compile("(?:Quart Odds is at|Running on) (http://[0-9.]+:[0-9]+)")


def serve_at(host: Host) -> tuple[str, ...]:
    """Return the command that serves on a free port of a host."""
    reach = () if host is LOOPBACK else ("--open-to-network",)
    return *host.prefix, sys.executable, "-m", "quart_odds", "serve", "--bind", f"{host.address}:0", *reach


SERVE = serve_at(LOOPBACK)


def environment(settings: Mapping[str, object]) -> dict[str, str]:
    """Return this process's environment without Quart Odds settings, plus the given ones."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("QUART_ODDS_")}
    given = {f"QUART_ODDS_{name.upper()}": str(value) for name, value in settings.items() if value is not None}
    return kept | given


def at(urls: Mapping[Platform, str]) -> dict[str, object]:
    """Return the settings that scrape these bookmakers, and no others."""
    return {"bookmakers": ",".join(urls), **{f"{platform}_url": url for platform, url in urls.items()}}


@dataclass
class Server:
    """A served app: its address, its process, and its output lines."""

    url: str
    process: asyncio.subprocess.Process
    said: list[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    """What a request needs that changes something: nothing on this machine, and otherwise a token."""
    folder: Path = Path()

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.url.rpartition(":")[2])

    def websocket(self, query: str = "") -> connect:
        """Return a WebSocket client connection, to be opened with `async with`."""
        url = f"ws{self.url.removeprefix('http')}/api/ws{query}"
        return connect(url, compression=None, additional_headers=dict(self.headers))

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> float:
        """Stop the server with a signal, and return the seconds it took. AssertionError if it ends badly."""
        began = time.monotonic()
        self.process.send_signal(number)
        async with asyncio.timeout(STOP_SECONDS):
            code = await self.process.wait()
        assert code == 0, f"ended with {code}: {''.join(self.said)[-3000:]}"
        return time.monotonic() - began


@contextlib.asynccontextmanager
async def served(
    folder: Path,
    settings: Mapping[str, object] | None = None,
    command: Sequence[str] = SERVE,
    *,
    start_seconds: float = START_SECONDS,
) -> AsyncIterator[Server]:
    """Run a server process in a folder, with its database there. It is always ended with the block.

    A setting of None is left out of the process's environment.
    """
    settings = {"database_url": "sqlite:///odds.db", "decode_workers": 0, **(settings or {})}
    folder.mkdir(parents=True, exist_ok=True)
    headers: Mapping[str, str] = {}
    if PROXIED & settings.keys() or "--open-to-network" in command:
        headers = put_token(str(settings["database_url"]).replace("sqlite:///odds.db", f"sqlite:///{folder}/odds.db"))
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=folder,
        env=environment(settings),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said: list[str] = []
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    listening = asyncio.create_task(_listen(process, said, address))
    try:
        async with asyncio.timeout(start_seconds):
            url = await address
        yield Server(url, process, said, headers, folder)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        await listening


async def _listen(process: asyncio.subprocess.Process, said: list[str], address: asyncio.Future[str]) -> None:
    assert process.stdout is not None
    async for line in process.stdout:
        said.append(line.decode())
        if not address.done() and (found := ADDRESS.search(said[-1])):
            address.set_result(found[1])
    if not address.done():
        address.set_exception(RuntimeError(f"the server did not start: {''.join(said)[-3000:]}"))


async def curl(server: Server, path: str, *, is_checked: bool = True) -> list[Json]:
    """Return the `data` of every block that `curl -N` prints until the server ends the stream.

    A server with other bookmakers than this process has a document of its own, by which nothing is checked here.
    """
    program = shutil.which("curl")
    url = f"{server.url}{path}"
    text = await (_by_socket(server, path) if program is None else _by_program(program, "-sN", "--fail", url))
    published = [orjson.loads(line.removeprefix(b"data: ")) for line in text.splitlines() if line.startswith(b"data: ")]
    for progress in published if is_checked else ():
        traffic().progress(progress, path)
    return published


async def _by_program(*words: str) -> bytes:
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    try:
        async with asyncio.timeout(RUN_SECONDS):
            out, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert process.returncode == 0, f"curl ended with {process.returncode}"
    return out


async def _by_socket(server: Server, path: str) -> bytes:
    """Read a stream on a machine without curl, over HTTP/1.0, so that the body is not chunked."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{server.port}\r\n\r\n".encode())
    async with asyncio.timeout(RUN_SECONDS):
        text = await reader.read()
    writer.close()
    return text


def is_terminal(progress: Json) -> bool:
    """Return whether a progress is the last one of its run."""
    return progress["platform"] is None and progress["phase"] in ("completed", "failed")


async def progress_of(websocket: ClientConnection) -> list[Json]:
    """Return the `data` of every progress message up to a terminal one."""
    seen: list[Json] = []
    async with asyncio.timeout(RUN_SECONDS):
        async for text in websocket:
            message = orjson.loads(text)
            assert message["type"] == "scrape_progress", message
            traffic().message(message, "/api/ws")
            seen.append(message["data"])
            if is_terminal(message["data"]):
                break
    return seen


async def acknowledged(websocket: ClientConnection) -> Json:
    """Return the first message of a connection."""
    async with asyncio.timeout(RUN_SECONDS):
        message: Json = orjson.loads(await websocket.recv())
    assert message["type"] == "connection_ack"
    traffic().message(message, "/api/ws")
    return message


async def token_command(folder: Path, *words: str) -> str:
    """Run `quart-odds token` on the database of the server of a folder. Returns what it prints."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "quart_odds", "token", *words,
        cwd=folder,
        env=environment({"database_url": "sqlite:///odds.db"}),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return said.decode().strip()
