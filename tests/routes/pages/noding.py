"""Scripts of static/ in Node, driven line by line, and a server that says only what a test lets it say."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from quart_odds.routes.pages.assets import asset_folder
from tests.routes.pages.conftest import NODE_MODULES
from tests.routes.pages.visiting import PATIENCE_SECONDS, until

Json = dict[str, Any]
WITH_WEBSOCKET = "--experimental-websocket"
"""Gives Node 20 the class WebSocket, which later versions always have."""
WITHOUT_WEBSOCKET = "--no-experimental-websocket"
WS = NODE_MODULES / "ws" / "wrapper.mjs"
EPOCH = "5eed5eed"

HARNESS = """
import { createInterface } from "node:readline";
const { LiveClient, watchOdds } = await import(process.argv[1]);
const { OddsCopy } = await import(process.argv[2]);
const AsyncFunction = (async () => {}).constructor;
const { WebSocket: Ws } = process.argv[3] ? await import(process.argv[3]) : {};
const globals = { LiveClient, watchOdds, OddsCopy, Ws, kept: {} };
for await (const line of createInterface({ input: process.stdin })) {
    let answer;
    try {
        const run = new AsyncFunction(...Object.keys(globals), JSON.parse(line));
        answer = { value: (await run(...Object.values(globals))) ?? null };
    } catch (error) { answer = { error: String(error.stack) }; }
    console.log(JSON.stringify(answer));
}
"""


@dataclass
class NodeProcess:
    """A Node process that has imported static/live.js and static/copy.js. `kept` is an object for the test's values."""

    process: asyncio.subprocess.Process

    async def run(self, script: str) -> Any:
        """Run the body of an async function and return its result. AssertionError if it throws."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(orjson.dumps(script) + b"\n")
        async with asyncio.timeout(PATIENCE_SECONDS):
            line = await self.process.stdout.readline()
        assert line, "Node has ended"
        answer = orjson.loads(line)
        assert "error" not in answer, answer["error"]
        return answer["value"]

    async def value(self, expression: str) -> Any:
        """Return the value of an expression."""
        return await self.run(f"return ({expression})")

    async def ends(self) -> int | None:
        """Send no more scripts, wait until nothing is left to do, and return the exit code."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.process.wait()

    async def until(self, expression: str) -> None:
        """Wait until an expression is true."""

        async def holds() -> bool:
            return bool(await self.value(expression))

        await until(holds, expression)


@contextlib.asynccontextmanager
async def node(*flags: str, program: Path | None = None, has_ws: bool = False) -> AsyncIterator[NodeProcess]:
    """Run Node with static/live.js for the duration of a block. It must not write to stderr.

    By default it is the system's. With `has_ws`, scripts have the class WebSocket of the package `ws` as `Ws`.
    """
    found = program or shutil.which("node")
    assert found is not None
    folder = asset_folder("static")
    process = await asyncio.create_subprocess_exec(
        str(found),
        "--no-warnings",
        *flags,
        "--input-type=module",
        "--eval",
        HARNESS,
        str(folder / "live.js"),
        str(folder / "copy.js"),
        *([str(WS)] if has_ws else []),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=8 * 1024 * 1024,
    )
    try:
        yield NodeProcess(process)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        _, stderr = await process.communicate()
    assert stderr == b"", stderr.decode()


@dataclass
class Line:
    """One connection of a client: what it asked for, what it says, and a way to answer."""

    transport: str
    query: dict[str, str]
    answer: web.WebSocketResponse | web.StreamResponse
    said: list[Json] = field(default_factory=list)
    is_over: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, kind: str, data: Json, seq: int | None = None) -> None:
        """Send a message, with a cursor if it has a number."""
        message: Json = {"type": kind, "timestamp": "2026-11-22T10:00:00.000Z", "data": data}
        cursor = None if seq is None else f"{EPOCH}-{seq}"
        if isinstance(self.answer, web.WebSocketResponse):
            await self.answer.send_str(orjson.dumps(message | ({"id": cursor} if cursor else {})).decode())
        else:
            head = f"id: {cursor}\n" if cursor else ""
            await self.answer.write(f"{head}event: {kind}\ndata: {orjson.dumps(message).decode()}\n\n".encode())

    async def acknowledge(self, seq: int | None = 1, *, recovered: bool = True) -> None:
        """Send the first message of a connection."""
        await self.send("connection_ack", {"topics": [], "epoch": EPOCH, "recovered": recovered}, seq)

    async def end(self, code: int = 1012, reason: str | None = None, *, retry_ms: int = 1) -> None:
        """Close the connection, as a server does that restarts, or for another reason."""
        if isinstance(self.answer, web.WebSocketResponse):
            text = f"retry_ms={retry_ms}" if reason is None else reason
            await self.answer.close(code=code, message=text.encode())
        else:
            await self.answer.write(f"retry: {retry_ms}\n\n".encode())
        self.is_over.set()

    async def asked(self, count: int = 1) -> Json:
        """Wait for the client's message with this number, and return it."""

        async def came() -> bool:
            return len(self.said) >= count

        await until(came, f"message {count} of the client")
        return self.said[count - 1]


class FakeServer:
    """`/api/ws` and `/api/sse` that take any connection and leave every answer to the test."""

    def __init__(self) -> None:
        self.url = ""
        self.lines: list[Line] = []
        self.takes_websocket = True
        self.refusal: Json | None = None
        """A problem with which streams are refused, as a 400."""

    async def line(self, number: int) -> Line:
        """Wait for a connection and return it. The first is 1."""

        async def came() -> bool:
            return len(self.lines) >= number

        await until(came, f"connection {number}")
        return self.lines[number - 1]

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """Hold a WebSocket until the test or the client ends it."""
        if not self.takes_websocket:
            return web.Response(status=403)
        answer = web.WebSocketResponse(timeout=0.1)
        await answer.prepare(request)
        line = Line("websocket", dict(request.query), answer)
        self.lines.append(line)
        async for message in answer:
            if message.type is WSMsgType.TEXT:
                line.said.append(orjson.loads(message.data))
        line.is_over.set()
        return answer

    async def stream(self, request: web.Request) -> web.StreamResponse:
        """Hold a stream until the test or the client ends it."""
        if self.refusal is not None:
            return web.json_response(self.refusal, status=400, content_type="application/problem+json")
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        line = Line("sse", dict(request.query), answer)
        self.lines.append(line)
        try:
            await line.is_over.wait()
        finally:
            line.is_over.set()
        return answer


@contextlib.asynccontextmanager
async def fake_server() -> AsyncIterator[FakeServer]:
    """Serve a fake on a free port for the duration of a block."""
    fake = FakeServer()
    app = web.Application()
    app.router.add_get("/api/ws", fake.websocket)
    app.router.add_get("/api/sse", fake.stream)
    runner = web.AppRunner(app, access_log=None, handler_cancellation=True, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield fake
    finally:
        for line in fake.lines:
            line.is_over.set()
        await runner.cleanup()
