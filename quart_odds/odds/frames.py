"""The frame of what processes exchange: JSON for texts and single numbers, then columns of 32-bit numbers, then blobs.

Layout: the header `<BBII` (version, flags, bytes of JSON, bytes of columns), then these two, then the blobs. JSON
and columns are compressed if they are long. Nothing of a frame is ever run as code, and how much it may unpack to is
limited: it comes from a server to which others may write, too.
"""

import struct
import sys
import zlib
from array import array
from collections.abc import Iterable, Sequence
from datetime import datetime

import orjson

from quart_odds.errors import ReplicationError
from quart_odds.odds.compression import compress, decompress, inflate
from quart_odds.odds.frame_reader import EPOCH, MAX_NUMBER, MICROSECOND, ColumnReader, FieldReader, malformed

VERSION = 1
"""The version of the formats. It also changes when the cache takes an operation in another way than before: processes
that would not take it alike do not read each other's."""

MAX_UNPACKED_BYTES = 64 * 1024 * 1024
"""How much the JSON or the columns of one frame may unpack to, many times what the largest real one does."""

_HEAD = struct.Struct("<BBII")
_JSON_IS_COMPRESSED, _COLUMNS_ARE_COMPRESSED, _IS_BIG_ENDIAN = 1, 2, 4
_ALL_FLAGS = _JSON_IS_COMPRESSED | _COLUMNS_ARE_COMPRESSED | _IS_BIG_ENDIAN
_ORDER = _IS_BIG_ENDIAN if sys.byteorder == "big" else 0
_COMPRESSED_FROM_BYTES = 512
_LEVEL = 6


def pack(fields: Sequence[object], columns: "array[int]", blobs: Sequence[bytes] = ()) -> bytes:
    """Return a frame. `columns` is an array('I').

    Raises ReplicationError for what JSON cannot have: a text with half a surrogate pair, or a number of over 64 bits.
    """
    try:
        json = orjson.dumps(fields)
    except TypeError as error:
        raise ReplicationError(f"cannot be encoded: {error}") from error
    flags = _ORDER
    numbers = columns.tobytes()
    if len(json) > _COMPRESSED_FROM_BYTES:
        json, flags = zlib.compress(json, _LEVEL), flags | _JSON_IS_COMPRESSED
    if len(numbers) > _COMPRESSED_FROM_BYTES:
        numbers, flags = compress(numbers), flags | _COLUMNS_ARE_COMPRESSED
    return b"".join((_HEAD.pack(VERSION, flags, len(json), len(numbers)), json, numbers, *blobs))


def read(frame: bytes | memoryview) -> tuple[FieldReader, ColumnReader]:
    """Return readers of the fields, and of the columns and blobs, of a frame. Raises ReplicationError if malformed.

    Whoever reads it calls `end` of both, which checks that nothing was left over.
    """
    if len(frame) < _HEAD.size:
        malformed("the header is cut off")
    version, flags, json_bytes, column_bytes = _HEAD.unpack_from(frame)
    if version != VERSION:
        raise ReplicationError(f"the format has version {version}, and this process reads version {VERSION}")
    if flags & ~_ALL_FLAGS:
        malformed("a flag is unknown")
    if flags & _IS_BIG_ENDIAN != _ORDER:
        raise ReplicationError("it was made on a machine with another byte order")
    if len(frame) < _HEAD.size + json_bytes + column_bytes:
        malformed("it is cut off")
    rest = memoryview(frame)[_HEAD.size :]
    json, rest = rest[:json_bytes], rest[json_bytes:]
    numbers, blobs = rest[:column_bytes], rest[column_bytes:]
    column = array("I")
    try:
        fields = orjson.loads(inflate(json, MAX_UNPACKED_BYTES) if flags & _JSON_IS_COMPRESSED else json)
        column.frombytes(decompress(numbers, MAX_UNPACKED_BYTES) if flags & _COLUMNS_ARE_COMPRESSED else numbers)
    except ValueError as error:
        raise ReplicationError(f"malformed: {error}") from error
    return FieldReader(fields), ColumnReader(column, blobs)


def micros(at: datetime) -> int:
    """Return a moment as microseconds since 1970, exactly."""
    return (at - EPOCH) // MICROSECOND


def optional_micros(at: datetime | None) -> int | None:
    """Return a moment as microseconds since 1970; None for None."""
    return None if at is None else (at - EPOCH) // MICROSECOND


def add_big(columns: "array[int]", numbers: Iterable[int]) -> None:
    """Add numbers of 64 bits to columns: first their lower halves, then the upper ones."""
    every = list(numbers)
    columns.extend([each & MAX_NUMBER for each in every])
    columns.extend([each >> 32 for each in every])
