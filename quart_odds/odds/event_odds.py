"""All prices of one event at one bookmaker: their odds, when each last changed, and when it was last seen.

Prices are parallel arrays (12 bytes a price). Arrays are replaced and never modified, so a writer or an encoder may
keep references to them. Event odds are kept compressed (about 4 bytes a price), and the arrays of those used most
recently are also kept uncompressed.
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
"""Set in the value of a price that was in an earlier fetch but not in the newest. Packed odds never reach this bit."""

PriceChange = tuple[int, int | None, int | None]
"""(key, value before, value now). None stands for a price that is not there."""


CLOCK_TOLERANCE_SECONDS = 60
"""If the newest change is dated further ahead than this, the clock that dated it was wrong."""

MAX_GONE = 10_000
"""Maximum number of gone prices that event odds keep, the latest ones. Otherwise a bookmaker that offers other lines at
each fetch would fill the memory."""

COLUMNS_KEPT = 256
"""Number of event odds whose arrays are kept uncompressed: as many as a few pages of a list show, about 1.5 MB."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Prices as parallel arrays: `keys` in ascending order, and the `values` and `changed` (epoch seconds) of each."""

    keys: "array[int]" = field(default_factory=lambda: array("I"))
    values: "array[int]" = field(default_factory=lambda: array("I"))
    changed: "array[int]" = field(default_factory=lambda: array("I"))

    def packed(self) -> bytes:
        """Return all three arrays, compressed. Takes 30 µs for 400 prices."""
        return compress(self.keys.tobytes() + self.values.tobytes() + self.changed.tobytes())

    @classmethod
    def unpacked(cls, packed: bytes) -> "Columns":
        """Return the arrays that `packed` compressed. Takes 15 µs for 400 prices."""
        column = array("I")
        column.frombytes(decompress(packed))
        count = len(column) // 3
        return cls(column[:count], column[count : 2 * count], column[2 * count :])


class RecentColumns:
    """The uncompressed arrays of the event odds that were used most recently.

    The event odds of a cache share one of these; event odds outside a cache have their own. Not safe for use by several
    threads.
    """

    def __init__(self, most: int = COLUMNS_KEPT) -> None:
        self._most = most
        self._columns: OrderedDict[EventOdds, Columns] = OrderedDict()

    def get(self, event_odds: "EventOdds") -> Columns | None:
        """Return the arrays; None if they are not kept."""
        return self._columns.get(event_odds)

    def keep(self, event_odds: "EventOdds", columns: Columns) -> None:
        """Keep these arrays. If there are too many, drop those that have been kept the longest."""
        self._columns[event_odds] = columns
        self._columns.move_to_end(event_odds)
        if len(self._columns) > self._most:
            self._columns.popitem(last=False)


def _of_its_own() -> RecentColumns:
    return RecentColumns(most=1)


_NONE = Columns()


@dataclass(slots=True, eq=False)
class EventOdds:
    """A bookmaker's prices of one event. `keys` is ascending; `values` and `changed` (epoch seconds) run parallel.

    A price that is missing from a healthy fetch stays, with the GONE bit in its value. `changed` then says since when
    it is gone, and `last_seen` (epoch seconds by key) when it was last there. `gone_at` is set while the bookmaker does
    not list the event at all, `missed_at` since the first complete list without it. `promotions` are the bookmaker's
    own names of promotions, in the order in which keys number them; names are only ever appended.
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
        """Whether the newest list that should have the event lacks it. It may be gone, and has no vote in matching."""
        return self.gone_at is not None or self.missed_at is not None

    @property
    def is_late(self) -> bool:
        """Whether the prices were fetched after the kick-off, and so are not pre-match prices."""
        return self.seen_at >= self.header.kickoff

    @property
    def columns(self) -> Columns:
        """The prices. The arrays are never modified."""
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
        """The keys of all prices, ascending."""
        return self.columns.keys

    @property
    def values(self) -> "array[int]":
        """The packed value of each price, with its GONE bit."""
        return self.columns.values

    @property
    def changed(self) -> "array[int]":
        """When each price last changed, in epoch seconds."""
        return self.columns.changed

    def take(self, prices: Prices, seen_at: datetime) -> tuple[PriceChange, ...]:
        """Replace the prices with those of a healthy fetch. Returns what changed, ordered by key.

        All changes of a call have the same moment. No two calls share a moment, so each has its own rows in the
        history.
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
        """Return the prices of the newest fetch, without those that are gone."""
        here = [(key, value) for key, value in zip(self.keys, self.values, strict=True) if not value & GONE]
        return Prices(array("I", [key for key, _ in here]), array("I", [value for _, value in here]))

    def next_moment(self, at: datetime) -> int:
        """Return the epoch second for changes at `at`, or the next one that these event odds have not used yet."""
        self.last_moment = max(int(at.timestamp()), self.last_moment + 1)
        return self.last_moment

    def heed_clock(self, at: datetime) -> bool:
        """Change dates after `at`, from a clock that was ahead, to `at`, so that new changes get correct dates.

        Returns whether there were any. A difference of up to a minute is ignored, because changes within one second are
        dated a second apart.
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
        # Replaced and never modified: a writer or an encoder may hold the old one.
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
        """Return the position of a price in the arrays; None if it is not there."""
        keys = self.keys
        place = bisect_left(keys, key)
        return place if place < len(keys) and keys[place] == key else None

    def value_of(self, key: int) -> int | None:
        """Return the packed value of a price, with its GONE bit; None for a price that has never been there."""
        place = self.place_of(key)
        return None if place is None else self.values[place]

    def __iter__(self) -> Iterator[tuple[int, int, int]]:
        """Iterate over the (key, value, changed) of every price, including gone ones with their GONE bit."""
        columns = self.columns
        return zip(columns.keys, columns.values, columns.changed, strict=True)

    @property
    def price_count(self) -> int:
        """The number of prices that are there now, which may be 0."""
        return len(self.keys) - len(self.last_seen)

    @property
    def promoted_keys(self) -> "array[int]":
        """The keys of promoted prices, including those that are gone. They come after all plain ones."""
        keys = self.keys
        return keys[bisect_left(keys, FIRST_PROMOTED_KEY) :]

    @property
    def has_promotions(self) -> bool:
        """Whether there is or was a promoted price."""
        keys = self.keys
        return bool(keys) and keys[-1] >= FIRST_PROMOTED_KEY


def _digest(prices: Prices) -> bytes:
    """Return a digest that two fetches share if nothing changed between them. Takes 10 µs for 400 prices."""
    digest = blake2b(prices.keys.tobytes(), digest_size=16)
    digest.update(prices.values.tobytes())
    return digest.digest()
