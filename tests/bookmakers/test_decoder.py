"""Decoding in other processes: same results and errors, and a crash only affects the body that caused it."""

import asyncio
import gc
import gzip
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from multiprocessing.context import SpawnProcess

import pytest

from quart_odds.bookmakers import Decoder, RawBody, decode, decoder, lists
from quart_odds.bookmakers.lists import RawList
from quart_odds.bookmakers.site import Page
from quart_odds.bookmakers.worker import CLOSE_SECONDS
from quart_odds.domain.platforms import Platform
from quart_odds.errors import DecoderError, MalformedBodyError
from tests.bookmakers.wire import BET9JA, BETPAWA_V4, asked, dumps

RAW = RawBody(Platform.BETPAWA, gzip.compress(dumps(BETPAWA_V4)), "gzip", asked(Platform.BETPAWA, "501"))
NINE = RawBody(Platform.BET9JA, dumps(BET9JA), None, asked(Platform.BET9JA, "601"))
CUT = RawBody(Platform.BET9JA, dumps(BET9JA)[:-5], None, asked(Platform.BET9JA, "601"))


@asynccontextmanager
async def decoding(workers: int, concurrency: Callable[[Platform], int] = lambda _: 1) -> AsyncIterator[Decoder]:
    """Open a decoder and close it afterwards."""
    made = Decoder(workers, concurrency)
    try:
        yield made
    finally:
        await made.aclose()


def pids() -> list[int]:
    """Return the ids of this process's running children."""
    return [each.pid for each in multiprocessing.active_children() if each.pid is not None]


@pytest.mark.parametrize("workers", [0, 1, 2])
async def test_results_are_the_same_in_any_process(workers: int) -> None:
    """Errors are equal too, with all their attributes."""
    async with decoding(workers) as made:
        assert await made.decode(RAW) == decode(RAW)
        with pytest.raises(MalformedBodyError) as caught:
            await made.decode(CUT)
    assert (caught.value.platform, caught.value.where) == (Platform.BET9JA, "event 601")


async def test_a_body_under_way_when_its_process_dies_is_tried_again() -> None:
    """The process is replaced, and no result is lost."""
    async with decoding(1) as made:
        await made.decode(RAW)
        (pid,) = pids()
        bodies = asyncio.gather(*(made.decode(RAW) for _ in range(30)))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert await bodies == [decode(RAW)] * 30
        assert await made.decode(RAW) == decode(RAW)


def kill_or_decode(raw: RawBody) -> object:
    """Replaces `decode`. Kills its process for one event."""
    if raw.header.external_id == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(raw)


async def test_a_body_that_kills_its_process_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The other bodies are decoded. The error names the event."""
    monkeypatch.setattr(decoder, "decode", kill_or_decode)
    deadly = RawBody(Platform.BETPAWA, b"{}", None, asked(Platform.BETPAWA, "deadly"))
    async with decoding(1) as made:
        results = await asyncio.gather(*(made.decode(raw) for raw in (RAW, deadly, RAW, RAW)), return_exceptions=True)
    assert [result for result in results if not isinstance(result, Exception)] == [decode(RAW)] * 3
    (error,) = [result for result in results if isinstance(result, Exception)]
    assert isinstance(error, MalformedBodyError)
    assert error.where == "event deadly"


def divide(raw: RawBody) -> object:
    """Replaces `decode`. Has a fault of our own."""
    return len(raw.content) / 0


async def test_a_fault_of_our_own_comes_with_the_traceback_of_its_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process goes on."""
    async with decoding(1) as made:
        with monkeypatch.context() as broken:
            broken.setattr(decoder, "decode", divide)
            with pytest.raises(ZeroDivisionError) as caught:
                await made.decode(RAW)
        assert "in divide" in caught.value.__notes__[0]
        (pid,) = pids()
        assert await made.decode(RAW) == decode(RAW)
        assert pids() == [pid]


async def test_a_cancelled_decode_leaves_the_decoder_working() -> None:
    """The next body is decoded."""
    async with decoding(1) as made:
        tasks = [asyncio.create_task(made.decode(RAW)) for _ in range(5)]
        await asyncio.sleep(0)
        for task in tasks[1:]:
            task.cancel()
        assert await tasks[0] == decode(RAW)
        assert await made.decode(RAW) == decode(RAW)


async def test_a_worker_imports_no_more_than_it_needs() -> None:
    """Workers import no HTTP client and no web framework, so they start fast and stay small."""
    code = (
        "import sys, quart_odds.bookmakers.decoder; print(sorted({'aiohttp', 'quart', 'stamina'} & sys.modules.keys()))"
    )
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == "[]"


PARENT = """
import asyncio, multiprocessing, sys
from quart_odds.bookmakers import Decoder
from tests.bookmakers.test_decoder import RAW
async def main():
    made = Decoder(1)
    await made.decode(RAW)
    print(multiprocessing.active_children()[0].pid, flush=True)
    await asyncio.sleep(60)
if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_worker_ends_with_a_parent_that_is_killed() -> None:
    """No worker is left waiting forever."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        worker = int(await parent.stdout.readline())
        parent.kill()
        await parent.wait()
        while is_running(worker):
            await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    """Return whether a process exists and is not a zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Set deadlines short enough for a test."""
    monkeypatch.setattr(decoder, "DECODE_SECONDS", 1.0)
    monkeypatch.setattr(decoder, "LAST_TRY_SECONDS", 1.5)
    monkeypatch.setattr(decoder, "ANSWER_SECONDS", 0.3)


def hang_or_decode(raw: RawBody) -> object:
    """Replaces `decode`. Never returns for one event."""
    while raw.header.external_id == "endless":
        pass
    return decode(raw)


ENDLESS = RawBody(Platform.BETPAWA, b"{}", None, asked(Platform.BETPAWA, "endless"))


@pytest.mark.alone
@pytest.mark.usefixtures("hasty")
async def test_a_stopped_process_is_replaced_and_its_bodies_are_not_lost() -> None:
    """This also holds for more bodies than fit into the pipe to the process."""
    padded = replace(RAW, content=dumps(BETPAWA_V4) + b" " * 200_000, content_encoding=None)
    async with decoding(1) as made:
        await made.decode(RAW)
        (pid,) = pids()
        os.kill(pid, signal.SIGSTOP)
        async with asyncio.timeout(10):
            assert await asyncio.gather(*(made.decode(padded) for _ in range(20))) == [decode(RAW)] * 20
        assert not is_running(pid)
        assert pid not in pids()


@pytest.mark.alone
@pytest.mark.usefixtures("hasty")
async def test_a_body_whose_decoding_does_not_end_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The body is tried twice, and the error says what happened. All other bodies are decoded."""
    monkeypatch.setattr(decoder, "decode", hang_or_decode)
    async with decoding(1) as made, asyncio.timeout(20):
        results = await asyncio.gather(*(made.decode(raw) for raw in (RAW, ENDLESS, RAW, RAW)), return_exceptions=True)
        assert await made.decode(RAW) == decode(RAW)
    assert [result for result in results if not isinstance(result, Exception)] == [decode(RAW)] * 3
    (error,) = [result for result in results if isinstance(result, Exception)]
    assert isinstance(error, MalformedBodyError)
    assert str(error) == "BetPawa at event endless: a body whose decoding does not end"


def slow_or_decode(raw: RawBody) -> object:
    """Replaces `decode`. Takes a while for each event."""
    time.sleep(0.2)
    return decode(raw)


@pytest.mark.alone
@pytest.mark.usefixtures("hasty")
async def test_waiting_in_turn_is_no_time_of_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ten bodies take twice as long as the deadline of one, and no process is replaced."""
    monkeypatch.setattr(decoder, "decode", slow_or_decode)
    async with decoding(1) as made:
        await made.decode(RAW)
        before = pids()
        assert await asyncio.gather(*(made.decode(RAW) for _ in range(10))) == [decode(RAW)] * 10
        assert pids() == before


@pytest.mark.parametrize("number", [signal.SIGSTOP, None], ids=["a stopped process", "an endless body"])
async def test_closing_ends_a_process_that_hangs(
    number: signal.Signals | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closing takes limited time, and waiting bodies fail because the decoder is closed."""
    monkeypatch.setattr(decoder, "decode", hang_or_decode)
    made = Decoder(1)
    await made.decode(RAW)
    (pid,) = pids()
    if number is not None:
        os.kill(pid, number)
    bodies = [asyncio.create_task(made.decode(ENDLESS)) for _ in range(5)]
    await asyncio.sleep(0.1)
    async with asyncio.timeout(CLOSE_SECONDS + 1):
        await made.aclose()
    assert not is_running(pid)
    assert {type(each) for each in await asyncio.gather(*bodies, return_exceptions=True)} == {DecoderError}
    with pytest.raises(DecoderError, match="closed"):
        await made.decode(RAW)


@pytest.mark.alone
@pytest.mark.usefixtures("hasty")
async def test_a_process_that_hangs_is_reported_until_it_is_replaced() -> None:
    """A health check reports it even if no body is being decoded."""
    async with decoding(1) as made:
        await made.warm()
        await made.check()
        (pid,) = pids()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(DecoderError, match=r"has not answered for 0\.3 s"):
            await made.check()
        async with asyncio.timeout(10):
            while is_running(pid):
                await asyncio.sleep(0.02)
            while True:
                try:
                    await made.check()
                    break
                except DecoderError:
                    await asyncio.sleep(0.02)


async def test_a_process_that_cannot_be_started_is_no_fault_of_a_body(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says so, and decoding resumes once processes can be started again."""

    def refuse(*_: object) -> None:
        raise OSError(11, "Resource temporarily unavailable")

    async with decoding(1) as made:
        with monkeypatch.context() as broken:
            broken.setattr(SpawnProcess, "start", refuse)
            with pytest.raises(DecoderError, match=r"cannot be started: .*Resource temporarily unavailable"):
                await made.decode(RAW)
            with pytest.raises(DecoderError, match="cannot be started"):
                await made.check()
            await made.warm()
        assert await made.decode(RAW) == decode(RAW)
        await made.check()


def pause_and_decode(raw: RawBody) -> object:
    """Replaces `decode`. Takes less time than a close allows."""
    time.sleep(CLOSE_SECONDS / 3)
    return decode(raw)


async def test_a_process_that_is_closed_while_it_decodes_says_nothing(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It has a result for which nobody waits any more, as at every stop during a scrape."""
    monkeypatch.setattr(decoder, "decode", pause_and_decode)
    made = Decoder(1)
    await made.warm()
    (pid,) = pids()
    decoded = asyncio.create_task(made.decode(RAW))
    await asyncio.sleep(0)
    await made.aclose()
    with pytest.raises(DecoderError, match="closed"):
        await decoded
    assert not is_running(pid)
    assert capfd.readouterr().err == ""


async def test_a_start_that_fails_after_the_end_is_no_error_of_anybody(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is being started cannot be stopped, and nobody waits for it any more."""
    is_closed, unhandled = threading.Event(), list[dict[str, object]]()

    def refuse_late(*_: object) -> None:
        is_closed.wait(10)
        raise OSError(11, "Resource temporarily unavailable")

    asyncio.get_running_loop().set_exception_handler(lambda _, context: unhandled.append(context))
    monkeypatch.setattr(SpawnProcess, "start", refuse_late)
    made = Decoder(1)
    decoded = asyncio.create_task(made.decode(RAW))
    await asyncio.sleep(0)
    async with asyncio.TaskGroup() as closing:
        closing.create_task(made.aclose())
        await asyncio.sleep(0)
        is_closed.set()
    with pytest.raises(DecoderError, match="closed"):
        await decoded
    del made, decoded, closing
    gc.collect()
    assert unhandled == []


async def test_a_stopped_process_ends_with_a_parent_that_is_killed() -> None:
    """It cannot notice that its parent is gone, so the kernel ends it."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        worker = int(await parent.stdout.readline())
        os.kill(worker, signal.SIGSTOP)
        parent.kill()
        await parent.wait()
        while is_running(worker):
            await asyncio.sleep(0.02)


async def order_of(made: Decoder, bodies: Sequence[RawBody]) -> list[Platform]:
    """Decode bodies, handed over in this order, and return whose were done, in the order in which they were."""
    order: list[Platform] = []

    async def run(raw: RawBody) -> None:
        await made.decode(raw)
        order.append(raw.platform)

    async with asyncio.timeout(60):
        await asyncio.gather(*map(run, bodies))
    return order


def costly_or_decode(raw: RawBody) -> object:
    """Replaces `decode`. Takes long for one bookmaker's events."""
    if raw.platform is Platform.BET9JA:
        time.sleep(0.3)
    return decode(raw)


async def test_a_bookmaker_of_costly_bodies_does_not_starve_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one process, the other bookmakers' bodies go before the expensive ones that are still waiting."""
    monkeypatch.setattr(decoder, "decode", costly_or_decode)
    many = decoder.PLACES_PER_PROCESS + 4
    async with decoding(1) as made:
        await made.decode(RAW)
        order = await order_of(made, [NINE] * many + [RAW] * 40)
    assert order[:many].count(Platform.BET9JA) <= decoder.PLACES_PER_PROCESS


def steady_decode(raw: RawBody) -> object:
    """Replaces `decode`. Takes equally long for everybody."""
    time.sleep(0.02)
    return decode(raw)


async def test_a_bookmaker_that_may_get_few_requests_gets_more_of_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its bodies go first, because each of them holds up a request."""
    monkeypatch.setattr(decoder, "decode", steady_decode)
    async with decoding(1, lambda platform: 1 if platform is Platform.BET9JA else 50) as made:
        order = await order_of(made, [RAW] * 30 + [NINE] * 30)
    first = order[: 30 + 2 * decoder.PLACES_PER_PROCESS]
    assert first.count(Platform.BET9JA) == 30


def read_slowly(raw: RawList) -> Page:
    """Replaces `read_page`. Takes long."""
    time.sleep(0.2)
    return Page(())


async def test_events_do_not_wait_for_the_lists_of_their_bookmaker(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise nothing would be fetched before all lists are read. How many come first depends on what they take."""
    monkeypatch.setattr(lists, "read_page", read_slowly)
    many = decoder.PLACES_PER_PROCESS + 4
    order: list[str] = []

    async def read() -> None:
        await made.read_page(RawList(Platform.BETPAWA, b"", None, "a list"))
        order.append("list")

    async def run() -> None:
        await made.decode(RAW)
        order.append("event")

    async with decoding(1) as made:
        await made.decode(RAW)
        async with asyncio.timeout(60):
            await asyncio.gather(*(read() for _ in range(many)), *(run() for _ in range(40)))
    assert "event" in order[:many]


def hungry_or_decode(raw: RawBody) -> object:
    """Replaces `decode`. Needs more memory than a process may have, for one event."""
    if raw.header.external_id == "hungry":
        return bytes(8_000_000_000)
    return decode(raw)


@pytest.mark.skipif(sys.platform != "linux", reason="a bound of the address space is Linux's")
async def test_a_body_that_takes_too_much_memory_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has its own memory limit and survives."""
    monkeypatch.setattr(decoder, "decode", hungry_or_decode)
    hungry = RawBody(Platform.BETPAWA, b"{}", None, asked(Platform.BETPAWA, "hungry"))
    async with decoding(1) as made:
        assert await made.decode(RAW) == decode(RAW)
        before = pids()
        with pytest.raises(MalformedBodyError, match=r"event hungry: a body too costly to read \(MemoryError\)"):
            await made.decode(hungry)
        assert await made.decode(RAW) == decode(RAW)
        assert pids() == before
