"""The application: puts its parts together, opens them at start, and drains and closes them at the end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING

import structlog
from quart import Quart, Request, Response
from quart.typing import ResponseTypes
from werkzeug.exceptions import NotFound

from quart_odds.bookmakers import ClientPool, Decoder
from quart_odds.bookmakers.politeness import Priority
from quart_odds.broadcast import ODDS, BroadcastRegistry
from quart_odds.broadcast import context as broadcast_context
from quart_odds.broadcast.engines import LogKeys
from quart_odds.cluster import CommandReceiver, CommandSender, ProcessReports, RedisServer, RunLogs, SharedLog
from quart_odds.domain.runs import RunMode
from quart_odds.errors import QuartOddsError
from quart_odds.logs import ensure_logging
from quart_odds.odds import OddsService
from quart_odds.odds.event import EventChange
from quart_odds.odds.notices import OddsNotifier
from quart_odds.odds.opportunities import OpportunityEngine, Track, What
from quart_odds.odds.past_opportunities import PastOpportunities
from quart_odds.odds.watched import WatchedEvents
from quart_odds.routes.access import bodies, problems, same_origin
from quart_odds.routes.access.limits import ConnectionLimits
from quart_odds.routes.access.root_path import RootPath
from quart_odds.routes.api import analytics, odds, openapi, refresh, scheduler, scrape
from quart_odds.routes.api.coverage import MarketNumbers
from quart_odds.routes.api.encoded import EventBodies
from quart_odds.routes.api.processes import own_report
from quart_odds.routes.live import sse, ws
from quart_odds.routes.live.receive import BoundedWebsocketConnection
from quart_odds.routes.operations import asyncapi, health, metrics
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
from quart_odds.websocket.opportunity_feed import OpportunityFeed

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
    if settings.engine_url is not None:
        RedisServer(settings.engine_url).check()
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
    for module in (analytics, asyncapi, docs, scrape, sse, ws, scheduler, refresh, health, metrics, views):
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
        try:
            return await super().handle_request(request)
        finally:
            parts.unanswered -= 1

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
async def _opened(app: Quart, parts: Services) -> AsyncIterator[None]:
    """Open the database and everything that needs it, end runs that a crash left, and close all of it at exit."""
    settings = parts.settings
    parts.store = await open_store(settings.database_url)
    try:
        parts.notifier = OddsNotifier(OddsUpdates(parts.registry))
        parts.odds_service = OddsService(
            parts.store, on_change=parts.notifier, is_replicated=settings.engine_url is not None
        )
        await parts.odds_service.load()
        if settings.engine_url is None:
            _add_live_odds(parts)
        else:
            await _add_shared_log(parts, settings.engine_url)
        _add_opportunities(parts)
        images = parts.registry.open_image = OddsImages(
            parts.served.cache, parts.registry.log, parts.odds_feed.tournaments
        )
        _add_kept_answers(parts)
        parts.decoder = Decoder(settings.decode_workers)
        parts.preferences = RuntimeSettings(settings, parts.store)
        await parts.preferences.load()
        _add_scraping(parts)
        if parts.shared_log is not None and parts.reports is not None:
            parts.shared_log.on_begun = partial(_tell_ends, parts, parts.shared_log)
            parts.shared_log.open()
            parts.reports.open()
        await parts.runs.recover()
        parts.odds_service.on_take_over = partial(_take_over, parts)
        parts.odds_service.on_step_down = partial(_step_down, parts)
        await parts.maintenance.open()
        parts.odds_service.on_read_again = parts.maintenance.read_again
        parts.odds_service.follow()
        parts.opportunities.open()
        parts.past_opportunities.open()
        parts.loop_lag.open()
        try:
            async with _commands(app, parts):
                yield
        finally:
            parts.loop_lag.close()
            await parts.opportunities.close()
            await parts.past_opportunities.close()
            await parts.maintenance.close()
            await drain(parts)
            parts.notifier.close()
            await parts.clients.aclose()
            await asyncio.gather(parts.odds_service.close(CLOSE_SECONDS), parts.decoder.aclose())
            if parts.shared_log is not None and parts.run_logs is not None and parts.reports is not None:
                await asyncio.gather(parts.shared_log.close(), parts.run_logs.close(), parts.reports.close())
            parts.registry.close()
            await images.close()
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


def _step_down(parts: Services, reason: str) -> None:
    """Stop the work that only the writer does."""
    parts.runs.step_down(reason)
    if parts.shared_log is not None:
        parts.shared_log.publisher.end()


def _tell_ends(parts: Services, shared_log: SharedLog) -> None:
    """Let the log have the ends of the runs that it tells of, also of those whose process died before it told them."""
    oldest = shared_log.oldest_told()
    if oldest is not None:
        parts.runs.tell_ends(oldest, shared_log.is_end_told)


async def _take_over(parts: Services) -> None:
    """Continue the work of the process that wrote before: end its runs, and follow what it was told."""
    await parts.runs.recover()
    await parts.maintenance.read_again()


def _add_live_odds(parts: Services) -> None:
    """Serve the odds of this process, and put what happens to them on the log."""
    registry = parts.registry
    parts.served = parts.odds_service.served
    parts.odds_feed = OddsFeed(lambda content: registry.publish(content, ODDS), parts.served.cache)
    parts.odds_service.on_applied = parts.odds_feed
    parts.odds_service.on_recalled = parts.odds_feed.recalled
    parts.odds_service.on_reloaded = lambda: registry.reload_images(ODDS)


async def _add_shared_log(parts: Services, engine_url: str) -> None:
    """Serve the odds as the log says that this process shares with others, through Redis."""
    server = RedisServer(engine_url)
    keys = LogKeys(await parts.store.installation())
    parts.shared_log = SharedLog(server.connect, keys, parts.registry, parts.odds_service)
    parts.run_logs = RunLogs(server.connect, keys, partial(_make_broadcaster, parts))
    parts.reports = ProcessReports(
        server.connect, keys, partial(own_report, parts), lambda: parts.store.writer_row.holder
    )
    parts.watched.elsewhere = parts.reports.watched_elsewhere
    parts.served = parts.shared_log.served
    parts.odds_feed = parts.shared_log.replica.feed


def _add_opportunities(parts: Services) -> None:
    """Search the odds that are served for opportunities, wherever they change."""
    engine = parts.opportunities = OpportunityEngine(
        parts.served.cache, timedelta(seconds=parts.settings.stale_after_seconds)
    )
    service, is_shared = parts.odds_service, parts.shared_log is not None
    publish = OpportunityFeed(parts.registry, lambda: service.is_writer or not is_shared)
    past = parts.past_opportunities = PastOpportunities(parts.store, lambda: service.is_writer)

    def told(what: What, track: Track, at: datetime) -> None:
        publish(what, track, at)
        past.note(what, track, at)

    engine.on_told = told
    if parts.shared_log is not None:
        parts.shared_log.replica.on_applied = engine.note
        return
    feed = parts.odds_feed

    def applied(change: EventChange) -> None:
        feed(change)
        engine.note(change)

    parts.odds_service.on_applied = applied


def _add_kept_answers(parts: Services) -> None:
    """Add what routes cache of the odds in memory, encoded or rendered, until the odds change."""
    cache = parts.served.cache
    stale_after = timedelta(seconds=parts.settings.stale_after_seconds)
    parts.event_bodies = EventBodies(cache, stale_after)
    parts.event_rows = EventRows(stale_after=stale_after, root_path=parts.settings.root_path)
    parts.market_numbers = MarketNumbers(cache)


def _make_broadcaster(parts: Services, run_id: int, mode: RunMode, epoch: str | None = None) -> ProgressBroadcaster:
    """Return the broadcaster of a run. With an epoch it is that of another process's run."""
    broadcaster = ProgressBroadcaster(
        run_id,
        mode,
        heartbeat_seconds=parts.settings.heartbeat_seconds,
        write_timeout_seconds=parts.settings.write_timeout_seconds,
        epoch=epoch,
    )
    if parts.run_logs is not None and epoch is None:
        parts.run_logs.mirror(broadcaster)
    return broadcaster


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
        make_broadcaster=partial(_make_broadcaster, parts),
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
