"""How the sandbox is served: Hypercorn with hold of its connections, so that one can be cut and all can be ended."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from weakref import WeakSet

import hypercorn.asyncio.run
from hypercorn.asyncio import serve
from hypercorn.asyncio.tcp_server import TCPServer
from hypercorn.config import Config
from quart import Quart

GRACE_SECONDS = 0.2
"""How long requests under way may take at the end before their connections are cut."""

_connection: ContextVar[asyncio.WriteTransport] = ContextVar("connection")
_connections: "WeakSet[asyncio.WriteTransport]" = WeakSet()


def cut_connection() -> None:
    """Ends the connection of the request under way at once, without an answer. LookupError where it has none."""
    _connection.get().abort()


class _HeldServer(TCPServer):
    """One connection; requests on it find its transport in their context."""

    async def run(self) -> None:
        transport = self.writer.transport
        _connection.set(transport)
        _connections.add(transport)
        with contextlib.suppress(ConnectionError):
            await super().run()


def listening_socket(host: str, port: int) -> socket.socket:
    """A bound socket; OSError where the address cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=1000)
    bound.setblocking(False)
    return bound


async def serve_sandbox(
    app: Quart, bound: socket.socket, stop: Callable[[], Awaitable[object]], *, ready: Callable[[], None]
) -> None:
    """Serves on a socket, which it takes over, until `stop` returns; `ready` is called when requests are taken.

    Ends what hangs after GRACE_SECONDS.
    """
    config = Config()
    config.bind = [f"fd://{bound.detach()}"]
    config.errorlog = None
    config.accesslog = None
    config.graceful_timeout = GRACE_SECONDS
    config.keep_alive_timeout = 75
    config.keep_alive_max_requests = 10**9

    async def trigger() -> None:
        ready()  # Hypercorn asks for its trigger once it has started to listen
        await stop()
        # Hypercorn waits for ever for a peer that reads nothing: no connection outlives the grace.
        asyncio.get_running_loop().call_later(GRACE_SECONDS, _cut_all)

    vars(hypercorn.asyncio.run)["TCPServer"] = _HeldServer
    await serve(app, config, shutdown_trigger=trigger)


def _cut_all() -> None:
    for transport in list(_connections):
        transport.abort()
