"""Which bookmakers' events are the same match. Plain functions on plain values, called by `odds.cache`.

The SportRadar id decides; a kick-off that is too far off vetoes it; names never decide,
they are only compared and told.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from quart_odds.domain.platforms import Platform

KICKOFF_TOLERANCE = timedelta(minutes=10)
"""Kick-offs further apart than this are two matches, whatever the ids say."""

PLATFORM_ORDER = {platform: place for place, platform in enumerate(Platform)}
"""BetPawa names an event where it lists it; then SportyBet, then Bet9ja."""


@dataclass(frozen=True, slots=True)
class Claim:
    """One bookmaker's event that names a SportRadar id, and so claims to be that match."""

    odds_id: int
    platform: Platform
    kickoff: datetime
    is_gone: bool = False


def agreeing(claims: Iterable[Claim]) -> tuple[int, ...]:
    """The quote ids that are one match: the largest set of claims whose kick-offs agree, one of each bookmaker.

    What a bookmaker no longer lists has no vote: it stays with the match wherever that moves, unless the bookmaker
    lists it anew. The answer depends on the claims alone, not on the order in which they came: of sets of one size, the
    one whose first member stands first in PLATFORM_ORDER wins; of two claims of one bookmaker the newer stands. Those
    left out stand alone.
    """
    ordered = sorted(claims, key=lambda claim: (PLATFORM_ORDER[claim.platform], -claim.odds_id))
    listed = [claim for claim in ordered if not claim.is_gone]
    best: dict[Platform, Claim] = {}
    for anchor in listed:
        group = {anchor.platform: anchor}
        for claim in listed:
            if abs(claim.kickoff - anchor.kickoff) <= KICKOFF_TOLERANCE:
                group.setdefault(claim.platform, claim)
        if len(group) > len(best):
            best = group
    # A bookmaker whose own listing disagrees has its place taken by nothing that is gone.
    absent = {claim.platform for claim in listed} - best.keys()
    for claim in ordered:
        if claim.is_gone and claim.platform not in absent:
            best.setdefault(claim.platform, claim)
    return tuple(claim.odds_id for claim in best.values())


def match_key(sportradar_id: str) -> str:
    """The key of the one event that a SportRadar id names."""
    return f"sr:{sportradar_id}"


def genius_key(genius_id: str) -> str:
    """The key of the one event that a Genius Sports id names, while nobody tells its SportRadar id."""
    return f"gs:{genius_id}"


def lone_key(platform: Platform, external_id: str) -> str:
    """The key of an event that stands alone: it has no SportRadar id, or its kick-off contradicts the others'."""
    return f"{platform}:{external_id}"
