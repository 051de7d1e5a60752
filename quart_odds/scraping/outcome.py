"""What a run came to: the record of its end, and the terminal progress that follows from it alone."""

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunRecord, RunStatus, ScrapePhase
from quart_odds.scraping.faults import error_context
from quart_odds.scraping.schemas import ScrapeProgress


def unfinished_platforms(record: RunRecord) -> tuple[Platform, ...]:
    """The platforms that a run did not complete; all of them where the run failed as a whole, in storing the odds."""
    done = {each.platform for each in record.results if each.phase is ScrapePhase.COMPLETED}
    unfinished = tuple(each for each in record.platforms if each not in done)
    return unfinished or (record.platforms if record.status is RunStatus.FAILED else ())


def terminal_progress(record: RunRecord) -> ScrapeProgress:
    """The terminal progress of a run that is over, from its row alone."""
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
    )


def _terminal_words(record: RunRecord) -> str:
    bad = [each.platform.display_name for each in record.results if each.phase is ScrapePhase.FAILED]
    got = f"odds of {record.events_scraped} events" + (
        f", {record.events_failed} failed" if record.events_failed else ""
    )
    if record.status is RunStatus.PARTIAL:
        return f"{got}; {' and '.join(bad)} failed"
    if record.status is RunStatus.COMPLETED:
        return got
    return f"{record.status}: {record.errors[0].error_message}" if record.errors else str(record.status)
