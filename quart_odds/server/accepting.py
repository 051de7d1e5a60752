"""On which sockets a process accepts connections, and how it ends to accept them without losing one.

A worker accepts on its own socket, and on those of dead workers.
"""

import asyncio
import contextlib
import ctypes
import socket
import struct
from collections.abc import Callable, Collection, Coroutine, Mapping
from typing import Any

import structlog

from quart_odds.errors import SettingsError
from quart_odds.server.sockets import BACKLOG
from quart_odds.server.waiting import MakeProtocol

SO_ATTACH_FILTER = 26
"""The socket option of Linux, which the module `socket` lacks (socket(7))."""

NO_SYN = ((0x30, 0, 0, 13), (0x45, 0, 1, 0x02), (0x06, 0, 0, 0), (0x06, 0, 0, 0xFFFFFFFF))
"""A classic BPF program: load the flags of the TCP header, and drop the packet if SYN is among them."""

log = structlog.get_logger(__name__)


def drop_new_connections(sock: socket.socket) -> None:
    """Let the kernel ignore whoever asks a listening socket for a connection from now on. Only Linux can.

    Otherwise a connection could arrive between the last one that is accepted and the end of the socket, and be reset. A
    client that is ignored asks again after a second, and is refused by then.
    """
    program = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in NO_SYN))
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", len(NO_SYN), ctypes.addressof(program)))


def close(server: asyncio.AbstractServer) -> None:
    """Accept no more connections on the sockets of this server, and let it serve those that it has accepted.

    asyncio accepts all that wait, and begins to serve them in the next iteration of its loop. Those would be reset, in
    silence, if their server were closed by then.
    """
    if not isinstance(server, asyncio.Server):
        server.close()  # uvloop serves at once what it accepts
        return
    loop = asyncio.get_running_loop()
    with contextlib.suppress(NotImplementedError):  # Windows
        for sock in server.sockets:
            loop.remove_reader(sock.fileno())
    loop.call_soon(server.close)


class Accepting:
    """Begins and ends to accept connections on sockets, by the number of the worker that each belongs to.

    Hypercorn begins with a process's own socket, and has no means to stop accepting before it closes. So the call with
    which it begins is noted here: its callback serves connections of other sockets, too.

    `is_final` says that nobody else accepts on these sockets once this process has ended.
    """

    def __init__(self, sockets: Mapping[int, socket.socket], own: int) -> None:
        self.is_final = False
        self.prepare: Callable[[MakeProtocol], MakeProtocol] = lambda make_protocol: make_protocol
        """What each connection begins with instead of Hypercorn's protocol, made from what makes that."""
        self._sockets = sockets
        self._own = own
        self._wanted: frozenset[int] = frozenset([own])
        self._servers: dict[int, asyncio.AbstractServer] = {}
        self._make_protocol: MakeProtocol | None = None
        self._lock = asyncio.Lock()
        self._opening: set[asyncio.Task[None]] = set()

    def install(self) -> None:
        """Note how Hypercorn serves connections. Call this in the loop, before Hypercorn starts."""
        loop = asyncio.get_running_loop()
        create_server = loop.create_server

        async def noting(make_protocol: MakeProtocol, *args: Any, **options: Any) -> Any:
            is_first = self._make_protocol is None
            if is_first:
                make_protocol = self.prepare(make_protocol)
            server = await create_server(make_protocol, *args, **options)
            if is_first:
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
            close(self._servers.pop(number))
        if self._make_protocol is not None and self._wanted - self._servers.keys():
            self._begin(self._open(self._make_protocol))

    def _begin(self, opening: Coroutine[Any, Any, None]) -> None:
        """Run this in a task, which is kept until it ends."""
        task = asyncio.create_task(opening, name="accept")
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open(self, make_protocol: MakeProtocol) -> None:
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
                    close(server)

    def end(self) -> None:
        """Accept no more connections. If that is final, new ones are refused, and those that wait are accepted first.

        A socket that is closed resets the connections in its queue, and their peers have sent requests already.
        """
        numbers = self._wanted
        self.accept_on(())
        if self.is_final and self._make_protocol is not None:
            for number in numbers:
                self._shut(self._sockets[number], self._make_protocol)

    def _shut(self, sock: socket.socket, make_protocol: MakeProtocol) -> None:
        sock.setblocking(False)
        drop_new_connections(sock)
        waiting = []
        with contextlib.suppress(OSError):
            while True:
                waiting.append(sock.accept()[0])
        with contextlib.suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
        for each in waiting:
            self._begin(self._serve(each, make_protocol))

    async def _serve(self, sock: socket.socket, make_protocol: MakeProtocol) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(make_protocol, sock)
        except OSError as error:
            sock.close()
            log.debug("server.peer_gone", reason=str(error))
