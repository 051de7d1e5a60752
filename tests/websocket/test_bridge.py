"""The bridge: a run's progress is forwarded to everyone, whatever happens to one message or to the listeners."""

import asyncio
from collections.abc import Hashable, Mapping

import pytest

from quart_odds.broadcast.framing import FRAME
from quart_odds.broadcast.registry import BroadcastRegistry
from quart_odds.scraping.broadcaster import ProgressBroadcaster
from quart_odds.scraping.schemas import Platform, RunMode, ScrapePhase, ScrapeProgress
from quart_odds.websocket import bridge_scrape_to_websocket
from tests.broadcast.listeners import RecordingSink, gap_notice, make_registry, read_messages


def _progress(current: int, *, is_last: bool = False, run_id: int | None = 5) -> ScrapeProgress:
    return ScrapeProgress(
        platform=None if is_last else Platform.BETPAWA,
        phase=ScrapePhase.COMPLETED if is_last else ScrapePhase.SCRAPING,
        current=current,
        total=9,
        scrape_run_id=run_id,
    )


def _published(sink: RecordingSink) -> list[object]:
    return [each.value["data"] for each in read_messages(sink.received, FRAME)]


async def test_everything_is_passed_on_from_the_very_beginning() -> None:
    """However late the bridge starts, nothing of the run is missing, and the bridge ends with the run."""
    registry, broadcaster = make_registry(), ProgressBroadcaster(5)
    sink = RecordingSink()
    registry.connect(sink, FRAME)
    said = [_progress(number) for number in range(3)] + [_progress(3, is_last=True)]
    for progress in said[:2]:
        broadcaster.publish(progress)
    bridge = asyncio.create_task(bridge_scrape_to_websocket(broadcaster, registry))
    await asyncio.sleep(0)
    for progress in said[2:]:
        broadcaster.publish(progress)
    async with asyncio.timeout(30):
        await bridge
    registry.flusher.flush()
    assert _published(sink) == [progress.model_dump(mode="json") for progress in said]
    assert broadcaster.subscriber_count == 0
    registry.close()


async def test_it_works_whether_or_not_anyone_listens() -> None:
    """Messages that nobody received can still be resumed from, and a late joiner gets the newest of each platform."""
    registry, broadcaster = make_registry(), ProgressBroadcaster(5)
    bridge = asyncio.create_task(bridge_scrape_to_websocket(broadcaster, registry))
    for number in range(4):
        broadcaster.publish(_progress(number))
    while registry.log.next_seq < 5:
        await asyncio.sleep(0)
    assert [entry.seq for entry in registry.place(None).snapshot] == [4]
    broadcaster.publish(_progress(4, is_last=True))
    async with asyncio.timeout(30):
        await bridge
    assert registry.place(None).snapshot == ()


async def test_a_sweep_is_told_live_and_to_nobody_who_joins_later() -> None:
    """A late joiner, and one that lost its place, get the newest state of full runs alone."""
    registry, sink = make_registry(), RecordingSink()
    registry.connect(sink, FRAME)
    full, sweep = ProgressBroadcaster(5), ProgressBroadcaster(6, RunMode.SWEEP)
    full.publish(_progress(0))
    bridges = [asyncio.create_task(bridge_scrape_to_websocket(each, registry)) for each in (full, sweep)]
    sweep.publish(_progress(0, run_id=6))
    sweep.publish(_progress(9, run_id=6, is_last=True))
    async with asyncio.timeout(30):
        await bridges[1]
    registry.flusher.flush()
    assert len(_published(sink)) == 3
    for cursor in (None, "another-1"):
        assert [b'"scrape_run_id":5' in entry.payload for entry in registry.place(cursor).snapshot] == [True]
    full.publish(_progress(9, is_last=True))
    async with asyncio.timeout(30):
        await bridges[0]
    registry.close()


async def test_progress_without_a_run_gets_the_runs() -> None:
    """Every forwarded progress carries the id of its run."""
    registry, broadcaster = make_registry(), ProgressBroadcaster(5)
    broadcaster.publish(_progress(0, is_last=True, run_id=None))
    await bridge_scrape_to_websocket(broadcaster, registry)
    (entry,) = registry.log.read(0, 2)
    assert b'"scrape_run_id":5' in entry.payload


async def test_message_that_cannot_be_passed_on_costs_that_message_only() -> None:
    """The bridge continues, and the run is not affected."""

    class PickyRegistry(BroadcastRegistry):
        def broadcast(
            self,
            message: Mapping[str, object],
            topic: str,
            *,
            retain: tuple[Hashable, Hashable] | None = None,
            ends: bool = False,
        ) -> None:
            if self.log.next_seq == 2:
                self.log.append(b"{}")
                raise OSError("no")
            super().broadcast(message, topic, retain=retain, ends=ends)

    registry, broadcaster = PickyRegistry(gap_notice=gap_notice), ProgressBroadcaster(5)
    for number in range(3):
        broadcaster.publish(_progress(number))
    broadcaster.publish(_progress(3, is_last=True))
    await bridge_scrape_to_websocket(broadcaster, registry)
    payloads = [entry.payload for entry in registry.log.read(0, 99)]
    assert len(payloads) == 4
    assert payloads[1] == b"{}"
    assert b'"phase":"completed"' in payloads[-1]


async def test_cancelled_bridge_lets_go() -> None:
    """A waiting bridge can be cancelled, and no longer counts as a listener."""
    registry, broadcaster = make_registry(), ProgressBroadcaster(5)
    bridge = asyncio.create_task(bridge_scrape_to_websocket(broadcaster, registry))
    while not broadcaster.subscriber_count:
        await asyncio.sleep(0)
    bridge.cancel()
    with pytest.raises(asyncio.CancelledError):
        await bridge
    assert broadcaster.subscriber_count == 0
