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
class Candidate:
    """One bookmaker's event that names a SportRadar id, and so claims to be that match."""

    odds_id: int
    platform: Platform
    kickoff: datetime
    is_gone: bool = False


def agreeing(candidates: Iterable[Candidate]) -> tuple[int, ...]:
    """The quote ids that are one match: the largest set of claims whose kick-offs agree, one of each bookmaker.

    What a bookmaker no longer lists has no vote: it stays with the match wherever that moves, unless the bookmaker
    lists it anew. The answer depends on the claims alone, not on the order in which they came: of sets of one size, the
    one whose first member stands first in PLATFORM_ORDER wins; of two claims of one bookmaker the newer stands. Those
    left out stand alone.
    """
    ordered = sorted(candidates, key=lambda candidate: (PLATFORM_ORDER[candidate.platform], -candidate.odds_id))
    listed = [candidate for candidate in ordered if not candidate.is_gone]
    best: dict[Platform, Candidate] = {}
    for anchor in listed:
        group = {anchor.platform: anchor}
        for candidate in listed:
            if abs(candidate.kickoff - anchor.kickoff) <= KICKOFF_TOLERANCE:
                group.setdefault(candidate.platform, candidate)
        if len(group) > len(best):
            best = group
    # A bookmaker whose own listing disagrees has its place taken by nothing that is gone.
    absent = {candidate.platform for candidate in listed} - best.keys()
    for candidate in ordered:
        if candidate.is_gone and candidate.platform not in absent:
            best.setdefault(candidate.platform, candidate)
    return tuple(candidate.odds_id for candidate in best.values())


def match_key(sportradar_id: str) -> str:
    """The key of the one event that a SportRadar id names."""
    return f"sr:{sportradar_id}"


def genius_key(genius_id: str) -> str:
    """The key of the one event that a Genius Sports id names, while nobody tells its SportRadar id."""
    return f"gs:{genius_id}"


def lone_key(platform: Platform, external_id: str) -> str:
    """The key of an event that stands alone: it has no SportRadar id, or its kick-off contradicts the others'."""
    return f"{platform}:{external_id}"
