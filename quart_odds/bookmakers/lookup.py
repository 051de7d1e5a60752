"""The catalogue as the parsers need it: for each bookmaker, from its ids straight to a price's packed key."""

from collections.abc import Mapping
from dataclasses import dataclass

from quart_odds.bookmakers.fields import odds_number
from quart_odds.domain.catalogue import CATALOGUE, LineKind, pack_key
from quart_odds.domain.odds import EventHeader, MappedEvent, Prices, UnmappedMarket, pack_value
from quart_odds.domain.platforms import Platform

_REMEMBERED = 20_000
_values: dict[str, int] = {}
"""What texts of odds came to, as open prices: the same few thousand come with each event."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A market as one bookmaker names it: the kind of its line, and outcome ids with keys that still lack the line."""

    line_kind: LineKind
    keys: Mapping[str, int]


def compile_table(platform: Platform) -> dict[str, dict[str, Variant]]:
    """By market id, then specifier. Two markets of ours may share one of theirs: there their outcomes are joined."""
    table: dict[str, dict[str, Variant]] = {}
    for market, wire in CATALOGUE.wires(platform):
        specifiers = table.setdefault(wire.market_id, {})
        known = specifiers.get(wire.specifier)
        keys = dict(known.keys) if known else {}
        for outcome, outcome_id in zip(market.outcomes, wire.outcome_ids, strict=True):
            if outcome_id is not None:
                keys[outcome_id] = pack_key(market.number, outcome.index, None)
        specifiers[wire.specifier] = Variant(market.line_kind, keys)
    return table


class Sheet:
    """Collects the prices of one event while its body is walked."""

    def __init__(self) -> None:
        self.pairs: list[tuple[int, int]] = []
        self.dropped = 0
        self._unmapped: dict[str, str] = {}

    def add(self, key: int, odds: object, is_open: bool) -> None:
        """A price; one at odds of 1 or less cannot be taken, whatever the bookmaker says.

        Raises ValueError or TypeError for odds that are none.
        """
        # Looked up by text alone: 1, 1.0 and True are one key of a dict.
        value = _values.get(odds) if type(odds) is str else None
        if value is None:
            number = odds_number(odds)
            value = pack_value(number, number > 1)
            if type(odds) is str:
                if len(_values) >= _REMEMBERED:
                    _values.clear()
                _values[odds] = value
        self.pairs.append((key, value if is_open else value & ~1))

    def drop(self, count: int = 1) -> None:
        """Prices that could not be understood."""
        self.dropped += count

    def unmapped(self, market_id: str, name: object) -> None:
        """A market that the catalogue does not know."""
        self._unmapped.setdefault(market_id, name.strip()[:120] if isinstance(name, str) else "")

    def event(self, header: EventHeader) -> MappedEvent:
        """What the body came to."""
        prices = Prices.from_pairs(self.pairs)
        return MappedEvent(
            header,
            prices,
            tuple(UnmappedMarket(market_id, name) for market_id, name in self._unmapped.items()),
            len({key >> 22 for key in prices.keys}),
            self.dropped,
        )


def count_members(holders: object) -> int:
    """How many prices a market that was dropped whole held, at least one."""
    return max(1, len(holders)) if isinstance(holders, list | dict) else 1
