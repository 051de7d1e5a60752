"""`/health`: the bookmakers, the database, the processes, the listeners and this process, each in words."""

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from quart import Blueprint, Response
from quart_schema import hide

from quart_odds.domain.clock import utc_now
from quart_odds.domain.runs import RunMode, RunRecord
from quart_odds.errors import StorageError
from quart_odds.routes.api.checks import BookmakerState, DatabaseCheck, check_database, overall, states_of
from quart_odds.routes.api.freshness import measured_ages
from quart_odds.routes.api.processes import cluster_report, own_report, writer_state
from quart_odds.routes.pages.connected import connected_now
from quart_odds.routes.pages.freshness import Freshness, freshness_of
from quart_odds.routes.pages.run import advice
from quart_odds.routes.pages.shell import page
from quart_odds.routes.pages.views import frame, trouble
from quart_odds.services import Services, services

AGES_KEPT_SECONDS = 5
"""How long the page shows the same measurement of ages."""

SWEEPS_LOOKED_AT = 20

STATM = Path("/proc/self/statm")

blueprint = Blueprint("health_pages", __name__)
blueprint.register_error_handler(Exception, trouble)


@dataclass(frozen=True, slots=True)
class BookmakerHealth:
    """A bookmaker: its state, the age of its prices, and its requests in this process.

    `allowed_per_second` is its budget now, None while sweeps are off. `slowed_by` says why that is below the configured
    rate, None if it is not.
    """

    state: BookmakerState
    freshness: Freshness
    requests_total: int
    requests_per_second: float
    allowed_per_second: float | None
    configured_per_second: float
    slowed_by: Literal["refused", "slow"] | None
    is_resting: bool

    @property
    def words(self) -> str:
        """The state in one or two words."""
        if not self.state.is_checked:
            return "not checked"
        return "healthy" if self.state.is_healthy else "failed"

    @property
    def requests(self) -> str:
        """What it gets of requests, and why less than configured."""
        if self.is_resting:
            return "gets none for some minutes, because it refused too many"
        if self.allowed_per_second is None:
            return "no budget while sweeps are off"
        allowed = f"at most {self.allowed_per_second:.3g} a second"
        if self.slowed_by is None:
            return allowed
        why = "refuses requests" if self.slowed_by == "refused" else "answers slowly"
        return f"{allowed} instead of {self.configured_per_second:g}, because it {why}"

    @property
    def advice(self) -> str:
        """What to do about the last error."""
        return "" if self.state.last_error is None else advice(self.state.last_error.error_type)


@blueprint.get("/health")
@hide
async def health() -> Response:
    """Show how everything is. This sends no request to a bookmaker."""
    parts = services()
    check = await check_database(parts)
    records = list(check.records)
    if check.reason is None:
        records += await _sweeps(parts)
        records.sort(key=lambda each: each.started_at, reverse=True)
    states = states_of(records, parts.bookmakers())
    ages = await measured_ages(parts.served, kept_seconds=AGES_KEPT_SECONDS)
    row = parts.store.writer_row
    shown = {
        "status": overall(states, is_connected=check.reason is None),
        "check": check,
        "size": await _size(parts, check),
        "kind": "SQLite" if parts.store.database.is_sqlite else "PostgreSQL",
        "row": row,
        "is_writer": parts.odds_service.is_writer,
        "read_only": parts.odds_service.read_only_reason,
        "queues": parts.odds_service.writer,
        "bookmakers_now": _bookmakers(parts, states, freshness_of(ages, [each.platform for each in states])),
        "slowed": writer_state(parts).slowed,
        "has_engine": parts.settings.engine_url is not None,
        "own": own_report(parts),
        "cluster": cluster_report(parts),
        "connected": connected_now(parts),
        "figures": parts.registry.figures,
        "upkeep": parts.registry.flusher.upkeep,
        "messages": parts.registry.log.next_seq - 1,
        "uptime_ms": 1000 * (time.monotonic() - parts.began_at),
        "lag_ms": [round(1000 * parts.loop_lag.quantile(share), 1) for share in (0.5, 0.99, 1.0)],
        "memory": resident_bytes(),
        "event_count": len(parts.served.cache.events),
        "at": utc_now(),
    }
    return await page("health.html", {**frame("", "health"), **shown})


def resident_bytes() -> int | None:
    """Return how much memory this process has; None where the system does not say it."""
    try:
        return int(STATM.read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return None


def _bookmakers(
    parts: Services, states: Iterable[BookmakerState], freshness: Sequence[Freshness]
) -> list[BookmakerHealth]:
    budgets = {each.platform: each for each in parts.clients.budgets()}
    shown = []
    for state, fresh in zip(states, freshness, strict=True):
        budget = budgets[state.platform]
        shown.append(
            BookmakerHealth(
                state,
                fresh,
                budget.requests_total,
                budget.requests_per_second,
                budget.budget_per_second,
                budget.configured_per_second,
                budget.reason,
                parts.clients.is_resting(state.platform),
            )
        )
    return shown


async def _sweeps(parts: Services) -> list[RunRecord]:
    """Return the newest sweeps. If the database goes away meanwhile, the page is right without them."""
    try:
        return await parts.store.list_runs(limit=SWEEPS_LOOKED_AT, mode=RunMode.SWEEP)
    except StorageError:
        return []


async def _size(parts: Services, check: DatabaseCheck) -> int | None:
    """Return the size of the database; None if it does not answer."""
    if check.reason is not None:
        return None
    try:
        return await parts.store.size_bytes()
    except StorageError:
        return None
