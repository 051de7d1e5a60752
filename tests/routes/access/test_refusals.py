"""Log lines about refusals: a few of each kind, then a count, whatever causes them."""

from structlog.testing import capture_logs

from quart_odds.routes.access.refusals import LINES_AT_ONCE, MAX_KINDS, Refusals


class Clock:
    """A clock that the test sets."""

    now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


def test_a_flood_of_refusals_is_a_few_lines_and_a_count() -> None:
    """Other kinds are still logged, and the next line contains the count."""
    clock = Clock()
    refusals = Refusals(clock)
    with capture_logs() as logs:
        for _ in range(1000):
            refusals.tell("request.refused", "421", path="/")
        refusals.tell("request.refused", "403", path="/")
        clock.now = 5
        refusals.tell("request.refused", "421", path="/last")
    assert len(logs) == LINES_AT_ONCE + 2
    assert logs[-1]["path"] == "/last"
    assert logs[-1]["left_out"] == 1000 - LINES_AT_ONCE
    assert {each["log_level"] for each in logs} == {"warning"}


def test_kinds_do_not_pile_up() -> None:
    """The number of kinds is bounded, in case they ever come from outside."""
    refusals = Refusals(Clock())
    with capture_logs():
        for number in range(10 * MAX_KINDS):
            refusals.tell("request.refused", str(number))
    assert len(refusals._kinds) <= MAX_KINDS + 1


def test_a_failure_of_ours_is_an_error_with_its_traceback() -> None:
    """The first errors are logged in full; a thousand of the same add nothing."""
    refusals = Refusals(Clock())
    with capture_logs() as logs:
        for _ in range(100):
            refusals.tell("request.failed", "500", exc_info=ValueError("x"))
    assert len(logs) == LINES_AT_ONCE
    assert logs[0]["log_level"] == "error"
