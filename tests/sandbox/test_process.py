"""The sandbox as a process: its output, its options, its exit, and behaviour that needs real sockets."""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
from click.testing import CliRunner

from quart_odds.domain.platforms import Platform
from quart_odds.sandbox import (
    STAND_INS,
    SandboxOptions,
    parse_faults,
    sandbox_command,
    sandbox_process,
    start_sandbox_process,
)
from quart_odds.sandbox.faults.faults import FAULT_NAMES
from quart_odds.sandbox.process import SandboxStartError, arguments
from tests.platforms import FIRST_THREE
from tests.sandbox.stand_ins import HEADERS, MSPORT

COMMAND = [sys.executable, "-m", "quart_odds.sandbox"]
CATEGORIES = "/api/sportsbook/v4/categories/list/2"
BETPAWA = HEADERS[Platform.BETPAWA]


@pytest.fixture
def started() -> Iterator[list[subprocess.Popen[str]]]:
    """Collect the processes that a test starts, and kill them afterwards."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start(started: list[subprocess.Popen[str]], *words: str) -> subprocess.Popen[str]:
    """Start a sandbox process with captured output."""
    process = subprocess.Popen([*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    started.append(process)
    return process


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    """Open an HTTP client with a timeout of ten seconds."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(10)) as session:
        yield session


async def get(session: aiohttp.ClientSession, url: str) -> tuple[int, bytes]:
    """Return status and body."""
    async with session.get(url, headers={**BETPAWA, "referer": "x"}) as response:
        return response.status, await response.read()


async def test_one_line_says_where_it_listens_and_requests_are_taken_from_then_on(
    started: list[subprocess.Popen[str]], session: aiohttp.ClientSession
) -> None:
    """Standard output has only that line, in JSON. The log goes to standard error."""
    process = start(started, "--events", "5")
    assert process.stdout is not None
    line = await asyncio.to_thread(process.stdout.readline)
    said = json.loads(line)
    assert said.keys() == {"ready", *STAND_INS}
    assert said["ready"] is True
    assert len({said[platform] for platform in STAND_INS}) == 1
    assert (await get(session, said["betpawa"] + CATEGORIES))[0] == 200
    process.send_signal(signal.SIGINT)
    out, log = await asyncio.to_thread(process.communicate, timeout=30)
    assert (process.returncode, out) == (0, "")
    assert "sandbox.listening" in log
    assert "Traceback" not in log


@pytest.mark.alone
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_ends_within_a_second_with_requests_hanging(
    started: list[subprocess.Popen[str]], session: aiohttp.ClientSession, number: signal.Signals
) -> None:
    """Answers that never come, answers that drip, and a peer that does not read its answer."""
    faults = "betpawa=timeout,bet9ja=drip"
    bookmakers = ",".join(FIRST_THREE)
    words = ["--bookmakers", bookmakers, "--events", "300", "--body-kb", "3000", "--faults", faults, "--no-move"]
    process = start(started, *words)
    assert process.stdout is not None
    url = json.loads(await asyncio.to_thread(process.stdout.readline))["betpawa"]
    sports = f"{url}/desktop/feapi/PalimpsestAjax/GetSports"
    hanging = [asyncio.create_task(get(session, url + CATEGORIES)) for _ in range(3)]
    hanging += [asyncio.create_task(get(session, sports)) for _ in range(2)]
    port = int(url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
    event = await _sportybet_event(session, url)
    writer.write(f"GET /api/ng/factsCenter/event?eventId={event} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    await _until_active(session, url, 5)
    begun = time.monotonic()
    process.send_signal(number)
    assert await asyncio.to_thread(process.wait, 5) == 0
    assert time.monotonic() - begun < 1
    results = await asyncio.gather(*hanging, return_exceptions=True)
    assert all(isinstance(result, aiohttp.ClientError) for result in results)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def _sportybet_event(session: aiohttp.ClientSession, url: str) -> str:
    async with session.get(f"{url}/api/ng/factsCenter/pcUpcomingEvents?pageSize=1&pageNum=1") as response:
        return str((await response.json())["data"]["tournaments"][0]["events"][0]["eventId"])


async def _until_active(session: aiohttp.ClientSession, url: str, requests: int) -> None:
    async with asyncio.timeout(30):
        while True:
            bookmakers = json.loads((await get(session, f"{url}/_sandbox/state"))[1])["bookmakers"]
            if bookmakers["betpawa"]["active"] + bookmakers["bet9ja"]["requests"] >= requests:
                return
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--faults", "betpawa=nonsense"], "'nonsense' is not a fault; choose from timeout, drip, 403, 404"),
        (["--faults", "ladbrokes=403"], "'ladbrokes=403' is not a fault of a bookmaker"),
        (["--replay", "/nowhere"], "/nowhere is not a recording: it has no requests.json"),
        (["--events", "0"], "events 0 is not at least 1"),
        (["--events", "many"], "'many' is not a valid integer"),
        (["--port", "70000"], "70000 is not in the range"),
        (["--body-kb", "1"], "body_kb 1 is not at least 2"),
        (["--markets", "3"], "markets 3 is not at least 10"),
        (["--latency-ms", "-1"], "cannot be negative"),
        (["--price-pace", "0"], "price_pace 0 is not above 0"),
        (
            ["--bookmakers", "betpawa,ladbrokes"],
            "bookmakers 'betpawa,ladbrokes' are not one or more of betpawa, sportybet",
        ),
        (["--bookmakers", ""], "bookmakers '' are not one or more of betpawa, sportybet, bet9ja, msport, betking"),
        (["--bookmakers", "betpawa,betpawa"], "bookmakers 'betpawa,betpawa' name one twice"),
        (["--bookmakers", "betpawa", "--faults", "bet9ja=403"], "'bet9ja=403' is not a fault of a bookmaker; write"),
        (["--competitions", "9"], "competitions 9 of 60 events is not from 1 to 8"),
        (["--colour", "red"], "No such option"),
    ],
)
def test_a_wrong_option_is_answered_with_what_is_allowed(words: list[str], said: str) -> None:
    """The exit code is 2, with one sentence and no traceback."""
    result = CliRunner().invoke(sandbox_command, words)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


async def test_a_port_that_is_taken_is_said_to_be(started: list[subprocess.Popen[str]]) -> None:
    """The exit code is 1, with one sentence."""
    async with sandbox_process(SandboxOptions(events=3, bookmakers=FIRST_THREE)) as sandbox:
        result = CliRunner().invoke(sandbox_command, ["--port", sandbox.url.rpartition(":")[2]])
    assert result.exit_code == 1
    assert "cannot listen on 127.0.0.1:" in result.output


async def test_a_reset_cuts_the_connection_before_the_answer(session: aiohttp.ClientSession) -> None:
    """Only the affected bookmaker is cut."""
    async with sandbox_process(SandboxOptions(events=5, faults=parse_faults("betpawa=reset"))) as sandbox:
        with pytest.raises(aiohttp.ClientConnectionError):
            await get(session, sandbox.url + CATEGORIES)
        status, _ = await get(session, f"{sandbox.url}/desktop/feapi/PalimpsestAjax/GetSports")
        assert status == 200


async def test_many_requests_share_connections(session: aiohttp.ClientSession) -> None:
    """Connections are kept alive beyond a thousand requests."""
    async with sandbox_process(SandboxOptions(events=5, bookmakers=FIRST_THREE)) as sandbox:
        connector = aiohttp.TCPConnector(limit=1)
        async with aiohttp.ClientSession(connector=connector) as one:
            statuses = {(await get(one, sandbox.url + CATEGORIES))[0] for _ in range(1100)}
        assert statuses == {200}


async def test_a_sandbox_that_cannot_start_is_an_error(tmp_path: Path) -> None:
    """It raises an error instead of waiting forever."""
    (tmp_path / "requests.json").write_text("{}")
    with pytest.raises(SandboxStartError, match="exit code was 2"):
        await start_sandbox_process(SandboxOptions(replay=tmp_path))


async def test_stopping_twice_is_stopping_once() -> None:
    """Both calls return the exit code."""
    sandbox = await start_sandbox_process(SandboxOptions(events=3, bookmakers=(Platform.BET9JA,)))
    assert list(sandbox.urls) == [Platform.BET9JA]
    assert [await sandbox.stop(), await sandbox.stop()] == [0, 0]


@pytest.mark.skipif(sys.platform != "linux", reason="the parent's death is told by Linux alone")
async def test_it_ends_when_its_parent_dies(started: list[subprocess.Popen[str]], tmp_path: Path) -> None:
    """This holds however the parent dies."""
    program = (
        "import asyncio, os\n"
        "from quart_odds.sandbox import SandboxOptions, start_sandbox_process\n"
        "async def main():\n"
        "    sandbox = await start_sandbox_process(SandboxOptions(events=3))\n"
        "    print(sandbox.process.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    started.append(parent)
    assert parent.stdout is not None
    child = int(await asyncio.to_thread(parent.stdout.readline))
    parent.kill()
    async with asyncio.timeout(30):
        while _is_running(child):
            await asyncio.sleep(0.02)


def _is_running(number: int) -> bool:
    try:
        os.kill(number, 0)
        return "\nState:\tZ" not in Path(f"/proc/{number}/status").read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_options_survive_the_command_line() -> None:
    """The command turns the arguments back into equal options."""
    options = SandboxOptions(
        30,
        3,
        10,
        5,
        parse_faults("betpawa=timeout@lists:0.5"),
        None,
        0,
        12.5,
        50,
        warm=True,
        live_prices=True,
        price_pace=2.5,
        competitions=4,
        bookmakers=(Platform.BETPAWA, MSPORT),
    )
    words = arguments(options)
    for expected in (
        "--events 30",
        "--live-prices",
        "--price-pace 2.5",
        "--competitions 4",
        "--bookmakers betpawa,msport",
        "--seed 3",
        "--faults betpawa=timeout@lists:0.5",
        "--body-kb 12.5",
        "--warm",
        "--no-move",
    ):
        assert expected in " ".join(words)


def test_the_sandbox_is_evidence_of_its_own() -> None:
    """It imports neither the clients nor the catalogue nor anything that depends on them."""
    program = "import sys, quart_odds.sandbox; print(*[n for n in sys.modules if n.startswith('quart_odds.')])"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    allowed = {f"quart_odds.domain{each}" for each in ("", ".bookmakers", ".platforms", ".clock")}
    assert {name for name in loaded if not name.startswith("quart_odds.sandbox")} <= allowed


def test_the_documentation_names_every_option_and_every_fault() -> None:
    """docs/sandbox.md is complete, so users need not read the code."""
    text = (Path(__file__).parents[2] / "docs" / "sandbox.md").read_text(encoding="utf-8")
    options = [
        name for p in sandbox_command.params if not getattr(p, "hidden", False) for name in (*p.opts, *p.secondary_opts)
    ]
    assert [name for name in (*options, *FAULT_NAMES) if f"`{name}`" not in text] == []
