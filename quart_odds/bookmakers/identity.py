"""Whether a body is the event that was asked for. The bookmaker's own id alone does not prove it: sites reuse ids."""

from dataclasses import dataclass
from datetime import timedelta

from quart_odds.bookmakers.fields import Reader
from quart_odds.domain.names import are_others
from quart_odds.domain.odds import EventHeader

FURTHEST_POSTPONEMENT = timedelta(days=365)
"""A kick-off moves by days or months when a match is postponed; further away it is another season's match."""


@dataclass(frozen=True, slots=True)
class IdentityFields:
    """What a bookmaker calls the fields that say which event a body is."""

    external_id: str
    sportradar_id: str
    teams: str
    kickoff: str


def refuse_another(read: Reader, found: EventHeader, asked: EventHeader, fields: IdentityFields) -> None:
    """Raises MalformedBodyError, naming both events and the fields, for a body that is not the event asked for.

    Another id of the bookmaker's, another SportRadar id, two other teams, or a kick-off more than a year away. Teams
    that are spelled otherwise or have changed sides, and a postponement, are the same event.
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
        raise read.wrong(", ".join(different), f"another event, {_words(found)}, where {_words(asked)} was asked for")


def _are_two(one: str | None, other: str | None) -> bool:
    return one is not None and other is not None and one != other


def _have_other_teams(found: EventHeader, asked: EventHeader) -> bool:
    here, there = (found.home_team, found.away_team), (asked.home_team, asked.away_team)
    # Nearly always the same text: the comparison of names costs far more.
    return here != there and are_others(here, there)


def _words(header: EventHeader) -> str:
    known = f", SportRadar {header.sportradar_id}" if header.sportradar_id else ""
    return f"{header.external_id} ({header.name[:120]}, {header.kickoff:%Y-%m-%d %H:%M}{known})"
