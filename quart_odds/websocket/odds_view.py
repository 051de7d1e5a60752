"""What of the odds a listener sees: the part of a filter that decides how a message is rendered."""

from dataclasses import dataclass

from quart_odds.domain.platforms import Platform


@dataclass(frozen=True, slots=True)
class OddsView:
    """Which prices a listener sees. None stands for all.

    `markets` are numbers of the catalogue. `min_move` is in percent of the previous odds: smaller moves are left out;
    prices that appear, disappear, or are suspended or resumed are not. `has_images` says whether the listener keeps a
    copy, and so receives images.
    """

    markets: frozenset[int] | None
    platforms: frozenset[Platform] | None = None
    min_move: float = 0.0
    has_images: bool = True
