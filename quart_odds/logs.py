"""Logging: one event per line, to stderr, for people or as JSON. No passwords, and no values of variables.

`create_app` sets this up unless something else has. structlog's default configuration shows local variables in
tracebacks, and these would include the passwords of proxies.
"""

import contextlib
import io
import logging
import sys
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, TextIO, cast

import stamina.instrumentation
import structlog

from quart_odds.domain.secrets import masked
from quart_odds.domain.terminals import has_colour
from quart_odds.domain.text import printable
from quart_odds.settings import Settings


class LogStream(io.TextIOBase):
    """Standard error, which may be closed or full, or have no reader. A line that cannot be written is lost.

    The operation that logs the line continues. There is nowhere else to report that the line was lost.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if possible."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if possible."""
        with contextlib.suppress(OSError):
            self._stream.flush()


@dataclass(frozen=True, slots=True)
class ProcessName:
    """The name of a process in log lines: of a worker by its number, or of the supervisor.

    JSON lines have `worker: 2` or `process: "supervisor"`, lines for people begin with `[worker 2]` or `[supervisor]`.
    """

    worker: int | None = None

    def add(self, _: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        """Add the name to a line of JSON (a structlog processor)."""
        if self.worker is None:
            event["process"] = "supervisor"
        else:
            event["worker"] = self.worker
        return event

    def prefix(self, _: object, __: str, line: str) -> str:
        """Put the name in front of a line for people (a structlog processor)."""
        return f"[{'supervisor' if self.worker is None else f'worker {self.worker}'}] {line}"


def ensure_logging(settings: Settings, *, is_embedded: bool = False) -> None:
    """Set up logging, unless structlog is configured already, by us or by a process that embeds the app.

    Existing handlers of the standard `logging` module are left alone. In another application, `is_embedded`, none is
    added either: that module is the application's to set up, perhaps later.
    """
    if not structlog.is_configured():
        _configure(settings, replaces_handlers=not is_embedded and not logging.getLogger().handlers)


def configure_logging(settings: Settings, process: ProcessName | None = None) -> None:
    """Set up structlog and forward what libraries log through `logging`. Replaces any earlier configuration.

    `process` names this process in each line, if it is one of several that write to the same standard error.
    """
    _configure(settings, replaces_handlers=True, process=process)


def _configure(settings: Settings, *, replaces_handlers: bool, process: ProcessName | None = None) -> None:
    level = getattr(logging, settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Any] = (
        [structlog.processors.format_exc_info, mask_values, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [
            mask_values,
            escape_values,
            structlog.dev.ConsoleRenderer(colors=has_colour(sys.stderr), exception_formatter=_print_traceback),
        ]
    )
    if process is not None and settings.log_format == "json":
        shared.append(process.add)
    elif process is not None:
        renderers.append(process.prefix)
    stream = cast("TextIO", LogStream(sys.stderr))
    stamina.instrumentation.set_on_retry_hooks([_log_retry])
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        # One write for each line and its end: lines of several processes would mix otherwise.
        logger_factory=structlog.WriteLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
    if replaces_handlers:
        handler = logging.StreamHandler(stream)
        without_machinery = structlog.stdlib.ProcessorFormatter.remove_processors_meta
        handler.setFormatter(
            structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[without_machinery, *renderers])
        )
        logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def mask_values(_: object, __: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Mask passwords in a log line (a structlog processor)."""
    return {name: masked(value) if isinstance(value, str) else value for name, value in event.items()}


def escape_values(_: object, __: str, event: Mapping[str, Any]) -> Mapping[str, Any]:
    """Escape unprintable characters that a bookmaker or client sent, for a terminal (a structlog processor)."""
    return {name: printable(value) if isinstance(value, str) else value for name, value in event.items()}


def _print_traceback(target: TextIO, exc_info: Any) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    target.write(printable(masked(text.getvalue())))


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    """Log a retried request at debug level only: its final outcome is reported with the run."""
    structlog.get_logger(__name__).debug(
        "request.retried",
        attempt=details.retry_num,
        wait_seconds=round(details.wait_for, 2),
        error=str(details.caused_by),
    )
