"""One table of all routes: which scope each of them needs. A route that is not in it needs the highest."""

from collections.abc import Mapping

from quart import Request, Websocket
from werkzeug.routing import RequestRedirect, Rule

from quart_odds.domain.scopes import Scope

OPEN = None
"""For everybody: health probes, what the login page needs, and the login itself."""

ROUTES: Mapping[str, Scope | None] = {
    "GET /healthz": OPEN,
    "GET /readyz": OPEN,
    "GET /login": OPEN,
    "POST /login": OPEN,
    "POST /logout": OPEN,
    "GET /favicon.ico": OPEN,
    "GET /assets/<version>/<path:name>": OPEN,
    "GET /static/<path:filename>": OPEN,
    # Pages.
    "GET /": Scope.READ,
    "GET /runs": Scope.READ,
    "GET /runs/<int:scrape_run_id>": Scope.READ,
    "GET /runs/connected": Scope.READ,
    "GET /odds": Scope.READ,
    "GET /odds/rows": Scope.READ,
    "GET /odds/<int:event_id>": Scope.READ,
    "GET /odds/<int:event_id>/history": Scope.READ,
    "GET /opportunities": Scope.READ,
    "GET /alerts": Scope.READ,
    "GET /settings": Scope.READ,
    "GET /coverage": Scope.READ,
    "GET /health": Scope.READ,
    "GET /settings/tokens": Scope.READ,
    "GET /docs": Scope.READ,
    "POST /runs": Scope.RUN,
    "POST /runs/<int:scrape_run_id>/cancel": Scope.RUN,
    "POST /runs/<int:scrape_run_id>/retry": Scope.RUN,
    "POST /schedule/<any(pause, resume):change>": Scope.RUN,
    "POST /alerts": Scope.RUN,
    "POST /alerts/rules/<int:rule_id>/<any(pause, resume, remove):change>": Scope.RUN,
    "POST /alerts/targets/<int:target_id>/test": Scope.ADMIN,
    "POST /settings": Scope.ADMIN,
    "POST /settings/clean-up": Scope.ADMIN,
    "POST /settings/tokens": Scope.ADMIN,
    "POST /settings/tokens/<token_id>/revoke": Scope.ADMIN,
    "POST /settings/schedule/<any(pause, resume):change>": Scope.RUN,
    "POST /settings/alerts/<int:alert_id>/resolve": Scope.RUN,
    # Odds.
    "GET /api/events": Scope.READ,
    "GET /api/events.csv": Scope.READ,
    "GET /api/events/<int:event_id>": Scope.READ,
    "GET /api/events/<int:event_id>/history": Scope.READ,
    "GET /api/events/<int:event_id>/markets/<market_id>/history": Scope.READ,
    "GET /api/events/<int:event_id>/markets/<market_id>/margin-history": Scope.READ,
    "GET /api/events/<int:event_id>/movement": Scope.READ,
    "GET /api/events/alerts/count": Scope.READ,
    "GET /api/events/countries": Scope.READ,
    "GET /api/events/tournaments": Scope.READ,
    "GET /api/events/unmatched": Scope.READ,
    "GET /api/export": Scope.READ,
    "GET /api/freshness": Scope.READ,
    "GET /api/opportunities": Scope.READ,
    "GET /api/opportunities/history": Scope.READ,
    "GET /api/coverage/markets": Scope.READ,
    "GET /api/palimpsest/coverage": Scope.READ,
    "GET /api/palimpsest/events": Scope.READ,
    "POST /api/events/<int:event_id>/refresh": Scope.RUN,
    "POST /api/scrape/event/<sportradar_id>": Scope.RUN,
    # Runs.
    "GET /api/scrape/<int:scrape_run_id>": Scope.READ,
    "GET /api/scrape/analytics": Scope.READ,
    "GET /api/scrape/event-metrics": Scope.READ,
    "GET /api/scrape/runs": Scope.READ,
    "GET /api/scrape/runs/<int:scrape_run_id>/phases": Scope.READ,
    "GET /api/scrape/runs/<int:scrape_run_id>/progress": Scope.READ,
    "GET /api/scrape/runs/active": Scope.READ,
    "GET /api/scrape/stats": Scope.READ,
    "GET /api/scrape/stream": Scope.RUN,
    "POST /api/scrape": Scope.RUN,
    "POST /api/scrape/<int:scrape_run_id>/cancel": Scope.RUN,
    "POST /api/scrape/<int:scrape_run_id>/retry": Scope.RUN,
    # The schedule, settings and clean-ups.
    "GET /api/scheduler/health": Scope.READ,
    "GET /api/scheduler/history": Scope.READ,
    "GET /api/scheduler/status": Scope.READ,
    "GET /api/settings": Scope.READ,
    "GET /api/cleanup/preview": Scope.READ,
    "GET /api/cleanup/history": Scope.READ,
    "GET /api/cleanup/stats": Scope.READ,
    "GET /api/cleanup/status": Scope.READ,
    "GET /api/storage/alerts": Scope.READ,
    "GET /api/storage/history": Scope.READ,
    "GET /api/storage/sizes": Scope.READ,
    "POST /api/scheduler/pause": Scope.RUN,
    "POST /api/scheduler/resume": Scope.RUN,
    "POST /api/storage/alerts/<int:alert_id>/resolve": Scope.RUN,
    "PUT /api/settings": Scope.ADMIN,
    "POST /api/cleanup/execute": Scope.ADMIN,
    # Alerts.
    "GET /api/alerts": Scope.READ,
    "GET /api/alerts/rules": Scope.READ,
    "GET /api/alerts/rules/<int:rule_id>": Scope.READ,
    "GET /api/alerts/targets": Scope.READ,
    "GET /api/alerts/targets/<int:target_id>": Scope.READ,
    "POST /api/alerts/rules": Scope.RUN,
    "PUT /api/alerts/rules/<int:rule_id>": Scope.RUN,
    "DELETE /api/alerts/rules/<int:rule_id>": Scope.RUN,
    "POST /api/alerts/targets": Scope.ADMIN,
    "PUT /api/alerts/targets/<int:target_id>": Scope.ADMIN,
    "DELETE /api/alerts/targets/<int:target_id>": Scope.ADMIN,
    "POST /api/alerts/targets/<int:target_id>/test": Scope.ADMIN,
    # Live connections.
    "GET /api/sse": Scope.READ,
    "GET /api/ws": Scope.READ,
    "POST /api/tickets": Scope.READ,
    # Operations.
    "GET /api/health": Scope.READ,
    "GET /api/hub/explain": Scope.ADMIN,
    "GET /metrics": Scope.READ,
    "GET /openapi.json": Scope.READ,
    "GET /asyncapi.json": Scope.READ,
}

PAGES = frozenset(
    {
        "/",
        "/odds",
        "/odds/<int:event_id>",
        "/opportunities",
        "/alerts",
        "/coverage",
        "/runs",
        "/runs/<int:scrape_run_id>",
        "/health",
        "/settings",
        "/settings/tokens",
        "/docs",
    }
)
"""Pages of people: a browser that may not have them is led to the login."""

TICKET_PATHS = frozenset({"/api/ws", "/api/sse", "/api/scrape/stream"})
"""Where a ticket is taken: a browser's EventSource and WebSocket can send no header."""

LIVE = TICKET_PATHS | {"/api/scrape/runs/<int:scrape_run_id>/progress"}
"""Live connections. Each holds a place, so a page of another site gets none, even if its cookie is sent along."""


def path_of(asked: Request | Websocket) -> str:
    """Return the path of a request as the table names it; empty if there is no such route."""
    return "" if asked.url_rule is None else str(asked.url_rule.rule)


def needed_scope(asked: Request | Websocket) -> Scope | None:
    """Return the scope that a request needs, None for none.

    What is no route needs one as well: nobody else learns which there are.
    """
    if asked.url_rule is None:
        # A redirect only adds the slash after the root path.
        return OPEN if isinstance(asked.routing_exception, RequestRedirect) else Scope.READ
    return scope_of(asked.url_rule, asked.method)


def scope_of(rule: Rule, method: str) -> Scope | None:
    """Return the scope that a method of a route needs, None for none."""
    if method == "OPTIONS":
        # It only says which methods there are.
        return ROUTES.get(f"GET {rule.rule}", Scope.READ)
    return ROUTES.get(f"{'GET' if method == 'HEAD' else method} {rule.rule}", Scope.ADMIN)
