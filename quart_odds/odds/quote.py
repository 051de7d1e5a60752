"""One event at one bookmaker as it stands: every price with its odds, when it last changed, when it was last seen.

Prices are parallel arrays (12 bytes a price), replaced and never altered, so that a writer or an encoder may hold them.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime

from quart_odds.domain.odds import EventHeader, Prices

GONE = 1 << 31
"""Set in a value whose price was in an earlier fetch and not in the newest. Packed odds never reach this bit."""

PriceChange = tuple[int, int | None, int | None]
"""(key, the value before, the value now); None is a price that is not there."""


def _empty() -> "array[int]":
    return array("I")


@dataclass(slots=True, eq=False)
class Quote:
    """A bookmaker's prices of one event. `keys` ascend; `values` and `changed` (epoch seconds) stand beside them.

    A price that left a healthy fetch stays with the GONE bit in its value: `changed` says since when, `last_seen` (by
    key, epoch seconds) when it was last there. `gone_at` is set while the bookmaker does not list the event at all.
    """

    id: int
    header: EventHeader
    competition_id: int
    first_seen_at: datetime
    seen_at: datetime
    event_id: int = 0
    gone_at: datetime | None = None
    keys: "array[int]" = field(default_factory=_empty)
    values: "array[int]" = field(default_factory=_empty)
    changed: "array[int]" = field(default_factory=_empty)
    last_seen: dict[int, int] = field(default_factory=dict)
    last_moment: int = 0
    fetched: Prices | None = None

    def take(self, prices: Prices, seen_at: datetime) -> tuple[PriceChange, ...]:
        """Replaces the prices by those of a healthy fetch and tells what changed, by key.

        All that changes in one call bears one moment, and no two calls share one: the history has a row for each.
        """
        fetched = self._fetched()
        if prices.keys == fetched.keys and prices.values == fetched.values:
            self.seen_at = seen_at
            return ()
        moment = self.next_moment(seen_at)
        changes = self._merge(prices, moment)
        self.fetched = prices
        self.seen_at = seen_at
        return changes

    def next_moment(self, at: datetime) -> int:
        """The epoch second to note for changes at `at`: a second later than that if this quote has used it already."""
        self.last_moment = max(int(at.timestamp()), self.last_moment + 1)
        return self.last_moment

    def _merge(self, prices: Prices, moment: int) -> tuple[PriceChange, ...]:
        if prices.keys == self.keys and not self.last_seen:
            return self._replace_values(prices, moment)
        before = dict(zip(self.keys, zip(self.values, self.changed, strict=True), strict=True))
        after: dict[int, tuple[int, int]] = {}
        changes: list[PriceChange] = []
        seen = int(self.seen_at.timestamp())
        for key, value in prices:
            old, changed = before.pop(key, (GONE, 0))
            if old == value:
                after[key] = (value, changed)
            else:
                after[key] = (value, moment)
                changes.append((key, None if old & GONE else old, value))
                self.last_seen.pop(key, None)
        for key, (old, changed) in before.items():
            if old & GONE:
                after[key] = (old, changed)
            else:
                after[key] = (old | GONE, moment)
                changes.append((key, old, None))
                self.last_seen[key] = seen
        if self.last_seen:
            self.keys = array("I", sorted(after))
            self.values = array("I", [after[key][0] for key in self.keys])
        else:
            self.keys, self.values = prices.keys, prices.values
        self.changed = array("I", [after[key][1] for key in self.keys])
        return tuple(sorted(changes, key=lambda change: change[0]))

    def _replace_values(self, prices: Prices, moment: int) -> tuple[PriceChange, ...]:
        changed = array("I", self.changed)
        changes: list[PriceChange] = []
        for place, (old, new) in enumerate(zip(self.values, prices.values, strict=True)):
            if old != new:
                changed[place] = moment
                changes.append((self.keys[place], old, new))
        self.values, self.changed = prices.values, changed
        return tuple(changes)

    def _fetched(self) -> Prices:
        """The prices of the newest fetch, without those that are gone."""
        if self.fetched is None:
            here = [(key, value) for key, value in zip(self.keys, self.values, strict=True) if not value & GONE]
            self.fetched = Prices(array("I", [key for key, _ in here]), array("I", [value for _, value in here]))
        return self.fetched

    def place_of(self, key: int) -> int | None:
        """Where a price stands in the arrays."""
        place = bisect_left(self.keys, key)
        return place if place < len(self.keys) and self.keys[place] == key else None

    def value_of(self, key: int) -> int | None:
        """The packed value of a price, with its GONE bit; None for one that never was."""
        place = self.place_of(key)
        return None if place is None else self.values[place]

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """(key, value, changed) of every price, those that are gone with their GONE bit."""
        return zip(self.keys, self.values, self.changed, strict=True)

    def __len__(self) -> int:
        """How many prices are there now."""
        return len(self.keys) - len(self.last_seen)
