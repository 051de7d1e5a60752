"""Decides which bookmakers' events are the same match. Plain functions on plain values, called by `odds.cache`.

The SportRadar id decides, unless the kick-offs are too far apart. Names never decide: differences between them are only
reported.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from quart_odds.domain.platforms import Platform

KICKOFF_TOLERANCE = timedelta(minutes=10)
"""Events whose kick-offs are further apart than this are two matches, whatever their ids are."""

PLATFORM_ORDER = {platform: place for place, platform in enumerate(Platform)}
"""The first bookmaker in this order that lists an event names it."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """One bookmaker's event that names a SportRadar id, and so is a candidate for that match."""

    odds_id: int
    platform: Platform
    kickoff: datetime
    is_gone: bool = False


def agreeing(candidates: Iterable[Candidate]) -> tuple[int, ...]:
    """Return the ids of the event odds that are one match: the largest set of candidates whose kick-offs agree.

    The set has at most one candidate of each bookmaker. Candidates that are no longer listed have no vote: they stay
    with the match even if its kick-off moves, unless their bookmaker has a newer listing of it. The result depends on
    the candidates alone, not on their order. Of several largest sets, the one whose first member comes first in
    PLATFORM_ORDER wins. Of two candidates of one bookmaker, the newer one wins. Those left out stand alone.
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
    # If a bookmaker's current listing disagrees, its old listing does not take that place.
    absent = {candidate.platform for candidate in listed} - best.keys()
    for candidate in ordered:
        if candidate.is_gone and candidate.platform not in absent:
            best.setdefault(candidate.platform, candidate)
    return tuple(candidate.odds_id for candidate in best.values())


def match_key(sportradar_id: str) -> str:
    """Return the key of the one event that a SportRadar id names."""
    return f"sr:{sportradar_id}"


def genius_key(genius_id: str) -> str:
    """Return the key of the one event that a Genius Sports id names, while its SportRadar id is unknown."""
    return f"gs:{genius_id}"


def lone_key(platform: Platform, external_id: str) -> str:
    """Return the key of an event that stands alone: it has no SportRadar id, or its kick-off contradicts the others."""
    return f"{platform}:{external_id}"
