"""`watch --odds`: a live table in a terminal, lines of text or of JSON elsewhere."""

import asyncio
import io
import os
import pty
import signal
import sys
from collections.abc import AsyncIterator

import orjson
import pytest
from click.testing import CliRunner
from rich.console import Console

from quart_odds.cli import main
from quart_odds.cli.followed_odds import OddsTable
from quart_odds_client import OddsCopy
from quart_odds_client.messages import message_of
from tests.routes.pages.noding import FakeServer, Line, fake_server
from tests.routes.pages.test_live_node import AT, change, entry, event, image, moved, outcome
from tests.server.serving import Json, environment

COMMAND = [sys.executable, "-m", "quart_odds", "watch", "--odds"]


@pytest.fixture
async def fake() -> AsyncIterator[FakeServer]:
    """A server that the test controls."""
    async with asyncio.timeout(60), fake_server() as opened:
        yield opened


async def watching(fake: FakeServer, *words: str, **settings: str) -> tuple[asyncio.subprocess.Process, Line]:
    """Start a watch, and acknowledge its connection."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, *words, fake.url,
        env=environment(settings), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    while not fake.lines:
        assert process.returncode is None
        await asyncio.sleep(0.02)
    line = fake.lines[0]
    await line.acknowledge()
    return process, line


def named(*markets: Json) -> Json:
    """Return an event whose market has a name."""
    return event(12, *(each | {"betpawa_market_name": "1X2"} for each in markets))


async def test_lines_say_what_there_is_and_what_changes(fake: FakeServer) -> None:
    """A line for each event at first, and then for each price. Ctrl-C ends it, with exit code 0."""
    words = ("--event", "12", "--event", "13", "--market", "3743", "--bookmaker", "betpawa")
    process, line = await watching(fake, *words)
    assert process.stdout is not None
    assert process.stderr is not None
    assert line.query == {
        "topics": "odds", "event_id": "12,13", "market": "3743", "platform": "betpawa", "image": "1", "cursor": "1",
    }  # fmt: skip
    assert await process.stderr.readline() == f"watching {fake.url}\n".encode()
    await line.send("odds_image", image(named(entry(outcome("1", 2.0), outcome("X", 3.0)))), 2)
    assert await process.stdout.readline() == b"event 12, Home - Away, 2026-11-22 10:00 UTC: 2 open prices\n"
    gone = moved("X", 3.0, previous=3.0, is_active=False, available=False)
    away = moved("2", 1.9, previous=1.8) | {"market_id": "3774", "line": -1.5}
    await line.send("odds_change", change(12, moved("1", 2.1, previous=2.0), gone, away), 3)
    said = [(await process.stdout.readline()).decode() for _ in range(3)]
    assert said == [
        "2026-11-22T10:00:07.000Z Home - Away: betpawa 1X2 1 2 → 2.1\n",
        "2026-11-22T10:00:07.000Z Home - Away: betpawa 1X2 X 3 → gone\n",
        "2026-11-22T10:00:07.000Z Home - Away: betpawa 3774 2 (+1.5) 1.8 → 1.9\n",
    ]
    process.send_signal(signal.SIGINT)
    assert await process.stderr.read() == b""
    assert await process.wait() == 0


async def test_lines_of_json_are_the_messages(fake: FakeServer) -> None:
    """As they are on the wire, with the cursor; the state of the connection goes to standard error."""
    process, line = await watching(fake, "--json", "--event", "12")
    assert process.stdout is not None
    sent = image(named(entry(outcome("1", 2.0))), removed=[])
    await line.send("odds_image", sent, 2)
    printed = orjson.loads(await process.stdout.readline())
    assert (printed["type"], printed["id"], printed["timestamp"]) == ("odds_image", "5eed5eed-2", AT)
    [shown] = printed["data"]["events"]
    assert (shown["id"], shown["kickoff"]) == (12, AT)
    assert shown["markets_by_bookmaker"][0]["markets"][0]["outcomes"][0]["odds"] == 2.0
    await line.send("error", {"code": "gap", "detail": "", "missed": 5}, 3)
    printed = orjson.loads(await process.stdout.readline())
    assert (printed["type"], printed["data"]) == ("gap", {"missed": 5, "reason": "slow"})
    process.terminate()
    await process.communicate()


async def test_a_reader_that_leaves_ends_it(fake: FakeServer) -> None:
    """As for runs: the command notices, although it has nothing to print."""
    process, line = await watching(fake, "--event", "12")
    assert process.stdout is not None
    await line.send("odds_image", image(named(entry(outcome("1", 2.0)))), 2)
    await process.stdout.readline()
    process._transport.get_pipe_transport(1).close()  # type: ignore[attr-defined]
    assert await process.wait() == 128 + signal.SIGPIPE


async def test_a_token_that_cannot_be_sent_is_a_sentence(fake: FakeServer) -> None:
    """That does not show it."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--token", "s3cret token", fake.url, env=environment({}), stderr=asyncio.subprocess.PIPE
    )
    _, stderr = await process.communicate()
    assert process.returncode == 1
    assert b"a token has only visible ASCII characters" in stderr
    assert b"s3cret" not in stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--odds", "--once"], "are for runs"),
        (["--odds", "--sweeps"], "are for runs"),
        (["--event", "3"], "need --odds"),
        (["--market", "main"], "need --odds"),
        (["--odds", "--event", "zero"], "not a valid integer"),
    ],
)
def test_options_that_do_not_belong_together_are_refused(words: list[str], said: str) -> None:
    """With exit code 2, and what they are for."""
    result = CliRunner().invoke(main, ["watch", *words])
    assert result.exit_code == 2
    assert said in result.output


@pytest.mark.parametrize(("term", "is_table"), [("xterm-256color", True), ("dumb", False)])
async def test_a_terminal_has_a_table_that_is_drawn_again(fake: FakeServer, term: str, is_table: bool) -> None:
    """One that cannot move its cursor has lines."""
    ours, theirs = pty.openpty()
    env = environment({}) | {"TERM": term, "COLUMNS": "100"}
    process = await asyncio.create_subprocess_exec(
        *COMMAND, "--event", "12", fake.url, env=env, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    line = await fake.line(1)
    await line.acknowledge()
    await line.send("odds_image", image(named(entry(outcome("1", 2.0)))), 2)
    await line.send("odds_change", change(12, moved("1", 2.5, previous=2.0)), 3)
    seen = b""
    while b"2.50" not in seen and "2 → 2.5".encode() not in seen:
        seen += await asyncio.to_thread(os.read, ours, 65536)
    process.send_signal(signal.SIGINT)
    assert await process.wait() == 0
    os.close(ours)
    assert (b"\x1b[" in seen, b"outcome" in seen) == (is_table, is_table)


def test_the_table_has_a_column_for_each_bookmaker() -> None:
    """Best prices are bold, suspended ones in parentheses, and those that are gone are dashes."""
    table = OddsTable()
    here = named(entry(outcome("1", 2.0), outcome("X", 3.4, is_active=False), outcome("2", 4.0)))
    state = {
        "bookmaker_slug": "bet9ja",
        "bookmaker_name": "Bet9ja",
        "available": True,
        "reversed": False,
        "late": False,
    }
    here["bookmakers"].append(state)
    other = entry(outcome("1", 2.25), outcome("X", 3.0), outcome("2", 3.0, is_active=False, available=False))
    here["markets_by_bookmaker"].append(state | {"markets": [other]})
    copy = OddsCopy()
    message = message_of({"type": "odds_image", "timestamp": AT, "data": image(here)})
    copy.apply(message)
    table.show(copy, message)
    table.say("watching http://127.0.0.1:8000")
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(table)
    lines = [line.split() for line in console.export_text().splitlines()]
    assert ["market", "outcome", "betpawa", "Bet9ja"] in lines
    assert ["1X2", "1", "2.00", "2.25"] in lines
    assert ["X", "(3.4)", "3.00"] in lines
    assert ["2", "4.00", "–"] in lines
    assert lines[-1] == ["watching", "http://127.0.0.1:8000"]


def test_an_empty_image_is_said() -> None:
    """Rather than an empty screen."""
    table = OddsTable()
    copy = OddsCopy()
    for kind, data in (("connection_ack", {}), ("odds_image", image())):
        message = message_of({"type": kind, "timestamp": AT, "data": data})
        copy.apply(message)
        table.show(copy, message)
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(table)
    assert "no such events" in console.export_text()
