"""When the fast lane is installed, and when its sinks may write."""

import hypercorn.asyncio.run
import hypercorn.protocol.h11
import pytest
from structlog.testing import capture_logs

from quart_odds.server import fast_lane
from quart_odds.server.fast_lane import FastConnection, LiveConnections


class FakeTransport:
    """A transport that keeps what is written to it."""

    def __init__(self) -> None:
        self.written = b""
        self.is_closed = False

    def write(self, data: bytes) -> None:
        assert not self.is_closed
        self.written += data

    def get_write_buffer_size(self) -> int:
        return 7

    def is_closing(self) -> bool:
        return self.is_closed

    def abort(self) -> None:
        self.is_closed = True


def _connection() -> tuple[FastConnection, FakeTransport]:
    transport = FakeTransport()
    return FastConnection(transport), transport  # type: ignore[arg-type]


def test_stays_out_of_a_hypercorn_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """It logs one warning that names the version it found, and leaves the server untouched."""
    before = hypercorn.asyncio.run.TCPServer, hypercorn.protocol.h11.WSStream  # type: ignore[attr-defined]
    monkeypatch.setattr(fast_lane, "version", lambda _: "0.99.0")
    with capture_logs() as logs:
        assert fast_lane.install() is False
    assert [(each["event"], each["log_level"], each["hypercorn"]) for each in logs] == [
        ("fast_lane.stays_out", "warning", "0.99.0")
    ]
    after = hypercorn.asyncio.run.TCPServer, hypercorn.protocol.h11.WSStream  # type: ignore[attr-defined]
    assert after == before


def test_stays_out_where_a_name_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known release is not used either if it lacks a name that is needed."""
    monkeypatch.delattr("hypercorn.protocol.ws_stream.WSStream._handle_events")
    assert fast_lane.install() is False


def test_websocket_sink_only_while_the_protocol_is_open() -> None:
    """There is no sink before the handshake or after the close frame, and only one at a time."""
    connection, transport = _connection()
    assert connection.websocket_sink() is None
    connection.websocket_opened()
    assert connection.stream_sink() is None
    sink = connection.websocket_sink()
    assert sink is not None
    assert connection.websocket_sink() is None
    assert (sink.is_open, sink.pending) == (True, 7)
    sink.write(b"frame")
    connection.websocket_closed()
    assert not sink.is_open
    assert connection.websocket_sink() is None
    assert transport.written == b"frame"


def test_stream_sink_is_given_back() -> None:
    """The next response on the connection can have a sink again."""
    connection, _ = _connection()
    first = connection.stream_sink()
    connection.detach()
    second = connection.stream_sink()
    assert first is not None
    assert second is not None
    assert (first.is_open, second.is_open) == (False, True)


def test_nothing_is_written_to_a_transport_that_closes() -> None:
    """By then, its file descriptor may belong to another connection."""
    connection, transport = _connection()
    sink = connection.stream_sink()
    assert sink is not None
    transport.is_closed = True
    assert not sink.is_open
    connection.detach()
    assert connection.stream_sink() is None


def test_live_connections_can_all_be_cut() -> None:
    """All open connections are cut, whatever they are doing, as the drain does with those that remain."""
    live = LiveConnections()
    pairs = [_connection() for _ in range(3)]
    for connection, _ in pairs:
        live.add(connection)
    live.discard(pairs[0][0])
    assert (len(live), live.abort()) == (2, 2)
    assert [transport.is_closed for _, transport in pairs] == [False, True, True]
