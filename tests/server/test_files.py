"""The limit of open files, which is one of connections, too."""

import pytest
from structlog.testing import capture_logs

from quart_odds.server.serve import OTHER_FILES, check_files


@pytest.mark.parametrize(("limit", "most_connections"), [(1024, 10_000), (10_000, 10_000), (256, 0)])
def test_start_warns_of_a_limit_below_the_connections_that_are_allowed(limit: int, most_connections: int) -> None:
    """The warning names what there is, what is wanted, and what to do."""
    with capture_logs() as logs:
        check_files(limit, most_connections)
    (warning,) = [each for each in logs if each["log_level"] == "warning"]
    assert (warning["event"], warning["limit"]) == ("server.few_files", limit)
    assert str(most_connections + OTHER_FILES) in warning["reason"]
    assert "QUART_ODDS_MAX_CONNECTIONS" in warning["reason"]


def test_start_says_nothing_of_a_limit_that_suffices() -> None:
    """Ten thousand connections, and what else is open."""
    with capture_logs() as logs:
        check_files(10_000 + OTHER_FILES, 10_000)
    assert [each["log_level"] for each in logs] == ["debug"]
