"""The blob that stores the prices of an event at one bookmaker: their keys, values and times of change, compressed.

Layout: the header `<BBHII` (version, reserved, reserved, number of prices, number of gone prices), then, compressed,
four little-endian u32 columns: keys, values, changed, and the time at which each gone price was last seen, in the order
of the keys. 400 prices take about 1.3 KB.
"""

import struct
import sys
from array import array
from dataclasses import dataclass

from quart_odds.errors import StorageError
from quart_odds.odds.compression import compress, decompress
from quart_odds.odds.event_odds import GONE

_HEAD = struct.Struct("<BBHII")
_VERSION = 2


@dataclass(frozen=True, slots=True)
class PackedPrices:
    """The content of a blob. See `odds.event_odds.EventOdds` for the columns."""

    keys: "array[int]"
    values: "array[int]"
    changed: "array[int]"
    last_seen: dict[int, int]


def pack(prices: PackedPrices) -> bytes:
    """Return the blob of these prices."""
    gone = array("I", [prices.last_seen[key] for key in _gone(prices.keys, prices.values)])
    body = b"".join(_little(column) for column in (prices.keys, prices.values, prices.changed, gone))
    return _HEAD.pack(_VERSION, 0, 0, len(prices.keys), len(gone)) + compress(body)


def unpack(blob: bytes) -> PackedPrices:
    """Return the prices of a blob. Raises StorageError if it is damaged or has an unknown version."""
    try:
        version, _, _, count, gone_count = _HEAD.unpack_from(blob)
        body = decompress(memoryview(blob)[_HEAD.size :])
    except (struct.error, ValueError) as exc:
        raise StorageError(f"a blob of prices is damaged: {exc}") from exc
    if version != _VERSION or len(body) != 4 * (3 * count + gone_count):
        raise StorageError(f"a blob of prices has version {version} and {len(body)} bytes for {count} prices")
    column = array("I")
    column.frombytes(body)
    if sys.byteorder == "big":
        column.byteswap()
    keys, values, changed = (column[place * count : (place + 1) * count] for place in range(3))
    last_seen = dict(zip(_gone(keys, values), column[3 * count :], strict=True))
    return PackedPrices(keys, values, changed, last_seen)


def _gone(keys: "array[int]", values: "array[int]") -> list[int]:
    return [key for key, value in zip(keys, values, strict=True) if value & GONE]


def _little(column: "array[int]") -> bytes:
    if sys.byteorder == "big":
        column = array("I", column)
        column.byteswap()
    return column.tobytes()
