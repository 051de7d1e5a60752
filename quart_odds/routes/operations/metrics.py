"""Metrics for Prometheus: of the process that answers, and of all processes together.

Of several workers on one address, any may answer. So each series of a worker has its number as a label: series of
different workers are never mixed up. Those of the cluster (`quart_odds_cluster_…`) are the same at every process.
"""

import os
from collections import Counter
from collections.abc import Iterable
from typing import get_args

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from quart import Blueprint, Response

from quart_odds.domain.processes import ClusterReport, Role
from quart_odds.routes.access.attempts import REASONS
from quart_odds.routes.access.refusals import refusals
from quart_odds.routes.api.freshness import AgeMetrics, measured_ages
from quart_odds.routes.api.openapi import answers_text
from quart_odds.routes.api.processes import cluster_report, own_report
from quart_odds.routes.operations.hub_metrics import hub_metrics
from quart_odds.services import Services, services

blueprint = Blueprint("metrics", __name__)


@blueprint.get("/metrics")
@answers_text("text/plain", description="Metrics for Prometheus.", example="quart_odds_connections 12.0\n")
async def metrics() -> Response:
    """Return the metrics in Prometheus text format."""
    parts = services()
    ages = AgeMetrics(await measured_ages(parts.served), parts.odds_service.delays)
    registry = CollectorRegistry()
    registry.register(ProcessMetrics(parts, ages))
    if (cluster := cluster_report(parts)) is not None:
        registry.register(ClusterMetrics(cluster))
    return Response(generate_latest(registry), content_type="text/plain; version=0.0.4; charset=utf-8")


class ProcessMetrics(Collector):
    """Metrics of this process, read at the moment of the scrape."""

    def __init__(self, parts: Services, ages: AgeMetrics) -> None:
        self._parts = parts
        self._ages = ages

    def collect(self) -> list[Metric]:
        """Return all metrics, those of a worker with its number."""
        found = [
            *self._activity(),
            *hub_metrics(self._parts),
            *self._work(),
            *self._requests(),
            *self._answers(),
            *self._ages.collect(),
        ]
        if self._parts.worker is not None:
            for metric in found:
                metric.samples = [
                    sample._replace(labels={**sample.labels, "worker": str(self._parts.worker)})
                    for sample in metric.samples
                ]
        return found

    def _activity(self) -> list[Metric]:
        parts = self._parts
        own = own_report(parts)
        topics = GaugeMetricFamily("quart_odds_subscribers", "Subscribers by topic", labels=["topic"])
        for topic, count in own.topic_counts.items():
            topics.add_metric([topic], count)
        lag = GaugeMetricFamily(
            "quart_odds_loop_lag_seconds", "How late the event loop was within the last minute", labels=["quantile"]
        )
        for share in (0.5, 0.99, 1.0):
            lag.add_metric([str(share)], parts.loop_lag.quantile(share))
        row = parts.store.writer_row
        role = GaugeMetricFamily(
            "quart_odds_role", "1: what this process does, and which process writes", labels=["role", "holder"]
        )
        role.add_metric([own.role, row.holder or ""], 1)
        refused = CounterMetricFamily(
            "quart_odds_access_refused", "Requests that were not let in, by reason", labels=["reason"]
        )
        for reason in REASONS:
            refused.add_metric([reason], parts.attempts.counts[reason])
        run = parts.runs.active
        return [
            role,
            refused,
            CounterMetricFamily(
                "quart_odds_access_ended", "Live connections that ended with their tokens", value=parts.ties.ended
            ),
            GaugeMetricFamily("quart_odds_writer_term", "The number of times that the writer has changed", row.term),
            InfoMetricFamily("quart_odds_process", "The process that answers", {"pid": str(os.getpid())}),
            GaugeMetricFamily(
                "quart_odds_level", "Whether this process has everything that is on the log", value=int(own.is_level)
            ),
            GaugeMetricFamily("quart_odds_connections", "Live connections", value=own.connections),
            GaugeMetricFamily("quart_odds_listeners", "Listeners to any topic", value=own.active_count),
            topics,
            GaugeMetricFamily("quart_odds_watched_events", "Events that listeners watch", value=len(own.watched)),
            GaugeMetricFamily("quart_odds_events", "Events in memory", value=len(parts.served.cache.events)),
            GaugeMetricFamily("quart_odds_run_active", "Whether a full run is active", value=int(run is not None)),
            GaugeMetricFamily("quart_odds_draining", "Whether the server is draining", value=int(parts.is_draining)),
            lag,
        ]

    def _work(self) -> Iterable[Metric]:
        """Return the runs that have ended, and what waits in queues."""
        parts = self._parts
        runs = CounterMetricFamily("quart_odds_runs", "Runs that have ended", labels=["mode", "status", "trigger"])
        for labels, count in sorted(parts.runs_ended.items()):
            runs.add_metric(labels, count)
        queues = GaugeMetricFamily("quart_odds_queue_depth", "What waits in a queue of this process", labels=["queue"])
        writer = parts.odds_service.writer
        queues.add_metric(["decode"], parts.decoder.pending)
        queues.add_metric(["store"], writer.waiting)
        queues.add_metric(["store_rows"], writer.waiting_rows)
        queues.add_metric(["alerts"], parts.alerts.queue.chains)
        lost = CounterMetricFamily(
            "quart_odds_history_rows_lost", "Changes of odds that could not be stored", value=writer.rows_lost
        )
        return [runs, queues, lost]

    def _answers(self) -> Iterable[Metric]:
        """Return the requests that were answered, and those that were refused."""
        durations = HistogramMetricFamily(
            "quart_odds_http_request_seconds",
            "Time from a request to its answer, or to the head of an event stream",
            labels=["route", "status"],
        )
        for (route, status), each in sorted(self._parts.requests.durations.items()):
            durations.add_metric([route, status], each.buckets(), each.sum)
        refused = CounterMetricFamily("quart_odds_refusals", "Requests and peers that were refused", labels=["reason"])
        for reason, count in sorted(refusals.counts.items()):
            refused.add_metric([reason], count)
        return [durations, refused]

    def _requests(self) -> Iterable[Metric]:
        """Return the requests to each bookmaker, and its budget while there is one."""
        sent = CounterMetricFamily(
            "quart_odds_bookmaker_requests", "Requests sent to a bookmaker, retries included", labels=["bookmaker"]
        )
        current = GaugeMetricFamily(
            "quart_odds_request_budget_per_second",
            "The budget of requests to a bookmaker now, while sweeps are on",
            labels=["bookmaker"],
        )
        configured = GaugeMetricFamily(
            "quart_odds_request_budget_configured_per_second",
            "The budget of requests to a bookmaker while it neither refuses nor slows down",
            labels=["bookmaker"],
        )
        for each in self._parts.clients.budgets():
            sent.add_metric([each.platform], each.requests_total)
            configured.add_metric([each.platform], each.configured_per_second)
            if each.budget_per_second is not None:
                current.add_metric([each.platform], each.budget_per_second)
        return [sent, current, configured]


class ClusterMetrics(Collector):
    """Metrics of all processes together. They are absent while this process does not know the others."""

    def __init__(self, cluster: ClusterReport) -> None:
        self._cluster = cluster

    def collect(self) -> list[Metric]:
        """Return all metrics."""
        cluster = self._cluster
        roles = Counter(each.role for each in cluster.processes)
        processes = GaugeMetricFamily("quart_odds_cluster_processes", "Processes by role", labels=["role"])
        for role in get_args(Role):
            processes.add_metric([role], roles[role])
        topics = GaugeMetricFamily(
            "quart_odds_cluster_subscribers", "Subscribers of all processes by topic", labels=["topic"]
        )
        for topic, count in cluster.topic_counts.items():
            topics.add_metric([topic], count)
        return [
            processes,
            GaugeMetricFamily(
                "quart_odds_cluster_level",
                "Whether all processes have everything that is on the log",
                value=int(cluster.is_level),
            ),
            GaugeMetricFamily(
                "quart_odds_cluster_connections", "Live connections of all processes", value=cluster.connections
            ),
            GaugeMetricFamily("quart_odds_cluster_listeners", "Listeners of all processes", value=cluster.active_count),
            topics,
            GaugeMetricFamily(
                "quart_odds_cluster_watched_events",
                "Events that listeners of any process watch",
                value=cluster.watched_events,
            ),
        ]
