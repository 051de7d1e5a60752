"""The tools over standard input and output, until the input ends or a signal comes. Log lines go to standard error."""

import asyncio
import os
import threading
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, cast

import structlog
from mcp.server.stdio import stdio_server

from quart_odds.mcp.server import mcp_server
from quart_odds.mcp.sources import opened_source
from quart_odds.server.stop import stop_on_signals
from quart_odds.settings import Settings

if TYPE_CHECKING:
    from anyio import AsyncFile

READ_BYTES = 64 * 1024

log = structlog.get_logger(__name__)


async def serve_stdio(settings: Settings, url: str | None, token: str | None) -> None:
    """Serve one client. Raises StorageError or SettingsError if there is nothing to read from."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    serving = asyncio.create_task(_serve(settings, url, token))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait([serving, stopping], return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    serving.cancel()
    await asyncio.wait([serving, stopping])
    if not serving.cancelled():
        serving.result()


async def _serve(settings: Settings, url: str | None, token: str | None) -> None:
    async with opened_source(settings, url, token) as source:
        server = mcp_server(source)
        try:
            async with stdio_server(cast("AsyncFile[str]", _lines())) as (read, write):
                await server.run(read, write, server.create_initialization_options())
        except* OSError as errors:
            log.warning("mcp.client_gone", reason=str(errors.exceptions[0]))


async def _lines() -> AsyncIterator[str]:
    """Yield the lines of standard input.

    The package reads in a thread that holds up a stop until the next line comes. Here a daemon thread reads, without
    the buffer of `sys.stdin`, whose lock it would hold when the interpreter ends.
    """
    loop = asyncio.get_running_loop()
    parts: asyncio.Queue[bytes] = asyncio.Queue()
    number = os.dup(0)

    def read() -> None:
        data: bytes | None = None
        while data != b"":
            try:
                data = os.read(number, READ_BYTES)
            except OSError:  # a terminal that is gone: the input has ended
                data = b""
            try:
                loop.call_soon_threadsafe(parts.put_nowait, data)
            except RuntimeError:  # the loop has ended, and nobody takes it
                return

    threading.Thread(target=read, name="standard-input", daemon=True).start()
    unended: list[bytes] = []
    while data := await parts.get():
        first, *others = data.split(b"\n")
        unended.append(first)
        for other in others:
            yield b"".join(unended).decode(errors="replace")
            unended = [other]
    if any(unended):
        yield b"".join(unended).decode(errors="replace")
