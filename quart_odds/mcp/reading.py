"""The routes that only read, over a database that other processes write.

Nothing is created, upgraded, locked or scraped. A server may write to the same file meanwhile.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, cast

from quart import Blueprint, Quart

from quart_odds.broadcast import BroadcastRegistry
from quart_odds.domain.runs import RunRecord
from quart_odds.errors import RunFoldedError, RunNotFoundError
from quart_odds.odds.opportunities import OpportunityEngine
from quart_odds.odds.opportunity_choices import OpportunityChoices
from quart_odds.odds.reader import OddsReader
from quart_odds.routes.access import problems
from quart_odds.routes.access.limits import ConnectionLimits
from quart_odds.routes.api import freshness, history, lists, odds, opportunities, scrape
from quart_odds.routes.api.encoded import EventBodies
from quart_odds.scraping.runtime_settings import RuntimeSettings
from quart_odds.services import EXTENSION, Services
from quart_odds.settings import Settings
from quart_odds.storage import Store, open_migrated
from quart_odds.websocket import gap_notice

if TYPE_CHECKING:
    from quart_odds.scraping.runs import RunService


class StoredRuns:
    """The runs as the database has them, in place of a RunService: this process has no run of its own."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def find(self, run_id: int) -> RunRecord:
        """Return a run. Raises RunNotFoundError, or RunFoldedError if only hourly figures of it are left."""
        record = await self._store.get_run(run_id)
        if record is None:
            hour = await self._store.folded_hour(run_id)
            raise RunNotFoundError(run_id) if hour is None else RunFoldedError(run_id, hour)
        return record


@asynccontextmanager
async def reading_app(settings: Settings) -> AsyncIterator[tuple[Quart, OddsReader]]:
    """Open the database as it is, and return an app with the routes that read, and what reads the odds for it.

    Raises StorageError if there is no database, or if it has to be upgraded first.
    """
    store = await open_migrated(settings.database_url)
    try:
        app = Quart("quart_odds")
        reader = OddsReader(store)
        app.extensions[EXTENSION] = await _parts(settings, store, reader)
        problems.init_app(app)
        app.register_blueprint(_routes())
        yield app, reader
    finally:
        await store.aclose()


async def _parts(settings: Settings, store: Store, reader: OddsReader) -> Services:
    """Return the parts that these routes need, and no others."""
    stale_after = timedelta(seconds=settings.stale_after_seconds)
    parts = Services(settings, BroadcastRegistry(gap_notice=gap_notice), ConnectionLimits(0, 0))
    parts.store = store
    parts.served = reader.served
    parts.event_bodies = EventBodies(reader.cache, stale_after)
    parts.opportunities = OpportunityEngine(reader.cache, stale_after)
    parts.opportunity_choices = OpportunityChoices(parts.opportunities)
    parts.preferences = RuntimeSettings(settings, store)
    await parts.preferences.load()
    parts.runs = cast("RunService", StoredRuns(store))
    return parts


def _routes() -> Blueprint:
    blueprint = Blueprint("reading", __name__)
    blueprint.add_url_rule("/api/events", view_func=odds.events)
    blueprint.add_url_rule("/api/events/<int:event_id>", view_func=odds.event)
    for part in (lists, history, opportunities, freshness):
        part.add_routes(blueprint)
    blueprint.add_url_rule("/api/scrape/runs", view_func=scrape.runs)
    blueprint.add_url_rule("/api/scrape/<int:scrape_run_id>", view_func=scrape.detail)
    return blueprint
