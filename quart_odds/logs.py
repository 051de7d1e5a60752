"""Log lines: one event a line, to stderr, for a person or as JSON."""

import contextlib
import io
import logging
import sys
from typing import Any, TextIO, cast

import stamina.instrumentation
import structlog

from quart_odds.settings import Settings


class LogStream(io.TextIOBase):
    """Standard error, which may be closed, full, or read by nobody any more: a line that cannot be written is lost.

    What a line tells of goes on. There is nowhere else to say that it could not be told.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, if that can be done."""
        with contextlib.suppress(OSError):
            self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        """Flush, if that can be done."""
        with contextlib.suppress(OSError):
            self._stream.flush()


def configure_logging(settings: Settings) -> None:
    """Set up structlog, and pass on what libraries log by the standard module."""
    level = getattr(logging, settings.log_level.upper())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers: list[Any] = (
        [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
        if settings.log_format == "json"
        else [
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback)
        ]
    )
    stream = cast("TextIO", LogStream(sys.stderr))
    stamina.instrumentation.set_on_retry_hooks([_log_retry])
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    without_machinery = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[without_machinery, *renderers])
    )
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)


def _log_retry(details: stamina.instrumentation.RetryDetails) -> None:
    """A request that is tried again is no news: what it comes to in the end is told with the run."""
    structlog.get_logger(__name__).debug(
        "request.retried",
        attempt=details.retry_num,
        wait_seconds=round(details.wait_for, 2),
        error=str(details.caused_by),
    )
