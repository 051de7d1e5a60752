"""Which bookmakers' events are the same match. Plain functions on plain values, called by `odds.book`.

The SportRadar id decides; a kick-off that is too far off vetoes it; names never decide,
they are only compared and told.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from difflib import SequenceMatcher

from quart_odds.domain.platforms import Platform

KICKOFF_TOLERANCE = timedelta(minutes=10)
"""Kick-offs further apart than this are two matches, whatever the ids say."""

PLATFORM_ORDER = {platform: place for place, platform in enumerate(Platform)}
"""BetPawa names an event where it lists it; then SportyBet, then Bet9ja."""

_NAME_LIKENESS = 0.5
_NOISE = re.compile(r"\b(fc|cf|sc|ac|afc|club|de|the|u\d\d|w|women|ii|b)\b")


@dataclass(frozen=True, slots=True)
class Claim:
    """One bookmaker's event that names a SportRadar id, and so claims to be that match."""

    quote_id: int
    platform: Platform
    kickoff: datetime
    is_gone: bool = False


def agreeing(claims: Iterable[Claim]) -> tuple[int, ...]:
    """The quote ids that are one match: the largest set of claims whose kick-offs agree, one of each bookmaker.

    The answer depends on the claims alone, not on the order in which they came: of sets of one size, the one whose
    first member stands first in PLATFORM_ORDER wins; what a bookmaker no longer lists counts less than what it does;
    of two claims of one bookmaker the newer stands. Those left out stand alone.
    """
    ordered = sorted(claims, key=lambda claim: (claim.is_gone, PLATFORM_ORDER[claim.platform], -claim.quote_id))
    best: Sequence[Claim] = ()
    best_weight = (-1, 0)
    for anchor in ordered:
        group = {anchor.platform: anchor}
        for claim in ordered:
            if abs(claim.kickoff - anchor.kickoff) <= KICKOFF_TOLERANCE:
                group.setdefault(claim.platform, claim)
        weight = (sum(not claim.is_gone for claim in group.values()), len(group))
        if weight > best_weight:
            best, best_weight = tuple(group.values()), weight
    return tuple(claim.quote_id for claim in best)


def match_key(sportradar_id: str) -> str:
    """The key of the one event that a SportRadar id names."""
    return f"sr:{sportradar_id}"


def lone_key(platform: Platform, external_id: str) -> str:
    """The key of an event that stands alone: it has no SportRadar id, or its kick-off contradicts the others'."""
    return f"{platform}:{external_id}"


def names_differ(one: str, other: str) -> bool:
    """Whether two names of a team are so unlike that a person should look. Never a reason not to match."""
    first, second = _plain(one), _plain(other)
    if not first or not second or first in second or second in first:
        return False
    return SequenceMatcher(None, first, second).ratio() < _NAME_LIKENESS


def _plain(name: str) -> str:
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode() or name
    return re.sub(r"[^\w]+", "", _NOISE.sub("", ascii_name.casefold()))
