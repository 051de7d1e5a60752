"""Outcomes and odds in words, with the line as the reader would bet on it."""

from quart_odds.domain.catalogue import Market, Outcome


def outcome_words(market: Market, outcome: Outcome | str, line: float | None) -> str:
    """Return an outcome with its line: `Over 2.5`, `1 (-1.5)`, `2 (+1.5)`, or only its name without a line.

    The line of a handicap is that of the home side, and with it of a draw. The away side has the opposite one.
    """
    name = outcome if isinstance(outcome, str) else outcome.name
    if line is None:
        return name
    return f"{name} ({handicap_text(-line if name == '2' else line)})" if is_handicap(market) else f"{name} {line:g}"


def odds_text(odds: float) -> str:
    """Format odds: `2.41`, `3.10`. A third decimal is shown only if it is not zero."""
    text = f"{odds:.3f}"
    return text[:-1] if text.endswith("0") else text


def is_handicap(market: Market) -> bool:
    """Whether the line of a market is a handicap, which differs by side."""
    return market.line_kind in ("asian", "european")


def handicap_text(line: float) -> str:
    """Format a handicap with its sign: `+1.5`, `-0.25`, `0`."""
    return f"{line:+g}" if line else "0"
