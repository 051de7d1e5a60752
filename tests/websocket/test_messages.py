"""The messages have exactly the shapes that clients rely on."""

import re
from datetime import UTC, datetime

import orjson
import pytest

from quart_odds.domain.clock import iso_z
from quart_odds.scraping.schemas import Platform, ScrapeErrorContext, ScrapePhase, ScrapeProgress
from quart_odds.websocket import (
    connection_ack_message,
    error_message,
    event_change_message,
    gap_message,
    odds_change_message,
    odds_image_message,
    odds_update_message,
    pong_message,
    scrape_progress_message,
    subscription_update_message,
)

PROGRESS = ScrapeProgress(
    platform=Platform.BET9JA,
    phase=ScrapePhase.FAILED,
    current=3,
    total=9,
    timestamp=datetime(2026, 11, 22, 10, 0, 0, 123456, tzinfo=UTC),
    scrape_run_id=7,
    elapsed_ms=12,
    error=ScrapeErrorContext(error_type="blocked", error_message="403", platform=Platform.BET9JA),
)


@pytest.mark.parametrize(
    ("built", "kind", "data"),
    [
        (connection_ack_message(["b", "a"]), "connection_ack", {"topics": ["a", "b"]}),
        (subscription_update_message(frozenset({"b", "a"})), "subscription_update", {"topics": ["a", "b"]}),
        (pong_message(), "pong", {}),
        (error_message("invalid_json", "no"), "error", {"code": "invalid_json", "detail": "no"}),
        (
            odds_update_message([1, 2], Platform.BETPAWA, 2, 1),
            "odds_update",
            {"event_ids": [1, 2], "source": "betpawa", "snapshot_count": 2, "opening_count": 1},
        ),
        (
            odds_change_message(
                [{"odds": 2.0}],
                event_id=1,
                sportradar_id="11",
                source=Platform.BETPAWA,
                seen_at=PROGRESS.timestamp,
                source_changed_at=None,
            ),
            "odds_change",
            {
                "event_id": 1,
                "sportradar_id": "11",
                "source": "betpawa",
                "seen_at": "2026-11-22T10:00:00.123Z",
                "source_changed_at": None,
                "changes": [{"odds": 2.0}],
            },
        ),
        (
            event_change_message("removed", event_id=1, sportradar_id=None, source=None, event=None, bookmakers=[]),
            "event_change",
            {
                "event_id": 1,
                "sportradar_id": None,
                "change": "removed",
                "source": None,
                "event": None,
                "bookmakers": [],
            },
        ),
        (
            odds_image_message([orjson.Fragment(b'{"id":1}')], is_final=True, scope="changed", removed=[2]),
            "odds_image",
            {"events": [{"id": 1}], "final": True, "scope": "changed", "removed": [2]},
        ),
    ],
)
def test_envelopes(built: dict[str, object], kind: str, data: dict[str, object]) -> None:
    """Envelopes are plain dicts with three keys, in this order. The timestamp is UTC, with milliseconds and Z."""
    assert list(built) == ["type", "timestamp", "data"]
    assert type(built) is dict
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", str(built["timestamp"]))
    assert orjson.loads(orjson.dumps(built))["data"] == data
    assert built["type"] == kind


def test_a_message_may_have_been_made_before_it_is_written() -> None:
    """It has the time at which it was made."""
    built = odds_image_message([], is_final=True, scope="all", at=PROGRESS.timestamp)
    assert built["timestamp"] == "2026-11-22T10:00:00.123Z"


def test_progress_is_the_same_json_as_on_the_runs_own_stream() -> None:
    """`data` is the progress's own JSON, with its times in the same form."""
    built = scrape_progress_message(PROGRESS)
    assert built["type"] == "scrape_progress"
    assert built["data"] == PROGRESS.model_dump(mode="json")
    assert built["data"]["timestamp"] == "2026-11-22T10:00:00.123Z"
    assert built["data"]["platform"] == "bet9ja"
    assert built["data"]["error"]["recoverable"] is False


@pytest.mark.parametrize(
    ("missed", "says"), [(3, "3 messages were missed"), (None, "an unknown number of messages were missed")]
)
def test_gap_says_how_much_was_missed(missed: int | None, says: str) -> None:
    """The gap notice is an error with code `gap`, with a text for people and a number for programs."""
    data = gap_message(missed)["data"]
    assert data["code"] == "gap"
    assert data["missed"] == missed
    assert data["detail"].startswith(says)


def test_times_without_a_zone_are_refused() -> None:
    """A naive time is refused, because it would mean a different time elsewhere."""
    with pytest.raises(ValueError, match="no time zone"):
        iso_z(datetime(2026, 11, 22, 10, 0, 0))  # noqa: DTZ001
