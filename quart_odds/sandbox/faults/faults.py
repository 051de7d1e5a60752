"""The faults of a stand-in bookmaker: kinds, notation, and which requests they affect."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world.stand_ins import STAND_INS


class FaultKind(StrEnum):
    """How a bookmaker misbehaves."""

    TIMEOUT = "timeout"
    """Accepts the request and never answers."""
    DRIP = "drip"
    """Sends the answer a few bytes at a time."""
    FORBIDDEN = "403"
    """Refuses with the CDN's HTML page."""
    NOT_FOUND = "404"
    """Does not know the event."""
    TOO_MANY = "429"
    """Reports too many requests, with a Retry-After of `retry_after` seconds if set."""
    BROKEN = "500"
    """Answers 500."""
    CUT = "cut"
    """Sends truncated JSON in a complete answer."""
    RESET = "reset"
    """Cuts the connection before answering."""
    WRONG_SHAPE = "wrong-shape"
    """Sends valid JSON with a different structure."""
    WRONG_TYPES = "wrong-types"
    """Sends JSON with the right keys, but numbers and texts swapped."""
    EMPTY = "empty"
    """Sends empty lists of events."""
    HALF = "half"
    """Omits half of the events from lists."""
    DUPLICATES = "duplicates"
    """Lists each event twice."""
    OVERCOUNT = "overcount"
    """Announces three more events per competition in trees than lists contain."""
    SHIFT = "shift"
    """Loses an event of the first page before later pages are read, so that one event is on no page."""
    SHIFTING_LIST = "shifting-list"
    """Loses and gains an event in turn between pages, so that one event is on no page, the next one on two."""
    STUCK_CURSOR = "stuck-cursor"
    """Repeats a cursor before the list's end, so that later pages cannot be read. Only MSport's list has one."""
    SHORT_LIST = "short-list"
    """Omits a share of the events from lists, one in ten by default. Totals and trees count them all."""
    BLANK = "blank"
    """Answers 200 with an empty body."""
    CHALLENGE = "202"
    """Answers 202 with an empty body, like a firewall."""
    BLOCK_PAGE = "block-page"
    """Refuses with an HTML page and status 200."""
    HUGE = "huge"
    """Sends an event with 5,000 markets."""
    BOMB = "bomb"
    """Sends a compressed answer of 512 MB."""
    WIDE = "wide"
    """Sends compressed JSON with a million empty lists."""
    DEEP = "deep"
    """Sends JSON with 10,000 levels."""
    REDIRECT = "redirect"
    """Redirects to itself forever."""


class Where(StrEnum):
    """Which requests a fault can affect."""

    ALL = "all"
    LISTS = "lists"
    DETAILS = "details"
    PAGE = "page"
    """The second page of each list. Of the lists that have no pages, one list."""


_ALIASES: Mapping[str, Mapping[str, float]] = {
    "429-retry-after": {"retry_after": 1.0},
    "429-then-fine": {"times": 1},
    "500-then-fine": {"times": 1},
    "blank-then-fine": {"times": 1},
}
"""Names that combine a kind (the part before the first dash) with some parameters."""

FAULT_NAMES = (*FaultKind, *_ALIASES)
_ON_LISTS = {
    FaultKind.EMPTY,
    FaultKind.HALF,
    FaultKind.DUPLICATES,
    FaultKind.OVERCOUNT,
    FaultKind.SHIFT,
    FaultKind.SHIFTING_LIST,
    FaultKind.STUCK_CURSOR,
    FaultKind.SHORT_LIST,
}
_ON_ONE_EVENT = {FaultKind.NOT_FOUND, FaultKind.HUGE}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and the requests that it affects.

    `share` is the proportion of affected events, or of those that a short list lacks. The default None means one event
    for 404 and huge, one in ten for a short list, and all events for other kinds. `events` limits the fault to these
    events, given by SportRadar id or the bookmaker's own. `times` is how often each address is affected before it
    recovers, None for always. If `where` is None, faults of lists affect lists, faults of some events affect details,
    and others affect all requests.
    """

    kind: FaultKind
    share: float | None = None
    where: Where | None = None
    events: frozenset[str] = frozenset()
    times: int | None = None
    retry_after: float | None = None

    def __post_init__(self) -> None:
        if self.share is not None and not 0 < self.share <= 1:
            raise ValueError(f"share {self.share:g} of fault {self.kind} is not above 0 and at most 1")
        if self.times is not None and self.times < 1:
            raise ValueError(f"times {self.times} of fault {self.kind} is not at least 1")

    @property
    def strikes_one_event(self) -> bool:
        """Whether it affects a single event that the bookmaker chooses."""
        return self.kind in _ON_ONE_EVENT and self.share is None and not self.events

    @property
    def place(self) -> Where:
        """Which requests it can affect."""
        if self.where is not None:
            return self.where
        if self.kind in _ON_LISTS:
            return Where.LISTS
        is_partial = (self.share or 1) < 1 or bool(self.events)
        return Where.DETAILS if is_partial or self.kind in _ON_ONE_EVENT else Where.ALL

    def as_json(self) -> dict[str, object]:
        """Return the object that `fault_of_json` accepts."""
        given = {"share": self.share, "times": self.times, "retry_after": self.retry_after}
        return {
            "kind": str(self.kind),
            "where": str(self.place),
            **{name: value for name, value in given.items() if value is not None},
            **({"events": sorted(self.events)} if self.events else {}),
        }

    def __str__(self) -> str:
        name = str(self.kind)
        if self.times == 1 and f"{name}-then-fine" in _ALIASES:
            name += "-then-fine"
        elif self.retry_after is not None and f"{name}-retry-after" in _ALIASES:
            name += "-retry-after"
        where = f"@{self.where}" if self.where else ""
        return f"{name}{where}" + (f":{self.share:g}" if self.share is not None else "")


def parse_fault(text: str) -> Fault:
    """Parse a fault such as `403`, `timeout:0.5` (half of the events) or `500@lists`.

    Raises ValueError listing the valid values.
    """
    head, _, share = text.strip().partition(":")
    name, _, where = head.partition("@")
    if name not in FAULT_NAMES:
        raise ValueError(f"{name!r} is not a fault; choose from {', '.join(FAULT_NAMES)}")
    if where and where not in list(Where):
        raise ValueError(f"{where!r} in {text!r} is not a place; choose from {', '.join(Where)}")
    try:
        part = float(share) if share else None
    except ValueError:
        raise ValueError(f"{share!r} in {text!r} is not a share; give a number above 0 and at most 1") from None
    particulars = _ALIASES.get(name, {})
    times, retry_after = particulars.get("times"), particulars.get("retry_after")
    return Fault(
        FaultKind(name.partition("-")[0] if name in _ALIASES else name),
        share=part,
        where=Where(where) if where else None,
        times=None if times is None else int(times),
        retry_after=retry_after,
    )


def parse_faults(text: str, bookmakers: Sequence[Platform] = STAND_INS) -> dict[Platform, Fault]:
    """Parse faults such as `betpawa=403,bet9ja=timeout:0.5`; `all=` means all of these bookmakers.

    Raises ValueError listing the valid values.
    """
    faults: dict[Platform, Fault] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, fault = part.partition("=")
        if not equals or name not in ("all", *bookmakers):
            raise ValueError(
                f"{part!r} is not a fault of a bookmaker; write {'|'.join(bookmakers)}|all=FAULT[@WHERE][:SHARE]"
            )
        for platform in bookmakers if name == "all" else (Platform.of(name),):
            faults[platform] = parse_fault(fault)
    return faults


def fault_of_json(value: object) -> Fault | None:
    """Build a fault from text for `parse_fault`, from an object like that of `Fault.as_json`, or None from null."""
    if value is None:
        return None
    if isinstance(value, str):
        return parse_fault(value)
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise ValueError(f"{value!r} is not a fault; give a name, an object with a kind, or null")
    unknown = set(value) - {"kind", "share", "where", "events", "times", "retry_after"}
    if unknown:
        raise ValueError(f"unknown members of a fault: {', '.join(sorted(unknown))}")
    fault = parse_fault(value["kind"])
    numbers = {name: value[name] for name in ("share", "times", "retry_after") if value.get(name) is not None}
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{name} {number!r} of a fault is not a number")
    events = value.get("events") or []
    if not isinstance(events, list):
        raise ValueError(f"events {events!r} of a fault is not a list")
    where = value.get("where")
    if where is not None and where not in list(Where):
        raise ValueError(f"{where!r} is not a place; choose from {', '.join(Where)}")
    return replace(
        fault,
        share=numbers.get("share", fault.share),
        times=int(numbers["times"]) if "times" in numbers else fault.times,
        retry_after=numbers.get("retry_after", fault.retry_after),
        where=Where(where) if where else fault.where,
        events=frozenset(str(event) for event in events),
    )


def shift_of(kind: FaultKind, page: int | None) -> int:
    """Return by how many events a list has moved up when this page is read."""
    if page is None or page < 2:
        return 0
    if kind is FaultKind.SHIFTING_LIST:
        return 1 if page % 2 == 0 else 0
    return 1 if kind is FaultKind.SHIFT else 0


@dataclass(slots=True)
class FaultBoard:
    """The current faults, which can be changed at run time."""

    faults: dict[Platform, Fault] = field(default_factory=dict)
    _struck: Counter[tuple[Platform, str]] = field(default_factory=Counter)

    def set(self, platform: Platform, fault: Fault | None) -> None:
        """Set the fault of a bookmaker, or clear it with None."""
        self.faults.pop(platform, None)
        for key in [key for key in self._struck if key[0] is platform]:
            del self._struck[key]
        if fault is not None:
            self.faults[platform] = fault

    def strike(
        self,
        platform: Platform,
        address: str,
        event_ids: Iterable[str] = (),
        *,
        is_first_event: bool = False,
        page: int | None = None,
    ) -> Fault | None:
        """Return the fault that affects a request, or None.

        `event_ids` are the ids of the event, empty for a list. `page` is the number of the list's page, if it has one.
        """
        fault = self.faults.get(platform)
        if fault is None or not self._concerns(fault, tuple(event_ids), is_first_event, page):
            return None
        if fault.times is not None:
            self._struck[platform, address] += 1
            if self._struck[platform, address] > fault.times:
                return None
        return fault

    @staticmethod
    def _concerns(fault: Fault, event_ids: tuple[str, ...], is_first_event: bool, page: int | None) -> bool:
        if not event_ids:
            return page == 2 if fault.place is Where.PAGE else fault.place is not Where.DETAILS
        if fault.place in (Where.LISTS, Where.PAGE):
            return False
        if fault.strikes_one_event:
            return is_first_event
        if fault.events:
            return not fault.events.isdisjoint(event_ids)
        return fault.share is None or share_of(event_ids[0]) < fault.share


def share_of(text: str) -> float:
    """Map a text to a number in [0, 1) that is always the same and evenly distributed over many texts."""
    return zlib.crc32(text.encode()) % 9973 / 9973
