"""What is true about live prices, under `/_sandbox`: their current rates, and every change with its moment.

With it, a test or benchmark can measure how late a client learns of a change.
"""

from datetime import datetime

from quart import Blueprint, jsonify, request
from quart.typing import ResponseReturnValue

from quart_odds.domain.clock import iso_z
from quart_odds.sandbox.sites.books import Books
from quart_odds.sandbox.world.changes import Change

DEFAULT_LIMIT = 1_000
MOST_CHANGES = 10_000
"""The maximum number of changes in one answer."""


def rates(books: Books) -> dict[str, object]:
    """Return how often each bookmaker moves prices of each event now, in moves per second.

    Raises ValueError if prices are not live.
    """
    if books.process is None:
        raise ValueError("prices are not live; start the sandbox with --live-prices")
    now = books.now()
    return {
        "at": iso_z(now),
        "rates": [
            {
                "bookmaker": platform,
                "sportradar_id": fixture.sportradar_id,
                "external_id": fixture.listings[platform].external_id,
                "kickoff": iso_z(fixture.kickoff),
                "per_second": books.process.rate(platform, fixture, now),
            }
            for platform, fixture in books.process.pairs
        ],
    }


def changes(books: Books, since: str, limit: str) -> dict[str, object]:
    """Return the changes after a number, or from a time on. `next` is the `since` of the next request.

    `is_complete` is false if some of them are no longer kept. Raises ValueError if an argument is invalid.
    """
    books.advance()
    log = books.changes
    most = _number(limit, "limit", 1, MOST_CHANGES)
    if since.lstrip("-").isdecimal():
        seq, is_complete = _number(since, "since", 0, log.last_seq), int(since) >= log.first_seq - 1
    else:
        seq = log.seq_at(_time(since))
        is_complete = seq >= log.first_seq or log.first_seq == 1
    found = log.since(seq, most)
    return {
        "changes": [_as_json(change) for change in found],
        "next": found[-1].seq if found else log.last_seq,
        "last": log.last_seq,
        "is_complete": is_complete,
    }


def truth_blueprint(books: Books | None) -> Blueprint:
    """Build the routes. `books` is None for a replay, whose prices never change."""
    blueprint = Blueprint("truth", __name__, url_prefix="/_sandbox")

    @blueprint.errorhandler(ValueError)
    async def say_what_is_wrong(error: ValueError) -> ResponseReturnValue:
        return jsonify(error=str(error)), 400

    @blueprint.get("/rates")
    async def current_rates() -> ResponseReturnValue:
        if books is None or books.process is None:
            return jsonify(error="prices are not live; start the sandbox with --live-prices"), 409
        return jsonify(rates(books))

    @blueprint.get("/changes")
    async def recorded_changes() -> ResponseReturnValue:
        if books is None:
            return jsonify(error="the odds of a replay do not change"), 409
        return jsonify(changes(books, request.args.get("since", "0"), request.args.get("limit", str(DEFAULT_LIMIT))))

    return blueprint


def _as_json(change: Change) -> dict[str, object]:
    market, line, outcome = change.key
    return {
        "seq": change.seq,
        "at": iso_z(change.at),
        "bookmaker": change.platform,
        "sportradar_id": change.fixture.sportradar_id,
        "external_id": change.external_id,
        "market": market.id,
        "slug": market.slug,
        "line": line,
        "outcome": outcome,
        "old": change.old / 100,
        "new": change.new / 100,
        "was_suspended": change.was_suspended,
        "suspended": change.is_suspended,
        "is_main": change.is_main,
    }


def _number(text: str, name: str, least: int, most: int) -> int:
    number = int(text) if text.lstrip("-").isdecimal() else None
    if number is None or not least <= number <= most:
        raise ValueError(f"{name} {text!r} is not a number from {least} to {most}")
    return number


def _time(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"since {text!r} is neither a number nor a time such as 2026-11-24T12:00:00Z") from None
    if moment.tzinfo is None:
        raise ValueError(f"since {text!r} has no time zone; end it with Z")
    return moment
