"""A command whose reader leaves: it ends, and what it has opened is closed first."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.serving import environment

PRINTING = """
import asyncio, sys
from quart_odds.cli import streams

streams.LOOK_SECONDS = 0.05
streams.ENDING_SECONDS = {ending}

async def work():
    try:
        while True:
            print("a line", flush=True)
            await asyncio.sleep(0.01)
    finally:
        sys.stderr.write("closing\\n")
        await asyncio.sleep({closing})
        sys.stderr.write("closed\\n")

streams.prepare_streams()
try:
    asyncio.run(streams.run_while_read(work()))
except BrokenPipeError:
    streams.drop_stdout()
"""


@pytest.mark.parametrize(
    ("closing", "ending", "expected"),
    [(0.5, 60, "closing\nclosed\n"), (60, 0.1, "closing\n")],
    ids=["it ends by itself", "it does not end"],
)
def test_work_that_notices_that_its_reader_is_gone_may_close_what_it_has_opened(
    tmp_path: Path, closing: float, ending: float, expected: str
) -> None:
    """A cancellation would interrupt that, and leave connections open. It comes if the work does not end."""
    script = PRINTING.format(closing=closing, ending=ending)
    with subprocess.Popen(
        [sys.executable, "-c", script], text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path,
        env=environment({}),
    ) as started:  # fmt: skip
        assert started.stdout is not None
        assert started.stderr is not None
        assert started.stdout.readline() == "a line\n"
        started.stdout.close()
        assert started.stderr.read() == expected
        assert started.wait(timeout=20) == 0
