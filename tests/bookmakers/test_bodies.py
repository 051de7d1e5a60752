"""Decompression within a limit, and the distinction between JSON and anything else."""

import gzip
import zlib

import pytest

from quart_odds.bookmakers.bodies import decompress, read_json, read_object
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, EmptyBodyError, MalformedBodyError

PLAIN = b'{"a": 1}' * 100


@pytest.mark.parametrize(
    ("content", "encoding"),
    [
        (PLAIN, None),
        (PLAIN, ""),
        (PLAIN, "identity"),
        (gzip.compress(PLAIN, mtime=0), "gzip"),
        (gzip.compress(PLAIN, mtime=0), " GZIP "),
        (gzip.compress(PLAIN, mtime=0), "x-gzip"),
        (zlib.compress(PLAIN), "deflate"),
        (zlib.compress(PLAIN, wbits=-15), "deflate"),
        (zlib.compress(PLAIN, 9), "deflate"),
    ],
)
def test_what_was_asked_for_is_undone(content: bytes, encoding: str | None) -> None:
    """Both formats that servers call deflate are accepted."""
    assert decompress(Platform.BET9JA, content, encoding, len(PLAIN), None) == PLAIN


@pytest.mark.parametrize(
    ("content", "encoding", "reason"),
    [
        (gzip.compress(PLAIN, mtime=0), "gzip", "more than 799 bytes"),
        (PLAIN, None, "more than 799 bytes"),
        (gzip.compress(PLAIN, mtime=0)[:20], "gzip", "ends too early"),
        (b"", "gzip", "ends too early"),
        (b"\x1f\x8bnonsense", "gzip", "damaged"),
        (PLAIN, "br", "not asked for"),
    ],
)
def test_what_cannot_be_undone_is_refused(content: bytes, encoding: str | None, reason: str) -> None:
    """The error names the event."""
    with pytest.raises(MalformedBodyError, match=reason.replace(".", r"\.")) as caught:
        decompress(Platform.BET9JA, content, encoding, len(PLAIN) - 1, "event 1")
    assert caught.value.where == "event 1"


def test_a_bomb_is_not_blown_up() -> None:
    """A gigabyte of zeros takes no more memory than the limit."""
    inflater = zlib.compressobj(9, wbits=31)
    bomb = b"".join(inflater.compress(bytes(1_000_000)) for _ in range(200)) + inflater.flush()
    with pytest.raises(MalformedBodyError, match="more than 10000 bytes"):
        decompress(Platform.BET9JA, bomb, "gzip", 10_000, None)


@pytest.mark.parametrize("plain", [b"<html>", b"  \r\n<!DOCTYPE html>", b"\xef\xbb\xbf<html>"])
def test_html_is_a_block(plain: bytes) -> None:
    """Whatever the page starts with."""
    with pytest.raises(BlockedError):
        read_json(Platform.BET9JA, plain, None)


@pytest.mark.parametrize("plain", [b"", b"  ", b"\xef\xbb\xbf", b"\r\n"])
def test_no_body_at_all_may_be_asked_for_again(plain: bytes) -> None:
    """An empty body says neither that there are no events nor what is wrong."""
    with pytest.raises(EmptyBodyError) as caught:
        read_json(Platform.BET9JA, plain, "event 1")
    assert (caught.value.error_type, caught.value.recoverable) == ("empty_body", True)
    assert str(caught.value) == "Bet9ja at event 1: an empty body"


@pytest.mark.parametrize("plain", [b"{", b'{"a": 1', b"Access Denied", b'{"a": "\xff"}', b"[" * 5000])
def test_what_is_no_json_is_malformed(plain: bytes) -> None:
    """Truncated JSON, plain text, invalid UTF-8, deep nesting."""
    with pytest.raises(MalformedBodyError):
        read_json(Platform.BET9JA, plain, None)


def test_a_byte_order_mark_is_no_harm() -> None:
    """Some servers send one."""
    assert read_object(Platform.BET9JA, b'\xef\xbb\xbf{"a": 1}', None) == {"a": 1}


def test_json_that_is_no_object_is_malformed() -> None:
    """The error says what the body was instead."""
    with pytest.raises(MalformedBodyError, match="a JSON list"):
        read_object(Platform.BET9JA, b"[]", None)
