"""A bookmaker's offers for an event, market by market: plain prices together, promoted ones separately.

An outcome that has both a plain and a promoted price appears twice: the plain price in the market's own offer, the
promoted one in a further offer. A promoted price without a plain one is in the market's own offer, with a mark.
"""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from quart_odds.domain.catalogue import (
    CATALOGUE,
    FIRST_PROMOTED_KEY,
    Market,
    market_number_of,
    plain_key,
    promotion_of,
    unpack_key,
)
from quart_odds.domain.promotions import is_comparable, promotion_name
from quart_odds.odds.event_odds import GONE, EventOdds

_PLACES = {market.number: place for place, market in enumerate(CATALOGUE.markets)}


@dataclass(slots=True)
class Offer:
    """A market and line at one bookmaker: keys, packed values and times of change by outcome index.

    `promotion` is the number of a further offer's promotion, 0 for the market's own offer. Single prices in the latter
    may be promoted as well; their keys say so.
    """

    market: Market
    line: float | None
    promotion: int = 0
    keys: dict[int, int] = field(default_factory=dict)
    values: dict[int, int] = field(default_factory=dict)
    changed: dict[int, int] = field(default_factory=dict)

    def add(self, index: int, key: int, value: int, changed: int) -> None:
        """Set the price of an outcome."""
        self.keys[index], self.values[index], self.changed[index] = key, value, changed

    def promotion_of(self, index: int) -> int:
        """Return the number of the promotion of an outcome's price, 0 for a plain price."""
        return promotion_of(self.keys[index])

    def comparable_values(self) -> dict[int, int]:
        """Return the packed values that may be used in a margin or a comparison."""
        if self.promotion:
            return {}
        if not self.keys or max(self.keys.values()) < FIRST_PROMOTED_KEY:
            return self.values
        return {index: value for index, value in self.values.items() if is_comparable(promotion_of(self.keys[index]))}


def offers_of(event_odds: EventOdds, markets: Collection[int] | None = None) -> list[Offer]:
    """Return every offer of a bookmaker, in the order of the catalogue, then by line, the market's own offer first.

    With `markets`, return only the offers of the markets with these numbers. Markets that are not in the catalogue are
    left out.
    """
    plain: dict[tuple[int, float | None], Offer] = {}
    promoted: dict[tuple[int, float | None], list[tuple[int, int, int, int]]] = {}
    for key, value, changed in event_odds if markets is None else prices_of(event_odds, markets):
        number, index, line = unpack_key(key)
        if key >= FIRST_PROMOTED_KEY:
            promoted.setdefault((number, line), []).append((index, key, value, changed))
            continue
        offer = plain.get((number, line))
        if offer is None:
            market = CATALOGUE.by_number.get(number)
            if market is None:
                continue
            offer = plain[number, line] = Offer(market, line)
        offer.keys[index], offer.values[index], offer.changed[index] = key, value, changed
    further: list[Offer] = []
    for place, prices in promoted.items():
        market = CATALOGUE.by_number.get(place[0])
        if market is not None:
            further += beside(plain.setdefault(place, Offer(market, place[1])), prices)
    return sorted(
        (*plain.values(), *further),
        key=lambda offer: (place_of(offer.market), offer.line or 0.0, offer.promotion),
    )


def has_prices_of(event_odds: EventOdds, markets: Collection[int]) -> bool:
    """Return whether there is or was a price of any of these markets."""
    return any(True for _ in _ranges(event_odds.keys, markets))


def prices_of(event_odds: EventOdds, markets: Collection[int]) -> Iterator[tuple[int, int, int]]:
    """Yield the (key, value, changed) of the prices of these markets, as iterating over the event odds does."""
    columns = event_odds.columns
    for part in _ranges(columns.keys, markets):
        yield from zip(columns.keys[part], columns.values[part], columns.changed[part], strict=True)


def _ranges(keys: Sequence[int], markets: Collection[int]) -> Iterator[slice]:
    """Yield where an ascending column of keys has prices of these markets: plain ones first, then promoted ones."""
    for first in (0, FIRST_PROMOTED_KEY) if keys and keys[-1] >= FIRST_PROMOTED_KEY else (0,):
        for number in sorted(markets):
            start = bisect_left(keys, first + (number << 22))
            stop = bisect_left(keys, first + (number + 1 << 22), start)
            if start < stop:
                yield slice(start, stop)


def offers_at(event_odds: EventOdds, market: Market, line: float | None, keys: Sequence[int]) -> list[Offer]:
    """Return the offers of one market and line. `keys` are its plain keys, in the order of the outcomes."""
    own = offer_of(event_odds, market, line, keys)
    if not own.values:
        return []
    return [own, *_further(event_odds, own, keys)] if event_odds.has_promotions else [own]


def offer_of(event_odds: EventOdds, market: Market, line: float | None, keys: Iterable[int]) -> Offer:
    """Return only the market's own offer. `keys` are its plain keys, in the order of the outcomes."""
    offer = Offer(market, line)
    columns = event_odds.columns
    here, values, changed = columns.keys, columns.values, columns.changed
    count = len(here)
    has_promotions = count and here[-1] >= FIRST_PROMOTED_KEY
    # A list calls this twelve times for each event, so function calls are avoided here.
    for index, plain in enumerate(keys):
        key = effective_key(event_odds, plain) if has_promotions else plain
        place = bisect_left(here, key)
        if place < count and here[place] == key:
            offer.keys[index], offer.values[index], offer.changed[index] = key, values[place], changed[place]
    return offer


def _further(event_odds: EventOdds, own: Offer, keys: Sequence[int]) -> list[Offer]:
    """Return a market's further offers, ordered by promotion."""
    places = {key: index for index, key in enumerate(keys)}
    columns = event_odds.columns
    found: dict[int, Offer] = {}
    for key in event_odds.promoted_keys:
        index = places.get(plain_key(key))
        place = event_odds.place_of(key)
        if index is None or place is None or own.keys.get(index) == key or columns.values[place] & GONE:
            continue
        promotion = promotion_of(key)
        offer = found.setdefault(promotion, Offer(own.market, own.line, promotion))
        offer.add(index, key, columns.values[place], columns.changed[place])
    return [found[promotion] for promotion in sorted(found)]


def place_of(market: Market) -> int:
    """Return a market's position in the order of the catalogue."""
    return _PLACES[market.number]


def effective_key(event_odds: EventOdds, plain: int) -> int:
    """Return the key of an outcome's price in its market's own offer: plain unless only promoted prices are there."""
    value = event_odds.value_of(plain)
    if value is not None and not value & GONE:
        return plain
    promoted = [key for key in event_odds.promoted_keys if plain_key(key) == plain]
    here = [key for key in promoted if not (_value(event_odds, key) & GONE)]
    if here or value is None:
        return min(here or promoted, key=rank, default=plain)
    return plain


def shown_key(prices: Mapping[int, int]) -> int:
    """Return the key of the price that an outcome has in its market's own offer: the rule of `beside` for one outcome.

    `prices` are all packed values of the outcome by key. All others that are available are in further offers.
    """
    ordered = sorted(prices, key=rank) if len(prices) > 1 else list(prices)
    for key in ordered:
        if not prices[key] & GONE:
            return key
    return ordered[0]


def perked_values(event_odds: EventOdds) -> list[tuple[int, int]]:
    """Return the (plain key, packed value) of each outcome whose price in its market's own offer has a perk."""
    return [
        (plain, _value(event_odds, key))
        for key in event_odds.promoted_keys
        if is_comparable(promotion_of(key))
        and not _value(event_odds, key) & GONE
        and effective_key(event_odds, plain := plain_key(key)) == key
    ]


def price_keys(event_odds: EventOdds, keys: Mapping[int, int]) -> dict[int, int]:
    """Add to `keys` (outcome index by plain key) the keys of all promoted prices that these outcomes have or had."""
    return dict(keys) | {key: keys[plain_key(key)] for key in event_odds.promoted_keys if plain_key(key) in keys}


def promotion_word(event_odds: EventOdds, key: int) -> str | None:
    """Return the name of a price's promotion; None for a plain price."""
    if key < FIRST_PROMOTED_KEY:
        return None
    return promotion_name(promotion_of(key), event_odds.promotions)


def market_numbers(keys: Iterable[int]) -> frozenset[int]:
    """Return the numbers of the markets that these price keys belong to."""
    return frozenset(map(market_number_of, keys))


def _value(event_odds: EventOdds, key: int) -> int:
    value = event_odds.value_of(key)
    return GONE if value is None else value


def rank(key: int) -> tuple[bool, int]:
    """Return a sort key for the prices of one outcome: the plain price, then those with a perk, then raised ones."""
    promotion = promotion_of(key)
    return not is_comparable(promotion), promotion


def beside(own: Offer, prices: Iterable[tuple[int, int, int, int]]) -> list[Offer]:
    """Add promoted prices to a market's own offer where it lacks plain ones. Returns further offers of the others.

    A price is (outcome index, key, packed value, time of change).
    """
    further: dict[int, Offer] = {}
    for index, key, value, changed in sorted(prices, key=lambda price: rank(price[1])):
        here = own.values.get(index)
        if here is None or (here & GONE and not value & GONE):
            own.add(index, key, value, changed)
        elif not value & GONE:
            promotion = promotion_of(key)
            offer = further.setdefault(promotion, Offer(own.market, own.line, promotion))
            offer.add(index, key, value, changed)
    return list(further.values())
