"""How the outcomes of a row have moved, as pages show it: arrows and numbers to see, and words to hear."""

from dataclasses import dataclass

from quart_odds.odds.recent_moves import OutcomeMoves

UNCHANGED_BELOW = 0.05
"""A change in percent that would be shown as 0.0 is none."""


@dataclass(frozen=True, slots=True)
class ShownMoves:
    """The changes of an outcome's best price over an hour and a day: `↑2.1 ↓0.8`. Empty if neither is known.

    One dash says that it has not changed in either.

    `words` say the same in full, with the change since the price opened.
    """

    text: str
    words: str

    @classmethod
    def of(cls, moves: OutcomeMoves) -> "ShownMoves":
        """Return what is shown of an outcome."""
        told = [
            f"{_words(percent)} {period}"
            for percent, period in (
                (moves.hour, "in an hour"),
                (moves.day, "in a day"),
                (moves.opening, "since opening"),
            )
            if percent is not None
        ]
        if moves.hour is None and moves.day is None:
            return cls("", "")
        arrows = [_arrow(moves.hour), _arrow(moves.day)]
        return cls("–" if arrows == ["–", "–"] else " ".join(arrows), ", ".join(told))


def _arrow(percent: float | None) -> str:
    """Format a change: `↑2.1`, `↓12` from ten percent on, `–` for none, `?` if it is not known."""
    if percent is None:
        return "?"
    size = abs(percent)
    if size < UNCHANGED_BELOW:
        return "–"
    return f"{'↑' if percent > 0 else '↓'}{_size_text(size)}"


def _words(percent: float) -> str:
    size = abs(percent)
    if size < UNCHANGED_BELOW:
        return "unchanged"
    return f"{'up' if percent > 0 else 'down'} {_size_text(size)} percent"


def _size_text(size: float) -> str:
    return f"{size:.1f}" if size < 9.95 else f"{size:.0f}"
