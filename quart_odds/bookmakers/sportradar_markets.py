"""Markets in SportRadar's form, which several sites send: a market id, a specifier, and outcomes with ids.

Outcomes are identified by these three. Descriptions are ignored because they contain lines and team names, positions
because they differ between markets.
"""

from typing import Any, NamedTuple

from quart_odds.bookmakers.column import Column
from quart_odds.bookmakers.fields import values, whole
from quart_odds.bookmakers.lookup import MAX_REMEMBERED_TEXT, Accumulator, Variant, compile_table, count_members
from quart_odds.domain.catalogue import line_code, offer_code

_LIVE_PRODUCT = 1
_PLAYER = "sr:player:"
_REMEMBERED = 20_000


class _Place(NamedTuple):
    """Where a market's prices belong: its variant, the code of its line, and the codes of market and line."""

    variant: Variant
    line: int
    offers: tuple[int, ...]


class SportRadarMarkets:
    """Reads the markets of a site with the ids in its column of the catalogue.

    `specifier` and `name` are the site's fields for a market's specifier and its name for people. Some sites send the
    ids of markets as numbers: `has_numbers_as_ids`. A specifier without text means the same as none.
    """

    def __init__(
        self, column: Column, *, specifier: str = "specifier", name: str = "desc", has_numbers_as_ids: bool = False
    ) -> None:
        self._table = compile_table(column)
        self._specifier = specifier
        self._name = name
        self._has_numbers_as_ids = has_numbers_as_ids
        self._places: dict[tuple[str, str | None], _Place | None] = {}
        """Cached results of `_find`. The same few thousand markets and specifiers recur in all events."""

    def add(self, market: Any, accumulator: Accumulator) -> None:
        """Add the outcomes of a market. An invalid outcome is dropped and counted; the others are kept."""
        try:
            market_id, specifier = market["id"], market.get(self._specifier)
            if self._has_numbers_as_ids:
                market_id = str(whole(market_id))
            asked = (market_id, specifier)
            place = self._places[asked] if asked in self._places else self._find(market_id, specifier)
            if place is None:
                unknown = f"{market_id}|{specifier}" if market_id in self._table else str(market_id)
                _add_unknown(market, unknown, market.get(self._name), accumulator)
                return
            is_open = whole(market["status"]) == 0
            outcomes = market["outcomes"]
        except (AttributeError, KeyError, TypeError, ValueError, OverflowError):
            accumulator.drop(count_members(market.get("outcomes") if isinstance(market, dict) else None))
            return
        keys, line = place.variant.keys, place.line
        before = len(accumulator.pairs)
        for outcome in values(outcomes):
            try:
                key = keys[outcome["id"]] + line
                accumulator.add(key, outcome["odds"], is_open and whole(outcome["isActive"]) == 1)
                if "probability" in outcome:
                    accumulator.chance(key, outcome["probability"], outcome.get("voidProbability", 0.0))
            except (KeyError, TypeError, ValueError):
                accumulator.drop()
        if len(accumulator.pairs) > before:
            accumulator.changed(place.offers, market.get("lastOddsChangeTime"))

    def _find(self, market_id: str, specifier: str | None) -> _Place | None:
        """Look up the market and line for an id and a specifier. Returns None if the catalogue does not know them.

        Raises ValueError for an invalid line.
        """
        variants = self._table.get(market_id)
        place = None
        if variants is not None:
            parts = dict(part.partition("=")[::2] for part in (specifier or "").split("|") if part)
            line = parts.pop("total", None) or parts.pop("hcp", None)
            variant = variants.get("|".join(f"{name}={value}" for name, value in sorted(parts.items())))
            if variant is not None and (line is None) == (variant.line_kind == "none"):
                code = line_code(_line(variant, line))
                offers = {offer_code(key + code) for key in variant.keys.values()}
                place = _Place(variant, code, tuple(sorted(offers)))
        if len(str(market_id)) + len(str(specifier)) <= MAX_REMEMBERED_TEXT:
            if len(self._places) >= _REMEMBERED:
                self._places.clear()
            self._places[market_id, specifier] = place
        return place


def are_live(markets: list[Any]) -> bool:
    """Return whether any of an event's markets is one of those in play."""
    return any(isinstance(market, dict) and market.get("product") == _LIVE_PRODUCT for market in markets)


def has_begun(event: dict[str, Any]) -> bool:
    """Return whether a match has started or is over. Status 0 means upcoming; a missing status says nothing."""
    return event.get("status") not in (0, None)


def _add_unknown(market: dict[str, Any], market_id: str, name: object, accumulator: Accumulator) -> None:
    """Add a market that the catalogue does not know. It is a players' market if most of its outcomes are players."""
    outcomes = list(values(market.get("outcomes")))
    players = sum(1 for outcome in outcomes if isinstance(outcome, dict) and _is_player(outcome))
    accumulator.unmapped(market_id, name, len(outcomes), are_players=2 * players > len(outcomes))


def _is_player(outcome: dict[str, Any]) -> bool:
    return _PLAYER in str(outcome.get("id")) or bool(outcome.get("playerName"))


def _line(variant: Variant, text: str | None) -> float | None:
    """Return the line from the home side's perspective: `1:0` gives the home side one goal."""
    if text is None:
        return None
    if variant.line_kind != "european":
        return float(text)
    home, _, away = text.partition(":")
    return float(int(home) - int(away))
