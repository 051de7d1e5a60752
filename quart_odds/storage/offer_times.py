"""The blob that stores times of single markets and lines: when lists had them, and when the bookmaker changed them.

Layout: the header `<BBHI` (version, 1 if the event's own body was ever fetched, number of lists, number of the
bookmaker's times), then, compressed, little-endian u32 numbers. For each list: the microseconds of its time (low half,
high half), the number of its offer codes, and these, ascending. Then three columns: the offer codes of the bookmaker's
times, and the low and high halves of their milliseconds.
"""

import struct
import sys
from array import array
from collections.abc import Sequence
from dataclasses import dataclass

from quart_odds.domain.clock import of_micros, to_micros
from quart_odds.errors import StorageError
from quart_odds.odds.compression import compress, decompress
from quart_odds.odds.offer_times import NO_SOURCE_TIMES, Listed, ListedOffers, SourceTimes, shared

_HEAD = struct.Struct("<BBHI")
_VERSION = 1
_HALF = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class OfferTimes:
    """The content of a blob. See `odds.event_odds.EventOdds` for the fields."""

    listed: Listed = ()
    source_times: SourceTimes = NO_SOURCE_TIMES
    is_detailed: bool = True


NO_TIMES = OfferTimes()


def pack_times(times: OfferTimes) -> bytes | None:
    """Return the blob of these times, None if there are none."""
    if times.is_detailed and not times.listed and not times.source_times.codes:
        return None
    numbers = array("I")
    for each in times.listed:
        at = max(to_micros(each.seen_at), 0)
        numbers.extend((at & _HALF, at >> 32, len(each.codes), *sorted(each.codes)))
    source = times.source_times
    numbers += array("I", source.codes)
    numbers.extend(at & _HALF for at in source.times)
    numbers.extend(at >> 32 for at in source.times)
    if sys.byteorder == "big":
        numbers.byteswap()
    head = _HEAD.pack(_VERSION, times.is_detailed, len(times.listed), len(source.codes))
    return head + compress(numbers.tobytes())


def unpack_times(blob: bytes | None) -> OfferTimes:
    """Return the times of a blob, or none for None. Raises StorageError if it is damaged or has an unknown version."""
    if blob is None:
        return NO_TIMES
    try:
        version, is_detailed, lists, count = _HEAD.unpack_from(blob)
        if version != _VERSION:
            raise StorageError(f"a blob of times has the unknown version {version}")
        numbers = array("I")
        numbers.frombytes(decompress(memoryview(blob)[_HEAD.size :]))
        if sys.byteorder == "big":
            numbers.byteswap()
        listed, rest = _lists(numbers, lists)
        if len(rest) != 3 * count:
            raise ValueError(f"{len(rest)} numbers are not {count} times")
    except (struct.error, ValueError, IndexError, OverflowError) as exc:
        raise StorageError(f"a blob of times is damaged: {exc}") from exc
    times = array("Q", [high << 32 | low for low, high in zip(rest[count : 2 * count], rest[2 * count :], strict=True)])
    return OfferTimes(listed, SourceTimes(rest[:count], times) if count else NO_SOURCE_TIMES, bool(is_detailed))


def _lists(numbers: "array[int]", lists: int) -> tuple[Listed, "array[int]"]:
    """Return the lists at the start of these numbers, and the numbers after them."""
    listed = []
    place = 0
    for _ in range(lists):
        low, high, count = _three(numbers[place : place + 3])
        place += 3 + count
        seen_at = of_micros(high << 32 | low)
        listed.append(ListedOffers(seen_at, shared(frozenset(numbers[place - count : place]))))
    return tuple(listed), numbers[place:]


def _three(numbers: Sequence[int]) -> tuple[int, int, int]:
    if len(numbers) != 3:
        raise ValueError("the head of a list is cut off")
    return numbers[0], numbers[1], numbers[2]
