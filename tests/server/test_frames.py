"""What a WebSocket peer sends, from bytes to steps. No sockets, and no waiting."""

import itertools
import struct
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import CloseReason

from quart_odds.routes.access.limits import TokenBucket
from quart_odds.server.frames import FrameReader, Left, Received, Refused, Reply, Step
from quart_odds.server.metering import (
    FRAMES_AT_ONCE,
    SLICE_FRAMES,
    WEBSOCKET_BYTES_A_SECOND,
    WEBSOCKET_BYTES_AT_ONCE,
)
from tests.server.conformance import CONTINUATION, close, fragments, frame
from tests.server.harness import BINARY, CLOSE, PING, PONG

MOST_BYTES = 1000

NORMAL = (1000).to_bytes(2, "big")


@pytest.fixture
def reader() -> FrameReader:
    """A reader of messages of up to MOST_BYTES."""
    return FrameReader(MOST_BYTES)


def _read(reader: FrameReader, *reads: bytes) -> list[Step]:
    """Return all steps of these reads."""
    return [step for data in reads for steps in reader.read(data) for step in steps]


def _sent(payload: bytes, opcode: int) -> bytes:
    """Return a frame as the server sends it, without a mask."""
    return bytes([0x80 | opcode, len(payload)]) + payload


def _pong(payload: bytes) -> bytes:
    return _sent(payload, PONG)


# Slices


def test_many_frames_are_read_in_slices(reader: FrameReader) -> None:
    """Each slice has its steps, and says whether others follow. Nothing is read before a slice is asked for."""
    slices = reader.read(b"".join(frame(f"{number}") for number in range(2 * SLICE_FRAMES + 1)))
    sizes = []
    for steps in slices:
        assert all(isinstance(step, Received) for step in steps)
        sizes.append((len(steps), reader.has_more))
    assert sizes == [(SLICE_FRAMES, True), (SLICE_FRAMES, True), (1, False)]


def test_frames_that_fill_a_slice_are_one_slice(reader: FrameReader) -> None:
    """There is no empty slice after it."""
    assert [len(steps) for steps in reader.read(frame("x") * SLICE_FRAMES)] == [SLICE_FRAMES]
    assert not reader.has_more


def test_nothing_is_a_slice_without_steps(reader: FrameReader) -> None:
    """This holds for no bytes, and for the begin of a frame."""
    assert _read(reader, b"", frame("hello")[:3]) == []
    assert not reader.has_more
    assert not reader.is_between_messages


def test_pongs_of_a_slice_are_one_reply(reader: FrameReader) -> None:
    """They are sent in one write."""
    pings = [b"%d" % number for number in range(SLICE_FRAMES)]
    assert _read(reader, b"".join(frame(ping, PING) for ping in pings)) == [Reply(b"".join(map(_pong, pings)))]


def test_pongs_keep_their_place_among_messages(reader: FrameReader) -> None:
    """What is answered before a message was sent before it."""
    sent = frame(b"1", PING) + frame(b"2", PING) + frame("a") + frame(b"3", PING) + frame("b") + frame(b"4", PING)
    assert _read(reader, sent) == [
        Reply(_pong(b"1") + _pong(b"2")),
        Received("a"),
        Reply(_pong(b"3")),
        Received("b"),
        Reply(_pong(b"4")),
    ]


def test_pongs_of_the_peer_say_nothing(reader: FrameReader) -> None:
    """They need no step."""
    assert _read(reader, frame(b"", PONG) + frame(b"late", PONG)) == []
    assert reader.is_between_messages


# Messages


def test_text_and_binary_keep_their_kinds(reader: FrameReader) -> None:
    """Empty messages are messages, too."""
    sent = frame("κόσμε") + frame(b"\x00\xff", BINARY) + frame("") + frame(b"", BINARY)
    assert _read(reader, sent) == [Received("κόσμε"), Received(b"\x00\xff"), Received(""), Received(b"")]


def test_control_frames_between_fragments_are_answered_first(reader: FrameReader) -> None:
    """The message comes whole, after them."""
    sent = frame("hel", final=False) + frame(b"?", PING) + frame(b"!", PONG) + frame("lo", CONTINUATION)
    assert _read(reader, sent) == [Reply(_pong(b"?")), Received("hello")]


def test_a_close_between_fragments_ends_the_message(reader: FrameReader) -> None:
    """Nobody gets a part of it."""
    assert _read(reader, frame("hel", final=False) + close(1000)) == [Left(_sent(NORMAL, CLOSE))]


@pytest.mark.parametrize("opcode", [1, BINARY])
def test_is_between_messages_while_nothing_is_open(reader: FrameReader, opcode: int) -> None:
    """A part of a header, of a payload, and of a message are open."""
    assert reader.is_between_messages
    whole = frame(b"hello", opcode)
    for part, is_between in ((whole[:1], False), (whole[1:8], False), (whole[8:], True)):
        _read(reader, part)
        assert reader.is_between_messages is is_between
    for part, is_between in (
        (frame(b"he", opcode, final=False), False),
        (frame(b"", PING), False),
        (frame(b"llo", CONTINUATION, final=False), False),
        (frame(b"", CONTINUATION), True),
    ):
        _read(reader, part)
        assert reader.is_between_messages is is_between


# Ends


@pytest.mark.parametrize("code", [1000, 1001, 1011, 1014, 3000, 4999])
def test_a_close_is_answered_with_its_code(reader: FrameReader, code: int) -> None:
    """Also with the code that wsproto does not know."""
    [step] = _read(reader, close(code, b"bye"))
    assert isinstance(step, Left)
    assert step.reply[:4] == _sent(struct.pack("!H", code) + b"bye", CLOSE)[:4]
    assert not reader.is_between_messages


def test_a_close_with_1014_needs_a_reason_in_utf_8(reader: FrameReader) -> None:
    """Otherwise it is answered with 1007, as any text that is none."""
    [step] = _read(reader, close(1014, b"\xff"))
    assert isinstance(step, Left)
    assert step.reply[2:4] == struct.pack("!H", 1007)


def test_nothing_follows_a_close(reader: FrameReader) -> None:
    """What comes after it in the same bytes is discarded, also in further slices."""
    after = frame(b"", PING) + frame("x") * 2 * SLICE_FRAMES
    steps = _read(reader, frame(b"1", PING) + close(1000) + after)
    assert steps == [Reply(_pong(b"1")), Left(_sent(NORMAL, CLOSE))]
    assert not reader.has_more


def test_nothing_follows_what_is_not_a_frame(reader: FrameReader) -> None:
    """The peer gets the verdict once."""
    [step] = _read(reader, frame(b"", 3) + frame("x") * 2 * SLICE_FRAMES)
    assert isinstance(step, Left)
    assert step.reply[2:4] == struct.pack("!H", 1002)
    assert not reader.has_more


def test_nothing_follows_a_refusal(reader: FrameReader) -> None:
    """A message that is too long is the last step, whatever comes in the same bytes."""
    too_long = frame("x" * (MOST_BYTES + 1))
    steps = _read(reader, frame("before") + too_long + frame("after") * 2 * SLICE_FRAMES)
    assert steps[0] == Received("before")
    [refused] = steps[1:]
    assert isinstance(refused, Refused)
    assert not reader.has_more


def test_our_close_is_answered_by_the_peer_s(reader: FrameReader) -> None:
    """That needs no reply, and a second close sends nothing."""
    assert reader.close(1012, "retry_ms=1") == _sent(struct.pack("!H", 1012) + b"retry_ms=1", CLOSE)
    assert reader.close(1000) == b""
    assert not reader.is_between_messages
    assert _read(reader, close(1012)) == [Left(b"")]
    assert reader.close(1000) == b""


def test_nothing_is_sent_after_our_close(reader: FrameReader) -> None:
    """Pings get no pong, and neither an error nor a refusal another close frame. Messages are still read."""
    reader.close(1000)
    assert _read(reader, frame(b"", PING) * 3 + frame("late")) == [Received("late")]
    assert _read(reader, frame(b"", 3)) == [Left(b"")]


def test_a_refusal_after_our_close_sends_nothing(reader: FrameReader) -> None:
    """The peer is discarded all the same."""
    reader.close(1000)
    [step] = _read(reader, frame("x" * (MOST_BYTES + 1)))
    assert isinstance(step, Refused)
    assert step.reply == b""


def test_a_close_in_the_middle_of_a_slice_silences_the_rest(reader: FrameReader) -> None:
    """We close because of a message: pings of the next slice get no pongs."""
    slices = reader.read(frame("x") * SLICE_FRAMES + frame(b"", PING))
    assert len(next(slices)) == SLICE_FRAMES
    reader.close(1008, "enough")
    assert list(slices) == [[]]


# Limits


def test_a_message_may_be_as_long_as_the_limit(reader: FrameReader) -> None:
    """In one frame, and in several."""
    half = MOST_BYTES // 2
    sent = frame("x" * MOST_BYTES) + frame(b"y" * half, BINARY, final=False) + frame(b"y" * half, CONTINUATION)
    assert _read(reader, sent) == [Received("x" * MOST_BYTES), Received(b"y" * MOST_BYTES)]


def test_a_message_is_too_long_by_its_header(reader: FrameReader) -> None:
    """Nothing of it has to arrive."""
    header = frame("x" * (MOST_BYTES + 1))[:8]
    assert _read(reader, *(header[at : at + 1] for at in range(7))) == []
    [step] = _read(reader, header[7:])
    assert isinstance(step, Refused)
    assert (step.code, step.reply) == (
        CloseReason.MESSAGE_TOO_BIG,
        _sent(struct.pack("!H", 1009), CLOSE),
    )


@pytest.mark.parametrize("opcode", [1, BINARY])
def test_a_message_is_too_long_by_the_sum_of_its_fragments(reader: FrameReader, opcode: int) -> None:
    """Each of them is short enough, and the last need not arrive."""
    part = b"x" * (MOST_BYTES // 2)
    sent = frame(part, opcode, final=False) + frame(part, CONTINUATION, final=False)
    assert _read(reader, sent) == []
    steps = _read(reader, frame(b"", PING) + frame(b"x", CONTINUATION, final=False) + frame(b"", PING))
    assert [type(step) for step in steps] == [Reply, Refused]
    assert isinstance(refused := steps[1], Refused)
    assert refused.code is CloseReason.MESSAGE_TOO_BIG


def test_a_length_is_counted_in_bytes_and_not_in_characters(reader: FrameReader) -> None:
    """In fragments as in one frame, also where a character is split."""
    text = "€" * (MOST_BYTES // 3)
    data = text.encode()
    assert _read(reader, frame(data[:100], final=False) + frame(data[100:], CONTINUATION)) == [Received(text)]
    [step] = _read(reader, frame(data[:100], final=False) + frame(data[100:] + b"xx", CONTINUATION))
    assert isinstance(step, Refused)
    assert step.code is CloseReason.MESSAGE_TOO_BIG


def test_each_message_has_the_whole_limit(reader: FrameReader) -> None:
    """The lengths of messages are not summed up."""
    sent = frame("x" * 600, final=False) + frame("x" * 400, CONTINUATION)
    assert _read(reader, sent * 3) == [Received("x" * MOST_BYTES)] * 3


@pytest.fixture
def still(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Let the readers' buckets have a clock that stands still. Returns its time, in a list."""
    now = [0.0]
    monkeypatch.setattr(
        "quart_odds.server.frames.TokenBucket",
        lambda a_second, at_once: TokenBucket(a_second, at_once, lambda: now[0]),
    )
    return now


def test_too_many_frames_are_refused_before_they_are_parsed(still: list[float]) -> None:
    """The budget counts frames of any kind. What came within it is carried out first."""
    reader = FrameReader(MOST_BYTES)
    assert len(_read(reader, frame("x") * (FRAMES_AT_ONCE - SLICE_FRAMES))) == FRAMES_AT_ONCE - SLICE_FRAMES
    steps = _read(reader, frame(b"", PONG) * SLICE_FRAMES + frame("one too many"))
    assert steps == [
        Refused(
            CloseReason.POLICY_VIOLATION,
            "too many frames",
            _sent(struct.pack("!H", 1008) + b"too many frames", CLOSE),
        )
    ]


def test_the_budget_of_frames_grows_again(still: list[float]) -> None:
    """A peer that waits may go on."""
    reader = FrameReader(MOST_BYTES)
    for _ in range(3):
        assert len(_read(reader, frame("x") * FRAMES_AT_ONCE)) == FRAMES_AT_ONCE
        still[0] += 10.0


def test_too_many_bytes_are_refused_unseen(still: list[float]) -> None:
    """They are not even split into frames, and the budget is that of a second and a burst."""
    reader = FrameReader(1 << 20)
    assert _read(reader, frame("x" * (WEBSOCKET_BYTES_AT_ONCE - 20))[:-1]) == []
    still[0] += 0.5
    assert _read(reader, b"x") != []
    [refused] = _read(reader, b"\x00" * (WEBSOCKET_BYTES_A_SECOND // 2 + 40))
    assert isinstance(refused, Refused)
    assert (refused.code, refused.reason) == (CloseReason.POLICY_VIOLATION, "too many bytes")
    assert refused.reply == _sent(struct.pack("!H", 1008) + b"too many bytes", CLOSE)


# However the bytes are split


_TEXTS = st.text(max_size=200).filter(lambda text: len(text.encode()) <= MOST_BYTES)
_CONTROL = st.tuples(st.sampled_from([PING, PONG]), st.binary(max_size=125))
_MESSAGES = st.tuples(st.one_of(_TEXTS, st.binary(max_size=300)), st.lists(st.integers(0, 300), max_size=3), _CONTROL)
_SEQUENCES = st.lists(_MESSAGES, max_size=8)


def _frames_of(payload: str | bytes, cuts: Iterable[int], control: tuple[int, bytes]) -> bytes:
    """Return a message in fragments, with a control frame after each of them."""
    data = payload.encode() if isinstance(payload, str) else payload
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    parts = [data[start:end] for start, end in itertools.pairwise(places)]
    opcode = 1 if isinstance(payload, str) else BINARY
    kind, said = control
    return b"".join(
        frame(part, CONTINUATION if place else opcode, final=place == len(parts) - 1) + frame(said, kind)
        for place, part in enumerate(parts)
    )


def _joined(steps: Iterable[Step]) -> list[Step]:
    """Return steps with replies that follow each other joined: how many writes they are depends on the reads."""
    joined: list[Step] = []
    for step in steps:
        if isinstance(step, Reply) and joined and isinstance(before := joined[-1], Reply):
            joined[-1] = Reply(before.data + step.data)
        else:
            joined.append(step)
    return joined


@settings(deadline=None)
@given(
    sequence=_SEQUENCES, ending=st.sampled_from([b"", close(1000), close(1014, b"bye"), frame(b"", 3)]), data=st.data()
)
def test_however_bytes_are_split_the_same_comes_out(
    sequence: list[tuple[str | bytes, list[int], tuple[int, bytes]]], ending: bytes, data: st.DataObject
) -> None:
    """Messages, replies and the end are the same, in the same order, and the same as what was sent."""
    sent = b"".join(_frames_of(*each) for each in sequence) + ending
    cuts = data.draw(st.lists(st.integers(0, len(sent)), max_size=30).map(sorted))
    places = [0, *cuts, len(sent)]
    reads = [sent[start:end] for start, end in itertools.pairwise(places)]
    whole, split = FrameReader(MOST_BYTES), FrameReader(MOST_BYTES)
    steps = _read(whole, sent)
    assert _joined(_read(split, *reads)) == _joined(steps)
    assert [step.message for step in steps if isinstance(step, Received)] == [payload for payload, _, _ in sequence]
    pings = [
        _pong(said)
        for _, fragment_cuts, (kind, said) in sequence
        for _ in range(len(fragment_cuts) + 1)
        if kind == PING
    ]
    assert b"".join(step.data for step in steps if isinstance(step, Reply)) == b"".join(pings)
    assert isinstance(steps[-1] if steps else None, Left) is bool(ending)
    assert whole.is_between_messages is split.is_between_messages is (not ending)


def test_a_message_byte_by_byte_is_one_message(reader: FrameReader) -> None:
    """In fragments of one byte each, which split its characters, with pings in between."""
    sent = fragments("κό".encode(), between=frame(b"p", PING))
    steps = _read(reader, *(sent[at : at + 1] for at in range(len(sent))))
    assert steps == [Reply(_pong(b"p"))] * 4 + [Received("κό")]
