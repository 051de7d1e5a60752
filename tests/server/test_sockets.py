"""The listening socket: what accepted connections inherit, and what the launcher requests from the system."""

import errno
import resource
import select
import socket
import sys
from collections.abc import Iterator

import pytest

from quart_odds.errors import SettingsError
from quart_odds.server.accepting import drop_new_connections
from quart_odds.server.sockets import RECEIVE_BYTES, listen, raise_file_limit, split_bind


@pytest.fixture
def accepted() -> Iterator[socket.socket]:
    """The server's end of a connection."""
    with listen("127.0.0.1:0", 30.0) as listening:
        listening.listen()
        listening.setblocking(True)
        with socket.create_connection(listening.getsockname()):
            connection, _ = listening.accept()
            with connection:
                yield connection


@pytest.mark.parametrize(
    ("option", "value"),
    [
        (socket.TCP_NODELAY, 1),
        (socket.TCP_KEEPIDLE, 30),
        (socket.TCP_KEEPINTVL, 10),
        (socket.TCP_KEEPCNT, 3),
        (socket.TCP_USER_TIMEOUT, 45_000),
        (25, 16 * 1024),
    ],
    ids=["nodelay", "idle", "interval", "count", "user timeout", "notsent lowat"],
)
def test_accepted_connections_inherit(accepted: socket.socket, option: int, value: int) -> None:
    """The kernel notices a vanished peer within a minute, and sooner one that takes nothing."""
    assert accepted.getsockopt(socket.IPPROTO_TCP, option) == value
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1


def test_accepted_connections_hold_little_that_we_have_not_read(accepted: socket.socket) -> None:
    """The kernel doubles the requested size, to have room for its bookkeeping."""
    assert accepted.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) <= 2 * RECEIVE_BYTES


@pytest.mark.parametrize(
    ("bind", "split"),
    [
        ("127.0.0.1:8000", ("127.0.0.1", 8000)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:80", ("::1", 80)),
        ("example.org:65535", ("example.org", 65535)),
    ],
)
def test_bind(bind: str, split: tuple[str, int]) -> None:
    """The result is the host and port. The host may be omitted, and is loopback then."""
    assert split_bind(bind) == split


@pytest.mark.parametrize("bind", ["", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x", "127.0.0.1:-1", "h:٣"])
def test_wrong_bind_says_what_to_give(bind: str) -> None:
    """The error is a sentence with an example."""
    with pytest.raises(SettingsError, match="give HOST:PORT, such as"):
        split_bind(bind)


def test_address_that_is_taken_is_named() -> None:
    """The error names the address and says what to do."""
    with listen("127.0.0.1:0", 1.0) as first:
        first.listen()
        with pytest.raises(SettingsError, match="choose another address or port"):
            listen(f"127.0.0.1:{first.getsockname()[1]}", 1.0)


def test_file_limit_is_raised_as_far_as_it_may_be() -> None:
    """The limit is as high as the system allows, and never lower than before."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        limit = raise_file_limit()
        assert limit >= soft
        assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == limit
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such filter")
def test_a_socket_that_ends_loses_nobody_and_refuses_who_comes_late() -> None:
    """Whoever is connected stays. Whoever asks between the last one that is accepted and the end gets no connection."""
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as late:
        address = listening.getsockname()
        with socket.create_connection(address) as early:
            early.sendall(b"GET")
            drop_new_connections(listening)
            late.setblocking(False)
            assert late.connect_ex(address) == errno.EINPROGRESS
            accepted, _ = listening.accept()
            with accepted:
                assert accepted.recv(10) == b"GET"
        listening.setblocking(False)
        with pytest.raises(BlockingIOError):
            listening.accept()
        listening.close()
        assert select.select([], [late], [], 20)[1] == [late]
        assert late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED
