"""The application: puts its parts together, opens them at start, and drains and closes them at the end."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import structlog
from quart import Quart, Request, Response
from quart.typing import ResponseTypes
from werkzeug.exceptions import NotFound

from quart_odds import assembly
from quart_odds.access.tokens import AccessTokens
from quart_odds.bookmakers import Decoder
from quart_odds.broadcast import BroadcastRegistry
from quart_odds.broadcast import context as broadcast_context
from quart_odds.cluster import CommandReceiver, CommandSender, RedisServer, SharedLog
from quart_odds.errors import MissingExtraError, QuartOddsError
from quart_odds.logs import ensure_logging
from quart_odds.odds import OddsService
from quart_odds.odds.notices import OddsNotifier
from quart_odds.odds.watched import WatchedEvents
from quart_odds.routes.access import bodies, gate, problems, same_origin
from quart_odds.routes.access.attempts import Attempts
from quart_odds.routes.access.figures import RequestFigures
from quart_odds.routes.access.limits import ConnectionLimits
from quart_odds.routes.access.root_path import RootPath
from quart_odds.routes.api import (
    alert_rules,
    alerts,
    analytics,
    clean_ups,
    odds,
    openapi,
    refresh,
    scheduler,
    scrape,
    storage,
    tickets,
)
from quart_odds.routes.live import sse, ws
from quart_odds.routes.live.receive import BoundedWebsocketConnection
from quart_odds.routes.operations import asyncapi, explain, health, metrics
from quart_odds.routes.pages import alerts as alert_pages
from quart_odds.routes.pages import coverage as coverage_pages
from quart_odds.routes.pages import docs, login, opportunities, unknown, views
from quart_odds.routes.pages import health as health_pages
from quart_odds.routes.pages import settings as setting_pages
from quart_odds.routes.pages.assets import asset_folder
from quart_odds.routes.pages.shell import static_files
from quart_odds.scraping.runtime_settings import RuntimeSettings
from quart_odds.server.drain import drain
from quart_odds.server.loop_lag import LoopLag
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings, load_settings
from quart_odds.storage import open_store
from quart_odds.tracing.collector import check as check_tracing
from quart_odds.websocket import OddsUpdates, gap_notice
from quart_odds.websocket.odds_images import OddsImages

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

CLOSE_SECONDS = 0.3
"""How long a stop waits for odds that are not committed yet. The run that recorded them has waited already."""

ExceptionInfo = tuple[type, BaseException, TracebackType] | tuple[None, None, None]

log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None, *, prefix: str = "", templates: Path | None = None) -> Quart:
    """Create the application, with settings from the environment by default. Raises SettingsError if they are invalid.

    Another application may have it at a `prefix`, which follows the root path. Templates in the folder `templates`
    replace ours of the same name.
    Nothing is opened before it is served, and nothing is scraped before someone asks.
    """
    settings = settings or load_settings()
    if settings.engine_url is not None:
        RedisServer(settings.engine_url).check()
    if settings.jwt_issuer is not None and find_spec("jwt") is None:
        raise MissingExtraError("QUART_ODDS_JWT_ISSUER", "jwt")
    if settings.otel_endpoint is not None:
        check_tracing()
    ensure_logging(settings)
    app = _App(
        "quart_odds",
        template_folder=str(asset_folder("templates")),
        static_folder=str(asset_folder("static")),
        static_url_path="/static",
    )
    app.asgi_websocket_class = BoundedWebsocketConnection
    registry = BroadcastRegistry(
        gap_notice=gap_notice,
        heartbeat_seconds=settings.heartbeat_seconds,
        write_timeout_seconds=settings.write_timeout_seconds,
        ping_seconds=settings.ping_seconds,
        pong_seconds=settings.pong_seconds,
    )
    limits = ConnectionLimits(
        settings.max_connections, settings.max_connections_per_address, trusted=settings.trusted_proxies
    )
    parts = Services(settings, registry, limits, prefix, templates)
    parts.loop_lag = LoopLag()
    parts.requests = RequestFigures()
    parts.watched = WatchedEvents()
    parts.access = same_origin.AccessPolicy.of(settings)
    parts.attempts = Attempts()
    app.extensions[EXTENSION] = parts
    broadcast_context.init_app(app, registry)
    problems.init_app(app)
    unknown.init_app(app)
    same_origin.init_app(app)
    gate.init_app(app)
    bodies.init_app(app, parts)
    for module in (
        alert_rules,
        alerts,
        analytics,
        asyncapi,
        docs,
        scrape,
        sse,
        ws,
        tickets,
        scheduler,
        clean_ups,
        storage,
        refresh,
        health,
        metrics,
        explain,
        views,
        alert_pages,
        opportunities,
        setting_pages,
        coverage_pages,
        health_pages,
        login,
    ):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(odds.odds_blueprint())
    openapi.init_app(app, parts.root_path)
    app.root = RootPath(app, parts.root_path)

    @app.after_request
    async def forbid_sniffing(response: Response) -> Response:
        response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    @app.after_websocket
    async def forbid_sniffing_refusals(response: ResponseTypes | None) -> ResponseTypes | None:
        # A refused handshake has a response with a body, an accepted one has none.
        if response is not None:
            response.headers.setdefault("X-Content-Type-Options", "nosniff")
        return response

    @app.while_serving
    async def live() -> AsyncGenerator[None, None]:
        async with _opened(app, parts):
            yield

    return app


class _App(Quart):
    """Quart below a root path, without tracebacks for our own errors at start.

    Our own errors are sentences, and the launcher prints them.
    """

    root: RootPath

    async def asgi_app(self, scope: "Scope", receive: "ASGIReceiveCallable", send: "ASGISendCallable") -> None:
        """Serve a connection, once its path is split into the root path and our own."""
        self.root.place(scope)
        await super().asgi_app(scope, receive, send)

    async def handle_request(self, request: Request) -> ResponseTypes:
        """Return the response to a request. A stop waits for those that are on their way."""
        parts: Services = self.extensions[EXTENSION]
        parts.unanswered += 1
        # Errors have answers, too. There is none only if the client leaves first: nginx logs that as 499.
        began, status = time.monotonic(), 499
        try:
            response = await super().handle_request(request)
            status = response.status_code
            return response
        finally:
            parts.unanswered -= 1
            parts.requests.note(request.url_rule, status, time.monotonic() - began)

    def log_exception(self, exception_info: ExceptionInfo) -> None:
        """Log an exception, unless it is one of ours."""
        if not isinstance(exception_info[1], QuartOddsError):
            super().log_exception(exception_info)

    async def send_static_file(self, filename: str) -> Response:
        """Return a file of static/. Other names are not looked up: the file system refuses some forms of names."""
        file = static_files().files.get(filename)
        if file is None:
            raise NotFound
        response = await super().send_static_file(filename)
        response.content_type = file.content_type
        return response


@asynccontextmanager
async def _opened(app: Quart, parts: Services) -> AsyncIterator[None]:
    """Open the database and everything that needs it, end runs that a crash left, and close all of it at exit."""
    settings = parts.settings
    parts.store = await open_store(settings.database_url)
    try:
        assembly.add_access(parts)
        await _tell_who_gets_in(parts)
        parts.notifier = OddsNotifier(OddsUpdates(parts.registry))
        parts.odds_service = OddsService(
            parts.store, on_change=parts.notifier, is_replicated=settings.engine_url is not None
        )
        await parts.odds_service.load()
        if settings.engine_url is None:
            assembly.add_live_odds(parts)
        else:
            await assembly.add_shared_log(parts, settings.engine_url)
        assembly.add_opportunities(parts)
        assembly.add_recent_moves(parts)
        images = parts.registry.open_image = OddsImages(
            parts.served.cache, parts.registry.log, parts.odds_feed.tournaments
        )
        assembly.add_kept_answers(parts)
        parts.preferences = RuntimeSettings(settings, parts.store)
        await parts.preferences.load()
        parts.decoder = Decoder(settings.decode_workers, parts.preferences.concurrency)
        assembly.add_alerts(parts)
        assembly.add_scraping(parts)
        close_tracing = assembly.add_tracing(parts)
        if parts.shared_log is not None and parts.reports is not None:
            parts.shared_log.on_begun = partial(_tell_ends, parts, parts.shared_log)
            parts.shared_log.open()
            parts.reports.open()
        await parts.alerts.load()
        await parts.runs.recover()
        parts.odds_service.on_take_over = partial(_take_over, parts)
        parts.odds_service.on_step_down = partial(_step_down, parts)
        await parts.maintenance.open()
        parts.odds_service.on_read_again = parts.maintenance.read_again
        parts.odds_service.follow()
        parts.alerts.open()
        parts.opportunities.open()
        parts.past_opportunities.open()
        parts.recent_moves.open()
        parts.loop_lag.open()
        try:
            async with _commands(app, parts):
                yield
        finally:
            parts.loop_lag.close()
            await parts.opportunities.close()
            await parts.past_opportunities.close()
            await parts.recent_moves.close()
            await parts.maintenance.close()
            await drain(parts)
            parts.notifier.close()
            await parts.clients.aclose()
            await asyncio.gather(parts.odds_service.close(CLOSE_SECONDS), parts.alerts.close(), parts.decoder.aclose())
            if parts.shared_log is not None and parts.run_logs is not None and parts.reports is not None:
                await asyncio.gather(parts.shared_log.close(), parts.run_logs.close(), parts.reports.close())
            parts.registry.close()
            await images.close()
            if parts.issuer is not None:
                await parts.issuer.close()
            await parts.ties.close()
            await parts.credentials.close()
            await close_tracing()
    finally:
        await parts.store.aclose()


@asynccontextmanager
async def _commands(app: Quart, parts: Services) -> AsyncIterator[None]:
    """With an engine, pass on requests for the writer to it, and carry out those of others while this process writes.

    A drain comes first: what other processes still send is refused then as any request is.
    """
    if parts.settings.engine_url is None:
        yield
        return
    server = RedisServer(parts.settings.engine_url)

    def writer() -> str | None:
        row = parts.store.writer_row
        return None if row.holder is None else f"{row.term}:{row.holder}"

    parts.commands = CommandSender(server, writer)
    receiver = CommandReceiver(server, lambda: writer() if parts.odds_service.is_writer else None, app)
    receiver.open()
    try:
        yield
    finally:
        await receiver.close()
        await parts.commands.aclose()


async def _tell_who_gets_in(parts: Services) -> None:
    """Log a warning if nobody can get in, or if everybody can."""
    settings = parts.settings
    if settings.open_to_network:
        log.warning(
            "access.open_to_network",
            reason="everybody who reaches this server can read everything; what changes something needs a token",
        )
    elif (
        settings.may_be_behind_proxy
        and settings.jwt_issuer is None
        and not await AccessTokens(parts.store).has_usable()
    ):
        log.warning(
            "access.no_token",
            reason="with these settings of a proxy every request needs a token, and there is none that can be used: "
            "make one with `quart-odds token create`, or set QUART_ODDS_OPEN_TO_NETWORK=true to let everybody read",
        )


def _step_down(parts: Services, reason: str) -> None:
    """Stop the work that only the writer does."""
    parts.runs.step_down(reason)
    parts.alerts.step_down()
    if parts.shared_log is not None:
        parts.shared_log.publisher.end()


def _tell_ends(parts: Services, shared_log: SharedLog) -> None:
    """Let the log have the ends of the runs that it tells of, also of those whose process died before it told them."""
    oldest = shared_log.oldest_told()
    if oldest is not None:
        parts.runs.tell_ends(oldest, shared_log.is_end_told)


async def _take_over(parts: Services) -> None:
    """Continue the work of the process that wrote before: end its runs, and follow what it was told."""
    await parts.alerts.load()
    await parts.runs.recover()
    await parts.maintenance.read_again()
