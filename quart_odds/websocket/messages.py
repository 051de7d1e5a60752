"""The messages on the wire: plain functions that return plain dicts, so that nothing is validated on the hot path.

Each is `{"type", "timestamp", "data"}`; docs/protocol.md is the contract.
"""

from collections.abc import Iterable
from typing import Any

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.scraping.schemas import ScrapeProgress

Envelope = dict[str, Any]


def envelope(kind: str, data: dict[str, Any]) -> Envelope:
    """What every message is: its type, when it was made (aware UTC, milliseconds, Z), and its data."""
    return {"type": kind, "timestamp": iso_z(utc_now()), "data": data}


def scrape_progress_message(progress: ScrapeProgress) -> Envelope:
    """One step of a run; `data` is the same JSON that the run's own SSE stream sends."""
    return envelope("scrape_progress", progress.model_dump(mode="json"))


def odds_update_message(event_ids: list[int], source: str, snapshot_count: int) -> Envelope:
    """A notice that odds of these events changed at one bookmaker; clients fetch the odds from the API.

    `snapshot_count` is how many events' odds were taken in since the last notice of this source.
    """
    return envelope("odds_update", {"event_ids": event_ids, "source": str(source), "snapshot_count": snapshot_count})


def connection_ack_message(topics: Iterable[str]) -> Envelope:
    """The first message of a connection: the topics that it has, sorted."""
    return envelope("connection_ack", {"topics": sorted(topics)})


def pong_message() -> Envelope:
    """The answer to a ping."""
    return envelope("pong", {})


def error_message(code: str, detail: str) -> Envelope:
    """What was wrong with a client's message, or what it missed; the connection lives on."""
    return envelope("error", {"code": code, "detail": detail})


def subscription_update_message(topics: Iterable[str]) -> Envelope:
    """The answer to subscribe and unsubscribe: the topics that the connection has from here on, sorted."""
    return envelope("subscription_update", {"topics": sorted(topics)})


def gap_message(missed: int | None) -> Envelope:
    """The notice that messages were missed, how many if that is known; the newest state follows."""
    count = "an unknown number of" if missed is None else str(missed)
    message = error_message(
        "gap", f"{count} messages were missed; the newest state follows, read the rest from the API"
    )
    message["data"]["missed"] = missed
    return message
