"""Clients that send one request after another until a server refuses their connections, as a proxy in front does."""

import asyncio
from dataclasses import dataclass, field

REQUEST = b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n"
CLIENTS = 8


@dataclass
class HastyClients:
    """What was answered, and how often a connection that had been accepted brought no response.

    Half of the clients keep their connections as long as the server does. The others open one for each request.
    """

    port: int
    answered: int = 0
    lost: list[str] = field(default_factory=list)

    async def run(self) -> None:
        """Send requests until all are refused, for a minute at most."""
        async with asyncio.timeout(60):
            await asyncio.gather(*(self._one(number, keeps=bool(number % 2)) for number in range(CLIENTS)))

    async def until_answered(self, count: int) -> None:
        """Wait until so many requests have been answered."""
        async with asyncio.timeout(60):
            while self.answered < count:
                await asyncio.sleep(0.01)

    async def _one(self, number: int, *, keeps: bool) -> None:
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            except ConnectionRefusedError:
                return
            except OSError as error:
                self.lost.append(f"connecting: {error}")
                return
            try:
                while not reader.at_eof():
                    writer.write(REQUEST % self.port)
                    head = await reader.readuntil(b"\r\n\r\n")
                    assert head.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")), head
                    [length] = [each for each in head.lower().split(b"\r\n") if each.startswith(b"content-length:")]
                    await reader.readexactly(int(length.partition(b":")[2]))
                    self.answered += 1
                    if not keeps or b"\r\nconnection: close\r\n" in head.lower():
                        break
                    await asyncio.sleep(0.002 * number)
            except (OSError, asyncio.IncompleteReadError) as error:
                self.lost.append(f"{'kept' if keeps else 'new'}: {error}")
                return
            finally:
                writer.transport.abort()
