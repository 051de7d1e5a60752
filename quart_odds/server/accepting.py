"""On which of the supervisor's sockets a worker accepts connections: on its own, and on those of dead workers."""

import asyncio
import socket
from collections.abc import Callable, Collection, Mapping
from typing import Any

import structlog

from quart_odds.errors import SettingsError
from quart_odds.server.sockets import BACKLOG

log = structlog.get_logger(__name__)


class Accepting:
    """Begins and ends to accept connections on sockets, by the number of the worker that each belongs to.

    Hypercorn begins with a worker's own socket, and has no means to stop accepting before it closes. So the call with
    which it begins is noted here: its callback serves connections of other sockets, too.
    """

    def __init__(self, sockets: Mapping[int, socket.socket], own: int) -> None:
        self._sockets = sockets
        self._own = own
        self._wanted: frozenset[int] = frozenset([own])
        self._servers: dict[int, asyncio.AbstractServer] = {}
        self._make_protocol: Callable[[], asyncio.BaseProtocol] | None = None
        self._lock = asyncio.Lock()
        self._opening: set[asyncio.Task[None]] = set()

    def install(self) -> None:
        """Note how Hypercorn serves connections. Call this in the loop, before Hypercorn starts."""
        loop = asyncio.get_running_loop()
        create_server = loop.create_server

        async def noting(make_protocol: Callable[[], asyncio.BaseProtocol], *args: Any, **options: Any) -> Any:
            server = await create_server(make_protocol, *args, **options)
            if self._make_protocol is None:
                self._make_protocol = make_protocol
                self._servers[self._own] = server
                self.accept_on(self._wanted)
            return server

        loop.create_server = noting  # type: ignore[method-assign,assignment]

    def check(self) -> None:
        """Raise SettingsError if Hypercorn has started in an unknown way, so that nothing here has any effect."""
        if self._make_protocol is None:
            raise SettingsError(
                "the installed hypercorn is not known to this version, so a worker could not stop accepting; "
                "install the versions in constraints.txt, or leave --workers out"
            )

    def accept_on(self, numbers: Collection[int]) -> None:
        """Accept connections on the sockets of these workers, and stop at once on all others.

        Connections that nobody has accepted stay in the queue of their socket.
        """
        self._wanted = frozenset(numbers) & self._sockets.keys()
        for number in self._servers.keys() - self._wanted:
            self._servers.pop(number).close()
        if self._make_protocol is not None and self._wanted - self._servers.keys():
            task = asyncio.create_task(self._open(self._make_protocol), name="accept")
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, make_protocol: Callable[[], asyncio.BaseProtocol]) -> None:
        async with self._lock:
            for number in sorted(self._wanted - self._servers.keys()):
                sock = self._sockets[number].dup()
                try:
                    server = await asyncio.get_running_loop().create_server(make_protocol, sock=sock, backlog=BACKLOG)
                except OSError as error:
                    sock.close()
                    log.error("worker.cannot_accept", socket_of=number, reason=str(error))
                    continue
                if number in self._wanted:
                    self._servers[number] = server
                else:
                    server.close()
