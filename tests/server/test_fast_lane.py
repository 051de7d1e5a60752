"""When the fast lane is installed, and in what state it leaves the server."""

import hypercorn.asyncio.run
import hypercorn.protocol.h11
import pytest
from structlog.testing import capture_logs

from quart_odds.server import fast_lane
from quart_odds.server.live_connections import LiveConnections

NAMES = (
    (hypercorn.asyncio.run, "TCPServer"),
    (hypercorn.protocol.h11, "HTTPStream"),
    (hypercorn.protocol.h11, "WSStream"),
)


def _installed() -> list[object]:
    return [getattr(owner, name) for owner, name in NAMES]


def test_stays_out_of_a_hypercorn_that_it_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    """It logs one warning that names the version it found, and leaves the server untouched."""
    before = _installed()
    monkeypatch.setattr(fast_lane, "version", lambda _: "0.99.0")
    with capture_logs() as logs:
        assert fast_lane.install() is False
    assert [(each["event"], each["log_level"], each["hypercorn"]) for each in logs] == [
        ("fast_lane.stays_out", "warning", "0.99.0")
    ]
    assert _installed() == before


def test_stays_out_where_a_name_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A known release is not used either if it lacks a name that is needed."""
    monkeypatch.delattr("hypercorn.protocol.ws_stream.WSStream._accept")
    assert fast_lane.install() is False


class Cuttable:
    """A connection that notes that it was cut."""

    was_cut = False

    def abort(self) -> None:
        self.was_cut = True


def test_live_connections_can_all_be_cut() -> None:
    """All open connections are cut, whatever they are doing, as the drain does with those that remain."""
    live = LiveConnections()
    connections = [Cuttable() for _ in range(3)]
    for each in connections:
        live.add(each)
    live.discard(connections[0])
    assert (len(live), live.abort()) == (2, 2)
    assert [each.was_cut for each in connections] == [False, True, True]
