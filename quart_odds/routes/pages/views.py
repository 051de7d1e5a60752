"""The bundled pages. They work without JavaScript and are live with it. Each contains the cursor of its moment.

The cursor is read before the data of the page, or in the same turn of the event loop. A script that resumes from it
misses nothing, and recognises repeated messages by their run and time.
"""

from functools import partial

from quart import Blueprint, Response, redirect, request
from quart_schema import hide
from werkzeug.exceptions import HTTPException, NotFound
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.broadcast import broadcast_registry
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunRecord, RunStatus
from quart_odds.errors import RunActiveError
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.problems import log_problem, problem_of
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.freshness import measured_ages
from quart_odds.routes.api.processes import writer_state
from quart_odds.routes.api.requests import takes_query
from quart_odds.routes.pages.connected import connected_now
from quart_odds.routes.pages.event import event_values, past_values, shown_event
from quart_odds.routes.pages.event_query import EventPageQuery
from quart_odds.routes.pages.freshness import Freshness, freshness_of
from quart_odds.routes.pages.listing import SORTS, exports, listing_of, parameters, without, without_filters, zone_name
from quart_odds.routes.pages.query import MARKET_WORDS, MARKETS, Columns, OddsPageQuery, RowsQuery, RunsPageQuery
from quart_odds.routes.pages.row_words import grid_line_text, outcome_labels
from quart_odds.routes.pages.run import IDLE, JSON, active_view, stored_view, told_view
from quart_odds.routes.pages.runs import platforms_of, run_bars, run_rows
from quart_odds.routes.pages.shell import asset_path, fragment, page, static_answer
from quart_odds.routes.pages.told import as_told, told_progress
from quart_odds.scraping.schemas import ScrapeProgress
from quart_odds.services import Services, services

NEXT_EVENTS = 12
"""Number of events below the progress."""

FRESHNESS_KEPT_SECONDS = 5
"""How long pages show the same measurement of ages."""

blueprint = Blueprint("pages", __name__)


@blueprint.get("/assets/<version>/<path:name>")
@hide
async def asset(version: str, name: str) -> Response:
    """Serve a static file under an address that changes with the content."""
    answer = static_answer(version, name)
    if answer is None:
        raise NotFound(f"there is no {name!r} under this address; reload the page that names it")
    return answer


@blueprint.get("/favicon.ico")
@hide
async def icon() -> WerkzeugResponse:
    """Redirect to the icon: browsers look for it here when a response is not one of our pages."""
    return redirect(public_path(asset_path("icon.svg")))


@blueprint.get("/")
@hide
async def progress() -> Response:
    """Show the active full run, or the last one. This starts no run."""
    parts = services()
    cursor = _cursor()
    active = parts.runs.active
    if active is not None:
        return await _progress(parts, active_view(active, parts.bookmakers()), cursor, follow="newest")
    newest = await parts.store.list_runs(limit=1)
    view = await _view_of(parts, newest[0]) if newest else IDLE
    return await _progress(parts, view, cursor, follow="newest")


@blueprint.get("/runs/<int:scrape_run_id>")
@hide
async def run(scrape_run_id: int) -> Response:
    """Show one run, active or past, in the same view."""
    parts = services()
    cursor = _cursor()
    active = parts.runs.active_by_id(scrape_run_id)
    if active is not None:
        return await _progress(parts, active_view(active, parts.bookmakers()), cursor, follow="this")
    record = await parts.runs.find(scrape_run_id)
    return await _progress(parts, await _view_of(parts, record), cursor, follow="this")


@blueprint.post("/runs")
@same_origin_only
@carried_out_by_writer
@hide
async def start() -> WerkzeugResponse:
    """Start a run and redirect to its page. If a run is active, redirect to that one."""
    parts = services()
    try:
        started = await parts.runs.start("page")
    except RunActiveError as error:
        return _see(error.scrape_run_id)
    return _see(started.record.id)


@blueprint.post("/runs/<int:scrape_run_id>/cancel")
@same_origin_only
@carried_out_by_writer
@hide
async def cancel(scrape_run_id: int) -> WerkzeugResponse:
    """Cancel a run and redirect to its page."""
    parts = services()
    await parts.runs.cancel(scrape_run_id)
    return _see(scrape_run_id)


@blueprint.post("/runs/<int:scrape_run_id>/retry")
@same_origin_only
@carried_out_by_writer
@hide
async def retry(scrape_run_id: int) -> WerkzeugResponse:
    """Start a run over what failed in another one, and redirect to its page."""
    parts = services()
    try:
        started = await parts.runs.retry(scrape_run_id)
    except RunActiveError as error:
        return _see(error.scrape_run_id)
    return _see(started.record.id)


@blueprint.post("/schedule/<any(pause, resume):change>")
@same_origin_only
@carried_out_by_writer
@hide
async def schedule(change: str) -> WerkzeugResponse:
    """Pause or resume scheduled runs."""
    parts = services()
    await parts.maintenance.pause(change == "pause")
    return redirect(public_path("/"), 303)


@blueprint.get("/runs")
@hide
@takes_query(RunsPageQuery)
async def runs(query: RunsPageQuery) -> Response:
    """Show the runs of a mode, newest first, with a chart of their durations."""
    parts = services()
    cursor = _cursor()
    size = min(query.page_size, 50)
    found = await parts.store.list_runs(limit=size, offset=(query.page - 1) * size, mode=query.run_mode)
    total = await parts.store.count_runs(mode=query.run_mode)
    records = [_current(parts, each) for each in found]
    columns = platforms_of(records, parts.bookmakers())
    shown = {
        "rows": run_rows(records, columns),
        "columns": columns,
        "bars": run_bars(records),
        "total": total,
        "page": query.page,
        "mode": query.mode,
        "connected": connected_now(parts),
    }
    return await page("runs.html", {**frame(cursor, "runs"), **shown, "pages": -(-total // size)})


@blueprint.get("/runs/connected")
@hide
async def connected() -> Response:
    """Return only who is connected, from the foot of the runs page."""
    return await fragment("connected.html", {"connected": connected_now(services())})


@blueprint.get("/odds")
@hide
@takes_query(OddsPageQuery)
async def odds(query: OddsPageQuery) -> Response:
    """Show events by kick-off, with one market each at all bookmakers."""
    columns = query.arranged(services().bookmakers())
    framed = frame(_cursor(), "odds", columns.choice)
    freshness = await _freshness(columns)
    shown = {**await _listing(query, columns, is_page=True), "freshness": freshness}
    return await page("odds.html", {**framed, **shown, "sorts": SORTS, "zone": zone_name(query)})


@blueprint.get("/odds/rows")
@hide
@takes_query(RowsQuery)
async def odds_rows(query: RowsQuery) -> Response:
    """Return only rows of the odds page, those of `ids=1,2,3` or a page of a query, and how fresh the prices are."""
    parts = services()
    columns = query.arranged(parts.bookmakers())
    freshness = await _freshness(columns)
    if query.ids is None:
        return await fragment("rows.html", {**await _listing(query, columns), "freshness": freshness})
    cache = parts.served.cache
    found = [query.narrowed(event) for each in query.ids if (event := cache.get(each)) is not None]
    market, line = MARKETS[query.market], query.shown_line
    rows = parts.event_rows.html(found, market, line, columns.shown, choice=columns.choice)
    return await fragment("rows.html", {"rows": rows, "total": None, "freshness": freshness})


@blueprint.get("/odds/<int:event_id>")
@hide
@takes_query(EventPageQuery)
async def event(event_id: int, query: EventPageQuery) -> Response:
    """Show one event: all markets at all bookmakers, or at those chosen, and of one market the past and stakes."""
    cursor = _cursor()
    shown = await shown_event(event_id, query)
    # The template gives the loop its turns: what it shows is put together before.
    values = await event_values(shown)
    return await page("event.html", {**frame(cursor, "odds", shown.columns.choice), **values})


@blueprint.get("/odds/<int:event_id>/history")
@hide
@takes_query(EventPageQuery)
async def event_past(event_id: int, query: EventPageQuery) -> Response:
    """Return only the past of a market, the stakes, and what prices are worth, from the page of an event."""
    values = await past_values(await shown_event(event_id, query))
    return await fragment("event_past.html", {"rendered_at": utc_now(), **values})


@blueprint.errorhandler(Exception)
async def trouble(error: Exception) -> Response | WerkzeugResponse:
    """Return an error as a page, or as problem JSON for a client that does not accept HTML."""
    if isinstance(error, HTTPException) and error.code is not None and error.code < 400:
        return error.get_response()
    problem = problem_of(error)
    log_problem(problem, error)
    if "text/html" not in request.headers.get("Accept", ""):
        return problem.response()
    answer = await page("problem.html", {**frame("", ""), "problem": problem}, status=problem.status)
    answer.headers.update(problem.headers)
    return answer


async def _view_of(parts: Services, record: RunRecord) -> JSON:
    """Return the view of a run that is not active in this process."""
    told = _told_of(record)
    if any(each.is_terminal for each in told):
        # It has ended since its row was read. The row of a run that has ended is stored before that is told.
        record = await parts.runs.find(record.id)
    phases = await parts.store.phases(record.id)
    used = parts.bookmakers()
    if record.status is RunStatus.RUNNING:
        return told_view(record, phases, told, used)
    return stored_view(record, phases, used)


def _current(parts: Services, record: RunRecord) -> RunRecord:
    """Return a run's row with its counts of this moment."""
    active = parts.runs.active_by_id(record.id)
    if active is not None:
        return active.snapshot()
    told = _told_of(record)
    return as_told(record, told) if told else record


def _told_of(record: RunRecord) -> list[ScrapeProgress]:
    """Return the newest progress of a run that goes on. One that has ended has everything in its row."""
    return told_progress(record.id) if record.status is RunStatus.RUNNING else []


async def _progress(parts: Services, view: JSON, cursor: str, *, follow: str) -> Response:
    query = OddsPageQuery(page_size=NEXT_EVENTS)
    columns = query.arranged(parts.bookmakers())
    state = writer_state(parts)
    shown = {
        "run": view,
        "follow": follow,
        "scheduler": state.runs,
        "sweep_interval_seconds": parts.preferences.current.sweep_interval_seconds,
        "slowed": state.slowed,
    }
    section = "progress" if follow == "newest" else "runs"
    return await page("progress.html", {**frame(cursor, section), **shown, **await _listing(query, columns)})


async def _listing(query: OddsPageQuery, columns: Columns, *, is_page: bool = False) -> dict[str, object]:
    """Return a page of events with the requested market. With `is_page` also what there is to choose, and to export."""
    now = utc_now()
    parts = services()
    cache = parts.served.cache
    listing = await listing_of(cache, parts.event_order, query, now, has_form=is_page)
    found = listing.events
    market, line = MARKETS[query.market], query.shown_line
    events = query.cut(found)
    rows = parts.event_rows.html(events, market, line, columns.shown, choice=columns.choice)
    lines = parts.event_rows.lines(events, market, line)
    pages = max(1, -(-len(found) // query.page_size))
    shown: dict[str, object] = {
        "query": query,
        "columns": columns,
        "rows": rows,
        "total": len(found),
        "pages": pages,
        "market": market,
        "markets": MARKET_WORDS,
        "labels": outcome_labels(market, line),
        "lines": [(each, grid_line_text(market, each)) for each in lines],
        "stale_after": parts.event_rows.stale_after,
    }
    if is_page:
        shown |= {
            "listing": listing,
            "exports": exports(cache, query, columns, found, now),
            "address_of": partial(parameters, query, columns),
            "cleared": parameters(query, columns, **without_filters(listing)),
            "chosen_places": listing.chosen,
            "without": without(cache, query, columns, listing, now),
        }
    return shown


async def _freshness(columns: Columns) -> list[Freshness]:
    ages = await measured_ages(services().served, kept_seconds=FRESHNESS_KEPT_SECONDS)
    return freshness_of(ages, columns.shown)


def frame(cursor: str, section: str, choice: str = "") -> dict[str, object]:
    """Return the template values of the frame that all pages share. `choice` are the bookmakers of its links."""
    parts = services()
    settings = parts.settings
    urls = [settings.url(platform) for platform in Platform]
    is_sandbox = all("//127.0.0.1" in url or "//localhost" in url for url in urls)
    return {
        "cursor": cursor,
        "section": section,
        "choice": choice,
        "rendered_at": utc_now(),
        "is_sandbox": is_sandbox,
        "read_only_reason": parts.odds_service.read_only_reason if parts.role == "standby" else None,
    }


def _cursor() -> str:
    log = broadcast_registry.log
    return log.cursor_at(log.next_seq)


def _see(scrape_run_id: int) -> WerkzeugResponse:
    return redirect(public_path(f"/runs/{scrape_run_id}"), 303)
