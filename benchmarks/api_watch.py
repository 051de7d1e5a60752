"""Many WebSocket clients in a separate process, and the times of their next odds_update.

`python -m benchmarks.api_watch HOST PORT CLIENTS` prints `ready`. For each line on stdin it then waits until each
client has received a notice, and prints the times of the system's monotonic clock as a JSON list.
"""

import asyncio
import json
import os
import sys
import time

WAIT_SECONDS = 3.0
OPENING_AT_ONCE = 50


class _Watcher(asyncio.Protocol):
    """A WebSocket client that records when an odds_update arrived, and parses nothing else."""

    def __init__(self, clients: "Clients", request: bytes) -> None:
        self._clients = clients
        self._request = request
        self._is_open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if not self._is_open:
            self._is_open = True
            self._clients.opened(data.startswith(b"HTTP/1.1 101"))
        if b'odds_update"' in data:
            self._clients.published()

    def connection_lost(self, exc: Exception | None) -> None:
        self._clients.lost += 1


class Clients:
    """All clients of this process."""

    def __init__(self) -> None:
        self.open = self.refused = self.lost = 0
        self.moments: list[float] = []
        self._moved = asyncio.Event()

    def opened(self, is_good: bool) -> None:
        """Count a finished handshake."""
        self.open += is_good
        self.refused += not is_good
        self._moved.set()

    def published(self) -> None:
        """Record that a client received a notice."""
        self.moments.append(time.monotonic())
        self._moved.set()

    async def until_open(self, count: int) -> None:
        """Wait for this many handshakes."""
        async with asyncio.timeout(20):
            while self.open + self.refused < count:
                self._moved.clear()
                await self._moved.wait()

    async def until_reported(self, count: int) -> list[float]:
        """Return the times of the next notices, one per client, as far as they arrive in time."""
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                while len(self.moments) < count:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            pass
        moments, self.moments = self.moments, []
        return moments


async def main(host: str, port: int, count: int) -> None:
    """Open the clients and answer lines on stdin."""
    loop = asyncio.get_running_loop()
    clients = Clients()
    request = (
        f"GET /api/ws?topics=odds_updates HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\n"
        "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    ).encode()
    for start in range(0, count, OPENING_AT_ONCE):
        for _ in range(min(OPENING_AT_ONCE, count - start)):
            await loop.create_connection(lambda: _Watcher(clients, request), host, port)
        await clients.until_open(min(start + OPENING_AT_ONCE, count))
    print(json.dumps({"ready": True, "open": clients.open, "refused": clients.refused}), flush=True)
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(0, "rb"))
    while line := await reader.readline():
        if line.startswith(b"clear"):
            clients.moments = []
            print("[]", flush=True)
        else:
            print(json.dumps(await clients.until_reported(clients.open - clients.lost)), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3])))
