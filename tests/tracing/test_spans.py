"""Spans of a run, from its start to the flush of what it changed; none, and no import, without a collector."""

import asyncio
import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from quart_odds import tracing
from quart_odds.app import create_app
from quart_odds.assembly import trace_flushes
from quart_odds.errors import SettingsError
from quart_odds.settings import load_settings
from quart_odds.tracing import collector
from tests.apps import Sandbox, running_app, running_sandbox
from tests.platforms import FIRST_THREE

NOWHERE = "http://127.0.0.1:9"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with four events."""
    with running_sandbox("--events", "4", "--markets", "10") as running:
        yield running


@pytest.fixture
def exporter() -> Iterator[InMemorySpanExporter]:
    """Keeps all spans that are made during a test."""
    kept = InMemorySpanExporter()
    tracing.use(collector.exporting_to(kept, "test"))
    yield kept
    tracing.use(None)


def parents(spans: tuple[ReadableSpan, ...]) -> dict[str, set[str]]:
    """Return the names of the parents of spans by their own names; a root has the parent ""."""
    names = {span.context.span_id: span.name for span in spans if span.context is not None}
    found: dict[str, set[str]] = {}
    for span in spans:
        found.setdefault(span.name, set()).add("" if span.parent is None else names.get(span.parent.span_id, "?"))
    return found


@pytest.mark.parametrize("workers", [0, 1])
async def test_a_run_is_one_trace_down_to_its_flushes(
    tmp_path: Path, sandbox: Sandbox, exporter: InMemorySpanExporter, workers: int
) -> None:
    """Over tasks and queues, and over the boundary of the decoding process, which tells only how long it worked."""
    async with running_app(tmp_path, sandbox.url, decode_workers=workers) as running:
        trace_flushes(running.parts.registry.flusher)
        async with running.client.websocket("/api/ws?topics=odds_updates,odds") as listener:
            await listener.receive()
            row, _ = await running.scrape()
            assert row["status"] == "completed"
            async with asyncio.timeout(30):
                while "flush" not in {each.name for each in exporter.get_finished_spans()}:
                    await asyncio.sleep(0.01)
    spans = exporter.get_finished_spans()
    found = parents(spans)
    assert found["run"] == {""}
    assert found["platform"] == {"run"}
    assert found["discover"] == found["fetch"] == {"platform"}
    assert found["decode"] == found["change"] == {"fetch"}
    assert found["flush"] <= {"change", "platform"}
    assert "change" in found["store"] | found["flush"]
    # Lists are parsed there as well.
    assert found.get("decode.process", set()) == ({"decode", "platform"} if workers else set())
    [run] = [each for each in spans if each.name == "run"]
    assert run.context is not None
    assert run.attributes == {"run_id": 1, "mode": "full", "trigger": "api"}
    of_run = [each for each in spans if each.name in ("fetch", "decode", "change")]
    assert {each.context.trace_id for each in of_run if each.context is not None} == {run.context.trace_id}
    fetched = [each for each in spans if each.name == "fetch"]
    assert len(fetched) == len([each for each in spans if each.name == "decode"]) >= 4
    assert {(each.attributes or {})["bookmaker"] for each in spans if each.name == "platform"} == set(FIRST_THREE)


async def test_an_error_is_told_by_its_type_alone(exporter: InMemorySpanExporter) -> None:
    """Its text may name a proxy with a password."""
    with pytest.raises(ValueError), tracing.span("fetch"):
        raise ValueError("http://user:SECRET@proxy.example")
    [span] = exporter.get_finished_spans()
    assert (span.status.is_ok, span.status.description, span.events) == (False, "ValueError", ())
    assert "SECRET" not in span.to_json()


async def test_a_span_may_have_a_parent_elsewhere(exporter: InMemorySpanExporter) -> None:
    """It is carried as text, so it may come from another task or process."""
    with tracing.span("parent"):
        carried = tracing.current()
    assert carried is not None
    assert carried.startswith("00-")
    tracing.add_span("child", 0.5, parent=carried, entries=3)
    child = exporter.get_finished_spans()[-1]
    assert parents(exporter.get_finished_spans())["child"] == {"parent"}
    assert child.end_time is not None
    assert child.start_time is not None
    assert child.end_time - child.start_time == 500_000_000


def test_without_a_collector_there_is_nothing() -> None:
    """No span, no parent, and one object for all blocks."""
    assert tracing.current() is None
    assert not tracing.is_on()
    assert tracing.span("run", run_id=1) is tracing.span("fetch")
    tracing.add_span("flush", 1.0)


def test_without_a_collector_nothing_is_imported() -> None:
    """An app is made without a module of OpenTelemetry."""
    code = (
        "import sys; from quart_odds.app import create_app; from quart_odds.settings import load_settings; "
        "create_app(load_settings({})); print([each for each in sys.modules if each.startswith('opentelemetry')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_without_the_packages_the_setting_is_refused_at_start(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says what to install. Without the setting, nobody needs them."""

    def found(name: str) -> object:
        if name.startswith("opentelemetry"):
            raise ModuleNotFoundError(name)
        return object()

    monkeypatch.setattr(collector, "importlib", SimpleNamespace(util=SimpleNamespace(find_spec=found)))
    with pytest.raises(SettingsError, match=r"pip install 'quart-odds\[otel\]'"):
        create_app(load_settings({}, otel_endpoint=NOWHERE))
    create_app(load_settings({}))


@pytest.mark.parametrize(
    "endpoint", ["collector:4318", "ftp://collector", "http://", "http://u:SECRET@collector", "http://collector?x=1"]
)
def test_an_endpoint_that_cannot_be_one_stops_the_start(endpoint: str) -> None:
    """The error does not repeat it."""
    with pytest.raises(SettingsError, match="OTEL_ENDPOINT") as refused:
        load_settings({}, otel_endpoint=endpoint)
    assert "SECRET" not in str(refused.value)


class Collector(BaseHTTPRequestHandler):
    """Takes what the real exporter sends."""

    taken: list[ExportTraceServiceRequest]
    paths: set[str]

    def do_POST(self) -> None:
        """Take a request."""
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("Content-Encoding") == "gzip":
            body = gzip.decompress(body)
        self.paths.add(self.path)
        self.taken.append(ExportTraceServiceRequest.FromString(body))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def receiving() -> Iterator[tuple[str, type[Collector]]]:
    """A collector, and its address."""
    kind = type("Receiving", (Collector,), {"taken": [], "paths": set()})
    with ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", kind
        server.shutdown()
        thread.join()


async def test_spans_reach_a_collector_over_http(
    tmp_path: Path, sandbox: Sandbox, receiving: tuple[str, type[Collector]]
) -> None:
    """As OTLP in protobuf, the last ones when the server stops. They name the program and the process."""
    address, kind = receiving
    async with running_app(tmp_path, sandbox.url, otel_endpoint=f"{address}/") as running:
        holder = running.parts.store.holder
        await running.scrape()
        assert tracing.is_on()
    assert not tracing.is_on()
    assert kind.paths == {"/v1/traces"}
    resources = [each for request in kind.taken for each in request.resource_spans]
    named = {each.key: each.value.string_value for each in resources[0].resource.attributes}
    assert (named["service.name"], named["service.instance.id"]) == ("quart-odds", holder)
    names = {span.name for each in resources for scope in each.scope_spans for span in scope.spans}
    assert {"run", "platform", "discover", "fetch", "decode", "change", "store"} <= names


async def test_a_collector_that_is_away_holds_nobody(tmp_path: Path, sandbox: Sandbox) -> None:
    """The run goes on as without one, and the stop does not wait for it."""
    async with running_app(tmp_path, sandbox.url, otel_endpoint=NOWHERE) as running:
        row, _ = await running.scrape()
        assert row["status"] == "completed"
