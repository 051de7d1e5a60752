"""Bodies as they come from a bookmaker: decompressed within a bound and read as JSON, or refused with the reason.

The pure side of the bookmakers: it runs in the decoding process. Errors never hold the body, or parts of it: whoever
keeps an error would keep a body that may be large.
"""

import zlib
from dataclasses import dataclass
from typing import Any

import orjson

from quart_odds.bookmakers.shape import refuse_costly
from quart_odds.domain.odds import EventHeader
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, EmptyBodyError, MalformedBodyError

ACCEPT_ENCODING = "gzip, deflate"
"""What clients ask for: the encodings that `decompress` undoes within a bound."""

MAX_BODY_BYTES = 16_000_000

_GZIP_OR_ZLIB = 32 + zlib.MAX_WBITS
_RAW_DEFLATE = -zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class RawBody:
    """An event's body as it was received, still compressed, and the event that it was asked for.

    `max_bytes` bounds what it may decompress to.
    """

    platform: Platform
    content: bytes
    content_encoding: str | None
    header: EventHeader
    max_bytes: int = MAX_BODY_BYTES


def decompress(
    platform: Platform, content: bytes, content_encoding: str | None, max_bytes: int, where: str | None
) -> bytes:
    """A body's plain bytes. Raises MalformedBodyError for a cut or damaged one, an unknown encoding, or too many."""
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
    """At most a byte more than `max_bytes`, so that the caller can tell, and whether the stream came to its end."""
    # "deflate" is zlib by the standard, and raw deflate from some servers: the first bytes tell.
    is_wrapped = content[:2] == b"\x1f\x8b" or (
        len(content) > 1 and content[0] & 0x0F == 8 and int.from_bytes(content[:2], "big") % 31 == 0
    )
    inflater = zlib.decompressobj(_GZIP_OR_ZLIB if is_wrapped else _RAW_DEFLATE)
    plain = inflater.decompress(content, max_bytes + 1)
    return plain, inflater.eof


def read_json(platform: Platform, plain: bytes, where: str | None) -> Any:
    """The JSON of a body.

    Raises BlockedError for an HTML page in its place, EmptyBodyError for none at all, MalformedBodyError for anything
    else, JSON of too many values or levels included: see `shape`.
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
    # Not in the except clause: that error has the whole body in `doc`, and would be this one's context.
    raise MalformedBodyError(platform, f"no valid JSON: {fault}", where=where)


def read_object(platform: Platform, plain: bytes, where: str | None) -> dict[str, Any]:
    """The JSON object of a body. Raises as `read_json`, and MalformedBodyError where the JSON is no object."""
    value = read_json(platform, plain, where)
    if not isinstance(value, dict):
        raise MalformedBodyError(platform, f"a JSON {type(value).__name__} where an object was due", where=where)
    return value
