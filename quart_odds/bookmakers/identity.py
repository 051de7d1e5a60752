"""Verification that a body is the event that was requested. Sites reuse ids, so the id alone proves nothing."""

from dataclasses import dataclass
from datetime import timedelta

from quart_odds.bookmakers.fields import Reader
from quart_odds.domain.names import are_others
from quart_odds.domain.odds import EventHeader

FURTHEST_POSTPONEMENT = timedelta(days=365)
"""A postponement moves the kick-off by days or months. Beyond this it is a match of another season."""


@dataclass(frozen=True, slots=True)
class IdentityFields:
    """The names of a bookmaker's fields that identify an event."""

    external_id: str
    sportradar_id: str
    teams: str
    kickoff: str


def refuse_another(read: Reader, found: EventHeader, asked: EventHeader, fields: IdentityFields) -> None:
    """Raise MalformedBodyError if a body is a different event from the one requested.

    The error names both events and the fields that differ. An event is different if it has another id at the bookmaker,
    another SportRadar id, two other teams, or a kick-off more than a year away. Team names spelled differently, swapped
    sides and a postponement do not make it different.
    """
    different = [
        field
        for field, differs in (
            (fields.external_id, found.external_id != asked.external_id),
            (fields.sportradar_id, _are_two(found.sportradar_id, asked.sportradar_id)),
            (fields.teams, _have_other_teams(found, asked)),
            (fields.kickoff, abs(found.kickoff - asked.kickoff) > FURTHEST_POSTPONEMENT),
        )
        if differs
    ]
    if different:
        raise read.wrong(", ".join(different), f"another event, {_words(found)}, instead of {_words(asked)}")


def _are_two(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _have_other_teams(found: EventHeader, asked: EventHeader) -> bool:
    here, there = (found.home_team, found.away_team), (asked.home_team, asked.away_team)
    # The names are almost always equal, and comparing dissimilar names is expensive.
    return here != there and are_others(here, there)


def _words(header: EventHeader) -> str:
    known = f", SportRadar {header.sportradar_id}" if header.sportradar_id else ""
    return f"{header.external_id} ({header.name[:120]}, {header.kickoff:%Y-%m-%d %H:%M}{known})"
