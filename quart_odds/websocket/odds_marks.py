"""What is remembered of an entry of the topic `odds` that is no longer in the log: eight bits, to count what is missed.

Bits 0 and 1 are its kind. If it is about prices, bit 2 says whether a main market is concerned, and bits 3 to 7 are the
number of the bookmaker.
"""

from enum import IntEnum

from quart_odds.domain.catalogue import MAIN_NUMBERS
from quart_odds.domain.platforms import Platform
from quart_odds.websocket.odds_view import OddsView

_MAIN_BIT = 4
_PLATFORM_SHIFT = 3
_PLATFORMS: tuple[Platform | None, ...] = (None, *Platform)


class Kind(IntEnum):
    """What kind of entry it was."""

    PRICES = 0
    FIRST = 1
    EVENT = 2
    STATE = 3


def make_mark(kind: Kind, platform: Platform | None = None, *, has_main: bool = False) -> int:
    """Return the mark of an entry. `platform` is the bookmaker whose prices it has."""
    return kind | _PLATFORMS.index(platform) << _PLATFORM_SHIFT | (_MAIN_BIT if has_main else 0)


def mark_kind(mark: int) -> Kind:
    """Return the kind of an entry."""
    return Kind(mark & 3)


def mark_platform(mark: int) -> Platform | None:
    """Return the bookmaker whose prices an entry has; None if it is not about prices."""
    return _PLATFORMS[mark >> _PLATFORM_SHIFT]


def mark_has_main(mark: int) -> bool:
    """Return whether a price of a main market is among an entry's."""
    return bool(mark & _MAIN_BIT)


def mark_concerns(mark: int, view: OddsView) -> bool | None:
    """Return what `concerns` of the entry said about a view; None if the mark does not tell."""
    kind = mark_kind(mark)
    if kind is Kind.STATE and not view.has_images:
        return False
    if kind in (Kind.EVENT, Kind.STATE):
        return True
    if view.platforms is not None and mark_platform(mark) not in view.platforms:
        return False
    if view.markets is not None:
        if not mark_has_main(mark) and view.markets <= MAIN_NUMBERS:
            return False
        if not (mark_has_main(mark) and view.markets >= MAIN_NUMBERS):
            return None
    return True if kind is Kind.FIRST or view.min_move <= 0 else None
