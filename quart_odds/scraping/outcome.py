"""How a run ended: the final record, and the terminal progress, which is derived from that record alone."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta

from quart_odds.bookmakers.budget import RequestBudget
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunError, RunRecord, RunStatus, ScrapePhase
from quart_odds.scraping.active_run import ActiveRun
from quart_odds.scraping.faults import error_context
from quart_odds.scraping.schemas import ScrapeProgress, SlowedBookmaker


def outcome(run: ActiveRun, fault: RunError | None, at: datetime) -> RunRecord:
    """Return the final record of a run. `fault` is the error that ended the run as a whole, if there was one."""
    tracker = run.tracker
    errors = tracker.errors()
    if run.ending is not None:
        status = run.ending
        words = {RunStatus.CANCELLED: "the run was cancelled", RunStatus.INTERRUPTED: run.ending_reason}
        errors = (RunError(str(run.ending), words[run.ending], at, recoverable=True), *errors)
    elif fault is not None:
        status = RunStatus.FAILED
        errors = (fault, *errors)
    elif len(tracker.failed_platforms) == len(tracker.platforms):
        status = RunStatus.FAILED
    else:
        status = RunStatus.PARTIAL if tracker.failed_platforms else RunStatus.COMPLETED
    for each in tracker.platforms:
        if not each.phase.is_final:
            each.fail(replace(errors[0], platform=each.platform))
    return RunRecord(
        run.record.id,
        status,
        run.record.trigger,
        run.record.platforms,
        run.record.started_at,
        # Not the current time: the clock may have been set during the run.
        run.record.started_at + timedelta(milliseconds=run.elapsed_ms),
        tracker.fetched,
        tracker.failed,
        tuple(each.result() for each in tracker.platforms),
        errors,
        run.record.mode,
    )


def unfinished_platforms(record: RunRecord) -> tuple[Platform, ...]:
    """Return the platforms that a run did not complete; all of them if only storing the odds failed.

    Those that are no longer installed are left out.
    """
    done = {each.platform for each in record.results if each.phase is ScrapePhase.COMPLETED}
    there = tuple(each for each in record.platforms if each in Platform)
    unfinished = tuple(each for each in there if each not in done)
    return unfinished or (there if record.status is RunStatus.FAILED else ())


def terminal_progress(record: RunRecord, slowed: Iterable[SlowedBookmaker] = ()) -> ScrapeProgress:
    """Return the terminal progress of a run that is over, from its row.

    `slowed` are the bookmakers that are asked less than configured now, which no row has.
    """
    is_good = record.status in (RunStatus.COMPLETED, RunStatus.PARTIAL)
    found = sum(each.found for each in record.results)
    error = record.errors[0] if record.errors and record.status is not RunStatus.COMPLETED else None
    return ScrapeProgress(
        phase=ScrapePhase.COMPLETED if is_good else ScrapePhase.FAILED,
        current=record.events_scraped + record.events_failed,
        total=max(found, record.events_scraped + record.events_failed),
        events_count=record.events_scraped,
        duration_ms=record.duration_ms,
        message=_terminal_words(record),
        timestamp=record.completed_at or record.started_at,
        scrape_run_id=record.id,
        elapsed_ms=record.duration_ms,
        error=error_context(error),
        mode=record.mode,
        slowed=tuple(slowed) or None,
    )


def slowed_bookmakers(budgets: Iterable[RequestBudget]) -> list[SlowedBookmaker]:
    """Return the bookmakers whose budget is below the configured rate."""
    return [
        SlowedBookmaker(
            platform=each.platform,
            reason=each.reason,
            requests_per_second=round(each.budget_per_second, 2),
            configured_per_second=each.configured_per_second,
        )
        for each in budgets
        if each.reason is not None and each.budget_per_second is not None
    ]


def ending_words(record: RunRecord) -> str:
    """Return what came of a run that is over, or the reason if nothing did. The status itself is not repeated."""
    bad = [each.platform.display_name for each in record.results if each.phase is ScrapePhase.FAILED]
    got = f"odds of {record.events_scraped} events" + (
        f", {record.events_failed} failed" if record.events_failed else ""
    )
    if record.status is RunStatus.PARTIAL:
        return f"{got}; {' and '.join(bad)} failed"
    if record.status is RunStatus.COMPLETED:
        return got
    return record.errors[0].error_message if record.errors else ""


def _terminal_words(record: RunRecord) -> str:
    words = ending_words(record)
    if record.status in (RunStatus.COMPLETED, RunStatus.PARTIAL):
        return words
    return f"{record.status}: {words}" if words else str(record.status)
