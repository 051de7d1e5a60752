"""The prices of an event at one bookmaker within the last day, and their first ones, packed in memory.

What is kept is as much of the history as `odds.movement` needs, so that it says the same as of the whole: every change
of the last day, and of what was before it the first price, the last one, and the last one that could be bet on. A price
that has never changed is not kept at all, because the event odds have it.

Five bookmakers with some 60 such prices each take 2.7 KB an event if half of the prices have changed, three times on
average, with the objects around them (`tests/odds/test_day_prices.py` measures it).
"""

from array import array
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from quart_odds.domain.catalogue import market_number_of
from quart_odds.odds.compression import compress, decompress
from quart_odds.odds.event import EventChange
from quart_odds.odds.event_odds import GONE, EventOdds
from quart_odds.odds.history import GONE_ODDS, LISTING_KEY, Change
from quart_odds.odds.movement import DAY_SECONDS
from quart_odds.odds.offers import prices_of

MOST_UNPACKED = 16
"""How many changes wait before they are packed, which takes some 50 µs."""

MOST_CHANGES = 2_000
"""How many changes are kept. Of a bookmaker that makes more, the period that is known gets shorter than a day."""

Past = tuple[list[Change], list[Change]]
"""First prices and changes, each ordered by time."""


@dataclass(slots=True, eq=False)
class DayPrices:
    """The last day of event odds. `opened_at` is when those of its prices were first there that are not kept.

    `is_loaded` is False while the stored history is still to come; changes may be noted before. `since` is the epoch
    second from which on everything is known, 0 unless there were too many changes.
    """

    event_odds: EventOdds
    opened_at: int = 0
    is_loaded: bool = False
    since: int = 0
    _packed: bytes = b""
    _noted: "array[int] | None" = field(default=None, repr=False)
    """(epoch second, key, value before, value now) of each change that is not packed yet. GONE stands for no price."""

    def is_of(self, event_odds: EventOdds) -> bool:
        """Whether these are the same event odds, perhaps read again since."""
        ours, header = self.event_odds.header, event_odds.header
        return (ours.platform, ours.external_id) == (header.platform, header.external_id)

    # What happens.

    def note(self, change: EventChange, markets: Collection[int]) -> None:
        """Take a change of these event odds, as far as it is about these markets. A few µs, or 50 to pack."""
        if change.redated_after:
            self._date_back(change.redated_after)
        if change.opened and self.is_loaded:
            self._open(change, markets)
        for key, old, new in change.changed:
            if key not in change.opened and market_number_of(key) in markets:
                self._add(change.moment, key, old, new)
        if change.is_available is not None:
            self._add(change.moment, LISTING_KEY, None, 0 if change.is_available else None)
        if self._noted is not None and len(self._noted) > 4 * MOST_UNPACKED:
            self.pack(change.moment)

    def adopt(self, event_odds: EventOdds, markets: Collection[int]) -> None:
        """Go on with event odds that were read again: how they differ is what has changed meanwhile."""
        before = {key: value for key, value, _ in prices_of(self.event_odds, markets) if not value & GONE}
        found = []
        for key, value, since in prices_of(event_odds, markets):
            new = None if value & GONE else value
            if before.get(key) != new:
                found.append((since, key, before.get(key), new))
        for at, key, old, new in sorted(found, key=lambda each: each[0]):
            self._add(at, key, old, new)
        if (self.event_odds.gone_at is None) != (event_odds.gone_at is None):
            self._add(event_odds.last_moment, LISTING_KEY, None, 0 if event_odds.gone_at is None else None)
        self.event_odds = event_odds

    def load(self, first: Iterable[Change], changes: Iterable[Change], markets: Collection[int], now: int) -> None:
        """Take the stored history of these markets. What was noted since may be stored or not."""
        noted = self._unpacked()[1]
        past = {(at, key): odds for at, key, odds in (*changes, *noted)}
        opened = {key: (at, key, odds) for at, key, odds in first}
        for at, key, odds in self._not_stored(opened, past, markets):
            past[at, key] = odds
        changed = {key for _, key in past}
        times = Counter(at for key, (at, _, _) in opened.items() if key not in changed)
        self.opened_at = max(times, key=lambda at: (times[at], at), default=0)
        kept = [each for key, each in opened.items() if key in changed or each[0] != self.opened_at]
        self.is_loaded, self._noted = True, None
        self._pack(sorted(kept), sorted((at, key, odds) for (at, key), odds in past.items()), now)

    def pack(self, now: int) -> None:
        """Pack what was noted, and forget what is over for a day."""
        self._pack(*self._unpacked(), now)

    # Who asks.

    def past(self, current: Mapping[int, tuple[int, int]]) -> Past:
        """Return first prices and changes of these prices and of the listing, as `odds.movement` takes them.

        `current` are the prices as they are now, as `CurrentPrices` has them. Takes some 10 µs.
        """
        first, changes = self._unpacked()
        first = [each for each in first if each[1] in current]
        changes = [each for each in changes if each[1] in current or each[1] == LISTING_KEY]
        kept = {each[1] for each in (*first, *changes)}
        first += [
            (since, key, value) for key, (value, since) in current.items() if key not in kept and not value & GONE
        ]
        return sorted(first), changes

    @property
    def kept_bytes(self) -> int:
        """The size of what is kept, without the objects around it."""
        return len(self._packed) + (4 * len(self._noted) if self._noted is not None else 0)

    def _add(self, at: int, key: int, old: int | None, new: int | None) -> None:
        if self._noted is None:
            self._noted = array("I")
        self._noted.extend((at, key, GONE if old is None else old, GONE if new is None else new))

    def _open(self, change: EventChange, markets: Collection[int]) -> None:
        """Take the first body of an event that only lists had: most prices were first there in it."""
        first, changes = self._unpacked()
        kept = {key for _, key, _ in first}.union(key for _, key, _ in changes)
        touched = {key: old for key, old, _ in change.changed}
        for key, value, _ in prices_of(self.event_odds, markets):
            before = touched.get(key, value)
            if key not in kept and key not in change.opened and before is not None and not before & GONE:
                first.append((self.opened_at, key, before))
        self.opened_at, self._noted = change.moment, None
        self._pack(sorted(first), changes, change.moment)

    def _date_back(self, second: int) -> None:
        """Change later times to `second`, because a clock was ahead. Of each price, the last change of then is kept."""
        first, changes = self._unpacked()
        past = {(min(at, second), key): odds for at, key, odds in changes}
        first = [(min(at, second), key, odds) for at, key, odds in first]
        self.opened_at, self._noted = min(self.opened_at, second), None
        self._pack(sorted(first), sorted((at, key, odds) for (at, key), odds in past.items()), second)

    def _not_stored(
        self, opened: Mapping[int, Change], past: Mapping[tuple[int, int], int], markets: Collection[int]
    ) -> list[Change]:
        """Return how the event odds differ from the history, and the prices of which it has nothing."""
        state = {key: (at, odds) for key, (at, _, odds) in opened.items()}
        state |= {key: (at, odds) for (at, key), odds in sorted(past.items())}
        found = []
        for key, value, since in prices_of(self.event_odds, markets):
            odds = GONE_ODDS if value & GONE else value
            at, known = state.get(key, (-1, GONE_ODDS))
            if known != odds and since > at:
                found.append((since, key, odds))
        was_listed = state.get(LISTING_KEY, (0, 0))[1] != GONE_ODDS
        if was_listed != (self.event_odds.gone_at is None):
            found.append((self.event_odds.last_moment, LISTING_KEY, GONE_ODDS if was_listed else 0))
        return found

    def _unpacked(self) -> Past:
        first: list[Change] = []
        changes: list[Change] = []
        if self._packed:
            column = array("I")
            column.frombytes(decompress(self._packed))
            count = (len(column) - 1) // 3
            times, keys, values = (column[1 + place * count : 1 + (place + 1) * count] for place in range(3))
            every = [
                (at, key, GONE_ODDS if value == GONE else value)
                for at, key, value in zip(times, keys, values, strict=True)
            ]
            first, changes = every[: column[0]], every[column[0] :]
        if self._noted is not None:
            kept = {key for _, key, _ in first}.union(key for _, key, _ in changes)
            noted = self._noted
            for place in range(0, len(noted), 4):
                at, key, old, new = noted[place : place + 4]
                if key not in kept and old != GONE and self.is_loaded:
                    first.append((self.opened_at, key, old))
                kept.add(key)
                changes.append((at, key, GONE_ODDS if new == GONE else new))
        return first, changes

    def _pack(self, first: list[Change], changes: list[Change], now: int) -> None:
        horizon = now - DAY_SECONDS
        if len(changes) > MOST_CHANGES:
            horizon = self.since = max(self.since, changes[-MOST_CHANGES // 2][0])
        changes = folded(first, changes, horizon)
        every = [*first, *changes]
        self._noted = None
        self._packed = b""
        if every:
            times, keys, values = (array("I", column) for column in zip(*map(_stored, every), strict=True))
            self._packed = compress(
                b"".join(each.tobytes() for each in (array("I", [len(first)]), times, keys, values))
            )


def folded(first: Iterable[Change], changes: Iterable[Change], horizon: int) -> list[Change]:
    """Return the changes without those up to `horizon` on which no movement after it depends."""
    opened = {key for _, key, odds in first if odds & 1}
    last: dict[int, Change] = {}
    quoted: dict[int, Change] = {}
    opening: dict[int, Change] = {}
    later = []
    for change in changes:
        at, key, odds = change
        if at > horizon:
            later.append(change)
            continue
        last[key] = change
        if key != LISTING_KEY and odds != GONE_ODDS and odds & 1:
            quoted[key] = change
            if key not in opened:
                opening.setdefault(key, change)
    if LISTING_KEY in last and last[LISTING_KEY][2] != GONE_ODDS:
        del last[LISTING_KEY]
    return [*sorted({*last.values(), *quoted.values(), *opening.values()}), *later]


def _stored(change: Change) -> Change:
    at, key, odds = change
    return at, key, GONE if odds == GONE_ODDS else odds
