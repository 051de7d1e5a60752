"""A proxy between browser and server that causes failures: WebSocket refused or cut, server moved."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

HEAD_BYTES = 64 * 1024


class Proxy:
    """Forwards bytes to a port of this machine. With `takes_websocket` False it refuses WebSocket handshakes."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.takes_websocket = True
        self.websockets = 0
        self.refused = 0
        self._cuts: set[asyncio.StreamWriter] = set()
        self._upgraded: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server

    @property
    def url(self) -> str:
        """The URL that it listens on."""
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def open(self) -> None:
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=HEAD_BYTES)

    async def close(self) -> None:
        """Close all connections."""
        self._server.close()
        self._cut(self._cuts)
        await self._server.wait_closed()

    def cut_all(self) -> None:
        """Abort every connection."""
        self._cut(self._cuts)

    def cut_websockets(self) -> None:
        """Abort every WebSocket connection, without a close frame."""
        self._cut(self._upgraded)

    def _cut(self, writers: set[asyncio.StreamWriter]) -> None:
        for writer in list(writers):
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._cuts.add(writer)
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self._pass_on(reader, writer)
        finally:
            self._cuts.discard(writer)
            self._upgraded.discard(writer)
            writer.close()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        if b"upgrade: websocket" in head.lower():
            if not self.takes_websocket:
                self.refused += 1
                writer.write(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                await writer.drain()
                return
            self.websockets += 1
            self._upgraded.add(writer)
        there, out = await asyncio.open_connection("127.0.0.1", self.target)
        out.write(head)
        ways = [asyncio.create_task(_copy(reader, out)), asyncio.create_task(_copy(there, writer))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            out.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(64 * 1024):
        writer.write(chunk)
        await writer.drain()


@contextlib.asynccontextmanager
async def proxied(target: int) -> AsyncIterator[Proxy]:
    """Run a proxy for the duration of a block."""
    proxy = Proxy(target)
    await proxy.open()
    try:
        yield proxy
    finally:
        await proxy.close()
