"""How long requests took, by the kind of their route and of their answer, for metrics."""

from typing import Literal

from werkzeug.routing import Rule

from quart_odds.domain.histogram import Histogram
from quart_odds.routes.access.scopes import LIVE

RouteKind = Literal["api", "assets", "live", "monitor", "page", "unknown"]
"""api: the HTTP API. assets: scripts, styles, the icon. live: event streams, up to the head of the response. monitor:
health, readiness and metrics. unknown: no route has this path."""

DURATION_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Upper bounds of the counted durations, in seconds."""

MONITOR = frozenset({"/healthz", "/readyz", "/metrics"})
ASSETS = ("/assets/", "/static/", "/favicon.ico")


def kind_of(rule: Rule | None) -> RouteKind:
    """Return the kind of a route; `unknown` for None."""
    if rule is None:
        return "unknown"
    path = str(rule.rule)
    if path in LIVE:
        return "live"
    if path in MONITOR:
        return "monitor"
    if path.startswith(ASSETS):
        return "assets"
    return "api" if path.startswith("/api/") or path.endswith(".json") else "page"


class RequestFigures:
    """Counts requests that were answered, WebSockets aside."""

    def __init__(self) -> None:
        self.durations: dict[tuple[RouteKind, str], Histogram] = {}
        """By the kind of the route and the class of the status, such as `2xx`."""

    def note(self, rule: Rule | None, status: int, seconds: float) -> None:
        """Count a request."""
        key = kind_of(rule), f"{status // 100}xx"
        found = self.durations.get(key)
        if found is None:
            found = self.durations[key] = Histogram(DURATION_BOUNDS)
        found.add(seconds)
