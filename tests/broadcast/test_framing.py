"""Framing: exact bytes, and round trips of any text."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage

from quart_odds.broadcast import Entry, EventLog
from quart_odds.broadcast.framing import (
    BLOCK,
    CHUNK,
    FRAME,
    FRAME_WITH_CURSOR,
    KINDS,
    TEXT,
    TEXT_WITH_CURSOR,
    Framing,
    sse_block,
    sse_retry,
    text_frame,
    with_cursor,
)
from tests.broadcast.listeners import read_blocks, read_chunks, read_frames


def _entry(payload: bytes = b'{"a":1}', name: str = "pong") -> Entry:
    return EventLog(epoch="e").append(payload, name=name)


@pytest.mark.parametrize(
    ("framing", "name", "expected"),
    [
        (TEXT, "pong", b'{"a":1}\n'),
        (TEXT_WITH_CURSOR, "pong", b'{"a":1,"id":"e-1"}\n'),
        (FRAME, "pong", b'\x81\x07{"a":1}'),
        (FRAME_WITH_CURSOR, "pong", b'\x81\x12{"a":1,"id":"e-1"}'),
        (BLOCK, "pong", b'id: e-1\nevent: pong\ndata: {"a":1}\n\n'),
        (BLOCK, "", b'id: e-1\ndata: {"a":1}\n\n'),
        (CHUNK, "", b'id: e-1\ndata: {"a":1}\n\n'),
    ],
)
def test_bytes_of_an_entry(framing: Framing, name: str, expected: bytes) -> None:
    """Check the exact bytes of an entry on the wire. The fourth key is `id`, and comes last."""
    assert framing.frame(_entry(name=name)) == expected


@pytest.mark.parametrize(
    ("size", "head"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_frame_heads(size: int, head: bytes) -> None:
    """The three forms of a frame's length (RFC 6455, 5.2) are right at their limits."""
    assert text_frame(b"x" * size) == head + b"x" * size


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70_000])
def test_frames_are_those_that_hypercorn_makes(size: int) -> None:
    """The fast lane writes the same bytes as wsproto, which Hypercorn uses on the standard lane."""
    text = "é" * (size // 2) + "x" * (size % 2)
    assert text_frame(text.encode()) == Connection(ConnectionType.SERVER).send(TextMessage(data=text))


@given(st.text())
def test_any_text_makes_the_frame_that_wsproto_makes(text: str) -> None:
    """The frame matches for any text."""
    frame = text_frame(text.encode("utf-8", "replace"))
    assert frame == Connection(ConnectionType.SERVER).send(TextMessage(data=text.encode("utf-8", "replace").decode()))
    assert read_frames(frame + frame) == [text.encode("utf-8", "replace")] * 2


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (b"a\nb", b"data: a\ndata: b\n\n"),
        (b"a\r\nb", b"data: a\ndata: b\n\n"),
        (b"a\rb", b"data: a\ndata: b\n\n"),
        (b"a\n\nb", b"data: a\ndata: \ndata: b\n\n"),
        (b"a\n\rb", b"data: a\ndata: \ndata: b\n\n"),
        (b"x\nid: 7\nretry: 1", b"data: x\ndata: id: 7\ndata: retry: 1\n\n"),
        (b"", b"data: \n\n"),
    ],
)
def test_newlines_cannot_inject_fields(payload: bytes, expected: bytes) -> None:
    """Every line of a payload, whatever ends it, is data: it cannot become a field or end the block."""
    assert sse_block(payload) == expected


@given(st.text(), st.sampled_from(["", "pong"]))
def test_any_text_survives_an_event_stream(text: str, event: str) -> None:
    """A browser reads back the same JSON, whatever it contains."""
    payload = orjson.dumps({"text": text.encode("utf-8", "replace").decode()})
    block = sse_block(payload, event=event, cursor=b"e-1")
    (read,) = read_blocks(block)
    assert (read.cursor, read.event, orjson.dumps(read.value)) == ("e-1", event, payload)
    assert read_chunks(CHUNK.encode_chunk(block)) == block


@given(st.dictionaries(st.text(min_size=1), st.none() | st.text() | st.integers(0, 9), min_size=1))
def test_cursor_is_one_more_key(value: dict[str, object]) -> None:
    """A message with its cursor is the same message plus `id`."""
    value = {key.encode("utf-8", "replace").decode(): 0 for key in value if key != "id"} or {"type": "x"}
    assert orjson.loads(with_cursor(orjson.dumps(value), b"e-9")) == value | {"id": "e-9"}


def test_seal_makes_one_chunk_of_a_write_and_none_of_nothing() -> None:
    """Empty data makes no chunk, because an empty chunk would end the response (RFC 9112, 7.1)."""
    assert CHUNK.encode_chunk(b"x" * 26) == b"1a\r\n" + b"x" * 26 + b"\r\n"
    assert CHUNK.encode_chunk(b"") == b""
    assert BLOCK.encode_chunk(b"x") == b"x"


def test_frames_are_made_once() -> None:
    """The same bytes object serves every client, and both SSE framings."""
    entry = _entry()
    made = FRAME.frame(entry)
    assert entry.frames[FRAME.kind] is made
    assert BLOCK.kind == CHUNK.kind
    assert len({TEXT.kind, TEXT_WITH_CURSOR.kind, FRAME.kind, FRAME_WITH_CURSOR.kind, BLOCK.kind}) == KINDS


def test_retry() -> None:
    """The block contains only digits, and stands alone."""
    assert sse_retry(2000) == b"retry: 2000\n\n"
