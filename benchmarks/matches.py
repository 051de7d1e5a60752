"""Matches as the sandbox has them, which are as large as real ones, probabilities included."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from quart_odds.bookmakers import RawBody, decode
from quart_odds.bookmakers.registry import site_of
from quart_odds.domain.clock import utc_now
from quart_odds.domain.odds import Competition, EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.sandbox.app import generated_sites
from quart_odds.sandbox.options import SandboxOptions
from quart_odds.sandbox.sites.answers import Ask

MATCHES = 65
"""Different matches. Further events are the same matches under other ids: reading more bodies would take minutes."""


def matches(count: int, bookmakers: Sequence[Platform]) -> list[list[MappedEvent]]:
    """Return matches that are at all of these bookmakers, as decoded from the bodies of the sandbox."""
    options = SandboxOptions(events=1300, move=0, bookmakers=tuple(bookmakers))
    books, sites = generated_sites(options, utc_now())
    found: list[list[MappedEvent]] = []
    for fixture in books.fixtures:
        if len(found) < count and {*fixture.matchable_at} == {*bookmakers}:
            sides = []
            for platform in bookmakers:
                listing = fixture.listings[platform]
                header = EventHeader(
                    platform,
                    listing.external_id,
                    fixture.sportradar_id,
                    listing.home,
                    listing.away,
                    fixture.kickoff,
                    Competition("1", "League", "Country"),
                )
                body = sites[platform].answer(_ask(header)).write()
                sides.append(decode(RawBody(platform, body, None, header)))
            found.append(sides)
    return found


def renamed(mapped: MappedEvent, number: int, kickoff: datetime) -> MappedEvent:
    """Return the same odds of another event."""
    header = mapped.header
    external_id, sportradar_id = f"{header.external_id}-{number}", f"{header.sportradar_id}{number:03}"
    named = replace(header, external_id=external_id, sportradar_id=sportradar_id, kickoff=kickoff)
    return replace(mapped, header=named)


def _ask(header: EventHeader) -> Ask:
    """Build the request that a client sends."""
    site = site_of(header.platform)
    request = site.event(header)
    return Ask(request.method, request.path, dict(request.query), {"referer": "http://sandbox/", **site.headers}, b"")
