"""A steady stream of GET requests at a fixed rate, and the latency of each, measured from when it was due."""

import asyncio
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Load:
    """Result of a stream of requests. Latencies are seconds from the due time to the last byte."""

    latencies: list[float] = field(default_factory=list)
    errors: int = 0
    body_bytes: int = 0

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the latencies in milliseconds."""
        ordered = sorted(self.latencies)
        return round(ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))] * 1000, 2)


class _Connection(asyncio.Protocol):
    """One keep-alive HTTP/1.1 connection that parses just enough to find the end of a response."""

    def __init__(self, on_end: Callable[["_Connection", bool, int], None]) -> None:
        self._on_end = on_end
        self._received = bytearray()
        self._wanted: int | None = None
        self.transport: asyncio.Transport | None = None
        self.due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def send(self, request: bytes, due: float) -> None:
        self.due = due
        self._received.clear()
        self._wanted = None
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._wanted is None:
            end = self._received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = bytes(self._received[:end]).lower()
            length = head.partition(b"content-length:")[2].partition(b"\r\n")[0]
            self._wanted = end + 4 + int(length)
        if len(self._received) >= self._wanted:
            self._on_end(self, self._received.startswith(b"HTTP/1.1 200"), len(self._received))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.transport is not None:
            self.transport = None
            self._on_end(self, False, 0)


async def load(
    host: str,
    port: int,
    path: str,
    *,
    rate: float,
    seconds: float,
    headers: str = "",
    until: asyncio.Event | None = None,
) -> Load:
    """Request `path` `rate` times a second for `seconds`, or until the event is set, without waiting for responses."""
    loop = asyncio.get_running_loop()
    found = Load()
    idle: deque[_Connection] = deque()
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\n{headers}\r\n".encode()
    under_way = 0
    done = asyncio.Event()

    def ended(connection: _Connection, is_good: bool, size: int) -> None:
        nonlocal under_way
        if connection.due:
            under_way -= 1
            if is_good:
                found.latencies.append(time.perf_counter() - connection.due)
                found.body_bytes = size
            else:
                found.errors += 1
        connection.due = 0.0
        if connection.transport is not None:
            idle.append(connection)
        done.set()

    async def connect() -> _Connection:
        _, connection = await loop.create_connection(lambda: _Connection(ended), host, port)
        return connection

    idle.extend([await connect() for _ in range(8)])
    started = time.perf_counter()
    number = 0
    while (due := started + number / rate) < started + seconds and not (until is not None and until.is_set()):
        if (wait := due - time.perf_counter()) > 0:
            await asyncio.sleep(wait)
        connection = idle.popleft() if idle else await connect()
        under_way += 1
        connection.send(request, due)
        number += 1
    while under_way and time.perf_counter() < started + seconds + 5:
        done.clear()
        try:
            async with asyncio.timeout(1):
                await done.wait()
        except TimeoutError:
            continue
    found.errors += under_way
    for connection in idle:
        if connection.transport is not None:
            transport, connection.transport = connection.transport, None
            transport.abort()
    return found
