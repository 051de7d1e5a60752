"""Requests are counted by kind and by second, so that a client's budget can be checked from outside."""

from quart_odds.sandbox.traffic import Traffic, Window


def test_the_busiest_window_is_found_wherever_it_starts() -> None:
    """Four requests around a full second are four in one second."""
    window = Window(1)
    for moment in (0.0, 0.9, 0.95, 1.05, 1.1, 1.95, 5.0):
        window.add(moment)
    assert window.most == 4


def test_a_window_does_not_include_its_end() -> None:
    """Exactly one request a second is at most one in any second, and ten in ten seconds."""
    time = 0.0

    def clock() -> float:
        return time

    traffic = Traffic(clock)
    for second in range(60):
        time = float(second)
        traffic.enter(is_detail=second % 3 == 0)
        traffic.leave()
    assert traffic.as_json() == {
        "requests": 60,
        "list_requests": 40,
        "detail_requests": 20,
        "active": 0,
        "most_active": 1,
        "busiest_second": 1,
        "busiest_ten_seconds": 10,
    }
