"""/metrics: complete, documented, and with labels that have few values whatever clients do."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import get_args

import pytest
from prometheus_client.parser import text_string_to_metric_families

from quart_odds.broadcast import ODDS_UPDATES
from quart_odds.broadcast.connections import Ending
from quart_odds.domain.processes import ClusterReport, ProcessReport
from quart_odds.domain.runs import RunMode, RunStatus, trigger_kind
from quart_odds.routes.access.figures import RouteKind
from quart_odds.routes.access.refusals import MAX_KINDS, OTHER, Refusals
from quart_odds.routes.api import processes
from quart_odds.websocket.messages import odds_update_message
from tests.apps import RunningApp, running_app, running_sandbox
from tests.platforms import FIRST_THREE
from tests.routes.operations.exposition import documented, exposed

NOWHERE = "http://127.0.0.1:9"
DOCS = Path(__file__).parents[3] / "docs"
Samples = dict[str, float]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without data."""
    async with running_app(tmp_path, NOWHERE) as opened:
        yield opened


async def samples(running: RunningApp) -> Samples:
    """Return the value of each series, under its name and labels as Prometheus shows them."""
    text = await (await running.client.get("/metrics")).get_data(as_text=True)
    found = {}
    for family in text_string_to_metric_families(str(text)):
        for sample in family.samples:
            labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
            found[f"{sample.name}{{{labels}}}" if labels else sample.name] = sample.value
    return found


async def test_the_page_of_metrics_has_all_of_them(running: RunningApp) -> None:
    """Each with its type and its labels, and no others. What to do is in sections that exist."""
    page = documented()
    assert len({each.name for each in page}) == len(page)
    assert set(page) == set(await exposed(running.parts))
    text = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for name, section in re.findall(r"\]\(([\w.]*)#([\w-]+)\)", text):
        assert section in sections(name or "metrics.md"), (name, section)


def sections(name: str) -> set[str]:
    """Return the sections of a page of the documentation, as links name them."""
    text = (DOCS / name).read_text(encoding="utf-8")
    return {
        re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-")
        for title in re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    }


async def test_the_text_can_be_read_by_prometheus(running: RunningApp) -> None:
    """Its names follow the conventions: counters end with `_total`, and units are base units in the plural."""
    for each in await exposed(running.parts):
        assert each.name.startswith("quart_odds_")
        assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent)(_|$)", each.name), each.name
        if each.kind == "histogram":
            assert each.name.endswith("_seconds")
    found = await samples(running)
    assert found["quart_odds_flush_latency_seconds_count"] == 0
    assert found['quart_odds_connections_ended_total{reason="stalled"}'] == 0


async def test_connections_are_counted_from_begin_to_end(running: RunningApp) -> None:
    """By transport, lane and reason; a resumption by whether it recovered; a message by its latency."""
    standard = 'lane="standard",transport="websocket"'
    async with running.client.websocket("/api/ws?topics=odds_updates&cursor=1") as listener:
        cursor = (await listener.receive_json())["id"]
        found = await samples(running)
        assert found[f"quart_odds_transport_listeners{{{standard}}}"] == 1
        assert found[f"quart_odds_connections_begun_total{{{standard}}}"] == 1
        running.parts.registry.broadcast(odds_update_message([1], FIRST_THREE[0], 1), ODDS_UPDATES)
        await listener.receive()
        found = await samples(running)
        assert found["quart_odds_flush_latency_seconds_count"] == 1
        assert found['quart_odds_listener_lag_entries{quantile="1.0"}'] == 0
        assert found["quart_odds_lagging_listeners"] == 0
    for since in (cursor, "0000-7"):
        async with running.client.websocket(f"/api/ws?topics=odds_updates&since={since}") as listener:
            await listener.receive()
    found = await samples(running)
    assert found['quart_odds_connections_ended_total{reason="closed"}'] == 3
    assert found['quart_odds_resumptions_total{recovered="true"}'] == 1
    assert found['quart_odds_resumptions_total{recovered="false"}'] == 1


async def test_runs_are_counted_by_how_they_ended(tmp_path: Path) -> None:
    """And by mode and trigger. Their changes and notices are told, and no queue keeps anything."""
    with running_sandbox("--events", "4", "--markets", "10") as sandbox:
        async with running_app(tmp_path, sandbox.url) as running:
            await running.scrape()
            sandbox.strike("403", *FIRST_THREE)
            await running.scrape()
            sandbox.heal()
            found = await samples(running)
    assert found['quart_odds_runs_total{mode="full",status="completed",trigger="api"}'] == 1
    assert found['quart_odds_runs_total{mode="full",status="failed",trigger="api"}'] == 1
    assert found["quart_odds_conflated_total"] >= 0
    for queue in ("decode", "store", "store_rows", "alerts"):
        assert found[f'quart_odds_queue_depth{{queue="{queue}"}}'] == 0


async def test_requests_are_counted_by_kinds_that_clients_cannot_invent(running: RunningApp) -> None:
    """Paths, methods and ids of clients are in no label."""
    for path in (
        "/api/events",
        "/api/events/9876543",
        "/odds",
        "/healthz",
        "/favicon.ico",
        "/x/1",
        "/x/2",
        "/api/zzz",
    ):
        await running.client.get(path)
    await running.client.put("/api/events")
    await running.client.head("/api/sse")
    found = await samples(running)
    durations = [each for each in found if each.startswith("quart_odds_http_request_seconds_count")]
    labels = {tuple(re.findall(r'"([^"]*)"', each)) for each in durations}
    assert {route for route, _ in labels} <= set(get_args(RouteKind))
    assert {("unknown", "4xx"), ("api", "2xx"), ("api", "4xx"), ("live", "2xx"), ("page", "2xx")} <= labels
    assert found['quart_odds_http_request_seconds_count{route="unknown",status="4xx"}'] == 4
    assert found['quart_odds_refusals_total{reason="not_found"}'] >= 3
    assert not [each for each in found if "9876543" in each or "zzz" in each]


def test_refusals_have_a_limited_number_of_reasons() -> None:
    """Further ones are counted together."""
    refusals = Refusals()
    for number in range(2 * MAX_KINDS):
        refusals.count(f"reason {number}")
    refusals.count("reason 0")
    assert len(refusals.counts) == MAX_KINDS + 1
    assert (refusals.counts["reason 0"], refusals.counts[OTHER]) == (2, MAX_KINDS)


@pytest.mark.parametrize(
    ("trigger", "kind"),
    [("api", "api"), ("retry:12", "retry"), ("api-stream", "api-stream"), ("by hand", "other"), ("", "other")],
)
def test_what_started_a_run_is_one_of_a_few_kinds(trigger: str, kind: str) -> None:
    """The ids of runs that are retried are in no label."""
    assert trigger_kind(trigger) == kind


async def test_values_of_labels_are_documented(running: RunningApp) -> None:
    """Reasons why connections end are in docs/operations.md, kinds of routes in docs/metrics.md."""
    operations = (DOCS / "operations.md").read_text(encoding="utf-8")
    metrics = (DOCS / "metrics.md").read_text(encoding="utf-8")
    for reason in get_args(Ending):
        assert f"| `{reason}` |" in operations, reason
    for kind in get_args(RouteKind):
        assert f"`{kind}`" in metrics, kind
    assert {each.value for each in RunMode} == {"full", "sweep"}
    assert "failed" in {each.value for each in RunStatus}


async def test_the_numbers_of_all_processes_are_there_with_an_engine(
    running: RunningApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are absent without one."""
    assert not [each for each in await samples(running) if each.startswith("quart_odds_cluster")]

    class Reports:
        def cluster(self) -> object:
            own: ProcessReport = processes.own_report(running.parts)
            return ClusterReport((own,), own.name)

    monkeypatch.setattr(running.parts, "reports", Reports())
    found = await samples(running)
    assert found['quart_odds_cluster_processes{role="writer"}'] == 1
    assert found["quart_odds_cluster_connections"] == 0
