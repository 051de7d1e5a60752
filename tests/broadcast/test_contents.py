"""Contents and filters: who receives what, what is rendered, and what a listener gets that begins or falls behind."""

import pytest

from quart_odds.broadcast import ODDS, SCRAPE_PROGRESS, BroadcastRegistry, LogBounds, Subscriber
from quart_odds.broadcast import topic as topic_module
from quart_odds.broadcast.framing import FRAME, FRAME_WITH_CURSOR, Framing
from quart_odds.broadcast.rendered import RenderedContents
from quart_odds.broadcast.selection import select
from tests.broadcast.contents import Images, Number, Wanted
from tests.broadcast.listeners import (
    SMALL,
    Message,
    RecordingSink,
    make_registry,
    message,
    numbers,
    read_messages,
)

ONE, TWO = ("event", 1), ("event", 2)


def listen(
    registry: BroadcastRegistry,
    wanted: Wanted,
    *,
    cursor: str | None = None,
    framing: Framing = FRAME_WITH_CURSOR,
    sink: RecordingSink | None = None,
) -> tuple[Subscriber, RecordingSink]:
    """Connect a listener to `odds` and return it with its sink. Its first message is "ack", with its position."""
    sink = sink or RecordingSink()
    place = registry.place(cursor, {ODDS}, wanted)

    def hello(subscriber: Subscriber) -> dict[str, object]:
        return {"type": "ack", "n": "ack"}

    subscriber = registry.connect(sink, framing, topics={ODDS}, filtered=wanted, place=place, handshake=hello)
    return subscriber, sink


def got(sink: RecordingSink, framing: Framing = FRAME_WITH_CURSOR) -> list[Message]:
    """Return what a client has received."""
    return read_messages(sink.received, framing)


def told(sink: RecordingSink, framing: Framing = FRAME_WITH_CURSOR) -> list[object]:
    """Return the numbers that a client has received, its ack left out."""
    return [each for each in numbers(got(sink, framing)) if each != "ack"]


async def test_only_those_concerned_receive_a_content() -> None:
    """A filter names subjects, and may want only some of what is said about them."""
    registry = make_registry()
    all_of_one = listen(registry, Wanted())[1]
    even_of_two = listen(registry, Wanted(frozenset({TWO}), "even"))[1]
    everything = listen(registry, Wanted(None))[1]
    both = listen(registry, Wanted(frozenset({ONE, TWO})))[1]
    no_filter = RecordingSink()
    registry.connect(no_filter, FRAME_WITH_CURSOR, topics={ODDS, SCRAPE_PROGRESS})
    for number, subjects in ((1, [ONE]), (2, [TWO]), (3, [TWO]), (4, [ONE, TWO]), (5, [("event", 3)])):
        registry.publish(Number(number, subjects), ODDS)
    registry.broadcast(message(6), SCRAPE_PROGRESS)
    registry.flusher.flush()
    assert [told(sink) for sink in (all_of_one, even_of_two, everything, both, no_filter)] == [
        [1, 4],
        [2, 4],
        [1, 2, 3, 4, 5],
        [1, 2, 3, 4],
        [6],
    ]
    registry.close()


async def test_who_is_not_concerned_is_not_looked_at() -> None:
    """A flush moves only the listeners whom something new concerns."""
    registry = make_registry()
    listeners = [listen(registry, Wanted(frozenset({("event", each)}))) for each in range(50)]
    registry.flusher.flush()
    before = [subscriber.cursor for subscriber, _ in listeners]
    registry.publish(Number(1, [("event", 7)]), ODDS)
    registry.flusher._flush()
    moved = [place for place, (subscriber, _) in enumerate(listeners) if subscriber.cursor != before[place]]
    assert moved == [7]
    registry.publish(Number(2, [("event", 99)]), ODDS)
    assert registry.flusher._handle is None, "nobody is concerned, and no flush is due"
    registry.close()


async def test_a_content_is_rendered_once_for_each_view_and_not_at_all_for_nobody() -> None:
    """However many listeners, transports and late readers there are."""
    registry = make_registry()
    alone, shared = Number(1, [TWO]), Number(2)
    registry.publish(alone, ODDS)
    sinks = [listen(registry, Wanted())[1] for _ in range(5)]
    listen(registry, Wanted(frozenset({ONE, TWO})))
    plain = RecordingSink()
    listen(registry, Wanted(), framing=FRAME, sink=plain)
    listen(registry, Wanted(view="even"))
    registry.publish(shared, ODDS)
    registry.flusher.flush()
    assert (alone.views, sorted(map(str, shared.views))) == ([], ["all", "even"])
    assert registry.log.rendered.count == 2
    assert [told(sink) for sink in sinks] == [[2]] * 5
    assert told(plain, FRAME) == [2]
    registry.close()


async def test_a_listener_that_nothing_concerns_stays_at_the_end_of_the_log() -> None:
    """Else it would fall out of the log because of what others get, and the cursor that it knows would grow old."""
    registry = make_registry(bounds=SMALL)
    subscriber, sink = listen(registry, Wanted())
    registry.flusher.flush()
    for number in range(100):
        registry.publish(Number(number, [TWO]), ODDS)
        registry.flusher.upkeep.tick()
    assert subscriber.position == registry.log.cursor_at(registry.log.next_seq)
    registry.publish(Number(100), ODDS)
    registry.flusher.flush()
    assert told(sink) == [100]
    registry.close()


@pytest.mark.parametrize(("view", "missed"), [("all", 10), ("even", 5), ("unsure", None)])
async def test_a_gap_counts_what_the_filter_lets_through(view: str, missed: int | None) -> None:
    """Also entries of which only the mark is left. Where that does not tell, the number is unknown."""
    registry = make_registry(bounds=SMALL)
    sink = RecordingSink()
    listen(registry, Wanted(view=view), sink=sink)
    registry.flusher.flush()
    sink.stall()
    registry.publish(Number(0), ODDS)
    registry.flusher.flush()
    for number in range(1, 11):
        registry.publish(Number(number), ODDS)
        registry.publish(Number(number, [TWO]), ODDS)
    sink.read_on()
    registry.flusher.flush()
    [gap] = [each.value for each in got(sink) if each.event not in ("ack", "number")]
    assert gap["missed"] == missed
    registry.close()


async def test_a_resume_counts_what_it_missed() -> None:
    """A cursor resumes exactly if nothing that the filter selects is gone from the log."""
    registry = make_registry(bounds=SMALL)
    registry.publish(Number(1), ODDS)
    cursor = registry.log.cursor_at(registry.log.next_seq)
    for number in range(20):
        registry.publish(Number(number, [TWO]), ODDS)
    registry.publish(Number(2), ODDS)
    _, sink = listen(registry, Wanted(), cursor=cursor)
    registry.flusher.flush()
    assert told(sink) == [2]
    place = registry.place(cursor, {ODDS}, Wanted(frozenset({TWO}), "even"))
    assert (place.recovered, place.missed, place.since) == (False, 10, 2)
    registry.close()


async def test_an_image_comes_after_the_ack_and_before_what_changes() -> None:
    """Pages come as they are ready, and until the last one a listener that is cut begins anew."""
    registry = make_registry()
    images = registry.open_image = Images()
    registry.publish(Number(1), ODDS)
    wanted = Wanted(has_image=True)
    subscriber, sink = listen(registry, wanted)
    registry.flusher.flush()
    registry.publish(Number(2), ODDS)
    registry.flusher.flush()
    assert told(sink) == []
    [image] = images.opened
    assert (image.filtered, image.since) == (wanted, None)
    image.make_ready()
    assert told(sink) == ["page 1"]
    for each in got(sink):
        place = registry.place(each.cursor, {ODDS}, wanted)
        assert (place.recovered, place.since) == (False, None)
    image.make_ready()
    assert told(sink) == ["page 1", "page 2", 2]
    [last_page] = [each for each in got(sink) if each.value["n"] == "page 2"]
    assert registry.place(last_page.cursor, {ODDS}, wanted).seq == 2
    assert subscriber.position == registry.log.cursor_at(3)
    registry.close()


async def test_who_resumes_gets_no_image_and_who_cannot_gets_what_changed_since() -> None:
    """Within the epoch only that; after another epoch everything, if the listener keeps a copy."""
    registry = make_registry(bounds=SMALL)
    images = registry.open_image = Images()
    wanted = Wanted(has_image=True)
    for number in range(20):
        registry.publish(Number(number), ODDS)
    listen(registry, wanted, cursor=registry.log.cursor_at(19))
    assert images.opened == []
    listen(registry, wanted, cursor=registry.log.cursor_at(3))
    listen(registry, wanted, cursor="other-3")
    listen(registry, Wanted(has_image=False), cursor=registry.log.cursor_at(3))
    listen(registry, Wanted(has_image=False), cursor="other-3")
    assert [each.since for each in images.opened] == [3, None, 3]
    assert registry.log.changed_subjects(ODDS, 3) == {ONE}
    registry.close()


async def test_who_falls_out_of_the_log_gets_the_newest_state_of_what_changed() -> None:
    """After the notice, and until then it can resume only from before the gap."""
    registry = make_registry(bounds=SMALL)
    images = registry.open_image = Images()
    sink = RecordingSink()
    subscriber, _ = listen(registry, Wanted(), sink=sink)
    registry.flusher.flush()
    sink.stall()
    registry.publish(Number(0), ODDS)
    registry.flusher.flush()
    before = subscriber.position
    for number in range(1, 21):
        registry.publish(Number(number), ODDS)
    sink.read_on()
    registry.flusher.flush()
    [image] = images.opened
    assert image.since == 2
    assert subscriber.position == before
    registry.publish(Number(21), ODDS)
    image.make_ready(2)
    registry.flusher.flush()
    assert told(sink)[0] == 0
    assert told(sink)[-3:] == ["page 1", "page 2", 21]
    assert subscriber.position == registry.log.cursor_at(registry.log.next_seq)
    registry.close()


async def test_a_new_filter_begins_with_its_image() -> None:
    """After the answer. What the former filter selected comes before, what the new one selects after it."""
    registry = make_registry()
    images = registry.open_image = Images()
    sink = RecordingSink()
    subscriber, _ = listen(registry, Wanted(), sink=sink)
    registry.flusher.flush()
    sink.stall()
    registry.publish(Number(1), ODDS)
    registry.flusher.flush()
    registry.publish(Number(2), ODDS)
    registry.publish(Number(3, [TWO]), ODDS)
    new = Wanted(frozenset({TWO}), has_image=True)
    registry.reselect(subscriber, {ODDS}, new, {"type": "answer", "n": "answer"})
    registry.publish(Number(4), ODDS)
    registry.publish(Number(5, [TWO]), ODDS)
    sink.read_on()
    registry.flusher.flush()
    assert told(sink) == [1, 2, "answer"]
    [answer] = [each for each in got(sink) if each.value["n"] == "answer"]
    assert not registry.place(answer.cursor, {ODDS}, new).recovered
    images.opened[0].make_ready(2)
    assert told(sink) == [1, 2, "answer", "page 1", "page 2", 5]
    registry.close()


async def test_state_that_was_replaced_as_a_whole_is_sent_again() -> None:
    """And nobody resumes from before, because no entry says what changed."""
    registry = make_registry()
    images = registry.open_image = Images()
    wanted = Wanted()
    _, sink = listen(registry, wanted)
    registry.publish(Number(1), ODDS)
    registry.flusher.flush()
    before = registry.log.cursor_at(registry.log.next_seq)
    registry.reload_images(ODDS)
    after = registry.log.cursor_at(registry.log.next_seq)
    registry.publish(Number(2), ODDS)
    images.opened[0].make_ready(2)
    registry.flusher.flush()
    assert told(sink) == [1, "page 1", "page 2", 2]
    assert [registry.place(each, {ODDS}, wanted).recovered for each in (before, after)] == [False, True]
    assert registry.place(before, {SCRAPE_PROGRESS}).recovered
    registry.close()


async def test_positions_are_remembered_within_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is forgotten is unknown, never zero, and nothing in the log is forgotten."""
    monkeypatch.setattr(topic_module, "MOST_REMEMBERED", 8)
    registry = make_registry(bounds=SMALL)
    log = registry.log
    for number in range(200):
        registry.publish(Number(number, [("event", number % 10)]), ODDS)
        wanted = select(frozenset({ODDS}), Wanted(frozenset({("event", 0), ("event", 5)})))
        assert log.count(log.first_seq, wanted) == sum(
            1 for seq in range(log.first_seq, log.next_seq) if (seq - 1) % 5 == 0
        )
    assert log.count(1, wanted) is None
    assert log.changed_subjects(ODDS, 1) is None
    registry.close()


async def test_many_entries_are_found_by_subject_in_order() -> None:
    """A listener that is far behind reads its own entries and those of its other topics, without a search."""
    registry = make_registry()
    wanted = Wanted(frozenset({ONE, TWO}))
    place = registry.place(None, {ODDS, SCRAPE_PROGRESS}, wanted)
    for number in range(0, 600, 3):
        registry.publish(Number(number, [("event", number % 7)]), ODDS)
        registry.broadcast(message(number + 1), SCRAPE_PROGRESS)
        registry.publish(Number(number + 2, [ONE, TWO]), ODDS)
    sink = RecordingSink()
    registry.connect(sink, FRAME_WITH_CURSOR, topics={ODDS, SCRAPE_PROGRESS}, filtered=wanted, place=place)
    registry.flusher.flush()
    while registry.flusher._lagging:
        registry.flusher._on_retry()
    expected = [each for each in range(600) if each % 3 or each % 7 in (1, 2)]
    assert told(sink) == expected
    registry.close()


def test_contents_count_in_the_bounds_of_the_log() -> None:
    """By the memory that they say they take, and so does what was rendered of them."""
    registry = make_registry(bounds=LogBounds(1, 0, 0.0, 1 << 20, 10_000))
    for number in range(1000):
        registry.publish(Number(number, size_bytes=300), ODDS)
        assert registry.log.size_bytes <= 10_000
    assert len(registry.log) == 33
    rendered = RenderedContents(most_bytes=1000)
    view = select(frozenset({ODDS}), Wanted()).view
    assert view is not None
    for entry in [*registry.log.read(1, registry.log.next_seq)] * 2:
        rendered.frame(entry, view, FRAME, b"e-")
        assert sum(map(len, rendered._frames.values())) <= 1000
