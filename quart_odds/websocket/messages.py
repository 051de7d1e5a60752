"""The messages on the wire. Their builders are plain functions that return plain dicts: no validation on the hot path.

Each message is `{"type", "timestamp", "data"}`. docs/protocol.md is the contract.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from quart_odds.domain.clock import iso_z, utc_now
from quart_odds.scraping.schemas import ScrapeProgress

Envelope = dict[str, Any]


def envelope(kind: str, data: dict[str, Any], at: datetime | None = None) -> Envelope:
    """Return a message: its type, the time it was made (aware UTC, milliseconds, Z; by default now), and its data."""
    return {"type": kind, "timestamp": iso_z(at or utc_now()), "data": data}


def scrape_progress_message(progress: ScrapeProgress) -> Envelope:
    """Return one step of a run. `data` is the same JSON that the run's own SSE stream sends."""
    return envelope("scrape_progress", progress.model_dump(mode="json"))


def odds_update_message(event_ids: list[int], source: str, snapshot_count: int, opening_count: int = 0) -> Envelope:
    """Return a notice that odds of these events changed at one bookmaker. Clients fetch the odds from the API.

    `snapshot_count` is the number of events whose odds were recorded since the last notice from this source. Of these,
    `opening_count` had first prices alone, which change nothing that was there before.
    """
    counts = {"snapshot_count": snapshot_count, "opening_count": opening_count}
    return envelope("odds_update", {"event_ids": event_ids, "source": str(source), **counts})


def odds_change_message(
    changes: Sequence[Mapping[str, object]],
    *,
    event_id: int,
    sportradar_id: str | None,
    source: str,
    seen_at: datetime,
    source_changed_at: datetime | None,
    at: datetime | None = None,
) -> Envelope:
    """Return what one fetch changed in one event at one bookmaker.

    `seen_at` is when the answer arrived, `source_changed_at` when the bookmaker itself made the newest of the changes.
    """
    data = {
        "event_id": event_id,
        "sportradar_id": sportradar_id,
        "source": str(source),
        "seen_at": iso_z(seen_at),
        "source_changed_at": None if source_changed_at is None else iso_z(source_changed_at),
        "changes": changes,
    }
    return envelope("odds_change", data, at)


def event_change_message(
    change: str,
    *,
    event_id: int,
    sportradar_id: str | None,
    source: str | None,
    event: Mapping[str, object] | None,
    bookmakers: Sequence[Mapping[str, object]],
    at: datetime | None = None,
) -> Envelope:
    """Return what happened to an event itself. `event` has its fields; it is None if the event no longer exists."""
    data = {
        "event_id": event_id,
        "sportradar_id": sportradar_id,
        "change": change,
        "source": None if source is None else str(source),
        "event": event,
        "bookmakers": bookmakers,
    }
    return envelope("event_change", data, at)


def opportunity_message(
    change: str,
    *,
    event_id: int,
    sportradar_id: str | None,
    opportunity: Mapping[str, object],
    shown: Mapping[str, object] | None,
    at: datetime | None = None,
) -> Envelope:
    """Return what happened to an opportunity. `opportunity` says which one it is and how long it has been there.

    `shown` is the opportunity with its event and prices; None if it is gone.
    """
    data = {"change": change, "event_id": event_id, "sportradar_id": sportradar_id, **opportunity, "opportunity": shown}
    return envelope("opportunity", data, at)


def odds_image_message(
    events: Sequence[object],
    *,
    is_final: bool,
    scope: str,
    removed: Sequence[int] = (),
    at: datetime | None = None,
) -> Envelope:
    """Return a page of the state of events, each a value that orjson can encode.

    With the scope "all", a copy drops what is on no page. With "changed", it drops only the events in `removed`.
    """
    return envelope("odds_image", {"events": events, "final": is_final, "scope": scope, "removed": removed}, at)


def alert_message(
    alert_id: int, *, title: str, text: str, data: Mapping[str, object], at: datetime | None = None
) -> Envelope:
    """Return an alert that fired at `at`. `data` says what `title` and `text` say to people, and by which rule."""
    return envelope("alert", {"id": alert_id, "title": title, "text": text, **data}, at)


def connection_ack_message(topics: Iterable[str]) -> Envelope:
    """Return the first message of a connection: the topics it receives, sorted."""
    return envelope("connection_ack", {"topics": sorted(topics)})


def pong_message() -> Envelope:
    """Return the answer to a ping."""
    return envelope("pong", {})


def error_message(code: str, detail: str) -> Envelope:
    """Return what was wrong with a client's message, or what the client missed. The connection stays open."""
    return envelope("error", {"code": code, "detail": detail})


def subscription_update_message(topics: Iterable[str], filtered: dict[str, Any] | None = None) -> Envelope:
    """Return the answer to subscribe and unsubscribe: the topics it now receives, sorted, and its filter."""
    data: dict[str, Any] = {"topics": sorted(topics)}
    return envelope("subscription_update", data if filtered is None else {**data, "filter": filtered})


def gap_message(missed: int | None) -> Envelope:
    """Return the notice that messages were missed, and how many if that is known. The newest state follows it."""
    count = "an unknown number of" if missed is None else str(missed)
    message = error_message(
        "gap", f"{count} messages were missed; the newest state follows, read the rest from the API"
    )
    message["data"]["missed"] = missed
    return message


def degraded_message() -> Envelope:
    """Return the notice that this process is cut off from the log: messages are late. Whatever is lost is a gap."""
    return error_message("degraded", "messages are late, because the server is cut off from its log; it tries again")


def gap_notice(missed: int | None) -> tuple[str, bytes]:
    """The same notice as the broadcast needs it: the SSE event's name, and the message encoded."""
    return "error", orjson.dumps(gap_message(missed))
