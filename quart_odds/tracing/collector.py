"""Spans by OpenTelemetry, sent to a collector over HTTP. Its packages are imported when the first spans are made."""

import importlib.util
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from quart_odds import __version__
from quart_odds.errors import SettingsError
from quart_odds.tracing import Attribute

if TYPE_CHECKING:
    from opentelemetry.context import Context
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

EXPORT_SECONDS = 5.0
"""How long a collector may take to answer."""

MOST_WAITING = 16_384
"""How many spans may wait to be sent: those of some thousand events. Further ones are dropped."""

CLOSE_SECONDS = 1.0
"""How long a stop waits until the last spans are sent."""

NEEDED = ("opentelemetry.sdk", "opentelemetry.exporter.otlp.proto.http")
MISSING = "QUART_ODDS_OTEL_ENDPOINT needs the packages of OpenTelemetry: pip install 'quart-odds[otel]'"


def check() -> None:
    """Raise SettingsError if the packages of OpenTelemetry are not installed."""
    for name in NEEDED:
        try:
            found = importlib.util.find_spec(name)
        except ModuleNotFoundError:
            found = None
        if found is None:
            raise SettingsError(MISSING)


def open_spans(endpoint: str, process: str) -> "CollectedSpans":
    """Return spans that go to the collector at this address, by OTLP over HTTP. `process` is the name of this process.

    Raises SettingsError if the packages of OpenTelemetry are not installed.
    """
    check()
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces", timeout=EXPORT_SECONDS)
    provider = make_provider(process)
    provider.add_span_processor(BatchSpanProcessor(exporter, max_queue_size=MOST_WAITING))
    return CollectedSpans(provider)


def exporting_to(exporter: "SpanExporter", process: str = "") -> "CollectedSpans":
    """Return spans that an exporter gets as soon as each of them ends."""
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor

    provider = make_provider(process)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return CollectedSpans(provider)


def make_provider(process: str) -> "TracerProvider":
    """Return a provider that names this program and process."""
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider

    named = {"service.name": "quart-odds", "service.version": __version__, "service.instance.id": process}
    return TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)


class CollectedSpans:
    """Spans by OpenTelemetry. See `tracing.Spans`."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import trace
        from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

        self._provider = provider
        self._tracer = provider.get_tracer("quart_odds")
        self._trace = trace
        self._carrier = TraceContextTextMapPropagator()

    @contextmanager
    def block(self, name: str, parent: str | None, attributes: dict[str, Attribute]) -> Iterator[None]:
        """Make a span of a block. An error in it is told by its type alone: its text may be secret."""
        with self._tracer.start_as_current_span(
            name,
            context=self._context(parent),
            attributes=attributes,
            record_exception=False,
            set_status_on_exception=False,
        ) as made:
            try:
                yield
            except BaseException as error:
                made.set_status(self._trace.Status(self._trace.StatusCode.ERROR, type(error).__name__))
                raise

    def add(self, name: str, seconds: float, parent: str | None, attributes: dict[str, Attribute]) -> None:
        """Add a span that ends now."""
        end = time.time_ns()
        began = end - round(seconds * 1e9)
        made = self._tracer.start_span(name, self._context(parent), attributes=attributes, start_time=began)
        made.end(end)

    def current(self) -> str | None:
        """Return the span of the block around the caller."""
        carried: dict[str, str] = {}
        self._carrier.inject(carried)
        return carried.get("traceparent")

    def close(self) -> None:
        """Send what waits, for CLOSE_SECONDS at most. Blocks: call it in a thread."""
        # A collector that does not answer must not hold the process, so the thread is one that may be left behind.
        closing = threading.Thread(target=self._provider.shutdown, name="otel-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _context(self, parent: str | None) -> "Context | None":
        return None if parent is None else self._carrier.extract({"traceparent": parent})
