"""What tests of the server share."""

from collections.abc import Iterator

import pytest

from quart_odds.server.live_connections import live_connections


@pytest.fixture
def nothing_is_left() -> Iterator[None]:
    """Check that each test's connections are forgotten by the end of it."""
    before = len(live_connections)
    yield
    assert len(live_connections) == before
