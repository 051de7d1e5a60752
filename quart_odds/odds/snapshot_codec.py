"""Snapshots of the cache as bytes: chunks, each of which is its length (little-endian u32) and a frame (`odds.frames`).

The first chunk has what concerns the cache as a whole, the others have event odds and events, this many in each.
"""

import struct
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, chain, pairwise
from typing import TypeVar

from quart_odds.domain.odds import UnmappedMarket
from quart_odds.odds.event_codec import FrameParts, event_row, odds_row, read_event, read_odds
from quart_odds.odds.frame_reader import MAX_BIG_NUMBER, ColumnReader, FieldReader, malformed
from quart_odds.odds.frames import pack, read
from quart_odds.odds.states import CacheState, CandidatesState, EventState, OddsState, UnmappedState

ROWS_IN_CHUNK = 500

_LENGTH = struct.Struct("<I")
_SNAPSHOT, _ODDS, _EVENTS = 16, 17, 18
"""The first fields of chunks. Those of operations are smaller."""
_MAX_KIND = 0xFFFF

T = TypeVar("T")


def chunks(state: CacheState, former_tournaments: Mapping[int, frozenset[int]]) -> Iterator[bytes]:
    """Yield the chunks of a snapshot."""
    yield _chunk(_head(state, former_tournaments))
    for odds in _in_parts(state.odds):
        parts = FrameParts()
        odds_rows = [odds_row(each, parts) for each in odds]
        yield _chunk(pack((_ODDS, odds_rows), parts.columns, parts.blobs))
    for events in _in_parts(state.events):
        parts = FrameParts()
        event_rows = [event_row(each, parts) for each in events]
        yield _chunk(pack((_EVENTS, event_rows), parts.columns, parts.blobs))


def decode(encoded: bytes) -> tuple[CacheState, dict[int, frozenset[int]]]:
    """Return what `chunks` was given. Raises ReplicationError for anything that it does not make."""
    frames = _frames(encoded)
    head = next(frames, None)
    if head is None:
        malformed("a snapshot is empty")
    fields, columns = read(head)
    if fields.number() != _SNAPSHOT:
        malformed("it is no snapshot")
    odds: list[OddsState] = []
    events: list[EventState] = []
    for frame in frames:
        rows, row_columns = read(frame)
        kind = rows.number()
        if kind == _ODDS:
            odds += [read_odds(row, row_columns) for row in rows.rows()]
        elif kind == _EVENTS:
            events += [read_event(row, row_columns) for row in rows.rows()]
        else:
            malformed(f"a snapshot has no chunks of kind {kind}")
        rows.end()
        row_columns.end()
    read_state = _read_head(fields, columns, tuple(odds), tuple(events))
    fields.end()
    columns.end()
    _check(read_state[0])
    return read_state


def _head(state: CacheState, former_tournaments: Mapping[int, frozenset[int]]) -> bytes:
    columns = array("I", state.competitions.values())
    columns.extend(state.archived.values())
    fields = [
        _SNAPSHOT,
        state.epoch,
        state.revision,
        state.last_event_id,
        state.last_odds_id,
        state.last_competition_id,
        len(state.odds),
        len(state.events),
        [platform.value for platform, _ in state.competitions],
        [external_id for _, external_id in state.competitions],
        list(state.archived),
        [(number, where, kind.market_id, kind.name) for number, (where, kind) in state.unmapped.kinds.items()],
        *_numbers_fields(state.unmapped.by_odds_id, columns),
        *_numbers_fields({key: sorted(ids) for key, ids in former_tournaments.items()}, columns),
        *_candidates_fields(state.matches, columns),
        *_candidates_fields(state.genius_ids, columns),
    ]
    return pack(fields, columns)


def _read_head(
    fields: FieldReader, columns: ColumnReader, odds: tuple[OddsState, ...], events: tuple[EventState, ...]
) -> tuple[CacheState, dict[int, frozenset[int]]]:
    epoch, revision = fields.text(), fields.number(MAX_BIG_NUMBER)
    last_event_id, last_odds_id, last_competition_id = fields.number(), fields.number(), fields.number()
    if (fields.number(), fields.number()) != (len(odds), len(events)):
        malformed("a snapshot lacks chunks, or has too many")
    platforms, external_ids = fields.platforms(), fields.texts()
    if len(platforms) != len(external_ids):
        malformed("competitions have no bookmakers")
    keys = zip(platforms, external_ids, strict=True)
    competitions = dict(zip(keys, columns.take(len(platforms)), strict=True))
    archived_keys = fields.texts()
    archived = dict(zip(archived_keys, columns.take(len(archived_keys)), strict=True))
    kinds = {row.number(_MAX_KIND): (row.platform(), UnmappedMarket(row.text(), row.text())) for row in fields.rows()}
    by_odds_id = {key: _kinds(numbers) for key, numbers in _read_numbers(fields, columns)}
    former = {key: frozenset(numbers) for key, numbers in _read_numbers(fields, columns)}
    state = CacheState(
        epoch,
        revision,
        last_event_id,
        last_odds_id,
        last_competition_id,
        competitions,
        events,
        odds,
        _read_candidates(fields, columns),
        _read_candidates(fields, columns),
        archived,
        UnmappedState(kinds, by_odds_id),
    )
    return state, former


def _numbers_fields(numbers: Mapping[int, Sequence[int]], columns: "array[int]") -> tuple[int, int]:
    """Add numbers by key to the columns. Returns the fields by which `_read_numbers` finds them."""
    columns.extend(numbers)
    columns.extend(map(len, numbers.values()))
    before = len(columns)
    columns.extend(chain.from_iterable(numbers.values()))
    return len(numbers), len(columns) - before


def _read_numbers(fields: FieldReader, columns: ColumnReader) -> Iterator[tuple[int, "array[int]"]]:
    count, total = fields.number(), fields.number()
    keys, sizes, every = columns.take(count), columns.take(count), columns.take(total)
    return zip(keys, _cut(every, sizes), strict=True)


def _candidates_fields(state: CandidatesState, columns: "array[int]") -> tuple[list[str], int, list[str], int]:
    """Add candidates to the columns. Returns the fields by which `_read_candidates` finds them."""
    named = list(chain.from_iterable(state.named.values()))
    columns.extend(map(len, state.named.values()))
    columns.extend([odds_id for odds_id, _ in named])
    columns.extend([is_absent for _, is_absent in named])
    ignored = list(chain.from_iterable(state.ignored.values()))
    columns.extend(map(len, state.ignored.values()))
    columns.extend(ignored)
    return list(state.named), len(named), list(state.ignored), len(ignored)


def _read_candidates(fields: FieldReader, columns: ColumnReader) -> CandidatesState:
    keys, total, ignored_keys, ignored_total = fields.texts(), fields.number(), fields.texts(), fields.number()
    sizes, odds_ids, absent = columns.take(len(keys)), columns.take(total), columns.take(total)
    if max(absent, default=0) > 1:
        malformed("a candidate is neither listed nor absent")
    named = [
        tuple(zip(ids, map(bool, flags), strict=True))
        for ids, flags in zip(_cut(odds_ids, sizes), _cut(absent, sizes), strict=True)
    ]
    ignored_sizes, ignored = columns.take(len(ignored_keys)), columns.take(ignored_total)
    return CandidatesState(
        dict(zip(keys, named, strict=True)),
        dict(zip(ignored_keys, map(tuple, _cut(ignored, ignored_sizes)), strict=True)),
    )


def _kinds(numbers: "array[int]") -> "array[int]":
    if max(numbers, default=0) > _MAX_KIND:
        malformed("a kind of market has too high a number")
    return array("H", numbers)


def _cut(numbers: "array[int]", sizes: "array[int]") -> list["array[int]"]:
    """Return numbers in parts of these sizes."""
    if sum(sizes) != len(numbers):
        malformed("the sizes of parts are wrong")
    ends = list(accumulate(sizes, initial=0))
    return [numbers[start:end] for start, end in pairwise(ends)]


def _check(state: CacheState) -> None:
    """Check that the parts of a state fit together, as `OddsCache.adopt` relies on."""
    platforms = {each.id: each.header.platform for each in state.odds}
    if len(platforms) != len(state.odds) or max(platforms, default=0) > state.last_odds_id:
        malformed("event odds have wrong ids")
    if len({(each.header.platform, each.header.external_id) for each in state.odds}) != len(state.odds):
        malformed("a bookmaker's event is there twice")
    event_ids = {event.id for event in state.events}
    if len(event_ids) != len(state.events) or max(event_ids, default=0) > state.last_event_id:
        malformed("events have wrong ids")
    if len({event.key for event in state.events}) != len(state.events):
        malformed("two events have one key")
    for event in state.events:
        listed = [platforms.get(odds_id) for odds_id in event.odds_ids]
        if not listed or None in listed or len(set(listed)) != len(listed):
            malformed("an event has wrong event odds")
    for candidates in (state.matches, state.genius_ids):
        named = [odds_id for each in candidates.named.values() for odds_id, _ in each]
        ignored = [odds_id for each in candidates.ignored.values() for odds_id in each]
        if len(set(named)) != len(named) or not platforms.keys() >= {*named, *ignored}:
            malformed("a candidate is unknown, or there twice")
    kinds = state.unmapped.kinds
    if {number for numbers in state.unmapped.by_odds_id.values() for number in numbers} != kinds.keys():
        malformed("kinds of unknown markets are missing, or too many")
    if len({(platform, market.market_id) for platform, market in kinds.values()}) != len(kinds):
        malformed("an unknown market is there twice")


def _in_parts(rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + ROWS_IN_CHUNK] for start in range(0, len(rows), ROWS_IN_CHUNK))


def _chunk(frame: bytes) -> bytes:
    return _LENGTH.pack(len(frame)) + frame


def _frames(encoded: bytes) -> Iterator[memoryview]:
    """Yield the frame of each chunk."""
    rest = memoryview(encoded)
    while rest:
        if len(rest) < _LENGTH.size:
            malformed("the length of a chunk is cut off")
        (length,) = _LENGTH.unpack_from(rest)
        frame, rest = rest[_LENGTH.size : _LENGTH.size + length], rest[_LENGTH.size + length :]
        if len(frame) < length:
            malformed("a chunk is cut off")
        yield frame
