"""Opportunities as the API and the topic `opportunities` show them: plain dictionaries."""

from datetime import UTC, datetime

from quart_odds.domain.catalogue import CATALOGUE, market_number_of, unpack_key
from quart_odds.domain.clock import iso_z
from quart_odds.domain.opportunities import kelly_fraction
from quart_odds.odds.offers import effective_key
from quart_odds.odds.opportunities import Track
from quart_odds.odds.opportunity import Leg
from quart_odds.odds.past_opportunities import PastOpportunity
from quart_odds.odds.views import JSON, bookmaker_name_fields, second_z


def opportunity_fields(track: Track, now: datetime) -> JSON:
    """Return everything about an opportunity but the fields of its event."""
    found, first_seen_at = track.opportunity, track.first_seen_at
    fair = found.fair
    return {
        "kind": found.kind,
        "market_id": found.market.id,
        "market_name": found.market.name,
        "line": found.legs[0].line,
        "margin": found.margin,
        "best_case": found.best_case,
        "reasons": found.reasons,
        "fair_odds": None if fair is None else round(fair.chance.fair_odds, 3),
        "fair_source": None if fair is None else fair.source,
        "kelly_fraction": None if fair is None else round(kelly_fraction(fair.chance, found.legs[0].odds), 4),
        "first_seen_at": None if first_seen_at is None else iso_z(first_seen_at),
        "lifetime_seconds": None if first_seen_at is None else _seconds(first_seen_at, now),
        "best_margin": track.best_margin,
        "oldest_age_seconds": _seconds(found.seen_at, now),
        "outcomes": [_outcome(leg, now) for leg in found.legs],
    }


def identity_fields(track: Track, now: datetime) -> JSON:
    """Return which opportunity of its event this is, its worth and its age, also when its prices are gone."""
    found, first_seen_at = track.opportunity, track.first_seen_at
    return {
        "kind": found.kind,
        "market_id": found.market.id,
        "outcomes": [{"name": leg.outcome.name, "line": leg.line} for leg in found.legs],
        "margin": found.margin,
        "best_margin": track.best_margin,
        "first_seen_at": None if first_seen_at is None else iso_z(first_seen_at),
        "lifetime_seconds": None if first_seen_at is None else _seconds(first_seen_at, now),
    }


def past_fields(past: PastOpportunity) -> JSON:
    """Return an opportunity that is over."""
    market = CATALOGUE.by_number[market_number_of(past.keys[0])]
    places = [unpack_key(key) for key in past.keys]
    return {
        "event_id": past.event_id,
        "name": past.event_name,
        "kickoff": iso_z(past.kickoff),
        "kind": past.kind,
        "market_id": market.id,
        "market_name": market.name,
        "outcomes": [
            {"name": market.outcomes[index].name, "line": line, "bookmaker_slug": platform.value}
            for (_, index, line), platform in zip(places, past.platforms, strict=True)
        ],
        "margin": past.margin,
        "best_margin": past.best_margin,
        "first_seen_at": iso_z(past.first_seen_at),
        "ended_at": iso_z(past.ended_at),
        "lifetime_seconds": _seconds(past.first_seen_at, past.ended_at),
    }


def _outcome(leg: Leg, now: datetime) -> JSON:
    event_odds = leg.event_odds
    place = event_odds.place_of(effective_key(event_odds, leg.key))
    assert place is not None, "a price that is backed is one that its bookmaker has"
    return {
        "name": leg.outcome.name,
        "line": leg.line,
        "odds": leg.odds,
        "promotion": leg.promotion,
        **bookmaker_name_fields(leg.platform),
        "changed_at": second_z(event_odds.changed[place]),
        "last_seen_at": iso_z(leg.seen_at.astimezone(UTC)),
        "age_seconds": _seconds(leg.seen_at, now),
    }


def _seconds(since: datetime, now: datetime) -> float:
    return round(max((now - since).total_seconds(), 0.0), 3)
