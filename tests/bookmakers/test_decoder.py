"""Decoding in other processes: the same results and errors, and a process that dies costs only its own body."""

import asyncio
import gzip
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from quart_odds.bookmakers import Decoder, RawBody, decode, decoder
from quart_odds.domain.platforms import Platform
from quart_odds.errors import MalformedBodyError
from tests.bookmakers.wire import BET9JA, BETPAWA_V4, asked, dumps

RAW = RawBody(Platform.BETPAWA, gzip.compress(dumps(BETPAWA_V4)), "gzip", asked(Platform.BETPAWA, "501"))
CUT = RawBody(Platform.BET9JA, dumps(BET9JA)[:-5], None, asked(Platform.BET9JA, "601"))


@asynccontextmanager
async def decoding(workers: int) -> AsyncIterator[Decoder]:
    """A decoder that is closed at the end."""
    made = Decoder(workers)
    try:
        yield made
    finally:
        await made.aclose()


@pytest.mark.parametrize("workers", [0, 1, 2])
async def test_results_are_the_same_in_any_process(workers: int) -> None:
    """And so are errors, with all that they carry."""
    async with decoding(workers) as made:
        assert await made.decode(RAW) == decode(RAW)
        with pytest.raises(MalformedBodyError) as caught:
            await made.decode(CUT)
    assert (caught.value.platform, caught.value.where) == (Platform.BET9JA, "event 601")


async def test_a_body_under_way_when_its_process_dies_is_tried_again() -> None:
    """The process is replaced, and nothing is lost."""
    async with decoding(1) as made:
        await made.decode(RAW)
        pool = made._pool
        assert pool is not None
        (pid,) = pool._processes
        bodies = asyncio.gather(*(made.decode(RAW) for _ in range(30)))
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGKILL)
        assert await bodies == [decode(RAW)] * 30
        assert await made.decode(RAW) == decode(RAW)


def kill_or_decode(raw: RawBody) -> object:
    """Stands in for `decode`: dies of one event."""
    if raw.header.external_id == "deadly":
        os.kill(os.getpid(), signal.SIGKILL)
    return decode(raw)


async def test_a_body_that_kills_its_process_fails_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beside it come to their results; it is an error of its event."""
    monkeypatch.setattr(decoder, "decode", kill_or_decode)
    deadly = RawBody(Platform.BETPAWA, b"{}", None, asked(Platform.BETPAWA, "deadly"))
    async with decoding(1) as made:
        results = await asyncio.gather(*(made.decode(raw) for raw in (RAW, deadly, RAW, RAW)), return_exceptions=True)
    assert [result for result in results if not isinstance(result, Exception)] == [decode(RAW)] * 3
    (error,) = [result for result in results if isinstance(result, Exception)]
    assert isinstance(error, MalformedBodyError)
    assert error.where == "event deadly"


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
    """No HTTP client and no web framework: workers start fast and stay small."""
    code = (
        "import sys, quart_odds.bookmakers.decoder; print(sorted({'aiohttp', 'quart', 'stamina'} & sys.modules.keys()))"
    )
    run = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert run.stdout.strip() == "[]"


PARENT = """
import asyncio, sys
from quart_odds.bookmakers import Decoder
from tests.bookmakers.test_decoder import RAW
async def main():
    made = Decoder(1)
    await made.decode(RAW)
    print(*made._pool._processes, flush=True)
    await asyncio.sleep(60)
if __name__ == "__main__":
    asyncio.run(main())
"""


async def test_a_worker_ends_with_a_parent_that_is_killed() -> None:
    """Nobody is left to wait for ever."""
    parent = await asyncio.create_subprocess_exec(sys.executable, "-c", PARENT, stdout=subprocess.PIPE)
    assert parent.stdout is not None
    async with asyncio.timeout(60):
        worker = int(await parent.stdout.readline())
        parent.kill()
        await parent.wait()
        while is_running(worker):
            await asyncio.sleep(0.02)


def is_running(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as stat:
            return stat.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
