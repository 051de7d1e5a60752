"""When a stream connects again, and over which transport."""

import pytest

from quart_odds_client.attempts import Attempts
from quart_odds_client.options import Options

OPTIONS = Options(least_wait_seconds=1.0, most_wait_seconds=8.0, upgrade_seconds=10.0)


def test_the_wait_doubles_until_a_connection_is_good() -> None:
    """One that lasts, or delivers something. The wait is random, between half of the bound and all of it."""
    attempts = Attempts("websocket", OPTIONS)
    for bound in (1.0, 2.0, 4.0, 8.0, 8.0):
        assert bound / 2 <= attempts.wait_after(None, None) <= bound
    assert attempts.wait_after(0.1, None) >= 4.0, "cut at once, and nothing came"
    assert attempts.wait_after(0.1, None, has_delivered=True) <= 1.0
    assert attempts.wait_after(9.0, None) <= 1.0


def test_the_server_s_wait_is_kept_to() -> None:
    """And the next attempt is over WebSocket, where there is a choice."""
    attempts = Attempts("auto", OPTIONS)
    attempts.preferred = "sse"
    assert (attempts.wait_after(60.0, 3.25), attempts.preferred) == (3.25, "websocket")
    attempts = Attempts("sse", OPTIONS)
    assert (attempts.wait_after(60.0, 3.25), attempts.preferred) == (3.25, "sse")


@pytest.mark.parametrize(("choice", "preferred"), [("auto", "sse"), ("websocket", "websocket")])
def test_a_transport_that_is_cut_at_once_three_times_gives_way(choice: str, preferred: str) -> None:
    """Where there is a choice. A connection that lasts begins the count anew."""
    attempts = Attempts(choice, OPTIONS)  # type: ignore[arg-type]
    for lived in (0.1, 0.1, 60.0, 0.1, 0.1):
        attempts.wait_after(lived, None)
    assert attempts.preferred == "websocket"
    attempts.wait_after(0.1, None)
    assert attempts.preferred == preferred


def test_websocket_is_tried_again_less_and_less_often() -> None:
    """Up to twenty times the first wait; once it gets through, the count begins anew."""
    attempts = Attempts("auto", OPTIONS)
    for bound in (10.0, 20.0, 40.0, 80.0, 160.0, 200.0, 200.0):
        assert 0.75 * bound <= attempts.upgrade_wait() <= 1.25 * bound
    attempts.upgrade()
    assert attempts.upgrade_wait() <= 12.5


def test_there_are_three_choices() -> None:
    """Any other is an error."""
    with pytest.raises(ValueError, match="websocket, sse or auto"):
        Attempts("carrier pigeon", OPTIONS)  # type: ignore[arg-type]
