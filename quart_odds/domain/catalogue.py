"""The catalogue of markets, read from markets.toml at import: their names, outcomes and ids on the wire.

Parsers look up prices in it by the ids of their bookmaker (`bookmakers.column`), storage and API name them by it.
docs/markets.md explains how to add a market.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Literal, cast, get_args

from quart_odds.domain.platforms import Platform

LineKind = Literal["none", "total", "asian", "european"]
Group = Literal[
    "main", "goals", "handicaps", "halves", "teams", "scores", "combos", "corners", "cards", "specials", "players"
]

MAX_MARKET_NUMBER = 511
MAX_OUTCOMES = 64
MAX_PROMOTION = 15
MARKETS_FILE = Path(__file__).with_name("markets.toml")

_LINE_ZERO = 32_768
_SHORT_LINE_ZERO = 513
FIRST_PROMOTED_KEY = 1 << 31
"""The keys of promoted prices have the highest bit set, which sorts them after all plain keys."""

_PLACE_MASK = 0x7FFF << 16
_OUTCOME_MASK = 0x3F << 16
_LINE_KINDS = frozenset(get_args(LineKind))
_GROUPS = frozenset(get_args(Group))
_KEYS = frozenset({"number", "slug", "id", "name", "group", "line", "comparable", "winners", "outcomes"})


class CatalogueError(ValueError):
    """Raised at import when markets.toml contradicts itself. The message names the market."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """One possible result of a market. `index` is its position in the market and never changes."""

    index: int
    name: str


@dataclass(frozen=True, slots=True)
class Market:
    """A market and its outcomes.

    `number` and the positions in `outcomes` are part of stored keys: never change or reuse them. Together the outcomes
    are the full set, which margins and comparisons need. The line of a `total` market is a number of goals (or corners,
    or cards); that of an `asian` or `european` market is the handicap of the home side in goals. `winning_outcomes` is
    how many outcomes win at once (two of the three of double chance); the inverse odds of a fair book sum to that
    number. `is_comparable` is true only if the outcomes mean the same at every bookmaker.
    """

    number: int
    slug: str
    id: str
    name: str
    group: Group
    line_kind: LineKind
    outcomes: tuple[Outcome, ...]
    is_comparable: bool
    winning_outcomes: int

    @property
    def has_line(self) -> bool:
        """Whether the market's prices have a line."""
        return self.line_kind != "none"


@dataclass(frozen=True)
class Catalogue:
    """All markets in the order of the file, which is also the display order."""

    markets: tuple[Market, ...]

    @cached_property
    def by_number(self) -> Mapping[int, Market]:
        """Markets by the number used in packed keys."""
        return {market.number: market for market in self.markets}

    @cached_property
    def by_id(self) -> Mapping[str, Market]:
        """Markets by canonical id: the file's `id` if given, else the slug."""
        return {market.id: market for market in self.markets}

    @cached_property
    def by_slug(self) -> Mapping[str, Market]:
        """Markets by slug."""
        return {market.slug: market for market in self.markets}


def pack_key(market_number: int, outcome_index: int, line: float | None, promotion: int = 0) -> int:
    """Pack market, outcome, line and promotion into 32 bits. Keys sort by market, then outcome, then line.

    The keys of promoted prices (see `domain.promotions`) have the highest bit set and sort after all plain keys. Raises
    ValueError if a part is out of range or the line is not a multiple of 0.25.
    """
    if not 0 < market_number <= MAX_MARKET_NUMBER:
        raise ValueError(f"market number {market_number} is not between 1 and {MAX_MARKET_NUMBER}")
    if not 0 <= outcome_index < MAX_OUTCOMES:
        raise ValueError(f"outcome index {outcome_index} is not between 0 and {MAX_OUTCOMES - 1}")
    return promoted_key(market_number << 22 | outcome_index << 16 | line_code(line), promotion)


def line_code(line: float | None) -> int:
    """Return the lowest 16 bits of a plain key: 0 for no line, otherwise the number of quarters above -8192.

    Raises ValueError if the line is out of range or not a multiple of 0.25.
    """
    if line is None:
        return 0
    quarters = line * 4
    # Written as a negated condition because comparisons with nan are false.
    if not (-_LINE_ZERO < quarters < _LINE_ZERO and quarters == round(quarters)):
        raise ValueError(f"line {line!r} is no multiple of 0.25 between -8192 and 8192")
    return round(quarters) + _LINE_ZERO


def promoted_key(key: int, promotion: int) -> int:
    """Turn a plain key into the key of the same price under a promotion. Promotion 0 leaves the key unchanged.

    Promoted keys have 12 bits for the line, enough for -128 to 895. Raises ValueError for a line or a promotion out of
    range.
    """
    if promotion == 0:
        return key
    if not 0 < promotion <= MAX_PROMOTION:
        raise ValueError(f"promotion {promotion} is not between 0 and {MAX_PROMOTION}")
    code = key & 0xFFFF
    short = code - _LINE_ZERO + _SHORT_LINE_ZERO if code else 0
    if code and not 0 < short <= 0xFFF:
        raise ValueError(f"line {(code - _LINE_ZERO) / 4!r} of a promoted price is not between -128 and 895")
    return FIRST_PROMOTED_KEY | (key & _PLACE_MASK) | promotion << 12 | short


def plain_key(key: int) -> int:
    """Return the key of the same price without its promotion."""
    if key < FIRST_PROMOTED_KEY:
        return key
    short = key & 0xFFF
    return (key & _PLACE_MASK) | (short - _SHORT_LINE_ZERO + _LINE_ZERO if short else 0)


def promotion_of(key: int) -> int:
    """Return the number of the price's promotion, 0 for a plain price."""
    return key >> 12 & 0xF if key >= FIRST_PROMOTED_KEY else 0


def market_number_of(key: int) -> int:
    """Return the number of the price's market."""
    return key >> 22 & MAX_MARKET_NUMBER


def offer_code(key: int) -> int:
    """Return the market and line of a price's key as one number: its plain key with the outcome set to 0."""
    return plain_key(key) & ~_OUTCOME_MASK


def unpack_key(key: int) -> tuple[int, int, float | None]:
    """Return market number, outcome index and line of a key, plain or promoted."""
    code = plain_key(key) & 0xFFFF
    return market_number_of(key), key >> 16 & 0x3F, (code - _LINE_ZERO) / 4 if code else None


def read_catalogue(text: str) -> Catalogue:
    """Parse the TOML of a catalogue. Raises CatalogueError naming the first invalid market."""
    try:
        rows = tomllib.loads(text)["market"]
    except (tomllib.TOMLDecodeError, KeyError) as exc:
        raise CatalogueError(f"markets.toml: {exc}") from exc
    catalogue = Catalogue(tuple(_market(row) for row in rows))
    _refuse_twins(catalogue)
    return catalogue


def _market(row: dict[str, object]) -> Market:
    try:
        return _read_market(row)
    except (KeyError, TypeError, ValueError) as exc:
        raise CatalogueError(f"market {row.get('slug', row)!r}: {exc!r}") from exc


def _read_market(row: dict[str, object]) -> Market:
    if unknown := row.keys() - _KEYS:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    slug = cast(str, row["slug"])
    line_kind, group = row.get("line", "none"), row["group"]
    if line_kind not in _LINE_KINDS or group not in _GROUPS:
        raise ValueError(f"line {line_kind!r} or group {group!r} is unknown")
    names = cast("list[str]", row["outcomes"])
    if not 0 < len(names) <= MAX_OUTCOMES or not all(isinstance(name, str) and name for name in names):
        raise ValueError(f"outcomes are 1 to {MAX_OUTCOMES} names")
    number = cast(int, row["number"])
    pack_key(number, 0, None)
    return Market(
        number=number,
        slug=slug,
        id=cast(str, row.get("id", slug)),
        name=cast(str, row["name"]),
        group=cast(Group, group),
        line_kind=cast(LineKind, line_kind),
        outcomes=tuple(Outcome(index, name) for index, name in enumerate(names)),
        is_comparable=bool(row.get("comparable", True)),
        winning_outcomes=cast(int, row.get("winners", 1)),
    )


def _refuse_twins(catalogue: Catalogue) -> None:
    for field in ("number", "slug", "id"):
        seen: set[object] = set()
        for market in catalogue.markets:
            if (value := getattr(market, field)) in seen:
                raise CatalogueError(f"market {market.slug!r}: {field} {value!r} is another market's")
            seen.add(value)
    for market in catalogue.markets:
        if len({outcome.name for outcome in market.outcomes}) != len(market.outcomes):
            raise CatalogueError(f"market {market.slug!r}: two outcomes have one name")


CATALOGUE = read_catalogue(MARKETS_FILE.read_text(encoding="utf-8"))

_MAIN_SLUGS = ("1x2_ft", "double_chance_ft", "over_under_ft", "btts_ft")
MAIN_NUMBERS = frozenset(CATALOGUE.by_slug[slug].number for slug in _MAIN_SLUGS)
"""The numbers of the main markets: 1X2, double chance, over/under and both teams to score."""


@cache
def main_numbers(platform: Platform) -> frozenset[int]:
    """Return the numbers of a bookmaker's main markets: those that its lists carry, so that sweeps keep them fresh.

    They are those of MAIN_NUMBERS, without the ones that the bookmaker declares to be missing in its lists.
    """
    declaration = platform.declaration
    lacking = () if declaration is None else declaration.lacking_in_lists
    return MAIN_NUMBERS - {CATALOGUE.by_slug[slug].number for slug in lacking}
