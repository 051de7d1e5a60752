"""The application: puts its parts together, opens them at start, and drains and closes them at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import structlog
from quart import Quart, Response
from quart.typing import ResponseTypes
from werkzeug.exceptions import NotFound

from quart_odds.bookmakers import ClientPool, Decoder
from quart_odds.bookmakers.politeness import Priority
from quart_odds.broadcast import ODDS, BroadcastRegistry
from quart_odds.broadcast import context as broadcast_context
from quart_odds.domain.runs import RunMode
from quart_odds.errors import QuartOddsError
from quart_odds.logs import ensure_logging
from quart_odds.odds import OddsService
from quart_odds.odds.notices import OddsNotifier
from quart_odds.odds.watched import WatchedEvents
from quart_odds.routes.access import bodies, problems, same_origin
from quart_odds.routes.access.limits import ConnectionLimits
from quart_odds.routes.access.root_path import RootPath
from quart_odds.routes.api import analytics, odds, openapi, refresh, scheduler, scrape
from quart_odds.routes.api.coverage import MarketNumbers
from quart_odds.routes.api.encoded import EventBodies
from quart_odds.routes.api.opportunities import OpportunityFinder
from quart_odds.routes.live import sse, ws
from quart_odds.routes.live.receive import BoundedWebsocketConnection
from quart_odds.routes.operations import asyncapi, health
from quart_odds.routes.pages import docs, views
from quart_odds.routes.pages.assets import asset_folder
from quart_odds.routes.pages.rows import EventRows
from quart_odds.routes.pages.shell import static_files
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.coordinator import Coordinator
from quart_odds.scraping.maintenance import Maintenance
from quart_odds.scraping.outcome import slowed_bookmakers
from quart_odds.scraping.refresh import EventRefresher
from quart_odds.scraping.rounds import Rounds
from quart_odds.scraping.runs import RunService
from quart_odds.scraping.runtime_settings import RuntimeSettings
from quart_odds.scraping.scheduler import Scheduler
from quart_odds.server.drain import drain
from quart_odds.server.loop_lag import LoopLag
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings, load_settings
from quart_odds.storage import open_store
from quart_odds.websocket import OddsUpdates, bridge_scrape_to_websocket, gap_notice
from quart_odds.websocket.odds_feed import OddsFeed
from quart_odds.websocket.odds_images import OddsImages

if TYPE_CHECKING:
    from hypercorn.typing import ASGIReceiveCallable, ASGISendCallable, Scope

CLOSE_SECONDS = 0.3
"""How long a stop waits for odds that are not committed yet. The run that recorded them has waited already."""

ExceptionInfo = tuple[type, BaseException, TracebackType] | tuple[None, None, None]

log = structlog.get_logger(__name__)


def create_app(settings: Settings | None = None) -> Quart:
    """Create the application, with settings from the environment by default. Raises SettingsError if they are invalid.

    Nothing is opened before it is served, and nothing is scraped before someone asks.
    """
    settings = settings or load_settings()
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
    )
    limits = ConnectionLimits(
        settings.max_connections, settings.max_connections_per_address, trusted=settings.trusted_proxies
    )
    parts = Services(settings, registry, limits)
    parts.loop_lag = LoopLag()
    parts.watched = WatchedEvents()
    parts.access = same_origin.AccessPolicy.of(settings)
    app.extensions[EXTENSION] = parts
    broadcast_context.init_app(app, registry)
    problems.init_app(app)
    same_origin.init_app(app)
    bodies.init_app(app, parts)
    for module in (analytics, asyncapi, docs, scrape, sse, ws, scheduler, refresh, health, views):
        app.register_blueprint(module.blueprint)
    app.register_blueprint(odds.odds_blueprint())
    openapi.init_app(app, settings.root_path)
    app.root = RootPath(app, settings.root_path)

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
        async with _opened(parts):
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

    def log_exception(self, exception_info: ExceptionInfo) -> None:
        """Log an exception, unless it is one of ours."""
        if not isinstance(exception_info[1], QuartOddsError):
            super().log_exception(exception_info)

    async def send_static_file(self, filename: str) -> Response:
        """Return a file of static/. Other names are not looked up: the file system refuses some forms of names."""
        if filename not in static_files().files:
            raise NotFound
        return await super().send_static_file(filename)


@asynccontextmanager
async def _opened(parts: Services) -> AsyncIterator[None]:
    """Open the database and everything that needs it, end runs that a crash left, and close all of it at exit."""
    settings = parts.settings
    parts.store = await open_store(settings.database_url)
    try:
        parts.notifier = OddsNotifier(OddsUpdates(parts.registry))
        parts.odds_service = OddsService(parts.store, on_change=parts.notifier)
        _add_kept_answers(parts)
        await parts.odds_service.load()
        images = _add_live_odds(parts)
        parts.decoder = Decoder(settings.decode_workers)
        parts.preferences = RuntimeSettings(settings, parts.store)
        await parts.preferences.load()
        _add_scraping(parts)
        await parts.runs.recover()
        parts.odds_service.on_take_over = parts.runs.recover
        parts.odds_service.follow()
        await parts.maintenance.open()
        parts.loop_lag.open()
        try:
            yield
        finally:
            parts.loop_lag.close()
            await parts.maintenance.close()
            await drain(parts)
            parts.notifier.close()
            await parts.clients.aclose()
            await asyncio.gather(parts.odds_service.close(CLOSE_SECONDS), parts.decoder.aclose())
            parts.registry.close()
            await images.close()
    finally:
        await parts.store.aclose()


def _add_live_odds(parts: Services) -> OddsImages:
    """Put what happens to the odds in memory on the log, and let listeners begin with an image of them."""
    cache, registry = parts.odds_service.cache, parts.registry
    parts.odds_feed = OddsFeed(lambda content: registry.publish(content, ODDS), cache)
    parts.odds_service.on_applied = parts.odds_feed
    parts.odds_service.on_recalled = parts.odds_feed.recalled
    parts.odds_service.on_reloaded = lambda: registry.reload_images(ODDS)
    images = registry.open_image = OddsImages(cache, registry.log, parts.odds_feed.tournaments)
    return images


def _add_kept_answers(parts: Services) -> None:
    """Add what routes cache of the odds in memory, encoded or rendered, until the odds change."""
    cache = parts.odds_service.cache
    parts.event_bodies = EventBodies(cache)
    parts.event_rows = EventRows(
        stale_after=timedelta(seconds=parts.settings.stale_after_seconds), root_path=parts.settings.root_path
    )
    parts.market_numbers = MarketNumbers(cache)
    parts.opportunity_finder = OpportunityFinder(cache)


def _add_scraping(parts: Services) -> None:
    """Add the run service, the refresher and the scheduler, which share clients, decoder and odds service."""
    settings, preferences = parts.settings, parts.preferences
    parts.clients = ClientPool(preferences.settings, decoder=parts.decoder)
    rounds = Rounds(
        parts.odds_service.cache,
        rate=parts.clients.rate,
        interval_seconds=lambda: preferences.current.sweep_interval_seconds,
        max_detail_age_seconds=60 * settings.max_detail_age_minutes,
        is_busy=lambda platform: parts.runs.is_scraping(platform),
        watched=parts.watched,
    )
    coordinator = Coordinator(
        parts.clients.client,
        parts.decoder,
        parts.odds_service,
        platform_deadline_seconds=settings.platform_deadline_seconds,
        fetchers=preferences.concurrency,
        rounds=rounds,
        budget=parts.clients.budget,
        trouble=parts.clients.trouble,
        open_sweep_client=partial(parts.clients.client, priority=Priority.SWEEP),
    )
    parts.runs = RunService(
        coordinator,
        parts.store,
        parts.registry,
        bridge_scrape_to_websocket,
        run_deadline_seconds=settings.run_deadline_seconds,
        platforms=preferences.enabled_platforms,
        make_broadcaster=partial(
            ProgressBroadcaster,
            heartbeat_seconds=settings.heartbeat_seconds,
            write_timeout_seconds=settings.write_timeout_seconds,
        ),
        take_over=parts.odds_service.take_over,
        slowed=lambda: slowed_bookmakers(parts.clients.budgets()),
    )
    parts.refresher = EventRefresher(
        partial(parts.clients.client, priority=Priority.REFRESH),
        parts.decoder,
        parts.odds_service,
        cooldown_seconds=settings.refresh_cooldown_seconds,
    )
    parts.scheduler = Scheduler(
        parts.runs.start_scheduled, interval_minutes=preferences.current.scrape_interval_minutes
    )
    parts.sweep_scheduler = Scheduler(
        partial(parts.runs.start_scheduled, RunMode.SWEEP),
        interval_minutes=preferences.current.sweep_interval_seconds / 60,
        is_quiet=True,
    )
    parts.maintenance = Maintenance(
        parts.store, parts.odds_service, preferences, parts.scheduler, parts.sweep_scheduler
    )
