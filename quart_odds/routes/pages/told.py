"""A run that another process carries out, as the log tells of it."""

from collections.abc import Sequence
from dataclasses import replace

import orjson

from quart_odds.broadcast import broadcast_registry
from quart_odds.domain.runs import PlatformResult, RunError, RunRecord
from quart_odds.scraping.schemas import ScrapeProgress


def told_progress(scrape_run_id: int) -> list[ScrapeProgress]:
    """Return the newest progress of each platform and of the whole run. Empty if the log has none, as of a sweep."""
    return [
        ScrapeProgress.model_validate(orjson.loads(entry.payload)["data"])
        for (group, _), entry, _ in broadcast_registry.log.retained()
        if str(group) == str(scrape_run_id)
    ]


def as_told(record: RunRecord, told: Sequence[ScrapeProgress]) -> RunRecord:
    """Return the row of a run with the counts and errors of its progress. The row itself has none before the end."""
    results = tuple(_result(each) for each in told if each.platform is not None)
    return replace(
        record,
        events_scraped=sum(each.fetched for each in results),
        events_failed=sum(each.failed for each in results),
        results=results,
        errors=tuple(each.error for each in results if each.error is not None),
    )


def _result(told: ScrapeProgress) -> PlatformResult:
    assert told.platform is not None
    fetched = told.current if told.events_count is None else told.events_count
    error = None
    if told.error is not None:
        error = RunError(
            told.error.error_type,
            told.error.error_message,
            told.timestamp,
            told.platform,
            recoverable=told.error.recoverable,
        )
    return PlatformResult(
        told.platform,
        told.phase,
        found=told.total,
        fetched=fetched,
        failed=max(0, told.current - fetched),
        duration_ms=told.duration_ms,
        error=error,
    )
