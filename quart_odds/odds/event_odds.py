"""All prices of one event at one bookmaker: their odds, when each last changed, and when it was last seen.

Prices are parallel arrays (12 bytes a price). Arrays are replaced and never modified, so a writer or an encoder may
keep references to them. Event odds are kept compressed (about 4 bytes a price), and the arrays of those used most
recently are also kept uncompressed.
"""

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType

from quart_odds.domain.catalogue import FIRST_PROMOTED_KEY, offer_code
from quart_odds.domain.odds import EventHeader, Prices
from quart_odds.odds.chances import NO_CHANCES, chances_at, pack_chances, renewed, unpack_chances, updated
from quart_odds.odds.columns import Columns, RecentColumns
from quart_odds.odds.fetches import digest_of, other_places, without
from quart_odds.odds.offer_times import (
    NO_SOURCE_TIMES,
    Listed,
    ListedOffers,
    SourceTimes,
    codes_after,
    offer_codes,
    places_of,
    relisted,
)

GONE = 1 << 31
"""Set in the value of a price that was in an earlier fetch but not in the newest. Packed odds never reach this bit."""

PriceChange = tuple[int, int | None, int | None]
"""(key, value before, value now). None stands for a price that is not there."""

NOTHING_SAID: Mapping[int, int] = MappingProxyType({})
"""What a bookmaker says that does not tell when it changed its prices, or gives no probabilities."""

CLOCK_TOLERANCE_SECONDS = 60
"""If the newest change is dated further ahead than this, the clock that dated it was wrong."""

MAX_GONE = 10_000
"""Maximum number of gone prices that event odds keep, the latest ones. Otherwise a bookmaker that offers other lines at
each fetch would fill the memory."""


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

    `seen_at` is the last fetch of the event's own body, or of the first list if `is_detailed` is False, because there
    was no body yet. `listed` says which prices lists have had since, `listed_at` when the newest list was fetched.
    `sighted_at` is the newest sighting in a list, be it without prices; it is not stored.
    `noted_at` is the newest fetch that the writer was told of. `set_version` counts how often prices came or went:
    while it stays, the same prices are there. `packed_chances` are the bookmaker's own
    probabilities of `keys` (`odds.chances`).
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
    is_detailed: bool = True
    listed: Listed = ()
    listed_at: datetime | None = None
    source_times: SourceTimes = NO_SOURCE_TIMES
    sighted_at: datetime | None = None
    noted_at: datetime | None = None
    set_version: int = 0
    recent: RecentColumns = field(default_factory=_of_its_own, repr=False)
    packed_chances: bytes = NO_CHANCES
    _packed: bytes = b""
    _fetched: bytes = b""
    _count: int = 0

    @property
    def is_absent(self) -> bool:
        """Whether the newest list that should have the event lacks it. It may be gone, and has no vote in matching."""
        return self.gone_at is not None or self.missed_at is not None

    @property
    def is_late(self) -> bool:
        """Whether the prices were fetched after the kick-off, and so are not pre-match prices."""
        return self.fetched_at >= self.header.kickoff

    @property
    def is_withdrawn(self) -> bool:
        """Whether the event is gone because its bookmaker said so when it was asked for the event's own body."""
        return self.gone_at is not None and self.missed_at is None

    @property
    def fetched_at(self) -> datetime:
        """When prices were last fetched, from the event's own body or from a list."""
        return self.seen_at if self.listed_at is None else max(self.seen_at, self.listed_at)

    @property
    def offered_at(self) -> datetime:
        """When the bookmaker last had the event: in a list, with prices or without, or with a body of its own."""
        return self.fetched_at if self.sighted_at is None else max(self.fetched_at, self.sighted_at)

    @property
    def detailed_at(self) -> datetime | None:
        """When the event's own body was last fetched; None if only lists had the event so far."""
        return self.seen_at if self.is_detailed else None

    def seen_at_of(self, key: int) -> datetime:
        """Return when a price was last seen, or looked for: by a list that had its market and line, or by the body."""
        if self.listed:
            code = offer_code(key)
            for each in self.listed:
                if code in each.codes:
                    return each.seen_at
        return self.seen_at

    def source_changed_at(self, key: int) -> datetime | None:
        """Return when the bookmaker changed the price's market and line, as it says itself; None if it does not."""
        return self.source_times.newest((offer_code(key),))

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
        self._count = len(columns.keys)
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

    def chances(self) -> dict[int, int]:
        """Return the bookmaker's own probabilities by the key of the price, packed. See `MappedEvent.chances`."""
        return unpack_chances(self.keys, self.packed_chances) if self.packed_chances else {}

    def chances_of(self, keys: Iterable[int]) -> dict[int, int]:
        """Return those of `chances` that are of prices with these keys. Takes 15 µs for an event with 400 prices."""
        places = (
            {key: place for key in keys if (place := self.place_of(key)) is not None} if self.packed_chances else {}
        )
        return chances_at(places, len(self.keys), self.packed_chances) if places else {}

    def take(
        self,
        prices: Prices,
        seen_at: datetime,
        source_changed: Mapping[int, int] = NOTHING_SAID,
        chances: Mapping[int, int] = NOTHING_SAID,
    ) -> tuple[PriceChange, ...]:
        """Replace the prices with those of a healthy fetch of the event's body. Returns what changed, ordered by key.

        What a list had later than `seen_at` stays, and everything stays if a later body was taken before.
        All changes of a call have the same moment. No two calls share a moment, so each has its own rows in the
        history. `source_changed` and `chances` replace what the bookmaker said before, see `MappedEvent`.
        """
        changes: tuple[PriceChange, ...] = ()
        if self.is_detailed and seen_at < self.seen_at:
            return changes
        newer = codes_after(self.listed, seen_at)
        if newer:
            prices = without(prices, newer)
            after = renewed(self.chances(), chances, newer)
            changes = self._take_places(prices, seen_at, other_places(self.keys, newer))
            self.packed_chances = pack_chances(self.keys, after)
            self._fetched = b""
        else:
            digest = digest_of(prices, chances)
            if digest != (self._fetched or digest_of(self.prices(), self.chances())):
                changes = self._take_places(prices, seen_at, range(len(self.keys)))
                self.packed_chances = pack_chances(self.keys, chances)
            self._fetched = digest
        self.seen_at, self.is_detailed = seen_at, True
        self.listed = tuple(each for each in self.listed if each.seen_at > seen_at)
        self.source_times = self.source_times.renewed(source_changed, newer)
        return changes

    def take_listed(
        self,
        prices: Prices,
        seen_at: datetime,
        source_changed: Mapping[int, int] = NOTHING_SAID,
        chances: Mapping[int, int] = NOTHING_SAID,
    ) -> tuple[PriceChange, ...]:
        """Replace the prices of each market and line that a list has prices of. Returns what changed, as `take` does.

        All other prices keep their values and times, and so do those that a body or another list had later than
        `seen_at`. Takes some 5 µs if the list has the same prices as before.
        """
        changes: tuple[PriceChange, ...] = ()
        self.listed_at = seen_at if self.listed_at is None else max(self.listed_at, seen_at)
        if self.is_detailed and seen_at < self.seen_at:
            return changes
        if newer := codes_after(self.listed, seen_at):
            prices = without(prices, newer)
            source_changed = {code: at for code, at in source_changed.items() if code not in newer}
            chances = {key: chance for key, chance in chances.items() if offer_code(key) not in newer}
        digest, codes = digest_of(prices, chances), offer_codes(prices.keys)
        if all(each.digest != digest for each in self.listed):
            before = self.chances()
            changes = self._take_places(prices, seen_at, places_of(self.keys, codes))
            after = updated(before, chances, codes)
            if changes or after != before:
                self.packed_chances = pack_chances(self.keys, after)
                self._fetched = b""
        if codes:
            self.listed = relisted(self.listed, codes, seen_at, digest)
        self.source_times = self.source_times.updated(source_changed)
        return changes

    def prices(self) -> Prices:
        """Return the prices of the newest fetch, without those that are gone."""
        here = [(key, value) for key, value in zip(self.keys, self.values, strict=True) if not value & GONE]
        return Prices(array("I", [key for key, _ in here]), array("I", [value for _, value in here]))

    def next_moment(self, at: datetime) -> int:
        """Return the epoch second for changes at `at`, or the next one that these event odds have not used yet."""
        self.last_moment = max(int(at.timestamp()), self.last_moment + 1)
        return self.last_moment

    def sight(self, at: datetime, now: datetime) -> bool:
        """Note that a list had the event at `at`. Returns whether that ended a miss, which an older list does not.

        What is dated after `now`, the current time, was dated by a clock that was ahead, and does not count.
        """
        if self.sighted_at is None or not at < self.sighted_at <= now:
            self.sighted_at = at
        if self.missed_at is None or self.gone_at is not None or at < self.missed_at <= now:
            return False
        self.missed_at = None
        return True

    def heed_clock(self, at: datetime, now: datetime | None = None) -> bool:
        """Change dates of a clock that was ahead to `at`, so that a fetch at `at` gets correct dates and counts.

        The clock was ahead if it dated anything after the current time: `now`, by default `at`. Returns whether there
        were changes of prices among it. For those, a difference of up to a minute is ignored, because changes within
        one second are dated a second apart.
        """
        now = max(at, now or at)
        is_ahead = self.last_moment > int(now.timestamp()) + CLOCK_TOLERANCE_SECONDS
        if is_ahead or self.fetched_at > now:
            self.first_seen_at, self.seen_at = min(self.first_seen_at, at), min(self.seen_at, at)
            self.listed_at = self.listed_at and min(self.listed_at, at)
            self.sighted_at = self.sighted_at and min(self.sighted_at, at)
            self.listed = tuple(ListedOffers(min(each.seen_at, at), each.codes, each.digest) for each in self.listed)
        if not is_ahead:
            return False
        second = int(at.timestamp())
        before = self.columns
        self.columns = Columns(
            before.keys, before.values, array("I", [min(changed, second) for changed in before.changed])
        )
        self.last_seen = {key: min(seen, second) for key, seen in self.last_seen.items()}
        self.last_moment = second
        return True

    def _take_places(self, prices: Prices, seen_at: datetime, places: Sequence[int]) -> tuple[PriceChange, ...]:
        """Replace the prices at these places, which ascend, unless they are the same."""
        keys, values = self.keys, self.values
        if [(keys[place], values[place]) for place in places if not values[place] & GONE] == list(prices):
            return ()
        return self._merge(prices, self.next_moment(seen_at), places)

    def _merge(self, prices: Prices, moment: int, places: Sequence[int]) -> tuple[PriceChange, ...]:
        """Replace the prices at these places, which ascend."""
        columns = self.columns
        if not columns.keys:
            self.set_version += 1
            self.columns = Columns(prices.keys, prices.values, array("I", [moment]) * len(prices))
            return tuple([(key, None, value) for key, value in prices])
        keys = array("I", [columns.keys[place] for place in places])
        if keys == prices.keys and (not self.last_seen or not any(columns.values[place] & GONE for place in places)):
            return self._replace_values(prices, moment, places)
        after = {key: (value, changed) for key, value, changed in self}
        before = {key: after.pop(key) for key in keys}
        changes: list[PriceChange] = []
        # Replaced and never modified: a writer or an encoder may hold the old one.
        last_seen = dict(self.last_seen)
        for key, value in prices:
            old, changed = before.pop(key, (GONE, 0))
            after[key] = (value, changed if old == value else moment)
            if old != value:
                changes.append((key, None if old & GONE else old, value))
                last_seen.pop(key, None)
        for key, (old, changed) in before.items():
            after[key] = (old, changed) if old & GONE else (old | GONE, moment)
            if not old & GONE:
                changes.append((key, old, None))
                last_seen[key] = int(self.seen_at_of(key).timestamp())
        if len(last_seen) > MAX_GONE:
            for key in sorted(last_seen, key=lambda key: (after[key][1], key))[:-MAX_GONE]:
                del after[key], last_seen[key]
        self.last_seen = last_seen
        self.set_version += 1
        keys = array("I", sorted(after))
        self.columns = Columns(
            keys, array("I", [after[key][0] for key in keys]), array("I", [after[key][1] for key in keys])
        )
        return tuple(sorted(changes, key=lambda change: change[0]))

    def _replace_values(self, prices: Prices, moment: int, places: Sequence[int]) -> tuple[PriceChange, ...]:
        before = self.columns
        values, changed = array("I", before.values), array("I", before.changed)
        changes: list[PriceChange] = []
        for place, new in zip(places, prices.values, strict=True):
            if values[place] != new:
                changes.append((before.keys[place], values[place], new))
                values[place], changed[place] = new, moment
        self.columns = Columns(before.keys, values, changed)
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
        return self._count - len(self.last_seen)

    @property
    def packed_bytes(self) -> int:
        """The size of the prices and their probabilities as they are kept in memory."""
        return len(self._packed) + len(self.packed_chances)

    def without_prices(self) -> "EventOdds":
        """Return a copy that has everything but the prices and their times. It still knows how many there are."""
        return replace(
            self,
            last_seen={},
            listed=(),
            source_times=NO_SOURCE_TIMES,
            _packed=b"",
            packed_chances=NO_CHANCES,
            _fetched=b"",
            _count=self.price_count,
        )

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
