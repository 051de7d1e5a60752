"""Metrics of the hub: who is connected, how fast messages reach sockets, who lags, and why connections ended."""

from collections import Counter
from collections.abc import Iterator
from typing import get_args

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from quart_odds.broadcast import Flusher
from quart_odds.broadcast.connections import Ending
from quart_odds.broadcast.framing import BLOCK, CHUNK, FRAME, TEXT
from quart_odds.broadcast.lag import lags_of, quantile
from quart_odds.services import Services

SHARES = (0.5, 0.9, 0.99, 1.0)
"""The quantiles of lags. The last one is the maximum."""


def hub_metrics(parts: Services) -> Iterator[Metric]:
    """Yield the metrics of the hub and of the streams of runs."""
    registry, figures = parts.registry, parts.registry.figures
    flushers = all_flushers(parts)
    yield HistogramMetricFamily(
        "quart_odds_flush_latency_seconds",
        "Time from the publication of the oldest entry of a flush to the end of its last write",
        buckets=figures.latency.buckets(),
        sum_value=figures.latency.sum,
    )
    yield from _lags(flushers)
    yield _open(flushers)
    begun = CounterMetricFamily(
        "quart_odds_connections_begun", "Live connections that began", labels=["transport", "lane"]
    )
    for framing in (FRAME, CHUNK, TEXT, BLOCK):
        begun.add_metric([framing.transport, framing.lane], figures.begun[framing.transport, framing.lane])
    yield begun
    ended = CounterMetricFamily("quart_odds_connections_ended", "Live connections that ended", labels=["reason"])
    for ending in get_args(Ending):
        ended.add_metric([ending], figures.ended[ending])
    yield ended
    resumed = CounterMetricFamily("quart_odds_resumptions", "Connections that came with a cursor", labels=["recovered"])
    resumed.add_metric(["true"], figures.recovered)
    resumed.add_metric(["false"], figures.not_recovered)
    yield resumed
    yield CounterMetricFamily("quart_odds_gaps", "Gaps of which open connections were told", value=figures.gaps)
    yield CounterMetricFamily(
        "quart_odds_conflated",
        "Changes of an event that shared a notice odds_update with an earlier change",
        value=parts.notifier.conflated,
    )
    yield CounterMetricFamily("quart_odds_messages", "Messages published", value=registry.log.next_seq - 1)
    upkeep = registry.flusher.upkeep
    yield CounterMetricFamily("quart_odds_cut", "Subscribers cut because they read nothing", value=upkeep.cut_count)
    yield CounterMetricFamily(
        "quart_odds_unanswered_pings",
        "WebSockets closed because they did not answer a ping",
        value=upkeep.unanswered_pings,
    )
    yield GaugeMetricFamily("quart_odds_log_bytes", "Size of the JSON in the event log", value=registry.log.size_bytes)
    yield GaugeMetricFamily("quart_odds_log_entries", "Messages in the event log", value=len(registry.log))


def all_flushers(parts: Services) -> list[Flusher]:
    """Return the flusher of the hub, and those of the streams of runs."""
    return [parts.registry.flusher, *(each.flusher for each in parts.runs.broadcasters)]


def _lags(flushers: list[Flusher]) -> Iterator[Metric]:
    behind = lags_of(flushers)
    total = sum(len(each.subscribers) for each in flushers)
    yield GaugeMetricFamily(
        "quart_odds_lagging_listeners", "Listeners that have not taken everything yet", value=len(behind)
    )
    entries = GaugeMetricFamily(
        "quart_odds_listener_lag_entries",
        "How many entries of the log listeners are behind its end",
        labels=["quantile"],
    )
    seconds = GaugeMetricFamily(
        "quart_odds_listener_lag_seconds", "How old the first entry is that listeners lack", labels=["quantile"]
    )
    for family, values in (
        (entries, sorted(each.entries for each in behind)),
        (seconds, sorted(each.seconds for each in behind)),
    ):
        for share in SHARES:
            family.add_metric([str(share)], quantile(values, total, share))
    yield entries
    yield seconds


def _open(flushers: list[Flusher]) -> Metric:
    found: Counter[tuple[str, str]] = Counter(
        (each.framing.transport, each.framing.lane) for flusher in flushers for each in flusher.subscribers
    )
    family = GaugeMetricFamily(
        "quart_odds_transport_listeners", "Listeners by transport and lane", labels=["transport", "lane"]
    )
    for framing in (FRAME, CHUNK, TEXT, BLOCK):
        family.add_metric([framing.transport, framing.lane], found[framing.transport, framing.lane])
    return family
