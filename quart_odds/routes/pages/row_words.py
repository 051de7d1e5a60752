"""What the prices of a row are worth, and what its columns are called, for display."""

from dataclasses import dataclass
from math import isfinite

from quart_odds.domain.catalogue import Market
from quart_odds.domain.outcomes import handicap_text, is_handicap, outcome_words
from quart_odds.domain.platforms import Platform
from quart_odds.odds.row_figures import OutcomeFigures, RowFigures

NO_VIG = "no_vig:"
"""How the source of fair odds begins that are prices without their margin."""


@dataclass(frozen=True, slots=True)
class OutcomeWorth:
    """The figures of an outcome for display: fair odds, and percentages of the best price. Empty for what is not known.

    `value` is there only if it is positive, and `lead` only if the best price beats the second.
    """

    fair: str
    thousandths: int
    value: str
    lead: str

    @classmethod
    def of(cls, figures: OutcomeFigures) -> "OutcomeWorth":
        """Return what is shown of an outcome."""
        fair = figures.fair_odds
        is_known = fair is not None and isfinite(fair)
        return cls(
            f"{fair:.2f}" if is_known else "",
            round(fair * 1000) if fair is not None and is_known else 0,
            _shown_percent(figures.value_percent),
            _shown_percent(figures.lead_percent),
        )


@dataclass(frozen=True, slots=True)
class Worth:
    """What the prices of a row are worth, for display. `source` says in words where the fair odds come from."""

    outcomes: tuple[OutcomeWorth, ...]
    source: str

    @classmethod
    def of(cls, figures: RowFigures) -> "Worth":
        """Return what is shown of a row's figures."""
        return cls(tuple(map(OutcomeWorth.of, figures.outcomes)), source_words(figures.fair_source))


def source_words(source: str | None) -> str:
    """Return where the fair odds of a row come from, as a sentence; see `FairMarket.source`."""
    if source is None:
        return "No fair odds: no bookmaker has a price for every outcome that was seen lately."
    return f"Fair odds by {fair_source_words(source)}."


def fair_source_words(source: str) -> str:
    """Return where fair odds come from: a bookmaker's probabilities, or its prices without their margin."""
    name = Platform.of(source.rsplit(":", 1)[-1]).display_name
    return f"{name}’s prices without their margin" if source.startswith(NO_VIG) else f"{name}’s own probabilities"


def _shown_percent(percent: float | None) -> str:
    """Format a percentage that rounds to more than zero: `4.0%`, or `123%` for a large one."""
    if percent is None or percent < 0.05:
        return ""
    return f"{percent:.1f}%" if percent < 99.95 else f"{percent:.0f}%"


def outcome_labels(market: Market, line: float | None) -> list[str]:
    """Return what the columns of a row's prices are called: the outcomes, of a handicap with each side's own line."""
    named = line if is_handicap(market) else None
    return [outcome_words(market, outcome, named) for outcome in market.outcomes]


def grid_line_text(market: Market, line: float) -> str:
    """Format a line to choose from: `2.5`, and a handicap with its sign."""
    return handicap_text(line) if is_handicap(market) else f"{line:g}"
