"""Events and event odds as parts of frames (`odds.frames`): in snapshots, and in the recall of a single event.

What is read is checked for all that the cache relies on, so that a wrong value is refused before it does any harm.
"""

from array import array
from collections.abc import Mapping
from datetime import datetime

from quart_odds.domain.odds import Competition, EventHeader
from quart_odds.domain.promotions import MAX_WORDS
from quart_odds.errors import ReplicationError
from quart_odds.odds.chances import unpack_chances
from quart_odds.odds.compression import decompress
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.frame_reader import MAX_BIG_NUMBER, ColumnReader, FieldReader, is_ascending, malformed
from quart_odds.odds.frames import MAX_UNPACKED_BYTES, add_big, micros, optional_micros
from quart_odds.odds.offer_times import (
    MAX_LISTS,
    MAX_SOURCE_MS,
    MAX_SOURCE_TIMES,
    NO_SOURCE_TIMES,
    Listed,
    ListedOffers,
    SourceTimes,
    shared,
)
from quart_odds.odds.states import EventState, OddsState

DIGEST_BYTES = 16

Row = tuple[object, ...]


class FrameParts:
    """The columns and blobs of a frame that is being made."""

    def __init__(self) -> None:
        self.columns = array("I")
        self.blobs: list[bytes] = []


def header_fields(header: EventHeader) -> Row:
    """Return the fields of a header."""
    competition = header.competition
    return (
        header.platform.value,
        header.external_id,
        header.sportradar_id,
        header.genius_id,
        header.home_team,
        header.away_team,
        micros(header.kickoff),
        competition.external_id,
        competition.name,
        competition.country,
    )


def read_header(fields: FieldReader) -> EventHeader:
    """Return the header that the next fields have."""
    platform, external_id = fields.platform(), fields.text()
    sportradar_id, genius_id = fields.optional_text(), fields.optional_text()
    home_team, away_team, kickoff = fields.text(), fields.text(), fields.date()
    competition = Competition(fields.text(), fields.text(), fields.text())
    return EventHeader(platform, external_id, sportradar_id, home_team, away_team, kickoff, competition, genius_id)


def event_row(event: EventState, parts: FrameParts) -> Row:
    """Return the fields of an event."""
    parts.columns.extend(event.odds_ids)
    return (
        event.id,
        event.key,
        micros(event.created_at),
        micros(event.changed_at),
        event.revision,
        len(event.odds_ids),
    )


def read_event(fields: FieldReader, columns: ColumnReader) -> EventState:
    """Return the event that the next fields have."""
    event_id, key, created_at, changed_at = fields.number(), fields.text(), fields.moment(), fields.moment()
    revision, odds_ids = fields.number(MAX_BIG_NUMBER), tuple(columns.take(fields.number()))
    return EventState(event_id, key, created_at, changed_at, revision, odds_ids)


def odds_row(odds: OddsState, parts: FrameParts) -> Row:
    """Return the fields of event odds."""
    columns, times = parts.columns, odds.source_times
    columns.extend(odds.last_seen)
    columns.extend(odds.last_seen.values())
    columns.extend(times.codes)
    add_big(columns, times.times)
    for each in odds.listed:
        columns.extend(sorted(each.codes))
    digests = (odds.fetched, *(each.digest for each in odds.listed))
    parts.blobs += (odds.packed, odds.chances, *digests)
    return (
        *header_fields(odds.header),
        odds.id,
        odds.competition_id,
        odds.event_id,
        micros(odds.first_seen_at),
        micros(odds.seen_at),
        optional_micros(odds.gone_at),
        optional_micros(odds.missed_at),
        optional_micros(odds.listed_at),
        optional_micros(odds.sighted_at),
        odds.promotions,
        odds.last_moment,
        odds.is_detailed,
        odds.set_version,
        odds.length,
        len(odds.packed),
        len(odds.chances),
        len(odds.last_seen),
        len(times.codes),
        [(micros(each.seen_at), len(each.codes)) for each in odds.listed],
        [bool(digest) for digest in digests],
    )


def read_odds(fields: FieldReader, columns: ColumnReader) -> OddsState:
    """Return the event odds that the next fields have. Takes some 60 µs."""
    header = read_header(fields)
    odds_id, competition_id, event_id = fields.number(), fields.number(), fields.number()
    first_seen_at, seen_at = fields.moment(), fields.moment()
    gone_at, missed_at, listed_at, sighted_at = (fields.optional_moment() for _ in range(4))
    promotions = tuple(fields.texts())
    if len(promotions) > MAX_WORDS:
        malformed("event odds have too many promotions")
    last_moment, is_detailed, set_version = fields.number(), fields.flag(), fields.number()
    length, packed_bytes, chances_bytes, gone, timed = (fields.number() for _ in range(5))
    last_seen = dict(zip(columns.take(gone), columns.take(gone), strict=True))
    source_times = _read_times(timed, columns)
    listed = [(row.moment(), columns.ascending(row.number())) for row in fields.rows()]
    packed, chances = columns.blob(packed_bytes), columns.blob(chances_bytes)
    _check_prices(packed, chances, length, last_seen)
    digests = [columns.blob(DIGEST_BYTES if has_digest else 0) for has_digest in fields.flags(1 + len(listed))]
    return OddsState(
        id=odds_id,
        header=header,
        competition_id=competition_id,
        first_seen_at=first_seen_at,
        seen_at=seen_at,
        event_id=event_id,
        gone_at=gone_at,
        missed_at=missed_at,
        promotions=promotions,
        last_seen=last_seen,
        last_moment=last_moment,
        is_detailed=is_detailed,
        listed=_listed(listed, digests[1:]),
        listed_at=listed_at,
        source_times=source_times,
        sighted_at=sighted_at,
        set_version=set_version,
        packed=packed,
        chances=chances,
        fetched=digests[0],
        length=length,
    )


def _read_times(count: int, columns: ColumnReader) -> SourceTimes:
    if count == 0:
        return NO_SOURCE_TIMES
    codes, times = columns.ascending(count), array("Q", columns.big(count))
    if count > MAX_SOURCE_TIMES or max(times) > MAX_SOURCE_MS or min(times) == 0:
        malformed("a time of a bookmaker is out of range")
    return SourceTimes(codes, times)


def _listed(lists: list[tuple[datetime, "array[int]"]], digests: list[bytes]) -> Listed:
    times = [seen_at for seen_at, _ in lists]
    if len(lists) > MAX_LISTS or times != sorted(times) or not all(codes for _, codes in lists):
        malformed("lists of event odds are out of order")
    return tuple(
        ListedOffers(seen_at, shared(frozenset(codes)), digest)
        for (seen_at, codes), digest in zip(lists, digests, strict=True)
    )


def _check_prices(packed: bytes, chances: bytes, length: int, last_seen: Mapping[int, int]) -> None:
    """Check packed prices as the event odds will unpack them: their number, their order, and which of them are gone.

    Also that the chances are those of so many prices.
    """
    if not packed and not chances and not length and not last_seen:
        return
    column = array("I")
    try:
        column.frombytes(decompress(packed, MAX_UNPACKED_BYTES))
    except ValueError as error:
        raise ReplicationError(f"malformed: {error}") from error
    if not length or len(column) != 3 * length:
        malformed("the number of prices is wrong")
    keys, values = column[:length], column[length : 2 * length]
    if not is_ascending(keys):
        malformed("keys of prices do not ascend")
    try:
        unpack_chances(keys, chances, MAX_UNPACKED_BYTES)
    except ValueError as error:
        raise ReplicationError(f"malformed: {error}") from error
    if last_seen.keys() != {key for key, value in zip(keys, values, strict=True) if value & GONE}:
        malformed("prices that are gone do not say when they were last seen")
