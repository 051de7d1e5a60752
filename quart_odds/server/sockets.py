"""The listening socket. Accepted connections inherit its options, so slow and vanished peers are noticed early."""

import resource
import socket

import structlog

from quart_odds.domain.origins import parse_address
from quart_odds.domain.secrets import masked
from quart_odds.errors import SettingsError

BACKLOG = 4096
NOTSENT_BYTES = 16 * 1024
"""How much may wait unsent in the kernel for one peer before it counts as lagging.

A stall shows after 24 KB instead of 2.9 MB; throughput does not change.
"""
RECEIVE_BYTES = 64 * 1024
"""How much unread data of one peer may wait in the kernel. It is read in parts, and no message is longer than this."""
KEEPALIVE_IDLE_SECONDS = 30
KEEPALIVE_INTERVAL_SECONDS = 10
KEEPALIVE_PROBES = 3
USER_TIMEOUT_SPARE_SECONDS = 15
WANTED_FILES = 65_536

log = structlog.get_logger(__name__)


def split_bind(bind: str) -> tuple[str, int]:
    """Return the host and port of HOST:PORT, [IPv6]:PORT or :PORT. Raises SettingsError for any other text."""
    host, _, port = bind.rpartition(":")
    if not port.isascii() or not port.isdigit():
        raise SettingsError(f"--bind {masked(bind)!r}: give HOST:PORT, such as 127.0.0.1:8000")
    if len(port) > 5 or int(port) > 65535:
        raise SettingsError(
            f"--bind {masked(bind)!r}: give HOST:PORT, such as 127.0.0.1:8000; a port is a number from 0 to 65535"
        )
    return host.strip("[]") or "127.0.0.1", int(port)


def is_loopback(sock: socket.socket) -> bool:
    """Return whether a bound socket can be reached from this machine only."""
    address = parse_address(sock.getsockname()[0].partition("%")[0])
    return address is not None and address.is_loopback


def address_of(sock: socket.socket) -> str:
    """Return the URL of a bound socket."""
    host, port = sock.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def listen(bind: str, write_timeout_seconds: float) -> socket.socket:
    """Return a bound socket, which listens once the server starts. Raises SettingsError if it cannot be bound."""
    return _bound(bind, write_timeout_seconds, 1)[0]


def listen_for_workers(bind: str, write_timeout_seconds: float, workers: int) -> list[socket.socket]:
    """Return a bound socket of the same address for each worker. Raises SettingsError if they cannot be bound.

    The kernel distributes connections over those that listen (SO_REUSEPORT), by a hash of both addresses. Of 1,000
    connections opened one after the other, each of four workers got 222 to 275. With one socket for all, the worker
    that wakes first takes what there is: one got 38 and another 341, and live connections stay where they are.

    The first one listens from now on, so that no other server can bind the address: only then may the others join.
    The supervisor keeps all of them open. Connections that a dead worker has not accepted stay in its queue, and
    another worker accepts them.
    """
    return _bound(bind, write_timeout_seconds, workers)


def _bound(bind: str, write_timeout_seconds: float, count: int) -> list[socket.socket]:
    host, port = split_bind(bind)
    socks: list[socket.socket] = []
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        for number in range(count):
            sock = socket.socket(family, kind, protocol)
            socks.append(sock)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BYTES)
            _set_tcp_options(sock, write_timeout_seconds)
            if number:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(socks[0].getsockname() if number else address)
            if count > 1 and not number:
                # With SO_REUSEPORT from the start, a second server on the same port would get half of the connections.
                sock.listen(BACKLOG)
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.setblocking(False)
            sock.set_inheritable(True)
    except (OSError, ValueError) as error:
        for sock in socks:
            sock.close()
        if isinstance(error, OSError):
            reason = f"{error.strerror or error}; choose another address or port"
        else:
            # Raised for impossible host names: too long, with an empty part, or with a zero byte.
            reason = f"{masked(host)!r} is no name of a host and no address"
        raise SettingsError(f"--bind {masked(bind)!r}: {reason}") from error
    return socks


def _set_tcp_options(sock: socket.socket, write_timeout_seconds: float) -> None:
    """Set options that Linux has. Those that another system lacks are left out."""
    user_timeout_ms = round((write_timeout_seconds + USER_TIMEOUT_SPARE_SECONDS) * 1000)
    wanted = {
        "TCP_NODELAY": 1,
        "TCP_NOTSENT_LOWAT": NOTSENT_BYTES,
        "TCP_USER_TIMEOUT": user_timeout_ms,
        "TCP_KEEPIDLE": KEEPALIVE_IDLE_SECONDS,
        "TCP_KEEPINTVL": KEEPALIVE_INTERVAL_SECONDS,
        "TCP_KEEPCNT": KEEPALIVE_PROBES,
    }
    # Python 3.11 has no constant for this one.
    numbers = {"TCP_NOTSENT_LOWAT": 25}
    for name, value in wanted.items():
        number = getattr(socket, name, numbers.get(name))
        if number is not None:
            sock.setsockopt(socket.IPPROTO_TCP, number, value)


def file_limit() -> int:
    """Return the number of open files that `raise_file_limit` makes possible."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(soft, WANTED_FILES if hard == resource.RLIM_INFINITY else min(hard, WANTED_FILES))


def raise_file_limit() -> int:
    """Raise the limit on open files, and so on connections, as far as the system allows. Returns the new limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = file_limit()
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
