"""Log lines: one event a line, to stderr, for a person or as JSON."""

import logging
import sys
from typing import Any

import stamina.instrumentation
import structlog

from quart_odds.settings import Settings


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
    stamina.instrumentation.set_on_retry_hooks([_log_retry])
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
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
