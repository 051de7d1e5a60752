"""One event at one bookmaker as it stands: every price with its odds, when it last changed, when it was last seen.

Prices are parallel arrays (12 bytes a price), replaced and never altered, so that a writer or an encoder may hold them.
A quote keeps them compressed (about 4 bytes a price): the arrays of those that were used last are kept beside.
"""

from array import array
from bisect import bisect_left
from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import blake2b

from quart_odds.domain.catalogue import FIRST_PROMOTED_KEY
from quart_odds.domain.odds import EventHeader, Prices
from quart_odds.odds.compression import compress, decompress

GONE = 1 << 31
"""Set in a value whose price was in an earlier fetch and not in the newest. Packed odds never reach this bit."""

PriceChange = tuple[int, int | None, int | None]
"""(key, the value before, the value now); None is a price that is not there."""


CLOCK_TOLERANCE_SECONDS = 60
"""A quote whose newest change is dated further ahead of the clock was dated by a clock that was wrong."""

MAX_GONE = 10_000
"""Prices of one quote that are kept though they are gone, the latest: a bookmaker that offers other lines at each fetch
would fill memory with those of before."""

COLUMNS_KEPT = 256
"""Quotes whose arrays are kept as they are: what a few pages of a list show, about 1.5 MB."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Prices side by side: `keys` ascend; `values` and `changed` (epoch seconds) stand beside them."""

    keys: "array[int]" = field(default_factory=lambda: array("I"))
    values: "array[int]" = field(default_factory=lambda: array("I"))
    changed: "array[int]" = field(default_factory=lambda: array("I"))

    def packed(self) -> bytes:
        """All three, compressed: 30 µs for 400 prices."""
        return compress(self.keys.tobytes() + self.values.tobytes() + self.changed.tobytes())

    @classmethod
    def unpacked(cls, packed: bytes) -> "Columns":
        """What `packed` made these bytes of: 15 µs for 400 prices."""
        column = array("I")
        column.frombytes(decompress(packed))
        count = len(column) // 3
        return cls(column[:count], column[count : 2 * count], column[2 * count :])


class RecentColumns:
    """The arrays of the event odds that were used last. One for each cache; event odds outside a cache have their own.

    Not shared between threads.
    """

    def __init__(self, most: int = COLUMNS_KEPT) -> None:
        self._most = most
        self._columns: OrderedDict[EventOdds, Columns] = OrderedDict()

    def get(self, event_odds: "EventOdds") -> Columns | None:
        """The arrays, if they are kept."""
        return self._columns.get(event_odds)

    def keep(self, event_odds: "EventOdds", columns: Columns) -> None:
        """Keep these arrays; those that were kept the longest make room."""
        self._columns[event_odds] = columns
        self._columns.move_to_end(event_odds)
        if len(self._columns) > self._most:
            self._columns.popitem(last=False)


def _of_its_own() -> RecentColumns:
    return RecentColumns(most=1)


_NONE = Columns()


@dataclass(slots=True, eq=False)
class EventOdds:
    """A bookmaker's prices of one event. `keys` ascend; `values` and `changed` (epoch seconds) stand beside them.

    A price that left a healthy fetch stays with the GONE bit in its value: `changed` says since when, `last_seen` (by
    key, epoch seconds) when it was last there. `gone_at` is set while the bookmaker does not list the event at all,
    `missed_at` since the first complete list without it. `promotions` are the bookmaker's own words for promotions, in
    the order in which keys number them; it is only ever appended to.
    """

    id: int
    header: EventHeader
    competition_id: int
    first_seen_at: datetime
    seen_at: datetime
    event_id: int = 0
    gone_at: datetime | None = None
    missed_at: datetime | None = None
    promotions: tuple[str, ...] = ()
    last_seen: dict[int, int] = field(default_factory=dict)
    last_moment: int = 0
    recent: RecentColumns = field(default_factory=_of_its_own, repr=False)
    _packed: bytes = b""
    _fetched: bytes = b""

    @property
    def is_absent(self) -> bool:
        """Whether the newest list that should have it lacks the event: it may be gone, and says nothing of others."""
        return self.gone_at is not None or self.missed_at is not None

    @property
    def is_late(self) -> bool:
        """Whether its prices were fetched after the kick-off, and so are no pre-match prices."""
        return self.seen_at >= self.header.kickoff

    @property
    def columns(self) -> Columns:
        """The prices; the arrays are never altered."""
        if not self._packed:
            return _NONE
        columns = self.recent.get(self)
        if columns is None:
            columns = Columns.unpacked(self._packed)
            self.recent.keep(self, columns)
        return columns

    @columns.setter
    def columns(self, columns: Columns) -> None:
        self._packed = columns.packed() if columns.keys else b""
        self.recent.keep(self, columns)

    @property
    def keys(self) -> "array[int]":
        """Which prices there are, ascending."""
        return self.columns.keys

    @property
    def values(self) -> "array[int]":
        """The packed value of each, with its GONE bit."""
        return self.columns.values

    @property
    def changed(self) -> "array[int]":
        """When each last changed, in epoch seconds."""
        return self.columns.changed

    def take(self, prices: Prices, seen_at: datetime) -> tuple[PriceChange, ...]:
        """Replaces the prices by those of a healthy fetch and tells what changed, by key.

        All that changes in one call bears one moment, and no two calls share one: the history has a row for each.
        """
        digest = _digest(prices)
        if digest == (self._fetched or _digest(self.prices())):
            self._fetched = digest
            self.seen_at = seen_at
            return ()
        moment = self.next_moment(seen_at)
        changes = self._merge(prices, moment)
        self._fetched = digest
        self.seen_at = seen_at
        return changes

    def prices(self) -> Prices:
        """The prices of the newest fetch, without those that are gone."""
        here = [(key, value) for key, value in zip(self.keys, self.values, strict=True) if not value & GONE]
        return Prices(array("I", [key for key, _ in here]), array("I", [value for _, value in here]))

    def next_moment(self, at: datetime) -> int:
        """The epoch second to note for changes at `at`: a second later than that if this quote has used it already."""
        self.last_moment = max(int(at.timestamp()), self.last_moment + 1)
        return self.last_moment

    def heed_clock(self, at: datetime) -> bool:
        """Dates back what a clock that was ahead has dated after `at`, so that new changes are dated near now.

        Whether anything was. A minute's difference is let be: changes within one second are noted a second apart.
        """
        now = int(at.timestamp())
        if self.last_moment <= now + CLOCK_TOLERANCE_SECONDS:
            return False
        before = self.columns
        self.columns = Columns(
            before.keys, before.values, array("I", [min(changed, now) for changed in before.changed])
        )
        self.last_seen = {key: min(seen, now) for key, seen in self.last_seen.items()}
        self.first_seen_at = min(self.first_seen_at, at)
        self.last_moment = now
        return True

    def _merge(self, prices: Prices, moment: int) -> tuple[PriceChange, ...]:
        if prices.keys == self.keys and not self.last_seen:
            return self._replace_values(prices, moment)
        before = {key: (value, changed) for key, value, changed in self}
        after: dict[int, tuple[int, int]] = {}
        changes: list[PriceChange] = []
        seen = int(self.seen_at.timestamp())
        # Replaced and never altered: a writer or an encoder may hold the old one.
        last_seen = dict(self.last_seen)
        for key, value in prices:
            old, changed = before.pop(key, (GONE, 0))
            if old == value:
                after[key] = (value, changed)
            else:
                after[key] = (value, moment)
                changes.append((key, None if old & GONE else old, value))
                last_seen.pop(key, None)
        for key, (old, changed) in before.items():
            if old & GONE:
                after[key] = (old, changed)
            else:
                after[key] = (old | GONE, moment)
                changes.append((key, old, None))
                last_seen[key] = seen
        if len(before) > MAX_GONE:
            for key in sorted(before, key=lambda key: after[key][1])[:-MAX_GONE]:
                del after[key]
                last_seen.pop(key, None)
        self.last_seen = last_seen
        keys = array("I", sorted(after))
        self.columns = Columns(
            keys, array("I", [after[key][0] for key in keys]), array("I", [after[key][1] for key in keys])
        )
        return tuple(sorted(changes, key=lambda change: change[0]))

    def _replace_values(self, prices: Prices, moment: int) -> tuple[PriceChange, ...]:
        before = self.columns
        changed = array("I", before.changed)
        changes: list[PriceChange] = []
        for place, (old, new) in enumerate(zip(before.values, prices.values, strict=True)):
            if old != new:
                changed[place] = moment
                changes.append((before.keys[place], old, new))
        self.columns = Columns(before.keys, prices.values, changed)
        return tuple(changes)

    def place_of(self, key: int) -> int | None:
        """Where a price stands in the arrays."""
        keys = self.keys
        place = bisect_left(keys, key)
        return place if place < len(keys) and keys[place] == key else None

    def value_of(self, key: int) -> int | None:
        """The packed value of a price, with its GONE bit; None for one that never was."""
        place = self.place_of(key)
        return None if place is None else self.values[place]

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """(key, value, changed) of every price, those that are gone with their GONE bit."""
        columns = self.columns
        return zip(columns.keys, columns.values, columns.changed, strict=True)

    @property
    def price_count(self) -> int:
        """How many prices are there now. A quote without any is still a quote."""
        return len(self.keys) - len(self.last_seen)

    @property
    def promoted_keys(self) -> "array[int]":
        """The keys of promoted prices, those that are gone included: they follow all plain ones."""
        keys = self.keys
        return keys[bisect_left(keys, FIRST_PROMOTED_KEY) :]

    @property
    def has_promotions(self) -> bool:
        """Whether it has, or has had, a promoted price."""
        keys = self.keys
        return bool(keys) and keys[-1] >= FIRST_PROMOTED_KEY


def _digest(prices: Prices) -> bytes:
    """What two fetches share when nothing has changed between them: 10 µs for 400 prices."""
    digest = blake2b(prices.keys.tobytes(), digest_size=16)
    digest.update(prices.values.tobytes())
    return digest.digest()
