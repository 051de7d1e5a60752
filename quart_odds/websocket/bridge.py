"""The bridge: forwards the progress of one run to everyone who listens to the topic `scrape_progress`."""

import logging

import structlog

from quart_odds.broadcast import SCRAPE_PROGRESS, BroadcastRegistry
from quart_odds.domain.runs import RunMode
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.websocket.messages import scrape_progress_message

log = structlog.get_logger(__name__)


async def bridge_scrape_to_websocket(broadcaster: ProgressBroadcaster, registry: BroadcastRegistry) -> None:
    """Forward a run's progress, from its start until the run ends. The bridge is a consumer like any other.

    It runs whether or not anyone listens, and misses nothing, however late its task starts. A message that cannot be
    forwarded is logged and skipped: nothing here can harm the scrape. A late joiner receives nothing of a sweep: its
    newest state is that of the full runs.
    """
    run_id = broadcaster.scrape_run_id
    events_forwarded = 0
    is_sweep = broadcaster.mode is RunMode.SWEEP
    level = logging.DEBUG if is_sweep else logging.INFO
    log.log(level, "ws.bridge.started", scrape_run_id=run_id)
    try:
        async for progress in broadcaster.subscribe(from_start=True):
            try:
                if progress.scrape_run_id is None:
                    progress = progress.model_copy(update={"scrape_run_id": run_id})
                registry.broadcast(
                    scrape_progress_message(progress),
                    SCRAPE_PROGRESS,
                    retain=None if is_sweep else (run_id, progress.platform),
                    ends=progress.is_terminal,
                )
                events_forwarded += 1
            except Exception:
                log.exception("ws.bridge.message_failed", scrape_run_id=run_id, phase=progress.phase)
    finally:
        log.log(level, "ws.bridge.ended", scrape_run_id=run_id, events_forwarded=events_forwarded)
