"""What is remembered of an entry of the topic `odds` that is no longer in the log: eight bits, to count what is missed.

Bits 0 and 1 are its kind, bits 2 to 4 the bookmakers, bit 5 says whether a main market is concerned.
"""

from collections.abc import Iterable
from enum import IntEnum

from quart_odds.domain.catalogue import MAIN_NUMBERS
from quart_odds.domain.platforms import Platform
from quart_odds.websocket.odds_view import OddsView

_PLATFORM_BITS = {platform: 4 << place for place, platform in enumerate(Platform)}
_MAIN_BIT = 32


class Kind(IntEnum):
    """What kind of entry it was."""

    PRICES = 0
    FIRST = 1
    EVENT = 2
    STATE = 3


def make_mark(kind: Kind, platforms: Iterable[Platform], *, has_main: bool = True) -> int:
    """Return the mark of an entry. `platforms` are the bookmakers that it concerns: those with any of them want it."""
    return kind | sum(_PLATFORM_BITS[platform] for platform in platforms) | (_MAIN_BIT if has_main else 0)


def mark_kind(mark: int) -> Kind:
    """Return the kind of an entry."""
    return Kind(mark & 3)


def mark_platforms(mark: int) -> frozenset[Platform]:
    """Return the bookmakers that an entry concerns."""
    return frozenset(platform for platform, bit in _PLATFORM_BITS.items() if mark & bit)


def mark_has_main(mark: int) -> bool:
    """Return whether a price of a main market is among an entry's; true for entries that are not about prices."""
    return bool(mark & _MAIN_BIT)


def mark_concerns(mark: int, view: OddsView) -> bool | None:
    """Return what `concerns` of the entry said about a view; None if the mark does not tell."""
    kind = mark_kind(mark)
    if kind is Kind.STATE and not view.has_images:
        return False
    if kind in (Kind.EVENT, Kind.STATE):
        return True
    if view.platforms is not None and view.platforms.isdisjoint(mark_platforms(mark)):
        return False
    if view.markets is not None:
        if not mark_has_main(mark) and view.markets <= MAIN_NUMBERS:
            return False
        if not (mark_has_main(mark) and view.markets >= MAIN_NUMBERS):
            return None
    return True if kind is Kind.FIRST or view.min_move <= 0 else None
