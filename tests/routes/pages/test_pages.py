"""Pages with every kind of row: finished, active, interrupted and partly known runs, and very long names."""

import re
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quart_odds.app import create_app
from quart_odds.broadcast import SCRAPE_PROGRESS
from quart_odds.domain.odds import Competition
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PhaseRecord, PlatformResult, RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.routes.pages.connected import Connected
from quart_odds.routes.pages.run import stored_view
from quart_odds.routes.pages.runs import platforms_of, run_bars, run_rows
from quart_odds.routes.pages.shell import rendered
from quart_odds.scraping.schemas import ScrapeErrorContext, ScrapeProgress
from quart_odds.settings import load_settings
from quart_odds.storage import Store
from quart_odds.websocket.messages import scrape_progress_message
from tests.apps import RunningApp, Sandbox, running_app, running_sandbox
from tests.odds.making import X1, header, key, mapped
from tests.platforms import FIRST_THREE

BETPAWA, SPORTYBET, BET9JA = FIRST_THREE
NOWHERE = "http://127.0.0.1:9"
BEGIN = datetime(2026, 11, 22, 10, tzinfo=UTC)
LONG = "Llanfairpwllgwyngyll" * 10
"""A name of two hundred characters without a place to break it."""

DONE = ScrapePhase.COMPLETED
KINDS: dict[str, RunRecord] = {
    "all three": RunRecord(
        0, RunStatus.COMPLETED, "page", FIRST_THREE, BEGIN, BEGIN, 9, 0,
        tuple(PlatformResult(each, DONE, 3, 3, 0, 900, 60, 4) for each in FIRST_THREE),
    ),
    "one bookmaker": RunRecord(
        0, RunStatus.COMPLETED, "cli", (BET9JA,), BEGIN, BEGIN, 3, 0, (PlatformResult(BET9JA, DONE, 3, 3, 0, 900),)
    ),
    "a retry of one": RunRecord(
        0, RunStatus.FAILED, "retry:1", (SPORTYBET,), BEGIN, BEGIN, 0, 0,
        (PlatformResult(SPORTYBET, ScrapePhase.FAILED, error=RunError("nothing_found", LONG, BEGIN, SPORTYBET)),),
        (RunError("nothing_found", LONG, BEGIN, SPORTYBET, LONG, count=3),),
    ),
    "partial": RunRecord(
        0, RunStatus.PARTIAL, LONG, FIRST_THREE, BEGIN, BEGIN + timedelta(hours=3), 3, 2,
        (PlatformResult(BETPAWA, DONE, 5, 3, 2), PlatformResult(SPORTYBET, ScrapePhase.FAILED)),
        (RunError(LONG, "", BEGIN),),
    ),
    "interrupted": RunRecord(0, RunStatus.INTERRUPTED, "scheduled", FIRST_THREE, BEGIN, BEGIN),
    "cancelled": RunRecord(
        0, RunStatus.CANCELLED, "api", (BETPAWA, BET9JA), BEGIN, BEGIN - timedelta(hours=1), 1, 0,
        (PlatformResult(BETPAWA, ScrapePhase.FAILED, 3, 1, 0), PlatformResult(BET9JA, ScrapePhase.SCRAPING)),
    ),
    "of nobody": RunRecord(0, RunStatus.FAILED, "api", (), BEGIN, BEGIN),
}  # fmt: skip
"""Rows as runs leave them, as a crash leaves them, and as a changed clock leaves them."""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with a few events."""
    with running_sandbox("--events", "6", "--markets", "12") as process:
        yield process


@pytest.fixture
async def running(sandbox: Sandbox, tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that has not scraped yet."""
    async with running_app(tmp_path, sandbox.url) as opened:
        yield opened


async def store_run(store: Store, record: RunRecord, phases: Sequence[PhaseRecord] = ()) -> int:
    """Store a run unchanged and return its id."""
    run_id = await store.create_run(
        trigger=record.trigger, platforms=record.platforms, started_at=record.started_at, mode=record.mode
    )
    await store.save_phases(run_id, phases)
    if record.status is not RunStatus.RUNNING:
        assert await store.finish_run(replace(record, id=run_id))
    return run_id


async def page(running: RunningApp, path: str) -> str:
    """Return the text of a page, which must be answered 200."""
    response = await running.client.get(path, headers={"Accept": "text/html"})
    text: str = await response.get_data(as_text=True)
    assert (response.status_code, response.content_type) == (200, "text/html; charset=utf-8"), (path, text[:400])
    assert "Undefined" not in text
    return text


def row_of(text: str, run_id: int) -> list[str]:
    """Return the cells of a run's row on the page of runs."""
    found = re.search(rf'<tr id="r{run_id}".*?</tr>', text, re.DOTALL)
    assert found is not None, text
    return [re.sub(r"<[^>]*>", "", cell).strip() for cell in re.findall(r"<td.*?</td>", found[0], re.DOTALL)]


@pytest.mark.parametrize("kind", KINDS)
async def test_every_page_shows_a_run_of_every_kind(kind: str, running: RunningApp) -> None:
    """Each kind of run is shown alone and among others, also by the API."""
    run_id = await store_run(running.parts.store, KINDS[kind])
    for path in ("/", "/runs", f"/runs/{run_id}", "/odds"):
        await page(running, path)
    others = [await store_run(running.parts.store, record) for record in KINDS.values()]
    text = await page(running, "/runs")
    for each in (run_id, *others):
        assert len(row_of(text, each)) == 9
    for path in (f"{run_id}", f"runs/{run_id}/phases", "runs", "stats", "analytics"):
        await running.get(f"/api/scrape/{path}")
    await running.get("/api/scheduler/history")


@pytest.mark.parametrize(
    ("kind", "cells"),
    [
        ("all three", ["3 of 3", "3 of 3", "3 of 3"]),
        ("one bookmaker", ["–", "–", "3 of 3"]),
        ("a retry of one", ["–", "failed: nothing found", "–"]),
        ("partial", ["3 of 5", "failed", "–"]),
        ("interrupted", ["–", "–", "–"]),
        ("cancelled", ["1 of 3", "–", "0 of 0"]),
        ("of nobody", ["–", "–", "–"]),
    ],
)
async def test_a_bookmaker_that_had_no_part_is_a_dash(kind: str, cells: list[str], running: RunningApp) -> None:
    """A bookmaker without a part in the run is a dash; the others show their result."""
    run_id = await store_run(running.parts.store, KINDS[kind])
    assert row_of(await page(running, "/runs"), run_id)[5:8] == cells


async def test_the_pages_of_runs_are_about_full_runs(running: RunningApp) -> None:
    """Sweeps are a filter of the list, and each has its page. The page of progress shows the newest full run."""
    full = await store_run(running.parts.store, KINDS["all three"])
    sweep = await store_run(running.parts.store, replace(KINDS["partial"], mode=RunMode.SWEEP))
    for path, shown, hidden in (("/runs", full, sweep), ("/runs?mode=sweep", sweep, full)):
        text = await page(running, path)
        assert len(row_of(text, shown)) == 9
        assert f'id="r{hidden}"' not in text
    text = await page(running, "/runs?mode=all&page_size=1")
    assert row_of(text, sweep)[-1].endswith(", a sweep")
    assert 'href="/runs?page=2&amp;mode=all"' in text
    assert row_of(await page(running, "/runs?mode=all&page_size=1&page=2"), full)[-1] == "the page"
    assert f'<h1 id="run-title">Run {full}</h1>' in await page(running, "/")
    text = await page(running, f"/runs/{sweep}")
    assert f'<h1 id="run-title">Sweep {sweep}</h1>' in text
    assert f"<title>Sweep {sweep} partial" in text


async def test_there_may_be_no_sweeps(running: RunningApp) -> None:
    """The empty list says so."""
    assert "There were no sweeps in the last day." in await page(running, "/runs?mode=sweep")


async def test_pages_while_a_run_goes_and_when_it_has_been_left_behind(running: RunningApp, tmp_path: Path) -> None:
    """A run of this process, an active one of another process, and the same after that process was killed."""
    elsewhere = await store_run(running.parts.store, replace(KINDS["all three"], status=RunStatus.RUNNING))
    text = await page(running, f"/runs/{elsewhere}")
    assert "running in another process" in text
    assert row_of(await page(running, "/runs"), elsewhere)[5:8] == ["–", "–", "–"]
    run_id = await running.start(BETPAWA)
    for path in ("/", "/runs", f"/runs/{run_id}"):
        await page(running, path)
    await running.published(run_id)
    assert re.fullmatch("([0-9]+) of \\1", row_of(await page(running, "/runs"), run_id)[5])
    async with running_app(tmp_path, NOWHERE, database_url=f"sqlite:///{tmp_path / 'copy.db'}") as other:
        left = await store_run(other.parts.store, replace(KINDS["one bookmaker"], status=RunStatus.RUNNING))
        await other.parts.runs.recover()
        assert row_of(await page(other, "/runs"), left)[0] == "interrupted"
        for path in ("/", f"/runs/{left}"):
            await page(other, path)


async def test_a_run_of_another_process_is_shown_as_the_log_tells_it(running: RunningApp) -> None:
    """Its row has no counts before its end. When the log has the end, its row has it, too."""
    parts = running.parts
    active = replace(KINDS["all three"], status=RunStatus.RUNNING, completed_at=None, results=(), errors=())
    run_id = await store_run(parts.store, active)
    error = ScrapeErrorContext(error_type="blocked", error_message="refused (403)", platform=SPORTYBET)
    told = (
        ScrapeProgress(phase=ScrapePhase.SCRAPING, current=37, total=87, elapsed_ms=3800, remaining_ms=5000),
        ScrapeProgress(platform=BETPAWA, phase=ScrapePhase.SCRAPING, current=35, total=85, events_count=31),
        ScrapeProgress(platform=SPORTYBET, phase=ScrapePhase.FAILED, current=2, total=2, duration_ms=700, error=error),
    )
    for each in told:
        progress = each.with_run(run_id, 3800, RunMode.FULL)
        parts.registry.broadcast(scrape_progress_message(progress), SCRAPE_PROGRESS, retain=(run_id, each.platform))
    for path in ("/", f"/runs/{run_id}"):
        shown = re.sub(r"\s+", " ", re.sub(r"<[^>]*>", " ", await page(running, path)))
        assert "37 of 87" in shown
        assert "35 of 85" in shown
        assert "refused (403)" in shown
        assert "not known here" not in shown
    assert row_of(await page(running, "/runs"), run_id)[5:7] == ["31 of 85", "failed: blocked"]


async def test_a_page_beyond_the_last_says_so(running: RunningApp) -> None:
    """The page does not claim that there were no runs, and links back."""
    await store_run(running.parts.store, KINDS["all three"])
    assert "There are no runs yet" not in await page(running, "/runs?page=1000000")
    response = await running.client.get("/runs/99999999999999999999999", headers={"Accept": "text/html"})
    assert response.status_code == 404


async def test_an_event_of_every_kind_has_its_page(running: RunningApp) -> None:
    """Names of two hundred characters, one bookmaker alone, no prices, gone, and long over."""
    competition = Competition("1", LONG, LONG)
    kickoff = datetime.now(UTC) + timedelta(hours=3)
    long = header(BETPAWA, "a", "91", home=LONG, away=LONG, competition=competition, kickoff=kickoff)
    bare = header(SPORTYBET, "b", "92", home="Bare", away="Bones", kickoff=kickoff)
    lone = header(BET9JA, "c", None, home="Lone", away="Wolf", kickoff=kickoff)
    over = header(BETPAWA, "d", "93", home="Long", away="Ago", kickoff=kickoff - timedelta(days=1))
    now = datetime.now(UTC)
    for each, odds in ((long, X1), (bare, {}), (lone, {key("1x2_ft", "1"): 2.0}), (over, X1)):
        await running.parts.odds_service.record(mapped(each, odds), now)
    await running.parts.odds_service.confirm()
    listed = [event.id for event in running.parts.odds_service.cache.events.values()]
    assert len(listed) == 4
    for path in ("/", "/odds", "/odds?market=ou&include_started=1", "/odds/rows?ids=" + ",".join(map(str, listed))):
        await page(running, path)
    for event_id in listed:
        for query in ("", "?market=over_under_ft&line=2.5", "?market=btts_ft"):
            await page(running, f"/odds/{event_id}{query}")


async def test_the_history_of_an_event_counts_changes_and_no_first_prices(running: RunningApp) -> None:
    """Each bookmaker's first prices have a row that says so. Nor is it a change that prices were seen again."""
    now = datetime.now(UTC)
    service = running.parts.odds_service
    for each in (BETPAWA, SPORTYBET):
        for minutes in (30, 20):
            event = header(each, f"{each}-1", "91", kickoff=now + timedelta(hours=3))
            await service.record(mapped(event, X1), now - timedelta(minutes=minutes))
    await service.confirm()
    text = await page(running, "/odds/1")
    assert re.search(r'id="history-count"[^>]*>0 changes<', text)
    assert text.count("<td>opened at <time") == 2
    await service.record(mapped(event, X1 | {key("1x2_ft", "1"): 2.9}), now)
    assert re.search(r'id="history-count"[^>]*>1 change<', await page(running, "/odds/1"))


PLATFORMS = st.sampled_from(list(Platform))
WORDS = st.sampled_from(["", "blocked", LONG, "<b>&amp;", "\u202e\x00"]) | st.text(max_size=20)
MOMENTS = st.integers(-7_200_000, 90_000_000).map(lambda ms: BEGIN + timedelta(milliseconds=ms))
COUNTS = st.integers(0, 10**7)
ERRORS = st.builds(
    RunError, error_type=WORDS, error_message=WORDS, occurred_at=MOMENTS,
    platform=st.none() | PLATFORMS, where=st.none() | WORDS, recoverable=st.booleans(), count=COUNTS,
)  # fmt: skip
RESULTS = st.builds(
    PlatformResult, platform=PLATFORMS, phase=st.sampled_from(ScrapePhase), found=COUNTS,
    fetched=COUNTS, failed=COUNTS, duration_ms=st.none() | COUNTS, error=st.none() | ERRORS,
)  # fmt: skip
RECORDS = st.builds(
    RunRecord, id=st.integers(1, 10**9), status=st.sampled_from(RunStatus),
    trigger=st.sampled_from(["api", "retry:1", "x"]) | WORDS,
    platforms=st.lists(PLATFORMS, unique=True).map(tuple), started_at=MOMENTS,
    completed_at=st.none() | MOMENTS, events_scraped=COUNTS, events_failed=COUNTS,
    results=st.lists(RESULTS, unique_by=lambda each: each.platform, max_size=3).map(tuple),
    errors=st.lists(ERRORS, max_size=3).map(tuple), mode=st.sampled_from(RunMode),
)  # fmt: skip
PHASES = st.builds(
    PhaseRecord, phase=st.sampled_from(ScrapePhase), started_at=MOMENTS, platform=st.none() | PLATFORMS,
    ended_at=st.none() | MOMENTS, message=st.none() | WORDS,
)  # fmt: skip


APP = create_app(load_settings({}))
"""An app that is never opened. Templates ask it for its root path."""


class NoSchedule:
    """A scheduler that is off."""

    is_on = False


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(records=st.lists(RECORDS, max_size=4), phases=st.lists(PHASES, max_size=6))
async def test_any_row_can_be_shown(records: list[RunRecord], phases: list[PhaseRecord]) -> None:
    """Whatever a run lacks, and whatever its times are, the templates can show it, and no duration is negative."""
    frame = {"cursor": "", "section": "runs", "rendered_at": BEGIN, "is_sandbox": False, "read_only_reason": None}
    columns = platforms_of(records, Platform)
    shown: dict[str, object] = {"rows": run_rows(records, columns), "bars": run_bars(records), "total": len(records)}
    nobody = Connected(0, (), (), None, None, None, 0)
    shown |= {"columns": columns, "choice": "", "page": 1, "pages": 1, "connected": nobody}
    async with APP.app_context():
        text = await rendered("runs.html", {**frame, **shown, "mode": "all"})
        for record in records:
            view = stored_view(record, phases)
            text += await rendered("run.html", {"run": view, "follow": "this", "scheduler": NoSchedule})
    assert not re.search(r"[^0-9a-zA-Z-]-[0-9.]+ (s|min|h)\b", text)
    assert 'width="-' not in text
    assert 'height="-' not in text
