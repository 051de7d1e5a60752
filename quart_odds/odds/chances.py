"""The probabilities that a bookmaker gives with its prices, as event odds keep them: packed, beside the prices.

Layout, compressed: a u32 column with the win of each price in the order of the keys, 0 where none is given, then pairs
of a price's position and its refund, where there is one. All in units of 1e-6. Takes 2.8 bytes a price.
"""

import sys
from array import array
from collections.abc import Collection, Mapping, Sequence

from quart_odds.domain.catalogue import offer_code
from quart_odds.domain.fair import CHANCE_UNIT, CHANCE_WIN_BITS, CHANCE_WIN_MASK, MAX_PACKED_CHANCE
from quart_odds.odds.compression import compress, decompress

NO_CHANCES = b""


def pack_chances(keys: Sequence[int], chances: Mapping[int, int]) -> bytes:
    """Return packed chances by key, see `domain.fair.pack_chance`, as one compressed column beside `keys`.

    Chances of other keys are left out. Empty if none is left. Takes 100 µs for 400 prices.
    """
    here = [chances.get(key, 0) for key in keys]
    if not any(here):
        return NO_CHANCES
    column = array("I", [chance & CHANCE_WIN_MASK for chance in here])
    for place, chance in enumerate(here):
        if chance > CHANCE_WIN_MASK:
            column.extend((place, chance >> CHANCE_WIN_BITS))
    return compress(_little(column).tobytes())


def unpack_chances(keys: Sequence[int], packed: bytes, most_bytes: int | None = None) -> dict[int, int]:
    """Return what `pack_chances` was given for these keys. Takes 40 µs for 400 prices.

    Raises ValueError for bytes that it did not make.
    """
    if not packed:
        return {}
    wins, refunds = unpack_columns(len(keys), packed, most_bytes)
    if max(wins, default=0) > CHANCE_UNIT:
        raise ValueError(f"{max(wins)} is no probability")
    found = {key: win for key, win in zip(keys, wins, strict=True) if win}
    for place, refund in refunds.items():
        if keys[place] not in found or not 0 < refund <= CHANCE_UNIT:
            raise ValueError("a refund belongs to no price, or is no probability")
        found[keys[place]] |= refund << CHANCE_WIN_BITS
    return found


def unpack_columns(count: int, packed: bytes, most_bytes: int | None = None) -> "tuple[array[int], dict[int, int]]":
    """Return the win of each of `count` prices, 0 where none is given, and the refunds by the place of the price.

    Takes half as long as `unpack_chances`. Raises ValueError for bytes of another number of prices.
    """
    column = array("I")
    column.frombytes(decompress(packed, most_bytes))
    column = _little(column)
    places, refunds = column[count::2], column[count + 1 :: 2]
    if len(column) < count or len(places) != len(refunds) or max(places, default=-1) >= count:
        raise ValueError(f"{len(column)} numbers are not the probabilities of {count} prices")
    return column[:count], dict(zip(places, refunds, strict=True))


def chances_at(places: Mapping[int, int], count: int, packed: bytes) -> dict[int, int]:
    """Return packed chances by key for only these places (by key) in the column of `count` prices."""
    wins, refunds = unpack_columns(count, packed)
    return {key: wins[place] | refunds.get(place, 0) << CHANCE_WIN_BITS for key, place in places.items() if wins[place]}


def are_chances(chances: Mapping[int, int]) -> bool:
    """Return whether these are packed chances: of a win, and within bounds."""
    return all(
        0 < (chance & CHANCE_WIN_MASK) <= CHANCE_UNIT and chance <= MAX_PACKED_CHANCE for chance in chances.values()
    )


def renewed(before: Mapping[int, int], given: Mapping[int, int], kept: Collection[int]) -> dict[int, int]:
    """Return the chances of a body in place of all others but those of the `kept` markets and lines, which stay."""
    stay = {key: chance for key, chance in before.items() if offer_code(key) in kept}
    return {key: chance for key, chance in given.items() if offer_code(key) not in kept} | stay


def updated(before: Mapping[int, int], given: Mapping[int, int], codes: Collection[int]) -> dict[int, int]:
    """Return the chances after a list that had these markets and lines. Those of all others stay."""
    return {key: chance for key, chance in before.items() if offer_code(key) not in codes} | dict(given)


def _little(column: "array[int]") -> "array[int]":
    """Return a column in little-endian order, or from it."""
    if sys.byteorder == "big":
        column = array("I", column)
        column.byteswap()
    return column
