"""The catalogue prepared for the parsers: a bookmaker's ids lead directly to the packed key of a price."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from quart_odds.bookmakers.column import Column
from quart_odds.bookmakers.fields import odds_number, probability
from quart_odds.domain.catalogue import MAX_MARKET_NUMBER, LineKind, pack_key
from quart_odds.domain.fair import CHANCE_WIN_MASK, Chance, pack_chance
from quart_odds.domain.odds import EventHeader, ListedEvent, MappedEvent, Prices, UnmappedMarket, pack_value
from quart_odds.domain.promotions import KNOWN, MAX_WORDS, OTHER, promotion_number
from quart_odds.domain.text import clean_text
from quart_odds.errors import MalformedBodyError

MAX_UNMAPPED = 5_000
"""Unknown markets of one event that are listed. Real events have up to 150. Prices of further ones are counted only."""

MAX_TEXT = 120
"""Maximum length of an unknown market's id or name, in characters."""

MAX_REMEMBERED_TEXT = 120
"""Longest text to cache, such as price keys and specifiers. Real ones have up to 60 characters."""

EARLIEST_CHANGE, LATEST_CHANGE = 946_684_800_000, 4_102_444_800_000
"""Plausible times of a change, in epoch milliseconds: from 2000 to 2100."""

_REMEMBERED = 20_000
_values: dict[str, int] = {}
"""Cached conversions of odds texts into active prices. The same few thousand recur in all events."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A market as one bookmaker identifies it. `keys` maps outcome ids to packed keys that lack the line."""

    line_kind: LineKind
    keys: Mapping[str, int]


def compile_table(column: Column) -> dict[str, dict[str, Variant]]:
    """Index a bookmaker's markets by market id, then by specifier.

    If two of our markets share one of the bookmaker's, their outcomes are merged.
    """
    table: dict[str, dict[str, Variant]] = {}
    for mapping in column:
        market = mapping.market
        specifiers = table.setdefault(mapping.market_id, {})
        known = specifiers.get(mapping.specifier)
        keys = dict(known.keys) if known else {}
        for outcome, outcome_id in zip(market.outcomes, mapping.outcome_ids, strict=True):
            if outcome_id is not None:
                keys[outcome_id] = pack_key(market.number, outcome.index, None)
        specifiers[mapping.specifier] = Variant(market.line_kind, keys)
    return table


class Accumulator:
    """Collects the prices of one event while its body is parsed."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []
        self.dropped = 0
        self._changed: dict[int, int] = {}
        self._chances: dict[int, int] = {}
        self._unmapped: dict[str, UnmappedMarket] = {}
        self._more_unmapped_prices = 0
        self._words: list[str] = []

    def add(self, key: int, odds: object, is_open: bool) -> None:
        """Add a price. It is inactive at odds of 1 or less, whatever the bookmaker says.

        Raises ValueError or TypeError for invalid odds.
        """
        # Only text is looked up: as keys of a dict, 1, 1.0 and True are equal.
        value = _values.get(odds) if type(odds) is str else None
        if value is None:
            number = odds_number(odds)
            value = pack_value(number, number > 1)
            if type(odds) is str and len(odds) <= MAX_REMEMBERED_TEXT:
                if len(_values) >= _REMEMBERED:
                    _values.clear()
                _values[odds] = value
        self.pairs.append((key, value if is_open else value & ~1))

    def drop(self, count: int = 1) -> None:
        """Count prices that could not be understood."""
        self.dropped += count

    def changed(self, offers: Iterable[int], at: object) -> None:
        """Note when the bookmaker changed these markets and lines (see `catalogue.offer_code`), in epoch milliseconds.

        Anything but a plausible time is ignored: the site leaves the time out at some markets.
        """
        if type(at) is int and EARLIEST_CHANGE <= at <= LATEST_CHANGE:
            for offer in offers:
                self._changed[offer] = at

    def chance(self, key: int, win: object, refund: object = 0.0) -> None:
        """Note the bookmaker's own probability that the outcome of a price wins, and that the stake is refunded.

        Anything but probabilities is ignored: the price is good without them. So is a win of 0: what cannot win has no
        fair odds.
        """
        try:
            packed = pack_chance(Chance(probability(win), probability(refund)))
        except (TypeError, ValueError):
            return
        if packed & CHANCE_WIN_MASK:
            self._chances[key] = packed

    def promotion(self, word: str) -> int:
        """Return the number of a promotion's word in this event: 0 for no word, OTHER if there are too many words."""
        number = promotion_number(word, self._words)
        if number == OTHER and word != "other" and len(self._words) < MAX_WORDS:
            self._words.append(word)
            number = len(KNOWN) + len(self._words) - 1
        return number

    def unmapped(self, market_id: str, name: object, prices: int = 0, *, are_players: bool = False) -> None:
        """Add a market that the catalogue does not know, with its number of prices."""
        market_id = clean_text(market_id, MAX_TEXT)
        known = self._unmapped.get(market_id)
        if known is not None:
            # This is another line of the market, and players' markets have no lines.
            both = known.are_players and are_players
            self._unmapped[market_id] = UnmappedMarket(market_id, known.name, known.prices + prices, both)
        elif len(self._unmapped) < MAX_UNMAPPED:
            text = clean_text(name, MAX_TEXT) if isinstance(name, str) else ""
            self._unmapped[market_id] = UnmappedMarket(market_id, text, prices, are_players)
        else:
            self._more_unmapped_prices += prices

    def event(self, header: EventHeader, *, is_in_play: bool = False, is_partial: bool = False) -> MappedEvent:
        """Return the event with everything collected so far.

        A partial event, from a list, has no names of unknown markets: the event's own body has them all.
        """
        prices = Prices.from_pairs(self.pairs)
        unmapped = tuple(self._unmapped.values())
        unmapped_prices = sum(market.prices for market in unmapped) + self._more_unmapped_prices
        return MappedEvent(
            header,
            prices,
            () if is_partial else unmapped,
            len({key >> 22 & MAX_MARKET_NUMBER for key in prices.keys}),
            self.dropped,
            tuple(self._words),
            is_in_play,
            len(self.pairs) + self.dropped + unmapped_prices,
            unmapped_prices,
            sum(market.prices for market in unmapped if market.are_players),
            is_partial,
            self._changed,
            self._chances,
        )

    def listed(self, header: EventHeader, list_name: str) -> ListedEvent:
        """Return the event as a list has it, with the prices collected so far, if there are any."""
        return ListedEvent(header, self.event(header, is_partial=True) if self.pairs else None, list_name)


def listed_event(
    header: EventHeader, list_name: str, collect: Callable[[], Accumulator], errors: list[MalformedBodyError]
) -> ListedEvent:
    """Return a listed event with the prices that `collect` finds in its entry.

    If it raises, the event is listed without prices and the error is added to `errors`.
    """
    try:
        return collect().listed(header, list_name)
    except MalformedBodyError as error:
        errors.append(error)
        return ListedEvent(header, None, list_name)


def count_members(holders: object) -> int:
    """Count the prices of a market that was dropped as a whole, at least one."""
    return max(1, len(holders)) if isinstance(holders, list | dict) else 1
