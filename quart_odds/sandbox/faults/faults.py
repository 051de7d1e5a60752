"""What can be made to go wrong at a stand-in bookmaker, how it is written down, and whom it strikes."""

import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum

from quart_odds.domain.platforms import Platform


class FaultKind(StrEnum):
    """How a bookmaker misbehaves."""

    TIMEOUT = "timeout"
    """It takes the request and never answers."""
    DRIP = "drip"
    """It sends its answer a few bytes at a time."""
    FORBIDDEN = "403"
    """It refuses with the CDN's HTML page."""
    NOT_FOUND = "404"
    """It does not know the event."""
    TOO_MANY = "429"
    """It is asked too often; `retry_after` seconds are named if set."""
    BROKEN = "500"
    """It answers 500."""
    CUT = "cut"
    """Its JSON ends in the middle, in an answer that is whole."""
    RESET = "reset"
    """The connection is cut before the answer."""
    WRONG_SHAPE = "wrong-shape"
    """Its JSON is valid and of another shape."""
    WRONG_TYPES = "wrong-types"
    """Its JSON has the right keys, and numbers for texts and texts for numbers."""
    EMPTY = "empty"
    """Its lists of events are empty."""
    HALF = "half"
    """Half of its events are missing from its lists."""
    DUPLICATES = "duplicates"
    """Its lists name each event twice."""
    OVERCOUNT = "overcount"
    """Its trees count three events more in each competition than its lists have."""
    SHIFT = "shift"
    """Its lists lose their first event between two pages."""
    BLANK = "blank"
    """It answers 200 with nothing."""
    CHALLENGE = "202"
    """Its firewall answers 202 with nothing."""
    BLOCK_PAGE = "block-page"
    """It refuses with a page of HTML and status 200."""
    HUGE = "huge"
    """An event has 5,000 markets."""
    BOMB = "bomb"
    """Its compressed answer is 512 MB when opened."""
    WIDE = "wide"
    """Its compressed answer is JSON of a million empty lists."""
    DEEP = "deep"
    """Its JSON is nested 10,000 levels deep."""
    REDIRECT = "redirect"
    """It redirects to itself without end."""


class Where(StrEnum):
    """Which requests a fault may strike."""

    ALL = "all"
    LISTS = "lists"
    DETAILS = "details"


_ALIASES: Mapping[str, Mapping[str, float]] = {
    "429-retry-after": {"retry_after": 1.0},
    "429-then-fine": {"times": 1},
    "500-then-fine": {"times": 1},
    "blank-then-fine": {"times": 1},
}
"""Names that stand for a kind (the part before the first dash) and some of its particulars."""

FAULT_NAMES = (*FaultKind, *_ALIASES)
_ON_LISTS = {FaultKind.EMPTY, FaultKind.HALF, FaultKind.DUPLICATES, FaultKind.OVERCOUNT, FaultKind.SHIFT}
_ON_ONE_EVENT = {FaultKind.NOT_FOUND, FaultKind.HUGE}


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault and whom it strikes.

    `share` is the part of the events it strikes, None for the kind's own measure: one event for 404 and huge, all for
    the rest. `events` (SportRadar ids or the bookmaker's own) strikes those alone. `times` is how often each address is
    struck before it is well again, None for always. `where` None is lists for what befalls lists, details where only
    some events are struck, otherwise all.
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
        """Whether it strikes one event of the bookmaker's choosing."""
        return self.kind in _ON_ONE_EVENT and self.share is None and not self.events

    @property
    def place(self) -> Where:
        """Which requests it may strike."""
        if self.where is not None:
            return self.where
        if self.kind in _ON_LISTS:
            return Where.LISTS
        is_partial = (self.share or 1) < 1 or bool(self.events)
        return Where.DETAILS if is_partial or self.kind in _ON_ONE_EVENT else Where.ALL

    def as_json(self) -> dict[str, object]:
        """The object that `fault_of_json` takes."""
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
    """The fault of `403`, `timeout:0.5` (half of the events), `500@lists`. ValueError says what is allowed."""
    head, _, share = text.strip().partition(":")
    name, _, where = head.partition("@")
    if name not in FAULT_NAMES:
        raise ValueError(f"{name!r} is no fault; there are {', '.join(FAULT_NAMES)}")
    if where and where not in list(Where):
        raise ValueError(f"{where!r} in {text!r} is no place; there are {', '.join(Where)}")
    try:
        part = float(share) if share else None
    except ValueError:
        raise ValueError(f"{share!r} in {text!r} is no share; give a number above 0 and at most 1") from None
    particulars = _ALIASES.get(name, {})
    times, retry_after = particulars.get("times"), particulars.get("retry_after")
    return Fault(
        FaultKind(name.partition("-")[0] if name in _ALIASES else name),
        share=part,
        where=Where(where) if where else None,
        times=None if times is None else int(times),
        retry_after=retry_after,
    )


def parse_faults(text: str) -> dict[Platform, Fault]:
    """The faults of `betpawa=403,bet9ja=timeout:0.5`; `all=` stands for the three. ValueError says what is allowed."""
    faults: dict[Platform, Fault] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, equals, fault = part.partition("=")
        if not equals or name not in ("all", *Platform):
            raise ValueError(
                f"{part!r} is no fault of a bookmaker; write {'|'.join(Platform)}|all=FAULT[@WHERE][:SHARE]"
            )
        for platform in Platform if name == "all" else (Platform(name),):
            faults[platform] = parse_fault(fault)
    return faults


def fault_of_json(value: object) -> Fault | None:
    """The fault of a text as `parse_fault` takes, of an object as `Fault.as_json` gives, or None for null."""
    if value is None:
        return None
    if isinstance(value, str):
        return parse_fault(value)
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise ValueError(f"{value!r} is no fault; give a name, an object with a kind, or null")
    unknown = set(value) - {"kind", "share", "where", "events", "times", "retry_after"}
    if unknown:
        raise ValueError(f"a fault has no {', '.join(sorted(unknown))}")
    fault = parse_fault(value["kind"])
    numbers = {name: value[name] for name in ("share", "times", "retry_after") if value.get(name) is not None}
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise ValueError(f"{name} {number!r} of a fault is no number")
    events = value.get("events") or []
    if not isinstance(events, list):
        raise ValueError(f"events {events!r} of a fault is no list")
    where = value.get("where")
    if where is not None and where not in list(Where):
        raise ValueError(f"{where!r} is no place; there are {', '.join(Where)}")
    return replace(
        fault,
        share=numbers.get("share", fault.share),
        times=int(numbers["times"]) if "times" in numbers else fault.times,
        retry_after=numbers.get("retry_after", fault.retry_after),
        where=Where(where) if where else fault.where,
        events=frozenset(str(event) for event in events),
    )


@dataclass(slots=True)
class FaultBoard:
    """The faults in force, which can be changed while the sandbox runs."""

    faults: dict[Platform, Fault] = field(default_factory=dict)
    _struck: Counter[tuple[Platform, str]] = field(default_factory=Counter)

    def set(self, platform: Platform, fault: Fault | None) -> None:
        """Puts a fault in force at a bookmaker, or with None ends the one there is."""
        self.faults.pop(platform, None)
        for key in [key for key in self._struck if key[0] is platform]:
            del self._struck[key]
        if fault is not None:
            self.faults[platform] = fault

    def strike(
        self, platform: Platform, address: str, event_ids: Iterable[str] = (), *, is_first_event: bool = False
    ) -> Fault | None:
        """The fault that strikes a request, None for none. `event_ids` are the event's, none for a list."""
        fault = self.faults.get(platform)
        if fault is None or not self._concerns(fault, tuple(event_ids), is_first_event):
            return None
        if fault.times is not None:
            self._struck[platform, address] += 1
            if self._struck[platform, address] > fault.times:
                return None
        return fault

    @staticmethod
    def _concerns(fault: Fault, event_ids: tuple[str, ...], is_first_event: bool) -> bool:
        if not event_ids:
            return fault.place is not Where.DETAILS
        if fault.place is Where.LISTS:
            return False
        if fault.strikes_one_event:
            return is_first_event
        if fault.events:
            return not fault.events.isdisjoint(event_ids)
        return fault.share is None or share_of(event_ids[0]) < fault.share


def share_of(text: str) -> float:
    """A number from 0 to below 1 that is always the same for the same text, and evenly spread over many."""
    return zlib.crc32(text.encode()) % 9973 / 9973
