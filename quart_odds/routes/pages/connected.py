"""Who is connected, in numbers, for the foot of the runs page."""

from collections import Counter
from dataclasses import dataclass

from quart_odds.broadcast.lag import lags_of
from quart_odds.routes.api.processes import cluster_report
from quart_odds.services import Services

TRANSPORTS = {"websocket": "WebSocket", "sse": "SSE"}


@dataclass(frozen=True, slots=True)
class Named:
    """A connection that stands out: its id, and what it stands out by."""

    connection_id: str
    milliseconds: float
    entries: int = 0


@dataclass(frozen=True, slots=True)
class Connected:
    """The listeners of this process, and how many all processes have if that is known.

    `transports` include the streams of runs; `topics` are those of the hub. `slowest` is None if nobody is behind.
    """

    total: int
    transports: tuple[tuple[str, int], ...]
    topics: tuple[tuple[str, int], ...]
    oldest: Named | None
    slowest: Named | None
    everywhere: int | None
    processes: int


def connected_now(parts: Services) -> Connected:
    """Return who is connected at this moment."""
    registry = parts.registry
    figures = registry.figures
    flushers = [registry.flusher, *(each.flusher for each in parts.runs.broadcasters)]
    listeners = [each for flusher in flushers for each in flusher.subscribers]
    transports = Counter(each.framing.transport for each in listeners)
    oldest = min(listeners, key=lambda each: each.began_at, default=None)
    behind = max(lags_of(flushers), key=lambda each: (each.seconds, each.entries), default=None)
    cluster = cluster_report(parts)
    return Connected(
        total=len(listeners),
        transports=tuple((words, transports[name]) for name, words in TRANSPORTS.items()),
        topics=tuple(registry.topic_counts.items()),
        oldest=None
        if oldest is None
        else Named(figures.id_of(oldest.number), 1000 * (figures.now() - oldest.began_at)),
        slowest=None
        if behind is None
        else Named(figures.id_of(behind.subscriber.number), 1000 * behind.seconds, behind.entries),
        everywhere=None if cluster is None else cluster.connections,
        processes=0 if cluster is None else len(cluster.processes),
    )
