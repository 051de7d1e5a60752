"""The end of accepting: each connection that a process has accepted is served, whichever moment the end comes in."""

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
import uvloop

from quart_odds.server.accepting import Accepting

CLIENTS = 5


class Echo(asyncio.Protocol):
    """Sends back what arrives, and ends the connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: Any = transport

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)
        self.transport.close()


@contextlib.contextmanager
def clients_of(port: int) -> Iterator[list[socket.socket]]:
    """Connect clients that have sent something. The kernel accepts them, without the process that listens."""
    with contextlib.ExitStack() as stack:
        found = []
        for _ in range(CLIENTS):
            client = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            client.sendall(b"hello")
            client.setblocking(False)
            found.append(client)
        yield found


@pytest.mark.parametrize("iterations", range(4))
@pytest.mark.parametrize("new_loop", [asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_connections_that_are_accepted_when_accepting_ends_are_served(
    new_loop: type[asyncio.AbstractEventLoop], iterations: int
) -> None:
    """The loop may have accepted them, and not begun to serve them yet."""

    async def run() -> list[bytes]:
        loop = asyncio.get_running_loop()
        with socket.create_server(("127.0.0.1", 0)) as sock, sock.dup() as waiting:
            accepting = Accepting({0: waiting}, 0)
            accepting.install()
            accepting.is_final = True
            await loop.create_server(Echo, sock=sock)
            with clients_of(sock.getsockname()[1]) as clients:

                def end_after(left: int) -> None:
                    if left:
                        loop.call_soon(end_after, left - 1)
                    else:
                        accepting.end()

                loop.call_soon(end_after, iterations)
                async with asyncio.timeout(10):
                    return await asyncio.gather(*(loop.sock_recv(client, 100) for client in clients))

    with asyncio.Runner(loop_factory=new_loop) as runner:
        assert runner.run(run()) == [b"hello"] * CLIENTS
