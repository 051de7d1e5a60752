"""Puts the parts of an app together: what each is made of, and which tells which what happens."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import partial

from quart_odds import tracing
from quart_odds.access.credentials import Credentials
from quart_odds.access.ties import Ties
from quart_odds.alerts.alerts import Alerts
from quart_odds.bookmakers import ClientPool
from quart_odds.bookmakers.politeness import Priority
from quart_odds.broadcast import ODDS, Flusher
from quart_odds.broadcast.engines import LogKeys
from quart_odds.cluster import ProcessReports, RedisServer, RunLogs, SharedLog
from quart_odds.domain.runs import RunMode, RunRecord, trigger_kind
from quart_odds.odds.event import EventChange
from quart_odds.odds.opportunities import OpportunityEngine, Track, What
from quart_odds.odds.opportunity_choices import OpportunityChoices
from quart_odds.odds.past_opportunities import PastOpportunities
from quart_odds.odds.recent_moves import RecentMoves
from quart_odds.routes.api.coverage import MarketNumbers
from quart_odds.routes.api.encoded import EventBodies
from quart_odds.routes.api.processes import own_report
from quart_odds.routes.pages.order import EventOrder
from quart_odds.routes.pages.query import MARKETS
from quart_odds.routes.pages.rows import EventRows
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.coordinator import Coordinator
from quart_odds.scraping.maintenance import Maintenance
from quart_odds.scraping.outcome import slowed_bookmakers
from quart_odds.scraping.refresh import EventRefresher
from quart_odds.scraping.rounds import Rounds
from quart_odds.scraping.runs import RunService
from quart_odds.scraping.scheduler import Scheduler
from quart_odds.services import Services
from quart_odds.tracing.collector import open_spans
from quart_odds.websocket import AlertMessages, bridge_scrape_to_websocket
from quart_odds.websocket.odds_feed import OddsFeed
from quart_odds.websocket.opportunity_feed import OpportunityFeed


def add_access(parts: Services) -> None:
    """Add what checks tokens, and ends the live connections of those that are over."""
    parts.credentials = Credentials(parts.store)
    parts.ties = Ties(parts.credentials.over)
    settings = parts.settings
    if settings.jwt_issuer is not None and settings.jwt_audience is not None and settings.jwt_jwks_url is not None:
        # Imported here, because it needs an extra.
        from quart_odds.access.issuer import Issuer, fetching

        parts.issuer = Issuer(settings.jwt_issuer, settings.jwt_audience, fetching(settings.jwt_jwks_url))
        parts.issuer.open()


def add_live_odds(parts: Services) -> None:
    """Serve the odds of this process, and put what happens to them on the log."""
    registry = parts.registry
    parts.served = parts.odds_service.served
    parts.odds_feed = OddsFeed(lambda content: registry.publish(content, ODDS), parts.served.cache)
    parts.odds_service.on_applied = parts.odds_feed
    parts.odds_service.on_recalled = parts.odds_feed.recalled
    parts.odds_service.on_reloaded = lambda: registry.reload_images(ODDS)


async def add_shared_log(parts: Services, engine_url: str) -> None:
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


def add_opportunities(parts: Services) -> None:
    """Search the odds that are served for opportunities, wherever they change."""
    engine = parts.opportunities = OpportunityEngine(
        parts.served.cache, timedelta(seconds=parts.settings.stale_after_seconds)
    )
    parts.opportunity_choices = OpportunityChoices(engine)
    service, is_shared = parts.odds_service, parts.shared_log is not None
    publish = OpportunityFeed(parts.registry, lambda: service.is_writer or not is_shared)
    past = parts.past_opportunities = PastOpportunities(parts.store, lambda: service.is_writer)

    def told(what: What, track: Track, at: datetime) -> None:
        publish(what, track, at)
        past.note(what, track, at)
        parts.alerts.engine.opportunity(what, track)

    engine.on_told = told
    if parts.shared_log is not None:
        parts.shared_log.replica.on_applied = engine.note
        return
    parts.odds_service.on_applied = _both(parts.odds_feed, engine.note)


def add_recent_moves(parts: Services) -> None:
    """Keep how the prices of upcoming events move, of the markets that the page of odds can show."""
    markets = {market.number for market in MARKETS.values()}
    moves = parts.recent_moves = RecentMoves(parts.served.cache, parts.store, markets)
    if parts.shared_log is not None:
        replica = parts.shared_log.replica
        replica.on_applied = moves.note if replica.on_applied is None else _both(replica.on_applied, moves.note)
        return
    service = parts.odds_service
    service.on_applied = moves.note if service.on_applied is None else _both(service.on_applied, moves.note)


def add_kept_answers(parts: Services) -> None:
    """Add what routes cache of the odds in memory, encoded or rendered, until the odds change."""
    cache = parts.served.cache
    stale_after = timedelta(seconds=parts.settings.stale_after_seconds)
    parts.event_bodies = EventBodies(cache, stale_after)
    parts.event_rows = EventRows(
        stale_after=stale_after, root_path=parts.root_path, templates=parts.templates, moves=parts.recent_moves
    )
    parts.event_order = EventOrder(stale_after, parts.recent_moves)
    parts.market_numbers = MarketNumbers(cache)


def _make_broadcaster(parts: Services, run_id: int, mode: RunMode, epoch: str | None = None) -> ProgressBroadcaster:
    """Return the broadcaster of a run. With an epoch it is that of another process's run."""
    broadcaster = ProgressBroadcaster(
        run_id,
        mode,
        heartbeat_seconds=parts.settings.heartbeat_seconds,
        write_timeout_seconds=parts.settings.write_timeout_seconds,
        epoch=epoch,
        figures=parts.registry.figures,
    )
    if parts.run_logs is not None and epoch is None:
        parts.run_logs.mirror(broadcaster)
    return broadcaster


def add_scraping(parts: Services) -> None:
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
        on_end=partial(_run_ended, parts),
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


def _run_ended(parts: Services, record: RunRecord) -> None:
    """Count a run whose end is published, and let alerts know."""
    parts.runs_ended[record.mode.value, record.status.value, trigger_kind(record.trigger)] += 1
    parts.alerts.engine.run_ended(record)


def add_alerts(parts: Services) -> None:
    """Add alerts. They are told of every change of the odds, after the topic `odds`."""
    service, settings = parts.odds_service, parts.settings
    parts.alerts = Alerts(
        parts.store,
        service.cache,
        allow_private=settings.alerts_allow_private,
        retry_seconds=settings.alerts_retry_seconds,
        on_fired=AlertMessages(parts.registry),
        may_deliver=lambda: service.is_writer,
    )
    parts.alerts.engine.opportunities = parts.opportunities.told
    observe = parts.alerts.engine.observe
    service.on_applied = observe if service.on_applied is None else _both(service.on_applied, observe)


def add_tracing(parts: Services) -> Callable[[], Awaitable[None]]:
    """Make spans and send them, if the settings name a collector. Return what ends that."""
    if parts.settings.otel_endpoint is None:
        return _nothing
    spans = open_spans(parts.settings.otel_endpoint, parts.store.holder)
    tracing.use(spans)
    trace_flushes(parts.registry.flusher)

    async def close() -> None:
        tracing.use(None)
        await asyncio.to_thread(spans.close)

    return close


def trace_flushes(flusher: Flusher) -> None:
    """Make a span of each flush whose first entry was published in the block of another span."""
    parent: str | None = None

    def due() -> None:
        nonlocal parent
        parent = tracing.current()

    def flushed(oldest_at: float, began_at: float, entries: int) -> None:
        if parent is not None:
            now = flusher.figures.now()
            waited = round(began_at - oldest_at, 6)
            tracing.add_span("flush", now - oldest_at, parent=parent, entries=entries, waited_seconds=waited)

    flusher.on_due, flusher.on_flushed = due, flushed


async def _nothing() -> None:
    """Do nothing."""


def _both(
    first: Callable[[EventChange], object], second: Callable[[EventChange], object]
) -> Callable[[EventChange], object]:
    """Return what tells a change to two listeners, in this order."""

    def tell(change: EventChange) -> None:
        first(change)
        second(change)

    return tell
