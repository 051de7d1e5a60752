"""Bodies as they arrive from a bookmaker: limited decompression and JSON parsing.

This code has no I/O and runs in the decoding processes. Errors never contain any part of the body: a stored error would
otherwise keep a body in memory that may be large.
"""

import zlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from quart_odds.bookmakers.shape import refuse_costly
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.pickling import pickled_by_fields
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, EmptyBodyError, MalformedBodyError

ACCEPT_ENCODING = "gzip, deflate"
"""The encodings that clients accept: `decompress` can decode them within a limit."""

MAX_BODY_BYTES = 16_000_000

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


@pickled_by_fields
@dataclass(frozen=True, slots=True)
class RawBody:
    """An event's body as received, still compressed, and the header of the event that was requested.

    `max_bytes` limits the decompressed size. `fetched_at` is when the answer arrived, `trace` the span of the fetch.
    Each is None if that is not known.
    """

    platform: Platform
    content: bytes
    content_encoding: str | None
    header: EventHeader
    max_bytes: int = MAX_BODY_BYTES
    fetched_at: datetime | None = None
    trace: str | None = None


def decompress(
    platform: Platform, content: bytes, content_encoding: str | None, max_bytes: int, where: str | None
) -> bytes:
    """Decompress a body.

    Raises MalformedBodyError if it is truncated, damaged, too large or in an unknown encoding.
    """
    encoding = (content_encoding or "identity").strip().lower()
    damage = ""
    plain, is_whole = b"", True
    if encoding in ("", "identity"):
        plain, is_whole = content, True
    elif encoding in ("gzip", "x-gzip", "deflate"):
        try:
            plain, is_whole = _inflate(content, max_bytes)
        except zlib.error as exc:
            damage = str(exc)
    else:
        raise MalformedBodyError(platform, f"an encoding that was not asked for, {encoding[:40]!r}", where=where)
    if damage:
        raise MalformedBodyError(platform, f"a damaged {encoding} body: {damage}", where=where)
    if len(plain) > max_bytes:
        raise MalformedBodyError(platform, f"a body of more than {max_bytes} bytes", where=where)
    if not is_whole:
        raise MalformedBodyError(platform, f"a {encoding} body that ends too early", where=where)
    return plain


def _inflate(content: bytes, max_bytes: int) -> tuple[bytes, bool]:
    """Inflate at most `max_bytes` + 1 bytes, which reveals an excess. Also return whether the stream ended."""
    # "deflate" means zlib in the standard, but some servers send raw deflate. The first bytes tell which it is.
    is_wrapped = content[:2] == b"\x1f\x8b" or (
        len(content) > 1 and content[0] & 0x0F == 8 and int.from_bytes(content[:2], "big") % 31 == 0
    )
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB if is_wrapped else _RAW_DEFLATE)
    plain = inflater.decompress(content, max_bytes + 1)
    return plain, inflater.eof


def read_json(platform: Platform, plain: bytes, where: str | None) -> Any:
    """Parse the JSON of a body.

    Raises BlockedError for an HTML page, EmptyBodyError for an empty body and MalformedBodyError for anything else,
    including JSON with too many values or levels (see `shape`).
    """
    start = plain[:256].lstrip(b"\xef\xbb\xbf \t\r\n")
    if start[:1] == b"<":
        raise BlockedError(platform, "an HTML page where JSON was due", where=where)
    if not start:
        raise EmptyBodyError(platform, "an empty body", where=where)
    refuse_costly(platform, plain, where)
    try:
        return orjson.loads(plain.removeprefix(b"\xef\xbb\xbf"))
    except orjson.JSONDecodeError as exc:
        fault = str(exc)
    # Raised outside the except clause: the decoder's error holds the whole body in `doc` and would become the context.
    raise MalformedBodyError(platform, f"no valid JSON: {fault}", where=where)


def read_object(platform: Platform, plain: bytes, where: str | None) -> dict[str, Any]:
    """Parse the JSON object of a body. Raises like `read_json`, and MalformedBodyError if the JSON is not an object."""
    value = read_json(platform, plain, where)
    if not isinstance(value, dict):
        raise MalformedBodyError(platform, f"a JSON {type(value).__name__} where an object was due", where=where)
    return value
