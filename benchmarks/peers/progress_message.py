"""The message that every peer sends: a `scrape_progress` of about 330 bytes, stamped with its creation time."""

import time
from datetime import UTC, datetime


def message(number: int) -> dict[str, object]:
    """Return the message with this number."""
    return {
        "type": "scrape_progress",
        "timestamp": datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "platform": "sportybet",
            "phase": "scraping",
            "current": number,
            "total": 1000,
            "events_count": number,
            "duration_ms": None,
            "message": f"t={time.monotonic():.6f} scraped {number} of 1000",
            "timestamp": "2026-11-22T10:00:00.000Z",
            "scrape_run_id": 1,
            "elapsed_ms": 1234,
            "error": None,
        },
    }
