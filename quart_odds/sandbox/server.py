"""Serves the sandbox with Hypercorn, and keeps hold of its connections so that they can be cut."""

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
"""How long pending requests may take at shutdown before their connections are cut."""

_connection: ContextVar[asyncio.WriteTransport] = ContextVar("connection")
_connections: "WeakSet[asyncio.WriteTransport]" = WeakSet()


def cut_connection() -> None:
    """Cut the connection of the current request without an answer. Raises LookupError if there is none."""
    _connection.get().abort()


class _HeldServer(TCPServer):
    """A connection whose requests find its transport in their context."""

    async def run(self) -> None:
        transport = self.writer.transport
        _connection.set(transport)
        _connections.add(transport)
        with contextlib.suppress(ConnectionError):
            await super().run()


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a bound socket. Raises OSError if the address is not available."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    bound = socket.create_server((host, port), family=family, backlog=1000)
    bound.setblocking(False)
    return bound


async def serve_sandbox(
    app: Quart, bound: socket.socket, stop: Callable[[], Awaitable[object]], *, ready: Callable[[], None]
) -> None:
    """Serve on a socket, which it then owns, until `stop` returns. `ready` is called when requests are accepted.

    Pending requests are cut after GRACE_SECONDS.
    """
    config = Config()
    config.bind = [f"fd://{bound.detach()}"]
    config.errorlog = None
    config.accesslog = None
    config.graceful_timeout = GRACE_SECONDS
    config.keep_alive_timeout = 75
    config.keep_alive_max_requests = 10**9

    async def trigger() -> None:
        ready()  # Hypercorn calls the shutdown trigger after it has started to listen
        await stop()
        # Hypercorn waits forever for a peer that reads nothing, so all connections are cut after the grace period.
        asyncio.get_running_loop().call_later(GRACE_SECONDS, _cut_all)

    vars(hypercorn.asyncio.run)["TCPServer"] = _HeldServer
    await serve(app, config, shutdown_trigger=trigger)


def _cut_all() -> None:
    for transport in list(_connections):
        transport.abort()
