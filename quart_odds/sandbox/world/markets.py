"""The markets of the stand-in bookmakers, read from data/: ids, names and outcomes as each site writes them.

The tables are the sandbox's own, taken from recorded bodies. An error in the clients' catalogue therefore cannot be
hidden by the same error here.
"""

import csv
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.world import stand_ins


@dataclass(frozen=True, slots=True)
class Market:
    """A market independent of bookmakers. See model.py for `family`, `subject`, `period` and `side`.

    `winners` is how many outcomes win at once. Only the family `other` needs it: other prices follow from the score.
    """

    slug: str
    family: str
    subject: str
    period: str
    side: str
    betpawa_id: str
    winners: int = 1

    @property
    def id(self) -> str:
        """The canonical id: BetPawa's market id, or the slug if BetPawa lacks the market."""
        return self.betpawa_id or self.slug


@dataclass(frozen=True, slots=True)
class SiteOutcome:
    """An outcome at a bookmaker.

    `outcome` is our name; `id` (typeId, outcome id or key suffix) and `name` are the bookmaker's.
    """

    outcome: str
    id: str
    name: str


@dataclass(frozen=True, slots=True)
class SiteMarket:
    """A market as a bookmaker writes it.

    `labels` are its names: BetPawa's name and display name; description, name and group at SportyBet and MSport;
    Bet9ja's name and group; BetKing's name. `kind` and `row` are BetPawa's handicap type and the number of prices in a
    row.
    """

    market: Market
    platform: Platform
    id: str
    labels: tuple[str, ...]
    outcomes: tuple[SiteOutcome, ...]
    kind: str = ""
    row: int = 2


MAIN_SLUGS = frozenset({"1x2_ft", "double_chance_ft", "over_under_ft", "btts_ft"})
"""The main markets: those that clients ask for in lists."""

PriceKey = tuple[Market, float | None, str]
"""What a price is for, independent of bookmakers: market, line, outcome."""


@dataclass(frozen=True, slots=True)
class Offer:
    """One line of a market at a bookmaker. Its prices start at index `first` of the event's book."""

    site: SiteMarket
    line: float | None
    specifier: str
    first: int

    @property
    def indices(self) -> range:
        """The indices of its prices in the book, in the order of its outcomes."""
        return range(self.first, self.first + len(self.site.outcomes))


@dataclass(frozen=True, slots=True)
class MarketList:
    """Everything a bookmaker offers on an event, in its order, and what each price is for.

    `main` has the lines of each main market, `others` the lines of all other markets.
    """

    platform: Platform
    offers: tuple[Offer, ...]
    keys: tuple[PriceKey, ...]
    main: tuple[tuple[Offer, ...], ...] = field(init=False, compare=False)
    others: tuple[Offer, ...] = field(init=False, compare=False)

    def __post_init__(self) -> None:
        main: dict[str, list[Offer]] = {}
        others: list[Offer] = []
        for offer in self.offers:
            slug = offer.site.market.slug
            (main.setdefault(slug, []) if slug in MAIN_SLUGS else others).append(offer)
        object.__setattr__(self, "main", tuple(map(tuple, main.values())))
        object.__setattr__(self, "others", tuple(others))


PLAYERS = 24
"""Players with prices in a goalscorer market."""


@cache
def market_list(platform: Platform, limit: int) -> MarketList:
    """Return the first `limit` market lines of a bookmaker, main markets first."""
    offers: list[Offer] = []
    keys: list[PriceKey] = []
    for site, lines in _site_markets(platform):
        for line, specifier in lines:
            if len(offers) == limit:
                return MarketList(platform, tuple(offers), tuple(keys))
            offers.append(Offer(site, line, specifier, len(keys)))
            keys += [(site.market, line, outcome.outcome) for outcome in site.outcomes]
    return MarketList(platform, tuple(offers), tuple(keys))


@cache
def outcomes_of(slug: str) -> tuple[str, ...]:
    """Return all outcomes of a market at any bookmaker."""
    return tuple(row["outcome"] for row in _read("outcomes.csv") if row["slug"] == slug)


def line_of_specifier(specifier: str) -> float | None:
    """Return the line of a SportRadar specifier: `total=2.5` is 2.5, `hcp=0:1` is -1, `goalnr=1` has none."""
    for part in specifier.split("|"):
        name, _, value = part.partition("=")
        if name == "total":
            return float(value)
        if name == "hcp":
            home, colon, away = value.partition(":")
            return float(home) - float(away) if colon else float(value)
    return None


@cache
def _read(name: str) -> list[dict[str, str]]:
    text = (files("quart_odds.sandbox") / "data" / name).read_text(encoding="utf-8")
    return list(csv.DictReader(text.splitlines()))


_COLUMNS = {
    stand_ins.BETPAWA: ("betpawa_id", "betpawa_type_id", "betpawa_name", ("betpawa_name", "betpawa_display")),
    stand_ins.SPORTYBET: (
        "sportybet_id",
        "sportybet_id",
        "sportybet_desc",
        ("sportybet_desc", "sportybet_name", "sportybet_group"),
    ),
    stand_ins.BET9JA: ("bet9ja_key", "bet9ja_code", "bet9ja_code", ("bet9ja_name", "bet9ja_group")),
    stand_ins.MSPORT: (
        "msport_id",
        "msport_id",
        "msport_desc",
        ("msport_description", "msport_description", "sportybet_group"),
    ),
    stand_ins.BETKING: ("betking_id", "betking_id", "outcome", ("betking_name",)),
}
"""Column names per bookmaker: market id, outcome id, outcome name, and labels."""
_WITH_SPECIFIERS = (stand_ins.SPORTYBET, stand_ins.MSPORT)


@cache
def _site_markets(platform: Platform) -> tuple[tuple[SiteMarket, tuple[tuple[float | None, str], ...]], ...]:
    """Return a bookmaker's markets with their lines and, for SportyBet and MSport, specifiers."""
    market_id, outcome_id, outcome_name, labels = _COLUMNS[platform]
    outcomes: dict[str, list[SiteOutcome]] = {}
    for row in _read("outcomes.csv"):
        if row[outcome_id]:
            outcome = SiteOutcome(row["outcome"], row[outcome_id], row[outcome_name])
            outcomes.setdefault(row["slug"], []).append(outcome)
    found: list[tuple[SiteMarket, tuple[tuple[float | None, str], ...]]] = []
    for row in _read("markets.csv"):
        if not row[market_id]:
            continue
        market = Market(
            row["slug"],
            row["family"],
            row["subject"],
            row["period"],
            row["side"],
            row["betpawa_id"],
            int(row["winners"] or 1),
        )
        site = SiteMarket(
            market,
            platform,
            row[market_id],
            tuple(row[label] for label in labels),
            _players(platform) if market.family == "players" else tuple(outcomes[market.slug]),
            row["betpawa_handicap"],
            int(row["betpawa_row"] or 2),
        )
        found.append((site, _lines(platform, row)))
    return tuple(found)


def _lines(platform: Platform, row: dict[str, str]) -> tuple[tuple[float | None, str], ...]:
    if platform in _WITH_SPECIFIERS:
        specifiers = row[f"{platform}_specifiers"].split() or [""]
        return tuple((line_of_specifier(specifier), specifier) for specifier in specifiers)
    lines = row[f"{platform}_lines"].split()
    return tuple((float(line), "") for line in lines) or ((None, ""),)


def _players(platform: Platform) -> tuple[SiteOutcome, ...]:
    """Invent players, half of them in each team. SportyBet and MSport have SportRadar's ids, others their own."""
    first = {stand_ins.BETPAWA: 30_364_900, stand_ins.SPORTYBET: 1_009_300, stand_ins.MSPORT: 1_009_300}[platform]
    prefix = "sr:player:" if platform in _WITH_SPECIFIERS else ""
    return tuple(
        SiteOutcome(f"player {number}", f"{prefix}{first + number}", f"Player {number}") for number in range(PLAYERS)
    )
