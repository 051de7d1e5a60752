"""A run as its page shows it: one plain dictionary with the same keys for active and past runs.

The template renders it, and the page's script starts from the same dictionary.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime

from quart_odds.domain.clock import iso_z
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, RunRecord, RunStatus, ScrapePhase
from quart_odds.routes.pages.shell import clock, duration, trigger_words
from quart_odds.routes.pages.told import as_told
from quart_odds.scraping.active_run import ActiveRun
from quart_odds.scraping.outcome import ending_words, terminal_progress, unfinished_platforms
from quart_odds.scraping.schemas import ScrapeProgress

JSON = dict[str, object]

ADVICE = {
    "unreachable": "Check that this machine reaches the bookmaker. Set a proxy for it, or a longer request timeout.",
    "blocked": "The bookmaker refuses this address. Set a proxy for it, and lower its concurrency.",
    "rate_limited": "Lower the bookmaker's concurrency, or put a delay between its requests.",
    "server_fault": "The problem is at the bookmaker. Retry in a few minutes.",
    "not_found": "Nothing to do: these events were removed after they were listed and before they were fetched.",
    "malformed_body": "The response was cut or its format has changed. If a retry does not help, fix the parser.",
    "nothing_found": "The bookmaker listed no events, which is never right. Retry, and check its site if it recurs.",
    "deadline": "The bookmaker was too slow. Raise the platform deadline, or its concurrency.",
    "empty_body": "The bookmaker sent empty responses more than once. Retry. A lower concurrency may help.",
    "incomplete_list": "The list lacks events that the bookmaker counts. The missing ones are not marked as gone.",
    "list_limit": "More than any bookmaker has. The rest was left out, and nothing is marked as gone.",
    "too_much": "More events or prices than any bookmaker has: the rest was left out. Check its site.",
    "missing": "Many events vanished at once. Each is marked as gone if a second complete list lacks it too.",
    "in_play": "Nothing to do: these matches have begun, and only pre-match prices are kept.",
    "decoder": "Check the machine: does it have memory and processes left?",
    "shrunken": "Far fewer events than last time. If it stays like this, check the bookmaker's site.",
    "cancelled": "Someone cancelled this run. Retry scrapes what is missing.",
    "interrupted": "The server stopped during this run. Retry scrapes what is missing.",
    "storage": "Check the database: is it full, locked or gone?",
}
OTHER_ADVICE = "See the server's log for details."

ELSEWHERE = "running in another process, so its progress is not known here"

NO_ESTIMATE = "The time left is known when all lists are complete."

STOPPED = (RunStatus.CANCELLED, RunStatus.INTERRUPTED)
"""How runs end that somebody stopped. Nothing has failed then, although the phase of their progress is `failed`."""

MOST_SHARE = 990
"""A bar is never full before the end, in thousandths."""

IDLE: JSON = {
    "id": None,
    "mode": "full",
    "status": "idle",
    "is_over": True,
    "failed": 0,
    "bar": {"done": 0, "good": 0},
    "platforms": [],
    "phases": [],
    "errors": [],
    "log": [],
}


def active_view(run: ActiveRun, used: Iterable[Platform] = Platform) -> JSON:
    """Return the view of an active run at this moment, with the bookmakers that are used."""
    record = run.snapshot()
    overall = run.tracker.progress()
    phases = [phase for tracker in run.tracker.platforms for phase in tracker.phases]
    return _view(
        record,
        phases,
        used,
        phase=overall.phase,
        elapsed_ms=run.elapsed_ms,
        remaining_ms=overall.remaining_ms,
        left={tracker.platform: tracker.progress().remaining_ms for tracker in run.tracker.platforms},
        message=NO_ESTIMATE if overall.remaining_ms is None else None,
    )


def told_view(
    record: RunRecord,
    phases: Sequence[PhaseRecord],
    told: Sequence[ScrapeProgress],
    used: Iterable[Platform] = Platform,
) -> JSON:
    """Return the view of an active run of another process, from its row and the progress that the log has of it."""
    overall = next((each for each in told if each.platform is None), None)
    if overall is None:
        return _view(record, phases, used, phase=ScrapePhase.INITIALIZING, elapsed_ms=0, message=ELSEWHERE)
    return _view(
        as_told(record, told),
        phases,
        used,
        phase=overall.phase,
        elapsed_ms=overall.elapsed_ms or 0,
        remaining_ms=overall.remaining_ms,
        left={each.platform: each.remaining_ms for each in told if each.platform is not None},
        message=NO_ESTIMATE if overall.remaining_ms is None else None,
    )


def stored_view(record: RunRecord, phases: Sequence[PhaseRecord], used: Iterable[Platform] = Platform) -> JSON:
    """Return the view of a run that has ended, from its database row."""
    end = terminal_progress(record)
    phase = str(record.status) if record.status in STOPPED else str(end.phase)
    words = ending_words(record) or None
    return _view(record, phases, used, phase=phase, elapsed_ms=record.duration_ms or 0, message=words)


def can_retry(record: RunRecord) -> bool:
    """Whether a retry of the run would scrape anything."""
    return record.status is not RunStatus.RUNNING and bool(unfinished_platforms(record))


def _view(
    record: RunRecord,
    phases: Sequence[PhaseRecord],
    used: Iterable[Platform],
    *,
    phase: str,
    elapsed_ms: int,
    remaining_ms: int | None = None,
    left: dict[Platform, int | None] | None = None,
    message: str | None,
) -> JSON:
    results = {result.platform: result for result in record.results}
    shown = sorted({*used, *record.platforms, *results}, key=lambda each: each.place)
    platforms = [_platform(each, results.get(each), record, (left or {}).get(each), elapsed_ms) for each in shown]
    is_over = record.status is not RunStatus.RUNNING
    current = record.events_scraped + record.events_failed
    total = sum(max(each.found, each.fetched + each.failed) for each in record.results)
    return {
        "id": record.id,
        "mode": str(record.mode),
        "status": str(record.status),
        "is_over": is_over,
        "trigger": trigger_words(record.trigger),
        "started_at": iso_z(record.started_at),
        "phase": str(phase),
        "current": current,
        "total": total,
        "bar": _bar(current, record.events_failed, total, None if is_over else (elapsed_ms, remaining_ms)),
        "fetched": record.events_scraped,
        "failed": record.events_failed,
        "elapsed_ms": elapsed_ms,
        "remaining_ms": remaining_ms,
        "message": message,
        "can_retry": can_retry(record),
        "platforms": platforms,
        "phases": [_phase(each, record.started_at, elapsed_ms) for each in phases if not each.phase.is_final],
        "errors": [_error(each) for each in record.errors],
        "log": _log(record, phases, message),
    }


def _platform(
    platform: Platform, result: PlatformResult | None, record: RunRecord, left: int | None, elapsed_ms: int
) -> JSON:
    is_part = platform in record.platforms
    result = result or PlatformResult(platform, ScrapePhase.INITIALIZING)
    current = result.fetched + result.failed
    total = max(result.found, current)
    is_over = result.phase.is_final or record.status is not RunStatus.RUNNING
    fault = None if _is_stop(result.error) else result.error
    return {
        "platform": str(platform),
        "name": platform.display_name,
        "mark": platform.letters,
        "is_part": is_part,
        "phase": _phase_words(result.phase, result.error) if is_part else "left out",
        "current": current,
        "total": total,
        "bar": _bar(current, result.failed, total, None if is_over or not is_part else (elapsed_ms, left)),
        "fetched": result.fetched,
        "failed": result.failed,
        "duration_ms": result.duration_ms,
        "remaining_ms": left,
        "rate": round(current * 1000 / result.duration_ms, 1) if result.duration_ms else None,
        "error": fault.error_message if fault else None,
        "advice": advice(fault.error_type) if fault else None,
        "dropped": result.dropped_prices,
        "unmapped": result.unmapped_markets,
    }


def _bar(current: int, failed: int, total: int, times: tuple[int, int | None] | None) -> JSON:
    """Return how far something is and how much of that is good, in thousandths: static/progress.js draws the same.

    `times` are the elapsed and the remaining milliseconds while it goes on: the number of events still grows then, so
    only time tells how far it is. Without an estimate `done` is None. At the end, the events that were found count.
    """
    if times is None:
        done = 1000 * current / total if total else 0
    else:
        elapsed, remaining = times
        if remaining is None:
            return {"done": None, "good": 0}
        done = min(MOST_SHARE, 1000 * elapsed / max(elapsed + remaining, 1))
    return {"done": round(done), "good": round(done * (current - failed) / current) if current else 0}


def _is_stop(error: RunError | None) -> bool:
    return error is not None and error.error_type in STOPPED


def _phase_words(phase: ScrapePhase, error: RunError | None) -> str:
    """Return the phase of a bookmaker's part. One that was stopped with its run has not failed."""
    return error.error_type if error is not None and _is_stop(error) and phase is ScrapePhase.FAILED else str(phase)


def advice(error_type: str) -> str:
    """Return advice on what a person can do about an error."""
    return ADVICE.get(error_type, OTHER_ADVICE)


def _error(error: RunError) -> JSON:
    return {
        "type": error.error_type.replace("_", " "),
        "message": error.error_message,
        "count": error.count,
        "platform": error.platform.display_name if error.platform else None,
        "recoverable": error.recoverable,
        "advice": advice(error.error_type),
        "is_stop": _is_stop(error),
    }


def _phase(phase: PhaseRecord, began: datetime, elapsed_ms: int) -> JSON:
    """Return a phase, limited to the run's duration: rows of earlier releases may exceed it if the clock was set."""
    start_ms = _ms(phase.started_at, began, 0, elapsed_ms)
    return {
        "platform": str(phase.platform),
        "phase": str(phase.phase),
        "start_ms": start_ms,
        "end_ms": None if phase.ended_at is None else _ms(phase.ended_at, began, start_ms, elapsed_ms),
    }


def _ms(moment: datetime, began: datetime, least: int, most: int) -> int:
    return max(least, min(most, round((moment - began).total_seconds() * 1000)))


def _log(record: RunRecord, phases: Sequence[PhaseRecord], message: str | None) -> list[JSON]:
    results = {result.platform: result for result in record.results}
    lines = [_line(record.started_at, f"Run {record.id} started by {trigger_words(record.trigger)}")]
    for each in sorted(phases, key=lambda phase: phase.started_at):
        if each.platform is None:
            continue
        result = results.get(each.platform)
        phase = _phase_words(each.phase, result.error if result else None)
        words = f"{each.platform.display_name}: {phase}"
        if each.phase is ScrapePhase.COMPLETED and result is not None:
            words += f", odds of {result.fetched} of {result.found} events in {duration(result.duration_ms)}"
        elif each.message and phase not in STOPPED:
            words += f", {each.message}"
        lines.append(_line(each.started_at, words, is_bad=phase == ScrapePhase.FAILED))
    if record.completed_at is not None:
        words = f"Run {record.id} {record.status}" + (f": {message}" if message else "")
        lines.append(_line(record.completed_at, words, is_bad=record.status in (RunStatus.FAILED, RunStatus.PARTIAL)))
    return lines


def _line(at: datetime, text: str, *, is_bad: bool = False) -> JSON:
    return {"at": iso_z(at), "clock": clock(at), "text": text, "is_bad": is_bad}
