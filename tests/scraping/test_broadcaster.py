"""A run's broadcaster: `publish` never waits, `subscribe` works at any time, and nothing follows the end."""

import asyncio

import pytest

from quart_odds.broadcast import LogBounds
from quart_odds.scraping import broadcaster as broadcaster_module
from quart_odds.scraping.broadcaster import BroadcasterRegistry, ProgressBroadcaster
from quart_odds.scraping.schemas import Platform, RunMode, ScrapePhase, ScrapeProgress


def _progress(current: int, platform: Platform | None = Platform.BETPAWA) -> ScrapeProgress:
    return ScrapeProgress(platform=platform, phase=ScrapePhase.SCRAPING, current=current, total=99)


END = ScrapeProgress(phase=ScrapePhase.COMPLETED, current=9, total=9)


async def _currents(broadcaster: ProgressBroadcaster, *, from_start: bool = False) -> list[int]:
    return [progress.current async for progress in broadcaster.subscribe(from_start=from_start)]


async def _listening(broadcaster: ProgressBroadcaster, count: int) -> None:
    async with asyncio.timeout(30):
        while broadcaster.subscriber_count < count:
            await asyncio.sleep(0)


async def test_subscribers_get_everything_until_the_end() -> None:
    """Each receives all progress once and in order, from the newest or from the start, whenever it subscribed."""
    broadcaster = ProgressBroadcaster(1)
    first = asyncio.create_task(_currents(broadcaster))
    await _listening(broadcaster, 1)
    for number in range(3):
        broadcaster.publish(_progress(number))
    late = asyncio.create_task(_currents(broadcaster))
    whole = asyncio.create_task(_currents(broadcaster, from_start=True))
    await _listening(broadcaster, 3)
    broadcaster.publish(_progress(3))
    broadcaster.publish(END)
    async with asyncio.timeout(30):
        assert await first == [0, 1, 2, 3, 9]
        assert await late == [2, 3, 9]
        assert await whole == [0, 1, 2, 3, 9]
    assert broadcaster.subscriber_count == 0


async def test_late_ones_still_get_the_end() -> None:
    """After the run they receive its last progress or all of it, without waiting."""
    broadcaster = ProgressBroadcaster(1)
    broadcaster.publish(_progress(1))
    broadcaster.publish(END)
    async with asyncio.timeout(30):
        assert await _currents(broadcaster) == [9]
        assert await _currents(broadcaster, from_start=True) == [1, 9]


async def test_after_its_end_a_run_tells_nothing() -> None:
    """There is exactly one terminal progress; the end of a single platform is not terminal."""
    broadcaster = ProgressBroadcaster(1)
    broadcaster.publish(ScrapeProgress(platform=Platform.BET9JA, phase=ScrapePhase.FAILED, current=0, total=0))
    assert not broadcaster.is_completed
    broadcaster.publish(END)
    assert broadcaster.is_completed
    assert broadcaster.latest_progress == END
    with pytest.raises(RuntimeError, match="has told its end"):
        broadcaster.publish(END)


async def test_close_without_an_end_lets_everyone_go() -> None:
    """Waiting subscriptions end; closing twice does no harm."""
    broadcaster = ProgressBroadcaster(1)
    waiting = asyncio.create_task(_currents(broadcaster))
    await _listening(broadcaster, 1)
    broadcaster.publish(_progress(4))
    broadcaster.close()
    broadcaster.close()
    async with asyncio.timeout(30):
        assert await waiting == [4]


async def test_one_who_stops_reading_holds_nobody_and_goes_on_with_the_newest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A reader that stops for a long time then receives the newest progress of each platform, and what follows."""
    monkeypatch.setattr(broadcaster_module, "RUN_LOG_BOUNDS", LogBounds(4, 0, 0, 4, 1 << 20))
    broadcaster = ProgressBroadcaster(1)
    broadcaster.publish(_progress(0))
    reader = broadcaster.subscribe(from_start=True)
    assert (await anext(reader)).current == 0
    for number in range(1, 20):
        broadcaster.publish(_progress(number, Platform.BET9JA if number % 2 else Platform.BETPAWA))
    broadcaster.publish(END)
    assert [progress.current async for progress in reader] == [18, 19, 9]


async def test_leaving_in_the_midst_is_noticed() -> None:
    """A listener that leaves is no longer counted."""
    broadcaster = ProgressBroadcaster(1)
    broadcaster.publish(_progress(0))
    reader = broadcaster.subscribe()
    await anext(reader)
    assert broadcaster.subscriber_count == 1
    await reader.aclose()  # type: ignore[attr-defined]
    assert broadcaster.subscriber_count == 0


def test_publish_needs_no_loop() -> None:
    """It is a plain function, and works without an event loop if there are no listeners."""
    broadcaster = ProgressBroadcaster(1)
    broadcaster.publish(_progress(0))
    assert broadcaster.log.next_seq == 2
    assert broadcaster.end_cursor == broadcaster.log.cursor_at(2)


def test_finished_runs_make_room_for_new_ones() -> None:
    """Only the last few runs that are over are kept, but all active ones."""
    registry = BroadcasterRegistry(keep=3)
    going = ProgressBroadcaster(1)
    registry.add(going)
    for run_id in range(2, 9):
        each = ProgressBroadcaster(run_id)
        each.publish(END)
        registry.add(each)
    assert registry.get(1) is going
    assert registry.active() == [going]
    assert [run_id for run_id in range(2, 9) if registry.get(run_id)] == [7, 8]
    registry.close()


def test_sweeps_make_no_room_among_full_runs() -> None:
    """Each mode keeps its own last few, because sweeps are frequent."""
    registry = BroadcasterRegistry(keep=2)
    for run_id in range(1, 9):
        each = ProgressBroadcaster(run_id, RunMode.FULL if run_id < 3 else RunMode.SWEEP)
        each.publish(END)
        registry.add(each)
    assert [each.scrape_run_id for each in registry] == [1, 2, 7, 8]
    registry.close()
