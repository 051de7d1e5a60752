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
    """Raises MalformedBodyError, naming both events and the field, for a body that is another event than was asked for.

    Another id of the bookmaker's, another SportRadar id, two other teams, or a kick-off more than a year away. Teams
    that are spelled otherwise or have changed sides, and a postponement, are the same event.
    """
    if found.external_id != asked.external_id:
        field = fields.external_id
    elif found.sportradar_id and asked.sportradar_id and found.sportradar_id != asked.sportradar_id:
        field = fields.sportradar_id
    elif (found.home_team, found.away_team) != (asked.home_team, asked.away_team) and are_others(
        (found.home_team, found.away_team), (asked.home_team, asked.away_team)
    ):
        field = fields.teams
    elif abs(found.kickoff - asked.kickoff) > FURTHEST_POSTPONEMENT:
        field = fields.kickoff
    else:
        return
    raise read.wrong(field, f"another event, {_words(found)}, where {_words(asked)} was asked for")


def _words(header: EventHeader) -> str:
    known = f", SportRadar {header.sportradar_id}" if header.sportradar_id else ""
    return f"{header.external_id} ({header.name[:120]}, {header.kickoff:%Y-%m-%d %H:%M}{known})"
