"""What alerts say: a title, a sentence, and the same as JSON."""

from dataclasses import dataclass
from datetime import datetime

from quart_odds.alerts.rules import MovementSpec, PriceOf, PriceSpec
from quart_odds.domain.clock import iso_z
from quart_odds.domain.outcomes import odds_text, outcome_words
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunRecord
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.opportunities import Track
from quart_odds.odds.opportunity_views import opportunity_fields

JSON = dict[str, object]


@dataclass(frozen=True, slots=True)
class Words:
    """What an alert says."""

    title: str
    text: str
    data: JSON


def price_words(spec: PriceSpec, event: CachedEvent, platform: Platform, odds: float) -> Words:
    """Return the words for a price beyond its threshold."""
    beyond = f"over {spec.over:g}" if spec.over is not None else f"under {spec.under:g}"
    text = f"{_price_name(spec, platform)} is {odds_text(odds)}, {beyond}."
    data = {**_price_data(spec, event, platform, odds), "over": spec.over, "under": spec.under}
    return Words(f"{event.header.name}: {odds_text(odds)} is {beyond}", text, data)


def movement_words(spec: MovementSpec, event: CachedEvent, platform: Platform, odds: float, percent: float) -> Words:
    """Return the words for a price that moved by a percentage, negative if it fell."""
    verb = "rose" if percent > 0 else "fell"
    moved = f"{verb} by {abs(percent):.1f} % within {spec.within_seconds} s, to {odds_text(odds)}"
    text = f"{_price_name(spec, platform)} {moved}."
    data = {**_price_data(spec, event, platform, odds), "percent": round(percent, 3)}
    return Words(f"{event.header.name}: a price {verb} by {abs(percent):.1f} %", text, data)


def event_words(what: str, event: CachedEvent, platform: Platform) -> Words:
    """Return the words for what happened to an event at a bookmaker."""
    kickoff = iso_z(event.odds[platform].header.kickoff)
    at = platform.display_name
    text = {
        "listed": f"{at} lists {event.header.name}, with kick-off at {kickoff}.",
        "gone": f"{at} no longer lists {event.header.name}.",
        "postponed": f"At {at}, the kick-off of {event.header.name} is now {kickoff}.",
    }[what]
    return Words(f"{event.header.name}: {what}", text, {**_event_data(event, platform), "what": what})


def failing_words(platform: Platform, reason: str | None) -> Words:
    """Return the words for a bookmaker that failed in a run."""
    why = "" if reason is None else f": {reason}"
    data: JSON = {"bookmaker": platform.value, "what": "failing", "reason": reason}
    return Words(f"{platform.display_name} fails", f"A run got nothing from {platform.display_name}{why}.", data)


def stale_words(platform: Platform, seconds: float) -> Words:
    """Return the words for a bookmaker of which nothing came for that long."""
    name = platform.display_name
    data: JSON = {"bookmaker": platform.value, "what": "stale", "seconds": round(seconds)}
    return Words(f"{name} is stale", f"No prices have come from {name} for {seconds:.0f} s.", data)


def run_words(record: RunRecord) -> Words:
    """Return the words for the end of a run."""
    errors = [*record.errors, *(each.error for each in record.results if each.error is not None)]
    reason = errors[0].error_message if errors else None
    data: JSON = {
        "run_id": record.id,
        "status": record.status.value,
        "mode": record.mode.value,
        "trigger": record.trigger,
        "reason": reason,
    }
    text = f"Run {record.id} ended as {record.status.value}{'' if reason is None else f': {reason}'}."
    return Words(f"Run {record.id}: {record.status.value}", text, data)


def opportunity_words(track: Track, now: datetime) -> Words:
    """Return the words for an opportunity, with the prices to back."""
    event, found = track.event, track.opportunity
    name, worth = event.header.name, f"{found.kind} {found.margin:.2f} %"
    prices = ", ".join(
        f"{outcome_words(leg.market, leg.outcome, leg.line)} {odds_text(leg.odds)} at {leg.platform.display_name}"
        for leg in found.legs
    )
    data: JSON = {
        "event_id": event.id,
        "sportradar_id": event.sportradar_id,
        "event": name,
        "kickoff": iso_z(event.header.kickoff),
        "opportunity": opportunity_fields(track, now),
    }
    return Words(f"{name}: {worth}", f"{found.market.name}, {prices}: {worth}.", data)


def _price_name(spec: PriceOf, platform: Platform) -> str:
    market = spec.market_of
    return f"{market.name}, {outcome_words(market, spec.outcome, spec.line)}, at {platform.display_name}"


def _price_data(spec: PriceOf, event: CachedEvent, platform: Platform, odds: float) -> JSON:
    return {
        **_event_data(event, platform),
        "market_id": spec.market_of.id,
        "market": spec.market_of.name,
        "line": spec.line,
        "outcome": spec.outcome,
        "odds": odds,
    }


def _event_data(event: CachedEvent, platform: Platform) -> JSON:
    return {
        "event_id": event.id,
        "sportradar_id": event.sportradar_id,
        "event": event.header.name,
        "kickoff": iso_z(event.header.kickoff),
        "bookmaker": platform.value,
    }
