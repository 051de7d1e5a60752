"""The parts of an app, for its routes. Every blueprint finds them in one place: `services()`."""

import asyncio
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

from quart import current_app

if TYPE_CHECKING:
    from pathlib import Path

    from quart_odds.access.credentials import Credentials
    from quart_odds.access.issuer import Issuer
    from quart_odds.access.ties import Ties
    from quart_odds.alerts.alerts import Alerts
    from quart_odds.bookmakers import ClientPool, Decoder
    from quart_odds.broadcast import BroadcastRegistry
    from quart_odds.cluster import ProcessReports, RunLogs, SharedLog
    from quart_odds.cluster.commands import CommandSender
    from quart_odds.domain.platforms import Platform
    from quart_odds.domain.processes import Role
    from quart_odds.odds.notices import OddsNotifier
    from quart_odds.odds.opportunities import OpportunityEngine
    from quart_odds.odds.opportunity_choices import OpportunityChoices
    from quart_odds.odds.past_opportunities import PastOpportunities
    from quart_odds.odds.recent_moves import RecentMoves
    from quart_odds.odds.served import ServedOdds
    from quart_odds.odds.service import OddsService
    from quart_odds.odds.watched import WatchedEvents
    from quart_odds.routes.access.attempts import Attempts
    from quart_odds.routes.access.figures import RequestFigures
    from quart_odds.routes.access.limits import ConnectionLimits
    from quart_odds.routes.access.same_origin import AccessPolicy
    from quart_odds.routes.api.coverage import MarketNumbers
    from quart_odds.routes.api.encoded import EventBodies
    from quart_odds.routes.pages.order import EventOrder
    from quart_odds.routes.pages.rows import EventRows
    from quart_odds.scraping.maintenance import Maintenance
    from quart_odds.scraping.refresh import EventRefresher
    from quart_odds.scraping.runs import RunService
    from quart_odds.scraping.runtime_settings import RuntimeSettings
    from quart_odds.scraping.scheduler import Scheduler
    from quart_odds.server.loop_lag import LoopLag
    from quart_odds.settings import Settings
    from quart_odds.storage.store import Store
    from quart_odds.websocket.odds_feed import OddsFeed

EXTENSION = "quart_odds"


@dataclass(eq=False)
class Services:
    """The parts of one app.

    `prefix` is the path at which another application has this one, empty for none. Templates in the folder `templates`,
    if there is one, replace ours of the same name.
    `worker` is the number of this process if it is one of several workers, from 1.
    `limits` counts live connections, `watched` the events that they name, `bodies` incomplete request bodies, and
    `access` says who may send requests. `attempts` has those that were not let in. The fields after `bodies` exist once
    the app has started. `credentials`, `ties` and `issuer` are about tokens. `commands` passes requests on to the
    writer, and `reports` has what other processes do; both are None without an engine. `exports` counts those under
    way, `requests` those that were answered, and `runs_ended` runs by mode, status and trigger. `began_at` is when the
    app was made, on the monotonic clock.
    """

    settings: "Settings"
    registry: "BroadcastRegistry"
    limits: "ConnectionLimits"
    prefix: str = ""
    templates: "Path | None" = None
    access: "AccessPolicy" = field(init=False)
    attempts: "Attempts" = field(init=False)
    requests: "RequestFigures" = field(init=False)
    watched: "WatchedEvents" = field(init=False)
    bodies: "ConnectionLimits" = field(init=False)
    store: "Store" = field(init=False)
    credentials: "Credentials" = field(init=False)
    ties: "Ties" = field(init=False)
    issuer: "Issuer | None" = None
    odds_service: "OddsService" = field(init=False)
    served: "ServedOdds" = field(init=False)
    shared_log: "SharedLog | None" = None
    run_logs: "RunLogs | None" = None
    reports: "ProcessReports | None" = None
    event_bodies: "EventBodies" = field(init=False)
    event_rows: "EventRows" = field(init=False)
    event_order: "EventOrder" = field(init=False)
    market_numbers: "MarketNumbers" = field(init=False)
    opportunities: "OpportunityEngine" = field(init=False)
    opportunity_choices: "OpportunityChoices" = field(init=False)
    past_opportunities: "PastOpportunities" = field(init=False)
    recent_moves: "RecentMoves" = field(init=False)
    notifier: "OddsNotifier" = field(init=False)
    odds_feed: "OddsFeed" = field(init=False)
    decoder: "Decoder" = field(init=False)
    clients: "ClientPool" = field(init=False)
    runs: "RunService" = field(init=False)
    refresher: "EventRefresher" = field(init=False)
    preferences: "RuntimeSettings" = field(init=False)
    scheduler: "Scheduler" = field(init=False)
    sweep_scheduler: "Scheduler" = field(init=False)
    maintenance: "Maintenance" = field(init=False)
    alerts: "Alerts" = field(init=False)
    loop_lag: "LoopLag" = field(init=False)
    commands: "CommandSender | None" = None
    worker: int | None = None
    unanswered: int = 0
    exports: int = 0
    runs_ended: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    began_at: float = field(default_factory=time.monotonic)
    is_draining: bool = False
    drained: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def root_path(self) -> str:
        """The path below which everything of this app is: the one of a proxy, and then the prefix."""
        return self.settings.root_path + self.prefix

    @property
    def role(self) -> "Role":
        """What this process does now: it writes, or it takes over when the writer ends.

        A follower also passes requests on to the writer. A standby, without an engine, cannot.
        """
        if self.odds_service.is_writer:
            return "writer"
        return "standby" if self.settings.engine_url is None else "follower"

    def bookmakers(self) -> "tuple[Platform, ...]":
        """Return the bookmakers that are scraped or have odds of any event, in their order.

        One that is installed and not used has no place on pages.
        """
        used = {*self.preferences.enabled_platforms(), *self.served.cache.bookmakers}
        return tuple(sorted(used, key=lambda each: each.place))


def services() -> Services:
    """Return the parts of the current app."""
    return cast(Services, current_app.extensions[EXTENSION])
