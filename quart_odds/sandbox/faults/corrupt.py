"""Deliberately broken bodies: truncated, misshapen, with wrong types, with too few or too many events, or huge."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any

import orjson

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.faults.faults import Fault, FaultKind, share_of
from quart_odds.sandbox.world import stand_ins

HUGE_MARKETS = 5000
BOMB_BYTES = 512 * 1024 * 1024
"""Size of the bomb after decompression. Compressed it has about half a megabyte."""


WIDE_MEMBERS = 1_000_000
DEEP_LEVELS = 10_000

OVERCOUNTED = 3
"""How many events a tree announces in excess."""

MISSING = 0.1
"""The share of events that a short list lacks by default."""


def corrupt(platform: Platform, fault: Fault, body: bytes) -> bytes:
    """Apply a fault to the body of a successful answer. Faults that do not concern bodies return it unchanged."""
    match fault.kind:
        case FaultKind.CUT:
            return body[: max(1, len(body) * 3 // 5)]
        case FaultKind.WRONG_SHAPE:
            return b'[{"status":"ok"},["nothing","that","you","know"]]'
        case FaultKind.WIDE:
            return b'{"data":[' + b"[]," * WIDE_MEMBERS + b"0]}"
        case FaultKind.DEEP:
            return b'{"data":' * DEEP_LEVELS + b"0" + b"}" * DEEP_LEVELS
        case FaultKind.WRONG_TYPES:
            return orjson.dumps(_twisted(orjson.loads(body)))
        case FaultKind.HUGE:
            return _huge(platform, body)
        case FaultKind.EMPTY | FaultKind.HALF | FaultKind.SHORT_LIST | FaultKind.DUPLICATES:
            value = orjson.loads(body)
            for events in _event_lists(platform, value):
                events[:] = _changed(fault, events)
            return orjson.dumps(value)
        case FaultKind.OVERCOUNT:
            return orjson.dumps(_overcounted(orjson.loads(body)))
    return body


def _twisted(value: object) -> object:
    """Replace every number with text that is not a number, and every text with a number. Keys and nesting are kept."""
    if isinstance(value, dict):
        return {key: _twisted(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_twisted(member) for member in value]
    return 7 if isinstance(value, str) else "seven" if isinstance(value, int | float) else value


_COUNTS = (("eventSize", ("tournaments", "categories")), ("NUM", ("SG",)), ("TotalNoOfItems", ()))
"""The names of counts, and the members of objects whose count is that of a country or the sport."""


def _overcounted(value: object) -> object:
    """Increase the event count of every competition or day. The counts of countries and of the sport stay the same."""
    if isinstance(value, list):
        return [_overcounted(member) for member in value]
    if not isinstance(value, dict):
        return value
    changed = {key: _overcounted(member) for key, member in value.items()}
    for name, parts in _COUNTS:
        count = changed.get(name)
        if isinstance(count, int) and not any(part in changed for part in parts):
            changed[name] = count + OVERCOUNTED
    return changed


_LISTS = {
    stand_ins.BETPAWA: ("responses", "responses"),
    stand_ins.SPORTYBET: ("data", "events"),
    stand_ins.BET9JA: ("D", "E"),
    stand_ins.MSPORT: ("data", "events"),
    stand_ins.BETKING: ("AreaMatches", "Items"),
}
"""The member of a body in which its lists of events are, and the name of each list."""


def _event_lists(platform: Platform, value: object) -> Iterator[list[object]]:
    """Yield the lists of events in a list's body. A tree of competitions has none and stays unchanged."""
    within, name = _LISTS[platform]
    data = value.get(within) if isinstance(value, dict) else None
    if isinstance(data, dict):
        holders = [data] if platform is stand_ins.BET9JA else data.get("tournaments") or []
    else:
        holders = data or []
    for holder in holders:
        events = holder.get(name) if isinstance(holder, dict) else None
        if isinstance(events, list):
            yield events


def _changed(fault: Fault, events: list[object]) -> list[object]:
    match fault.kind:
        case FaultKind.EMPTY:
            return []
        case FaultKind.DUPLICATES:
            return events + events
        case FaultKind.SHORT_LIST:
            missing = MISSING if fault.share is None else fault.share
            return [event for event in events if share_of(_id_of(event)) >= missing]
    return [event for event in events if share_of(_id_of(event)) < 0.5]


def _id_of(event: object) -> str:
    assert isinstance(event, dict)
    return str(event.get("eventId") or event.get("id") or event.get("ID") or event.get("ItemID"))


def _huge(platform: Platform, body: bytes) -> bytes:
    """Fill the event up to 5,000 markets with unknown ones."""
    value = orjson.loads(body)
    if platform is stand_ins.BET9JA:
        prices = value["D"]["O"]
        for number in range(HUGE_MARKETS):
            prices |= {f"S_MADEUP{number}@{number % 40 / 2}_O": "1.9", f"S_MADEUP{number}@{number % 40 / 2}_U": "1.8"}
        return orjson.dumps(value)
    markets, renamed = _MARKETS[platform](value)
    if not markets:
        return body
    pattern = markets[0]
    markets += [{**pattern, **renamed(pattern, number)} for number in range(HUGE_MARKETS - len(markets))]
    return orjson.dumps(value)


_Markets = list[dict[str, Any]]
_Renamed = Callable[[dict[str, Any], int], dict[str, object]]
_MARKETS: Mapping[Platform, Callable[[Any], tuple[_Markets, _Renamed]]] = {
    stand_ins.BETPAWA: lambda body: (
        body["markets"],
        lambda market, number: {"marketType": {**market["marketType"], "id": str(90_000_000 + number)}},
    ),
    stand_ins.SPORTYBET: lambda body: (body["data"]["markets"], lambda _, number: {"id": str(9_000_000 + number)}),
    stand_ins.MSPORT: lambda body: (body["data"]["markets"], lambda _, number: {"id": 9_000_000 + number}),
    stand_ins.BETKING: lambda body: (
        next((item["OddsCollection"] for area in body["AreaMatches"] for item in area["Items"]), []),
        lambda market, number: {"OddsType": {**market["OddsType"], "OddsTypeID": 900_000 + number}},
    ),
}
"""Where an event's markets are in its body, and the members that give one of them an unknown id."""


@cache
def bomb() -> bytes:
    """Return half a megabyte of gzip that decompresses to 512 MB of JSON, almost entirely spaces."""
    compressor = zlib.compressobj(level=9, wbits=31)
    chunk = b" " * (1 << 20)
    parts = [compressor.compress(b'{"data":[')]
    parts += [compressor.compress(chunk) for _ in range(BOMB_BYTES // len(chunk))]
    parts.append(compressor.compress(b"]}") + compressor.flush())
    return b"".join(parts)
