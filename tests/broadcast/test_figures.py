"""What the hub counts: latencies of flushes, lags of listeners, beginnings and ends of connections."""

from quart_odds.broadcast import ODDS_UPDATES, SCRAPE_PROGRESS
from quart_odds.broadcast.figures import HubFigures
from quart_odds.broadcast.framing import CHUNK, FRAME
from quart_odds.broadcast.lag import lags_of, quantile
from tests.broadcast.listeners import BrokenSink, ManualClock, RecordingSink, make_registry, message


async def test_a_flush_counts_once_from_its_oldest_entry() -> None:
    """However many clients and entries it has. Entries that nobody wants do not count."""
    clock = ManualClock()
    registry = make_registry(clock=clock)
    for _ in range(3):
        registry.connect(RecordingSink(), FRAME, topics={ODDS_UPDATES})
    registry.flusher.flush()
    registry.broadcast(message(0), SCRAPE_PROGRESS)
    clock.advance(9)
    registry.flusher.flush()
    assert registry.figures.latency.count == 0
    registry.broadcast(message(1), ODDS_UPDATES)
    clock.advance(0.2)
    registry.broadcast(message(2), ODDS_UPDATES)
    clock.advance(0.02)
    registry.flusher.flush()
    assert (registry.figures.latency.count, round(registry.figures.latency.sum, 3)) == (1, 0.22)
    registry.close()


async def test_a_flush_tells_who_asks() -> None:
    """Of the first entry that is due, and of its end."""
    clock = ManualClock()
    registry = make_registry(clock=clock)
    told: list[object] = []
    registry.flusher.on_due = lambda: told.append("due")
    registry.flusher.on_flushed = lambda oldest, began, entries: told.append((began - oldest, entries))
    registry.connect(RecordingSink(), FRAME)
    registry.flusher.flush()
    for number in range(2):
        registry.broadcast(message(number), ODDS_UPDATES)
    clock.advance(1)
    registry.flusher.flush()
    assert told == ["due", (1.0, 2)]
    registry.close()


async def test_lags_are_those_of_listeners_that_could_not_take_everything() -> None:
    """In entries and in seconds. Others count as not behind."""
    clock = ManualClock()
    registry, sink = make_registry(clock=clock), RecordingSink()
    slow = registry.connect(sink, FRAME)
    for _ in range(3):
        registry.connect(RecordingSink(), FRAME)
    registry.flusher.flush()
    sink.stall()
    for number in range(4):
        registry.broadcast(message(number), ODDS_UPDATES)
        registry.flusher.flush()
        clock.advance(1)
    [lag] = lags_of([registry.flusher])
    assert (lag.subscriber, lag.entries, lag.seconds) == (slow, 3, 3.0)
    assert [quantile([3.0], 4, share) for share in (0.5, 0.74, 0.75, 1.0)] == [0.0, 0.0, 3.0, 3.0]
    assert quantile([], 0, 1.0) == 0.0
    sink.read_on()
    registry.flusher.flush()
    assert lags_of([registry.flusher]) == []
    registry.close()


async def test_beginnings_and_ends_are_counted() -> None:
    """By transport and lane, and by the reason, of which the first counts."""
    registry = make_registry()
    stream = registry.connect(RecordingSink(), CHUNK)
    registry.connect(RecordingSink(), FRAME)
    registry.flusher.remove(stream, "drained")
    registry.flusher.remove(stream)
    registry.flusher.flush()
    registry.connect(BrokenSink(), FRAME)
    registry.broadcast(message(1), ODDS_UPDATES)
    registry.flusher.flush()
    assert registry.figures.begun == {("sse", "fast"): 1, ("websocket", "fast"): 2}
    assert registry.figures.ended == {"drained": 1, "failed": 1}
    registry.close()
    assert registry.figures.ended == {"drained": 2, "failed": 1}


def test_an_id_leads_to_its_number_in_its_process_alone() -> None:
    """Ids of other processes, and what is no id, lead nowhere."""
    figures, other = HubFigures(), HubFigures()
    number = figures.new_number()
    assert figures.number_of(figures.id_of(number)) == number
    for wrong in (other.id_of(number), "", "-", figures.name, f"{figures.name}-", f"{figures.name}-²", "x-1"):
        assert figures.number_of(wrong) is None
    assert figures.number_of(f"{figures.name}-{'9' * 5000}") is None
