"""The tools over standard streams and over HTTP, with the official client, beside a server on the same database."""

import asyncio
import contextlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
from click.testing import CliRunner
from mcp import Client, MCPError, StdioServerParameters
from mcp.types import CallToolResult

from quart_odds.cli import main
from quart_odds.mcp.tools import TOOLS
from tests.export.preparing import PAST_ID, Prepared
from tests.server.serving import environment, served
from tests.tokens import TOKEN

COMMAND = [sys.executable, "-m", "quart_odds", "mcp"]
WAIT_SECONDS = 30
CALLS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("list_events", {"include_started": True, "sort": "name"}),
    ("list_competitions", {}),
    ("get_event_odds", {"event_id": 2}),
    ("get_event_odds", {"event_id": PAST_ID, "market": "1x2_ft"}),
    ("get_odds_history", {"event_id": 1, "market": "over_under_ft", "line": 2.5}),
    ("list_opportunities", {"kind": "all", "suspicious": True}),
    ("get_freshness", {}),
    ("list_runs", {"mode": "all"}),
)
CHANGING = re.compile(r'"(?:age|lifetime|p50|p95|oldest)_seconds":[^,}]+')
INITIALIZE = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "initialize",
    "params": {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}},
}


@pytest.fixture
def copied(prepared: Prepared, tmp_path: Path) -> str:
    """The URL of a copy of the prepared database, which a server may write to."""
    path = tmp_path / "copied.db"
    for ending in ("", "-wal", "-shm"):
        if Path(f"{prepared.path}{ending}").exists():
            shutil.copy(f"{prepared.path}{ending}", f"{path}{ending}")
    return f"sqlite:///{path}"


def client(url: str, *words: str, token: str | None = None) -> Client:
    """Return the official client of a process of its own that reads this database."""
    env = environment({"database_url": url, "token": token})
    return Client(StdioServerParameters(command=COMMAND[0], args=[*COMMAND[1:], *words], env=env))


def text_of(result: CallToolResult) -> str:
    """Return the text of a result."""
    [content] = result.content
    assert content.type == "text"
    return content.text


@contextlib.asynccontextmanager
async def over_http(url: str, *words: str, settings: Mapping[str, object] | None = None) -> AsyncIterator[str]:
    """Serve the tools over HTTP in a process of its own, and return the address. It has to end well on SIGTERM."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        "--http",
        "127.0.0.1:0",
        *words,
        env=environment({"database_url": url, **(settings or {})}),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            line = (await process.stdout.readline()).decode()
            yield line.split()[-1]
            process.terminate()
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def test_the_official_client_lists_and_calls_the_tools(prepared: Prepared) -> None:
    """Over standard streams: each tool has schemas, and each answer is structured and in the text."""
    async with client(prepared.url) as opened:
        tools = {tool.name: tool for tool in (await opened.list_tools()).tools}
        assert tools.keys() == {tool.name for tool in TOOLS}
        for tool in tools.values():
            assert tool.annotations is not None
            assert tool.annotations.read_only_hint is True
            assert tool.output_schema is not None
            assert tool.input_schema["additionalProperties"] is False
        for name, arguments in CALLS:
            result = await opened.call_tool(name, arguments)
            assert isinstance(result, CallToolResult)
            assert result.is_error is not True, text_of(result)
            assert orjson.loads(text_of(result)) == result.structured_content


async def test_mistakes_are_errors_of_the_tool(prepared: Prepared) -> None:
    """Bad arguments and unknown ids are told to the model; a tool that there is not is an error of the protocol."""
    async with client(prepared.url) as opened:
        for name, arguments, words in (
            ("get_event_odds", {"event_id": 999}, "there is no event 999"),
            ("get_event_odds", {"event_id": "one"}, "event_id: Input should be a valid integer"),
            ("list_events", {"page_size": 1000}, "page_size: Input should be less than or equal to 50"),
            ("list_events", {"nothing": 1}, "nothing: Extra inputs are not permitted"),
            ("get_run", {"run_id": 1}, "there is no run 1"),
        ):
            result = await opened.call_tool(name, arguments)
            assert isinstance(result, CallToolResult)
            assert result.is_error is True
            assert words in text_of(result)
        with pytest.raises(MCPError, match="there is no tool 'start_scrape'"):
            await opened.call_tool("start_scrape", {})


async def test_it_reads_beside_a_server_and_from_it_alike(copied: str, tmp_path: Path) -> None:
    """From the database that the server writes to, and from the server's API below a path: the same answers."""
    settings = {"database_url": copied, "root_path": "/odds", "log_level": "warning"}
    async with served(tmp_path / "server", settings) as server:
        words = ("sqlite:///nowhere.db", "--url", f"{server.url}/odds")
        async with client(copied) as own, client(*words, token=TOKEN) as asking, client(*words) as stranger:
            for name, arguments in CALLS:
                one, other = [await each.call_tool(name, arguments) for each in (own, asking)]
                assert isinstance(one, CallToolResult)
                assert isinstance(other, CallToolResult)
                assert CHANGING.sub("", text_of(one)) == CHANGING.sub("", text_of(other)), name
            refused = await stranger.call_tool("list_events", {})
            assert isinstance(refused, CallToolResult)
            assert refused.is_error is True
            assert "QUART_ODDS_TOKEN" in text_of(refused)
        async with aiohttp.ClientSession(server.url) as session, session.get("/readyz") as answer:
            assert answer.status == 200
        assert not [line for line in server.said if "takes over" in line or "reads_only" in line]


async def test_a_server_that_ends_is_an_error_of_the_tool(copied: str, tmp_path: Path) -> None:
    """It is told to the model, and the process goes on."""
    async with (
        served(tmp_path / "server", {"database_url": copied}) as server,
        client(copied, "--url", server.url) as opened,
    ):
        assert (await opened.call_tool("get_freshness", {})).is_error is not True
        await server.stop()
        result = await opened.call_tool("get_freshness", {})
        assert isinstance(result, CallToolResult)
        assert result.is_error is True
        assert "cannot be reached" in text_of(result)


async def test_over_http(prepared: Prepared) -> None:
    """Several clients of one process, each with every tool."""
    async with over_http(prepared.url) as address:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+/mcp", address)
        async with Client(address) as one, Client(address) as other:
            assert len((await one.list_tools()).tools) == len(TOOLS)
            results = await asyncio.gather(*(each.call_tool("list_events", {}) for each in (one, other) for _ in "abc"))
            assert all(result.structured_content["total"] == 3 for result in results)
            wrong = await one.call_tool("get_event_odds", {"event_id": 999})
            assert isinstance(wrong, CallToolResult)
            assert wrong.is_error is True


async def test_only_those_who_may_reach_it_over_http(prepared: Prepared) -> None:
    """Other host names, pages of other sites, other paths and other machines are refused."""
    async with over_http(prepared.url) as address, aiohttp.ClientSession() as session:
        own = address.removesuffix("/mcp")

        async def status(headers: Mapping[str, str], url: str = address) -> int:
            accepted = {"Accept": "application/json, text/event-stream"}
            async with session.post(url, json=INITIALIZE, headers={**accepted, **headers}) as response:
                return response.status

        assert await status({}) == 200
        for headers, expected in (
            ({"Host": "evil.example"}, 421),
            ({"Host": "evil.example", "Origin": "http://evil.example"}, 421),
            ({"Host": "localhost:8100"}, 200),
            ({"Host": "192.0.2.7"}, 401),
            ({"X-Forwarded-For": "192.0.2.7"}, 401),
            ({"Origin": "http://evil.example"}, 403),
            ({"Origin": "null"}, 403),
            ({"Origin": own.replace("127.0.0.1", "localhost")}, 403),
            ({"Origin": own}, 200),
        ):
            assert await status(headers) == expected, headers
        assert await status({}, f"{own}/elsewhere") == 404


async def test_everybody_may_reach_it_over_http_if_that_is_wanted(prepared: Prepared) -> None:
    """Behind a proxy, too, under the names and for the pages in the settings."""
    settings = {"allowed_hosts": "odds.example.com", "allowed_origins": "https://app.example.com"}
    for words, open_status in (((), 401), (("--open-to-network",), 200)):
        async with (
            over_http(prepared.url, *words, settings=settings) as address,
            aiohttp.ClientSession(headers={"Accept": "application/json, text/event-stream"}) as session,
        ):
            for headers, status in (
                ({}, open_status),
                ({"Host": "odds.example.com", "X-Forwarded-For": "192.0.2.7"}, open_status),
                ({"Origin": "https://app.example.com"}, open_status),
                ({"Host": "evil.example"}, 421),
                ({"Origin": "http://evil.example"}, 403),
            ):
                async with session.post(address, json=INITIALIZE, headers=headers) as response:
                    assert response.status == status, (words, headers)


@pytest.mark.parametrize("ending", ["end of input", "SIGINT", "SIGTERM"])
async def test_standard_output_has_the_protocol_alone_and_it_ends(prepared: Prepared, ending: str) -> None:
    """Each line is a message, whatever is logged. It ends with 0 when its input does, or on a signal."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        env=environment({"database_url": prepared.url, "log_level": "debug"}),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    call = {"name": "get_event_odds", "arguments": {"event_id": 999}}
    messages: list[Mapping[str, object]] = [
        INITIALIZE,
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": call},
    ]
    try:
        async with asyncio.timeout(WAIT_SECONDS):
            process.stdin.write(b"this is not JSON\n")
            lines: list[dict[str, Any]] = []
            for message in messages:
                process.stdin.write(orjson.dumps(message) + b"\n")
                while "id" in message and (not lines or lines[-1].get("id") != message["id"]):
                    lines.append(orjson.loads(await process.stdout.readline()))
            if ending == "end of input":
                process.stdin.close()
            else:
                process.send_signal(signal.Signals[ending])
            rest, told = await asyncio.gather(process.stdout.read(), process.stderr.read())
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    assert all(line["jsonrpc"] == "2.0" for line in [*lines, *map(orjson.loads, rest.splitlines())])
    assert lines[-1]["result"]["isError"] is True
    assert b"Traceback" not in told


def run(*words: str, settings: Mapping[str, object], before: str = "pass") -> subprocess.CompletedProcess[str]:
    """Run the command to its end, without input."""
    program = f"import sys; {before}; from quart_odds.cli import main; main(['mcp', *sys.argv[1:]])"
    return subprocess.run(
        [sys.executable, "-c", program, *words],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=WAIT_SECONDS,
        check=False,
    )


def test_a_missing_extra_is_told(prepared: Prepared) -> None:
    """With the command that installs it."""
    done = run(settings={"database_url": prepared.url}, before="sys.modules['mcp'] = None")
    assert (done.returncode, done.stdout) == (1, "")
    assert "pip install 'quart-odds[mcp]'" in done.stderr


def test_a_missing_database_is_told_and_not_created(tmp_path: Path) -> None:
    """On standard error, with exit code 1."""
    done = run(settings={"database_url": f"sqlite:///{tmp_path / 'odds.db'}"})
    assert (done.returncode, done.stdout) == (1, "")
    assert "there is no database" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--http", "0.0.0.0:0"], "add --open-to-network"),
        (["--http", "nonsense"], "HOST:PORT"),
        (["--url", "nonsense"], "such as http://127.0.0.1:8000"),
        (["--open-to-network"], "is for --http"),
    ],
)
def test_a_wrong_command_line_is_refused(
    words: list[str], told: str, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With exit code 2, and what to give instead."""
    monkeypatch.setenv("QUART_ODDS_DATABASE_URL", prepared.url)
    done = CliRunner().invoke(main, ["mcp", *words])
    assert done.exit_code == 2
    assert told in re.sub(r"\s+", " ", done.output)
