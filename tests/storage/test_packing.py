"""Tests of the blob that stores the prices of event odds."""

from array import array

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.errors import StorageError
from quart_odds.odds.event_odds import GONE
from quart_odds.storage.packing import PackedPrices, pack, unpack

EMPTY = PackedPrices(array("I"), array("I"), array("I"), {})
u31 = st.integers(0, GONE - 1)


@given(st.dictionaries(u31, st.tuples(u31, st.booleans(), st.integers(0, 2**32 - 1)), max_size=60))
def test_prices_survive_the_blob(prices: dict[int, tuple[int, bool, int]]) -> None:
    """Keys, values, times of change and the last-seen times of gone prices are unpacked as they were packed."""
    keys = array("I", sorted(prices))
    packed = PackedPrices(
        keys,
        array("I", [prices[key][0] | (GONE if prices[key][1] else 0) for key in keys]),
        array("I", [prices[key][2] for key in keys]),
        {key: prices[key][2] // 2 for key in keys if prices[key][1]},
    )
    assert unpack(pack(packed)) == packed


def test_four_hundred_prices_take_less_than_two_kilobytes() -> None:
    """The size matters because a scrape rewrites thousands of blobs."""
    keys = array("I", [number << 16 | 1 << 22 for number in range(60)] + list(range(1 << 23, (1 << 23) + 340)))
    values = array("I", [(1500 + 37 * place % 4000) << 1 | 1 for place in range(400)])
    blob = pack(PackedPrices(keys, values, array("I", [1_790_000_000]) * 400, {}))
    assert len(blob) < 2000


@pytest.mark.parametrize("blob", [b"", b"\x01\x00", b"\x09" + bytes(11) + b"x", pack(EMPTY)[:-1]])
def test_a_damaged_blob_is_reported(blob: bytes) -> None:
    """Unpacking raises StorageError. It never returns part of the prices, and never raises another error."""
    with pytest.raises(StorageError):
        unpack(blob)
