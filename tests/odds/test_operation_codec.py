"""Operations and snapshots as bytes: nothing that matters is lost, and nothing malformed gets through."""

import contextlib
import struct
import zlib
from array import array
from collections.abc import Callable
from datetime import timedelta
from random import Random

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quart_odds.domain.catalogue import CATALOGUE, offer_code, pack_key
from quart_odds.domain.odds import Competition, UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import CacheFullError, ReplicationError
from quart_odds.odds import OddsCache
from quart_odds.odds.compression import decompress
from quart_odds.odds.frames import MAX_UNPACKED_BYTES, VERSION, pack
from quart_odds.odds.operation_codec import decode, encode
from quart_odds.odds.operations import Operation, Recalled, Recorded, carry_out
from quart_odds.odds.snapshots import decode_snapshot, take
from tests.odds.making import NOW, header, key, listed, mapped
from tests.odds.replicas import Operations

HEAD = struct.Struct("<BBII")


def happened(seed: int, count: int) -> tuple[OddsCache, list[Operation]]:
    """Return a cache, and the operations that it took."""
    cache, operations, taken = OddsCache(), Operations(Random(seed)), []
    for _ in range(count):
        taken.append(operations.next(cache))
        carry_out(cache, taken[-1])
    return cache, taken


CACHE, TAKEN = happened(11, 150)
ENCODED = [encode(each) for each in TAKEN]
SNAPSHOT = take(CACHE, {1: frozenset({1, 2})}).encode()
DECODED = decode_snapshot(SNAPSHOT)


def test_each_kind_of_operation_is_tried() -> None:
    """Otherwise the other tests would say less than they seem to."""
    assert {type(each).__name__ for each in TAKEN} == {"Recorded", "Discovered", "Withdrawn", "Forgotten", "Recalled"}
    assert any(isinstance(each, Recalled) and each.stored is not None for each in TAKEN)


@pytest.mark.parametrize("place", range(0, len(TAKEN), 3))
def test_an_operation_has_the_same_fields_afterwards(place: int) -> None:
    """Times are exact to the microsecond. Of a fetch, only what the cache uses is there."""
    before, after = TAKEN[place], decode(ENCODED[place])
    assert encode(after) == ENCODED[place]
    if isinstance(before, Recorded):
        assert isinstance(after, Recorded)
        one, other = before.mapped, after.mapped
        assert (after.seen_at, after.now) == (before.seen_at, before.now)
        assert (other.header, other.prices, other.promotions) == (one.header, one.prices, one.promotions)
        assert (other.is_partial, other.unmapped) == (one.is_partial, () if one.is_partial else one.unmapped)
        assert other.source_changed == {code: max(at, 0) % (1 << 60) for code, at in one.source_changed.items()}
    elif not isinstance(before, Recalled):
        assert after == before


def test_a_snapshot_has_the_same_bytes_afterwards() -> None:
    """So nothing of what it has was lost."""
    snapshot = decode_snapshot(SNAPSHOT)
    assert snapshot.encode() == SNAPSHOT
    assert snapshot.former_tournaments == {1: frozenset({1, 2})}
    assert snapshot.state == take(CACHE).state


def refused(read: Callable[[bytes], object], data: bytes) -> bool:
    """Return whether bytes are refused, with the one error for it."""
    try:
        read(data)
    except ReplicationError:
        return True
    return False


def fresh() -> OddsCache:
    """Return a cache like CACHE."""
    cache = OddsCache()
    DECODED.restore(cache)
    return cache


def changed_bytes(data: st.DataObject, encoded: bytes) -> bytes:
    """Return bytes of which some were replaced, added or left out."""
    mutable = bytearray(encoded)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(mutable)))
        mutable[place : place + data.draw(st.integers(0, 2))] = data.draw(st.binary(max_size=2))
    return bytes(mutable)


anything = st.recursive(
    st.none()
    | st.booleans()
    | st.sampled_from([0, 1, -1, 1 << 31, 1 << 32, (1 << 63) - 1, -(1 << 63), (1 << 64) - 1])
    | st.floats(allow_nan=False)
    | st.text(max_size=2),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=4,
)


def changed_frame(data: st.DataObject, frame: bytes) -> bytes:
    """Return a frame with another field somewhere, or with other numbers."""
    _, flags, json_bytes, column_bytes = HEAD.unpack_from(frame)
    json, rest = frame[HEAD.size : HEAD.size + json_bytes], frame[HEAD.size + json_bytes :]
    fields = orjson.loads(zlib.decompress(json) if flags & 1 else json)
    columns = array("I", decompress(rest[:column_bytes]) if flags & 2 else rest[:column_bytes])
    blobs = rest[column_bytes:]
    inner = fields
    while True:
        place = data.draw(st.integers(0, len(inner) - 1))
        if not isinstance(inner[place], list) or not inner[place] or data.draw(st.integers(0, 3)) == 0:
            break
        inner = inner[place]
    match data.draw(st.integers(0, 4)):
        case 0 | 1 | 2:
            inner[place] = data.draw(anything)
        case 3 if columns:
            at = data.draw(st.integers(0, len(columns) - 1))
            columns[at] = data.draw(st.sampled_from([0, 1, 1 << 31, (1 << 32) - 1]))
        case 4:
            columns.extend(data.draw(st.lists(st.integers(0, 3), max_size=2)))
    return pack(fields, columns, [blobs])


@given(st.binary(max_size=200))
def test_random_bytes_are_refused(data: bytes) -> None:
    """Also behind a header that is right."""
    whole = HEAD.pack(VERSION, 0, len(data), 0) + data
    assert refused(decode, data)
    assert refused(decode_snapshot, data)
    refused(decode, whole)
    assert refused(decode_snapshot, struct.pack("<I", len(whole)) + whole)


@given(st.data())
@settings(max_examples=250, deadline=None)
def test_what_was_changed_is_refused_or_can_be_carried_out(data: st.DataObject) -> None:
    """Bytes, or fields of which one is of another kind, or numbers that do not fit."""
    change = data.draw(st.sampled_from([changed_bytes, changed_frame]))
    mutated = change(data, data.draw(st.sampled_from(ENCODED)))
    if not refused(decode, mutated):
        with contextlib.suppress(CacheFullError):
            carry_out(fresh(), decode(mutated))


@given(st.data())
@settings(max_examples=150, deadline=None)
def test_a_snapshot_that_was_changed_is_refused_or_can_be_restored(data: st.DataObject) -> None:
    """In any of its chunks."""
    chunks = [chunk[4:] for chunk in DECODED.chunks()]
    place = data.draw(st.integers(0, len(chunks) - 1))
    change = data.draw(st.sampled_from([changed_bytes, changed_frame]))
    chunks[place] = change(data, chunks[place])
    mutated = b"".join(struct.pack("<I", len(chunk)) + chunk for chunk in chunks)
    if not refused(decode_snapshot, mutated):
        decode_snapshot(mutated).restore(OddsCache())


@pytest.mark.parametrize("size", [0, 1, 3, 4, 50, -1])
def test_what_was_cut_off_is_refused(size: int) -> None:
    """Nothing is taken for the half of it."""
    assert all(refused(decode, encoded[:size]) for encoded in ENCODED if len(encoded) > size)
    assert refused(decode_snapshot, SNAPSHOT[:size])


def test_another_version_is_refused_and_named() -> None:
    """Whoever reads the message knows what to do."""
    with pytest.raises(ReplicationError, match=f"version 200, and this process reads version {VERSION}"):
        decode(bytes([200]) + ENCODED[0][1:])


def test_nothing_unpacks_to_more_memory_than_there_is() -> None:
    """A few bytes may name many."""
    bomb = zlib.compress(b"[" + b" " * (MAX_UNPACKED_BYTES + 1) + b"]")
    assert refused(decode, HEAD.pack(VERSION, 1, len(bomb), 0) + bomb)
    assert refused(decode, HEAD.pack(VERSION, 2, 2, len(bomb)) + b"[]" + bomb)


def test_a_text_that_is_no_unicode_is_refused_by_the_writer() -> None:
    """No other process could read it."""
    with pytest.raises(ReplicationError):
        encode(Recorded(mapped(header(home="\ud800")), NOW, NOW))


def test_operations_are_small() -> None:
    """A list's answer with the times of the bookmaker, and a body with markets that the catalogue lacks."""
    event = header(
        Platform.SPORTYBET,
        "sr:match:61234567",
        "61234567",
        home="Manchester United",
        away="Wolverhampton Wanderers",
        competition=Competition("sr:tournament:17", "Premier League", "England"),
    )
    number = CATALOGUE.by_slug["double_chance_ft"].number
    keys = [key("1x2_ft", name) for name in "1X2"] + [key("over_under_ft", name, 2.5) for name in ("Over", "Under")]
    keys += [pack_key(number, index, None) for index in range(3)]
    source = {offer_code(each): 1_764_000_000_000 + place for place, each in enumerate(keys)}
    answer = listed(event, {each: 1.5 + place for place, each in enumerate(keys)}, source_changed=source)
    assert len(encode(Recorded(answer, NOW, NOW + timedelta(milliseconds=20)))) < 320
    random = Random(1)
    every = {
        pack_key(market.number, outcome.index, line)
        for market in CATALOGUE.markets
        for outcome in market.outcomes
        for line in ([0.5, 1.5, 2.5, 3.5] if market.has_line else [None])
    }
    prices = {each: round(1 + random.expovariate(0.3), 2) for each in sorted(every)[:350]}
    assert len(prices) == 350
    unknown = tuple(UnmappedMarket(f"{5000 + each}", f"Unknown market {each}") for each in range(40))
    assert len(encode(Recorded(mapped(event, prices, unmapped=unknown), NOW, NOW))) < 2500
