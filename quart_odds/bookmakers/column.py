"""A bookmaker's column of the catalogue: its ids of the markets and their outcomes, from the TOML beside its module."""

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import cast

from quart_odds.domain.catalogue import CATALOGUE, CatalogueError, Market

_KEYS = frozenset({"id", "specifier", "outcomes"})


@dataclass(frozen=True, slots=True)
class MarketMapping:
    """How a bookmaker identifies a market: its market id, an optional specifier, and one id per outcome.

    `specifier` is usually empty. Otherwise it is what singles out a part of the bookmaker's market, such as
    SportRadar's specifier without the line (`from=1|to=10`), the number of a row, or a promotion (`boosted`, `twoUp`).
    `outcome_ids` are in the order of the market's outcomes, with None for one that the bookmaker does not offer.
    """

    market: Market
    market_id: str
    specifier: str
    outcome_ids: tuple[str | None, ...]


Column = tuple[MarketMapping, ...]


@cache
def column_of(file: Path) -> Column:
    """Read the column of a file. Raises CatalogueError naming the file and the first invalid market."""
    return read_column(file.read_text(encoding="utf-8"), file.name)


def read_column(text: str, name: str) -> Column:
    """Parse the TOML of a column. A market may have several mappings. Raises CatalogueError naming the file."""
    try:
        rows = tomllib.loads(text)["markets"]
    except (tomllib.TOMLDecodeError, KeyError) as exc:
        raise CatalogueError(f"{name}: {exc}") from exc
    column: list[MarketMapping] = []
    for slug, row in cast("dict[str, object]", rows).items():
        try:
            column += [
                _mapping(slug, cast("dict[str, object]", each)) for each in (row if isinstance(row, list) else [row])
            ]
        except (AttributeError, KeyError, TypeError, ValueError) as exc:
            raise CatalogueError(f"{name}: market {slug!r}: {exc!r}") from exc
    _refuse_twins(column, name)
    return tuple(column)


def _mapping(slug: str, row: dict[str, object]) -> MarketMapping:
    if unknown := row.keys() - _KEYS:
        raise ValueError(f"unknown keys {sorted(unknown)}")
    market = CATALOGUE.by_slug.get(slug)
    if market is None:
        raise ValueError("the catalogue has no such market")
    market_id, specifier = row["id"], row.get("specifier", "")
    outcome_ids = cast("list[str]", row["outcomes"])
    if not all(isinstance(each, str) for each in (market_id, specifier, *outcome_ids)) or not market_id:
        raise ValueError("ids are texts")
    if len(outcome_ids) != len(market.outcomes):
        raise ValueError("the number of outcome ids differs from the number of outcomes; use an empty id for none")
    known = [each for each in outcome_ids if each]
    if not known or len(set(known)) != len(known):
        raise ValueError("outcome ids are missing or come twice")
    return MarketMapping(
        market, cast(str, market_id), cast(str, specifier), tuple(each or None for each in outcome_ids)
    )


def _refuse_twins(column: list[MarketMapping], name: str) -> None:
    prices: dict[tuple[str, str, str], Market] = {}
    kinds: dict[tuple[str, str], Market] = {}
    for mapping in column:
        market, place = mapping.market, (mapping.market_id, mapping.specifier)
        if kinds.setdefault(place, market).line_kind != market.line_kind:
            raise CatalogueError(
                f"{name}: market {market.slug!r}: {' '.join(place)} has another kind of line elsewhere"
            )
        for outcome_id in filter(None, mapping.outcome_ids):
            if (other := prices.setdefault((*place, outcome_id), market)) is not market:
                reason = f"{' '.join((*place, outcome_id))} is {other.slug!r}"
                raise CatalogueError(f"{name}: market {market.slug!r}: {reason}")
