"""What this process, and all processes together, are doing: for the health report, the metrics and the scheduler."""

import os
from dataclasses import replace

from quart_odds.domain.platforms import Platform
from quart_odds.domain.processes import ClusterReport, ProcessReport, SchedulerState, WriterState
from quart_odds.services import Services


def own_report(parts: Services) -> ProcessReport:
    """Return what this process does now."""
    shared_log, role = parts.shared_log, parts.role
    return ProcessReport(
        name=parts.store.holder,
        worker=parts.worker,
        pid=os.getpid(),
        role=role,
        is_level=shared_log is None or shared_log.tail.is_level,
        connections=parts.limits.count,
        active_count=parts.registry.active_count,
        topic_counts=parts.registry.topic_counts,
        watched=parts.watched.here(parts.served.cache.events),
        writing=_own_state(parts) if role == "writer" else None,
        connection_prefix=parts.registry.figures.name,
    )


def cluster_report(parts: Services) -> ClusterReport | None:
    """Return what all processes do; None without an engine, and while Redis does not answer."""
    return None if parts.reports is None else parts.reports.cluster()


def writer_state(parts: Services) -> WriterState:
    """Return the schedules and slowed bookmakers of the process that writes, as it reported them.

    While that is not known, this process tells what is in the settings: no next run, and nothing slowed.
    """
    own, holder = _own_state(parts), parts.store.writer_row.holder
    if holder == parts.store.holder:
        return own
    cluster = cluster_report(parts)
    for each in () if cluster is None else cluster.processes:
        if each.name == holder and each.writing is not None:
            return each.writing
    return WriterState(_configured(own.runs), _configured(own.sweeps))


def process_json(report: ProcessReport) -> dict[str, object]:
    """Return a process as /api/health shows it."""
    return {
        "name": report.name,
        "worker": report.worker,
        "pid": report.pid,
        "role": report.role,
        "level": report.is_level,
        "connections": report.connections,
        "active_count": report.active_count,
        "topic_counts": report.topic_counts,
        "watched_events": len(report.watched),
    }


def cluster_json(report: ClusterReport | None) -> dict[str, object] | None:
    """Return all processes as /api/health shows them."""
    if report is None:
        return None
    return {
        "processes": [process_json(each) for each in report.processes],
        "writer": report.writer,
        "level": report.is_level,
        "connections": report.connections,
        "active_count": report.active_count,
        "topic_counts": report.topic_counts,
        "watched_events": report.watched_events,
    }


def _configured(state: SchedulerState) -> SchedulerState:
    return replace(state, next_run=None, skipped=0, last_skip=None)


def _own_state(parts: Services) -> WriterState:
    slowed = tuple(words for each in Platform if (words := parts.clients.trouble(each)))
    return WriterState(parts.scheduler.state, parts.sweep_scheduler.state, slowed)
