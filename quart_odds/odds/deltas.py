"""What one fetch changed in what the API shows of an event at one bookmaker, packed.

The cache reports changes of keys. The API shows a promoted price in the market's own offer if there is no plain one,
and in a further offer otherwise (see `odds.offers`). So a key that changes may also change where another one is shown.
"""

from array import array
from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from quart_odds.domain.catalogue import (
    CATALOGUE,
    FIRST_PROMOTED_KEY,
    market_number_of,
    offer_code,
    plain_key,
    promotion_of,
    unpack_key,
)
from quart_odds.domain.promotions import promotion_name
from quart_odds.odds.compression import compress, decompress
from quart_odds.odds.event_odds import GONE, EventOdds, PriceChange
from quart_odds.odds.offer_times import SourceTimes
from quart_odds.odds.offers import offers_of, shown_key

Row = tuple[int, int, int, bool]
"""(key, value before, value now, whether it is in a further offer). A value with GONE stands for a price that is not
available: before, it says nothing else; now, the rest of it are the last odds."""

COMPRESSED_FROM_ROWS = 64
"""Fewer rows are not worth the time that compression takes."""

_FEW_OFFERS = 16
_OBJECT_BYTES = 500

_NUMBERS = frozenset(CATALOGUE.by_number)


@dataclass(slots=True, eq=False)
class Delta:
    """The rows of one fetch: those of markets' own offers, then those of further offers.

    `market_bits` has a bit for each market's number. `promotions` are the bookmaker's own words, `times` when it says
    that it changed the markets and lines.
    """

    count: int
    market_bits: int
    seen_at: datetime
    promotions: tuple[str, ...]
    times: SourceTimes
    _own_count: int
    _packed: bytes

    @classmethod
    def of(cls, changed: Sequence[PriceChange], event_odds: EventOdds, *, is_back: bool = False) -> "Delta | None":
        """Pack changes that the event odds have just taken; None if they change nothing that is shown.

        `is_back` says that the bookmaker did not list the event before, so that no price was available. Takes some 5 µs
        for three prices.
        """
        own, further = _rows(changed, event_odds, is_back=is_back)
        rows = own + further if further else own
        if not rows:
            return None
        column = array("I", [row[0] for row in rows])
        column.extend([row[1] for row in rows])
        column.extend([row[2] for row in rows])
        packed = column.tobytes()
        bits = 0
        for row in rows:
            bits |= 1 << market_number_of(row[0])
        times = event_odds.source_times
        if times.codes and len(rows) <= _FEW_OFFERS:
            times = times.only({offer_code(row[0]) for row in rows})
        return cls(
            len(rows),
            bits,
            event_odds.seen_at_of(changed[0][0]),
            event_odds.promotions,
            times,
            len(own),
            compress(packed) if len(rows) > COMPRESSED_FROM_ROWS else packed,
        )

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return _OBJECT_BYTES + len(self._packed) + 12 * len(self.times.codes)

    def rows(self) -> Iterator[Row]:
        """Yield the rows."""
        column = array("I")
        column.frombytes(decompress(self._packed) if self.count > COMPRESSED_FROM_ROWS else self._packed)
        count = self.count
        for place in range(count):
            yield column[place], column[count + place], column[2 * count + place], place >= self._own_count


def first_rows(event_odds: EventOdds, markets: Collection[int] | None) -> Iterator[Row]:
    """Yield the rows of the first prices of an event, of the markets with these numbers or of all."""
    for offer in offers_of(event_odds, markets):
        for index, value in sorted(offer.values.items()):
            yield offer.keys[index], GONE, value, offer.promotion > 0


def newest_source_time(times: SourceTimes, rows: Iterable[Row]) -> datetime | None:
    """Return when the bookmaker changed the newest of the rows' markets and lines, None if it says nothing."""
    return times.newest({offer_code(row[0]) for row in rows}) if times.codes else None


def selected(rows: Iterable[Row], markets: Collection[int] | None, min_move: float) -> Iterator[Row]:
    """Yield the rows of these markets that move by `min_move` percent or more, or by more than a move of the odds.

    A price that appears, disappears, or is suspended or resumed always counts.
    """
    for row in rows:
        key, before, now, _ = row
        if markets is not None and market_number_of(key) not in markets:
            continue
        # Whole numbers, because 2.1 / 2.0 is less than 1.05.
        if (
            min_move <= 0
            or (before | now) & GONE
            or (before ^ now) & 1
            or abs((now >> 1) - (before >> 1)) * 100 >= min_move * (before >> 1)
        ):
            yield row


def shown_row(row: Row, words: Sequence[str]) -> dict[str, object]:
    """Return a row as an `odds_change` has it. `words` are the bookmaker's own names of promotions."""
    key, before, now, is_further = row
    market_id, line, outcome = _place(plain_key(key))
    promotion = promotion_name(promotion_of(key), words)
    is_available = not now & GONE
    return {
        "market_id": market_id,
        "line": line,
        "outcome": outcome,
        "odds": ((now & ~GONE) >> 1) / 1000,
        "previous": None if before & GONE else (before >> 1) / 1000,
        "is_active": is_available and bool(now & 1),
        "available": is_available,
        "promotion": promotion,
        "market_promotion": promotion if is_further else None,
    }


@lru_cache(maxsize=512)
def market_bits(markets: frozenset[int]) -> int:
    """Return the numbers of markets as bits of one number."""
    return sum(1 << number for number in markets)


@lru_cache(maxsize=16_384)
def _place(key: int) -> tuple[str, float | None, str]:
    number, index, line = unpack_key(key)
    market = CATALOGUE.by_number[number]
    return market.id, line, market.outcomes[index].name


def _rows(changed: Sequence[PriceChange], event_odds: EventOdds, *, is_back: bool) -> tuple[list[Row], list[Row]]:
    """Return the rows of markets' own offers, and those of further offers."""
    own: list[Row] = []
    further: list[Row] = []
    if not changed:
        return own, further
    beside_promoted: Mapping[int, set[int]] = {}
    if event_odds.has_promotions or changed[-1][0] >= FIRST_PROMOTED_KEY:
        beside_promoted = _with_promotions(changed, event_odds)
    for key, old, new in changed:
        if key >> 22 & 511 not in _NUMBERS or (beside_promoted and plain_key(key) in beside_promoted):
            continue
        if new is not None:
            own.append((key, GONE if old is None or is_back else old, new, False))
        elif old is not None and not is_back:
            own.append((key, old, old | GONE, False))
    if beside_promoted:
        olds = {key: old for key, old, _ in changed}
        for plain, keys in beside_promoted.items():
            if market_number_of(plain) in _NUMBERS:
                before, now = _states((plain, *keys), olds, event_odds)
                _add_shown(own, further, before, now, is_back=is_back)
    return own, further


def _with_promotions(changed: Sequence[PriceChange], event_odds: EventOdds) -> dict[int, set[int]]:
    """Return the outcomes that changed and have or had promoted prices: the keys of these by plain key."""
    touched = {plain_key(key) for key, _, _ in changed}
    found: dict[int, set[int]] = {}
    for key in (*event_odds.promoted_keys, *(key for key, _, _ in changed if key >= FIRST_PROMOTED_KEY)):
        plain = plain_key(key)
        if plain in touched:
            found.setdefault(plain, set()).add(key)
    return found


def _states(
    keys: Iterable[int], olds: Mapping[int, int | None], event_odds: EventOdds
) -> tuple[dict[int, int], dict[int, int]]:
    """Return the values of an outcome's prices by key, before the changes and now. `olds` are the changed ones before.

    A price that is not available may be missing.
    """
    columns = event_odds.columns
    before, now = {}, {}
    for key in keys:
        place = bisect_left(columns.keys, key)
        value = columns.values[place] if place < len(columns.keys) and columns.keys[place] == key else None
        if value is not None:
            now[key] = value
        old = olds.get(key, value)
        if old is not None:
            before[key] = old
    return before, now


def _add_shown(
    own: list[Row], further: list[Row], before: dict[int, int], now: dict[int, int], *, is_back: bool
) -> None:
    """Add the rows by which two states of an outcome differ, as the API shows them."""
    own_before, own_now = (shown_key(state) if state else None for state in (before, now))
    # If too many prices are gone to keep all of them, the last one that was shown stands for itself.
    shown = own_before if own_now is None else own_now
    if shown is not None:
        old = GONE if own_before is None else before[own_before]
        new = now[shown] if shown in now else before[shown] | GONE
        if (shown != own_before or old != new) and not ((old & GONE or is_back) and new & GONE):
            own.append((shown, GONE if is_back or old & GONE else old, new, False))
    for key in sorted({*before, *now}):
        old = GONE if key == own_before else before.get(key, GONE)
        new = GONE if key == own_now else now.get(key, GONE)
        if old != new and not ((old & GONE or is_back) and new & GONE):
            further.append((key, GONE if is_back or old & GONE else old, old | GONE if new & GONE else new, True))
