"""The command line as a user sees it: output, exit codes, and error messages."""

import asyncio
import contextlib
import json
import os
import re
import shlex
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from quart_odds import __version__
from quart_odds.cli import main
from quart_odds.cli.stand_ins import sandbox_settings
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.errors import SettingsError
from quart_odds.server.sockets import listen
from quart_odds.settings import PREFIX
from quart_odds.storage import open_store
from tests.apps import HASTE, Sandbox, running_app, running_sandbox, without_times
from tests.platforms import FIRST_THREE
from tests.server.serving import at, curl, environment, is_terminal, served

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
COMMAND = (sys.executable, "-m", "quart_odds")
DOCS = Path(__file__).parents[2] / "docs" / "cli.md"
EVENTS = 6


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    """Stand-in bookmakers with six events."""
    with running_sandbox("--events", str(EVENTS), "--markets", "12") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Iterator[Sandbox]:
    """The same bookmakers, without faults before and after the test."""
    process.heal()
    yield process
    process.heal()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the developer's environment."""
    for name in environment({}).keys() ^ os.environ.keys():
        monkeypatch.delenv(name)


def settings_at(url: str, folder: Path) -> dict[str, object]:
    """Settings with all bookmakers at one address and the database in this folder."""
    return {**HASTE, **at(dict.fromkeys(FIRST_THREE, url)), "database_url": f"sqlite:///{folder / 'odds.db'}"}


def run(
    words: list[str], settings: Mapping[str, object], folder: Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """Run a command to its end and check its exit code."""
    done = subprocess.run(
        [*COMMAND, *words], env=environment(settings), cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


def statuses(folder: Path) -> list[str]:
    """Return the statuses of the runs in a folder's database."""
    with contextlib.closing(sqlite3.connect(folder / "odds.db")) as connection:
        return [status for (status,) in connection.execute("select status from runs order by id")]


def lines(text: str) -> list[dict[str, Any]]:
    """Parse the lines of JSON that a command printed."""
    return [json.loads(line) for line in text.splitlines()]


async def test_scrape_is_one_run_whose_progress_is_printed(sandbox: Sandbox, tmp_path: Path) -> None:
    """Each progress is a line of JSON, and the last one is terminal. By then row and odds are in the database."""
    done = run(["scrape", "--json"], settings_at(sandbox.url, tmp_path), tmp_path)
    published = lines(done.stdout)
    assert done.stderr == ""
    assert published[0]["phase"] == "initializing"
    assert [is_terminal(each) for each in published].count(True) == 1
    assert (published[-1]["phase"], published[-1]["platform"]) == ("completed", None)
    async with running_app(tmp_path, sandbox.url) as app:
        row = await app.get(f"/api/scrape/{published[-1]['scrape_run_id']}")
        assert (row["status"], row["trigger"], row["events_scraped"]) == (
            "completed",
            "cli",
            published[-1]["events_count"],
        )
        for platform in FIRST_THREE:
            assert await app.odds(platform)


async def test_a_sweep_prints_what_it_counts(sandbox: Sandbox, tmp_path: Path) -> None:
    """Unlike its stream it is told at every bookmaker; its row is that of a sweep, and its end comes once, last."""
    done = run(["scrape", "--sweep", "--json"], settings_at(sandbox.url, tmp_path), tmp_path)
    published = lines(done.stdout)
    assert {each["mode"] for each in published} == {"sweep"}
    assert published[0]["phase"] == "initializing"
    assert {each["platform"] for each in published} == {None, *FIRST_THREE}
    assert [is_terminal(each) for each in published].count(True) == 1
    assert is_terminal(published[-1])
    async with running_app(tmp_path, sandbox.url) as app:
        row = await app.get(f"/api/scrape/{published[-1]['scrape_run_id']}")
        assert (row["mode"], row["status"], row["trigger"]) == ("sweep", "completed", "cli")
    text = run(["scrape", "--sweep"], settings_at(sandbox.url, tmp_path), tmp_path).stdout
    for name in ("BetPawa", "SportyBet", "Bet9ja", "all"):
        assert re.search(rf"^{name} +completed ", text, re.MULTILINE), text
    assert re.search(r"^Sweep [0-9]+: odds of [0-9]+ events", text, re.MULTILINE), text


def test_scrape_shows_the_bookmakers_side_by_side(sandbox: Sandbox, tmp_path: Path) -> None:
    """In a pipe only the result is printed: all three bookmakers, the total, and a sentence."""
    text = run(["scrape"], settings_at(sandbox.url, tmp_path), tmp_path).stdout
    for name in ("BetPawa", "SportyBet", "Bet9ja", "all"):
        assert re.search(rf"^{name} +completed .*[0-9]+ of [0-9]+", text, re.MULTILINE), text
    assert text.endswith("events\n")


@pytest.mark.parametrize(
    ("struck", "words", "code", "reason"),
    [
        ([BET9JA], [], 3, "Bet9ja failed"),
        (list(FIRST_THREE), [], 1, "failed: "),
        ([BETPAWA], ["--platform", "bet9ja", "--platform", "sportybet"], 0, "odds of"),
        ([BETPAWA], ["--platform", "betpawa"], 1, "BetPawa at the list of competitions: refused (403)"),
    ],
)
def test_the_exit_code_says_what_came_of_it(
    struck: list[Platform], words: list[str], code: int, reason: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The code is 0 if all went well, 3 if a bookmaker failed, 1 if all did."""
    sandbox.strike("403", *struck)
    done = run(["scrape", *words], settings_at(sandbox.url, tmp_path), tmp_path, code)
    assert reason in " ".join(done.stdout.split())


def test_a_signal_cancels_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """The command ends at once with its terminal progress, and the code of Ctrl-C."""
    sandbox.strike("timeout", *FIRST_THREE)
    settings = settings_at(sandbox.url, tmp_path)
    command = [*COMMAND, "scrape", "--json"]
    with subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert "initializing" in started.stdout.readline()
        started.send_signal(signal.SIGINT)
        last = lines(started.stdout.read())[-1]
        assert started.wait(timeout=30) == 130
    assert (last["phase"], last["error"]["error_type"]) == ("failed", "cancelled")
    assert statuses(tmp_path) == ["cancelled"]


def test_a_reader_that_leaves_cancels_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """As with `head`, the command ends at once without a traceback, even if it has nothing to print for a while."""
    sandbox.strike("timeout", *FIRST_THREE)
    command = [*COMMAND, "scrape", "--json"]
    env = environment(settings_at(sandbox.url, tmp_path) | {"drain_seconds": 60})
    seen: set[str] = set()
    with subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        while len(seen) < len(FIRST_THREE):
            progress = json.loads(started.stdout.readline())
            if progress["phase"] == "discovering":
                seen.add(progress["platform"])
        started.stdout.close()
        assert started.wait(timeout=12) == 141
        assert started.stderr.read() == ""
    assert statuses(tmp_path) == ["cancelled"]


def test_scrape_brings_its_own_bookmakers_where_it_is_asked_to(tmp_path: Path) -> None:
    """The database is a separate one that real odds never reach."""
    words = ["scrape", "--json", "--sandbox", "--events", "4", "--latency-ms", "1"]
    published = lines(run(words, {"decode_workers": 0}, tmp_path).stdout)
    assert published[-1]["phase"] == "completed"
    assert published[-1]["events_count"] >= 8
    assert (tmp_path / "quart-odds-sandbox.db").is_file()
    assert not (tmp_path / "quart-odds.db").exists()


async def test_scrape_leaves_the_database_of_a_server_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """The error names the reason, and the exit code is 1."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    try:
        assert await store.database.take_writer_lock()
        await store.create_run(trigger="api", platforms=[BETPAWA], started_at=utc_now())
        done = run(["scrape"], settings_at(sandbox.url, tmp_path), tmp_path, 1)
    finally:
        await store.aclose()
    assert "Error: another process writes to this database" in done.stderr
    assert statuses(tmp_path) == ["running"]
    assert "Traceback" not in done.stderr


async def test_watch_shows_the_runs_of_a_server_from_outside(sandbox: Sandbox, tmp_path: Path) -> None:
    """With `--once` it ends with the next run, with the exit codes of `scrape`."""
    async with served(tmp_path, at(dict.fromkeys(FIRST_THREE, sandbox.url))) as server:
        watch = await asyncio.create_subprocess_exec(
            *COMMAND, "watch", "--once", "--json", server.url,
            env=environment({}), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert watch.stderr is not None
            async with asyncio.timeout(30):
                assert await watch.stderr.readline() == f"watching {server.url}\n".encode()
                published = await curl(server, "/api/scrape/stream")
                out, _ = await watch.communicate()
        finally:
            if watch.returncode is None:
                watch.kill()
    assert watch.returncode == 0
    assert lines(out.decode()) == published


@pytest.mark.parametrize(("words", "mode"), [([], "full"), (["--sweeps"], "sweep")])
async def test_watch_shows_runs_of_one_mode(words: list[str], mode: str, sandbox: Sandbox, tmp_path: Path) -> None:
    """Runs of the other mode that begin and end meanwhile are left out."""
    async with served(tmp_path, at(dict.fromkeys(FIRST_THREE, sandbox.url))) as server:
        watch = await asyncio.create_subprocess_exec(
            *COMMAND, "watch", "--once", "--json", *words, server.url,
            env=environment({}), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert watch.stderr is not None
            async with asyncio.timeout(30):
                assert await watch.stderr.readline() == f"watching {server.url}\n".encode()
                other = "sweep" if mode == "full" else "full"
                await curl(server, f"/api/scrape/stream?mode={other}")
                published = await curl(server, f"/api/scrape/stream?mode={mode}")
                out, _ = await watch.communicate()
        finally:
            if watch.returncode is None:
                watch.kill()
    assert watch.returncode == 0
    assert lines(out.decode()) == published


def test_watch_says_when_there_is_nothing_to_watch(tmp_path: Path) -> None:
    """The exit code is 1, with a message."""
    done = run(["watch", "http://127.0.0.1:9"], {}, tmp_path, 1)
    assert "Error: there is no Quart Odds server at http://127.0.0.1:9: " in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_recording_can_be_replayed(sandbox: Sandbox, tmp_path: Path) -> None:
    """A scrape of the replay returns exactly the odds that a scrape of the bookmakers returns."""
    folder = tmp_path / "recording"
    done = run(["record", str(folder)], settings_at(sandbox.url, tmp_path), tmp_path)
    assert re.search(r"bodies of events are in .*recording", " ".join(done.stdout.split()))
    assert not (tmp_path / "odds.db").exists()
    (tmp_path / "direct").mkdir()
    (tmp_path / "replayed").mkdir()
    with running_sandbox("--replay", str(folder)) as replay:
        async with (
            running_app(tmp_path / "direct", sandbox.url) as direct,
            running_app(tmp_path / "replayed", replay.url) as replayed,
        ):
            rows = [(await each.scrape())[0] for each in (direct, replayed)]
            assert [each["status"] for each in rows] == ["completed", "completed"]
            assert rows[0]["events_scraped"] == rows[1]["events_scraped"]
            for platform in FIRST_THREE:
                odds = [without_times(await each.odds(platform)) for each in (direct, replayed)]
                assert odds[0].keys() == odds[1].keys()
                for external_id, event_odds in odds[0].items():
                    assert event_odds["inline_odds"] == odds[1][external_id]["inline_odds"]


def test_a_recording_can_be_of_a_few_events_and_of_one_bookmaker(sandbox: Sandbox, tmp_path: Path) -> None:
    """The events are those that most bookmakers have; a second recording adds to the first."""
    settings = settings_at(sandbox.url, tmp_path)
    last = lines(run(["record", "rec", "--events", "2", "--json"], settings, tmp_path).stdout)[-1]
    assert (last["phase"], last["current"], last["events_count"]) == ("completed", 6, 6)
    entries = json.loads((tmp_path / "rec" / "requests.json").read_text())
    assert {each["bookmaker"] for each in entries} == set(FIRST_THREE)
    run(["record", "rec", "--platform", "bet9ja"], settings, tmp_path)
    more = json.loads((tmp_path / "rec" / "requests.json").read_text())
    added = [each["bookmaker"] for each in more if each not in entries]
    assert set(added) == {"bet9ja"}


@pytest.mark.parametrize(
    ("fault", "struck", "code"),
    [("403", [BET9JA], 3), ("403@details", [BET9JA], 3), ("empty", list(FIRST_THREE), 1)],
)
def test_a_recording_says_who_could_not_be_recorded(
    fault: str, struck: list[Platform], code: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    """The exit codes are those of a scrape. After the first refused body, no further request is sent."""
    sandbox.strike(fault, *struck)
    before = sandbox.state()["bookmakers"]["bet9ja"]["requests"]
    settings = settings_at(sandbox.url, tmp_path) | {"bet9ja_concurrency": 1}
    last = lines(run(["record", "rec", "--json"], settings, tmp_path, code).stdout)[-1]
    assert last["error"]["platform"] in struck
    if fault == "403@details":
        listed = sum("GetEvent" in each for each in map(str, json.loads((tmp_path / "rec/requests.json").read_text())))
        assert sandbox.state()["bookmakers"]["bet9ja"]["requests"] - before <= listed + 2


@pytest.mark.parametrize("command", [["serve"], ["scrape"], ["record", "rec"], ["migrate"]])
@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("BET9JA_CONCURENCY", "3", "QUART_ODDS_BET9JA_CONCURENCY is no setting; did you mean QUART_ODDS_BET9JA_CONC"),
        ("BET9JA_URL", "bet9ja.com", "QUART_ODDS_BET9JA_URL: give scheme and host only"),
        ("DATABASE_URL", "mysql://x", "QUART_ODDS_DATABASE_URL: give sqlite:///path/to/file.db or postgresql://"),
    ],
)
def test_a_wrong_setting_is_a_sentence(
    command: list[str], name: str, value: str, said: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The exit code is 2, before anything is opened or started."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(PREFIX + name, value)
    result = CliRunner().invoke(main, command)
    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scrape", "--platform", "ladbrokes"], "'ladbrokes' is not one of 'betpawa', 'sportybet', 'bet9ja'"),
        (["scrape", "--sandbox", "--events", "0"], "events 0 is not at least 1"),
        (["serve", "--sandbox", "--latency-ms", "-5"], "cannot be negative"),
        (["record"], "Missing argument 'FOLDER'"),
        (["record", "rec", "--events", "0"], "0 is not in the range x>=1"),
        (["dance"], "No such command 'dance'"),
    ],
)
def test_a_wrong_word_is_answered_with_what_is_allowed(words: list[str], said: str) -> None:
    """The exit code is 2."""
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, said in " ".join(result.output.split())) == (2, True), result.output


@pytest.mark.parametrize("bind", ["127.0.0.1:{}", "nowhere.invalid:8000", "nonsense"])
def test_an_address_that_cannot_be_had_is_a_sentence(bind: str, tmp_path: Path) -> None:
    """The exit code is 2, without a traceback, for a port in use and for an invalid address."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = bind.format(taken.getsockname()[1])
        done = run(["serve", "--bind", bind], {}, tmp_path, 2)
    assert f"Error: --bind '{bind}': " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("bind", "said"),
    [
        ("127.0.0.1:99999", "a port is a number from 0 to 65535"),
        ("127.0.0.1:" + "9" * 5000, "a port is a number from 0 to 65535"),
        (":abc", "give HOST:PORT, such as 127.0.0.1:8000"),
        ("localhost", "give HOST:PORT"),
        ("127.0.0.1:", "give HOST:PORT"),
        ("127.0.0.1:-1", "give HOST:PORT"),
        ("a" * 80 + ":80", "is no name of a host and no address"),
        ("a..b:80", "is no name of a host and no address"),
        ("256.0.0.1:80", "choose another address or port"),
    ],
)
def test_a_bind_that_is_none_says_what_is_wrong_with_it(bind: str, said: str) -> None:
    """The message fits the text, whatever it is."""
    with pytest.raises(SettingsError, match=said):
        listen(bind, 10.0)


@pytest.mark.parametrize("bind", ["0.0.0.0:0", "[::]:0"])
async def test_an_address_that_others_can_reach_needs_a_token_or_has_to_be_asked_for(bind: str, tmp_path: Path) -> None:
    """Without either, the start is refused. With the option, everybody may read, and a warning says so."""
    done = run(["serve", "--bind", bind], {}, tmp_path, 2)
    said = " ".join(done.stderr.split())
    assert "there is no token yet" in said
    assert "add --open-to-network" in said
    command = [*COMMAND, "serve", "--bind", bind, "--open-to-network"]
    server = await asyncio.create_subprocess_exec(
        *command, cwd=tmp_path, env=environment({}), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    async with asyncio.timeout(30):
        assert b"Quart Odds is at" in await server.stdout.readline()
        server.terminate()
        _, log = await server.communicate()
    assert b"access.open_to_network" in log
    made = run(["token", "create", "--name", "mine", "--scope", "read"], {}, tmp_path, 0)
    assert made.stdout.startswith("qo_")
    server = await asyncio.create_subprocess_exec(
        *command[:-1], cwd=tmp_path, env=environment({}), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    assert server.stdout is not None
    async with asyncio.timeout(30):
        assert b"Quart Odds is at" in await server.stdout.readline()
        server.terminate()
        await server.communicate()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
@pytest.mark.parametrize("command", [[], ["serve"], ["scrape"], ["watch"], ["record"], ["sandbox"], ["migrate"]])
def test_help_can_be_read_on_any_terminal(command: list[str], encoding: str) -> None:
    """Characters that the encoding lacks are replaced."""
    env = environment({}) | {"PYTHONIOENCODING": encoding, "COLUMNS": "100"}
    done = subprocess.run([*COMMAND, *command, "--help"], env=env, capture_output=True, timeout=30)
    assert done.returncode == 0, done.stderr
    assert "Usage:" in done.stdout.decode(encoding, "replace")
    assert done.stderr == b""


@pytest.mark.parametrize("as_json", [[], ["--json"]])
def test_a_run_is_shown_on_a_terminal_that_lacks_letters(as_json: list[str], sandbox: Sandbox, tmp_path: Path) -> None:
    """The table has replacement characters; JSON is UTF-8 as always; the exit code is that of the run."""
    sandbox.strike("403", BET9JA)
    env = environment(settings_at(sandbox.url, tmp_path)) | {"PYTHONIOENCODING": "ascii"}
    done = subprocess.run([*COMMAND, "scrape", *as_json], env=env, capture_output=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (3, b"")
    assert b"Bet9ja failed" in b" ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("words", "redirection", "code", "said"),
    [
        (["--version"], ">/dev/full", 1, "Error: standard output cannot be written: No space left on device\n"),
        (["serve", "--help"], ">/dev/full", 1, "Error: standard output cannot be written: No space left on device\n"),
        (["migrate"], ">/dev/full", 1, "Error: standard output cannot be written: No space left on device\n"),
        (["scrape"], ">/dev/full", 1, "Error: standard output cannot be written: No space left on device\n"),
        (["scrape", "--json"], ">/dev/full", 1, "Error: standard output cannot be written: No space left on device\n"),
        (["scrape"], ">&-", 0, ""),
        (["scrape", "--json"], ">&-", 0, ""),
        (["scrape"], "<&- >&- 2>&-", 0, ""),
        (["scrape"], ">/dev/null 2>/dev/full", 0, ""),
        (["migrate"], ">&-", 0, ""),
    ],
)
def test_output_that_nobody_can_have_ends_a_command_with_a_sentence_at_most(
    words: list[str], redirection: str, code: int, said: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """A full disk is reported; a stream that was closed on purpose is not. No run is aborted."""
    # The two variants cover unbuffered and buffered output.
    env = environment(settings_at(sandbox.url, tmp_path)) | {"PYTHONUNBUFFERED": "1" if "--json" in words else ""}
    line = f"{shlex.join([*COMMAND, *words])} {redirection}"
    done = subprocess.run(["sh", "-c", line], env=env, capture_output=True, text=True, cwd=tmp_path, timeout=60)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize("redirection", [">/dev/full", "| true", ">&-", ">/dev/full 2>&1"])
async def test_serve_goes_on_when_its_address_cannot_be_printed(redirection: str, tmp_path: Path) -> None:
    """It serves, exits with 0 on its signal, and if possible logs that the address was not printed."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    line = f"exec {shlex.join([*COMMAND, 'serve', '--bind', f'127.0.0.1:{port}'])} {redirection}"
    if redirection == "| true":
        line = f"{{ {line[: -len(redirection)]} & echo $! >pid; wait $!; echo $? >code; }} {redirection}"
    env = environment({"database_url": "sqlite:///odds.db", "decode_workers": 0})
    process = await asyncio.create_subprocess_exec(
        "bash", "-c", line, env=env, cwd=tmp_path, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(30):
            while await answer_of(port) != 200:
                await asyncio.sleep(0.05)
        is_piped = (tmp_path / "pid").exists()
        os.kill(int((tmp_path / "pid").read_text()) if is_piped else process.pid, signal.SIGTERM)
        async with asyncio.timeout(15):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
    assert (int((tmp_path / "code").read_text()) if is_piped else process.returncode) == 0
    assert b"Traceback" not in said
    assert ("address_not_printed" in said.decode()) == (redirection in (">/dev/full", "| true"))


async def answer_of(port: int) -> int:
    """Return the status of a server that may not be up yet."""
    with contextlib.suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /healthz HTTP/1.0\r\n\r\n")
        line = await reader.readline()
        writer.close()
        return int(line.split()[1])
    return 0


@pytest.mark.parametrize(("words", "code"), [([], 0), (["--once"], 130)])
async def test_ctrl_c_ends_a_watch(words: list[str], code: int, sandbox: Sandbox, tmp_path: Path) -> None:
    """Ctrl-C is the way to stop watching. With `--once` no run was seen to its end, so the code is the signal's."""
    async with served(tmp_path, at(dict.fromkeys(FIRST_THREE, sandbox.url))) as server:
        watch = await asyncio.create_subprocess_exec(
            *COMMAND, "watch", "--json", *words, server.url, env=environment({}), stderr=asyncio.subprocess.PIPE
        )
        assert watch.stderr is not None
        async with asyncio.timeout(30):
            assert await watch.stderr.readline() == f"watching {server.url}\n".encode()
            watch.send_signal(signal.SIGINT)
            rest = await watch.stderr.read()
            assert (await watch.wait(), rest) == (code, b"")


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8000", "http://127.0.0.1:port", "http://127.0.0.1:99999", "http://[::1", "ftp://x", "http://"]
)
def test_a_url_that_is_none_is_a_sentence(url: str) -> None:
    """The exit code is 1."""
    result = CliRunner().invoke(main, ["watch", url])
    assert result.exit_code == 1
    assert f"Error: {url!r} is not a server address" in result.output


def test_a_folder_that_cannot_be_made_is_a_sentence(sandbox: Sandbox, tmp_path: Path) -> None:
    """The exit code is 1. Here a file is in the way."""
    (tmp_path / "file").write_text("")
    done = run(["record", "file/recording", "--events", "1"], settings_at(sandbox.url, tmp_path), tmp_path, 1)
    assert "Not a directory" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_recording_that_cannot_be_written_fails_with_a_sentence(sandbox: Sandbox, tmp_path: Path) -> None:
    """Here for one bookmaker: the others are recorded, and the exit code is 3."""
    (tmp_path / "recording").mkdir()
    (tmp_path / "recording" / "betpawa").write_text("")
    done = run(["record", "recording", "--json"], settings_at(sandbox.url, tmp_path), tmp_path, 3)
    ends = {each["platform"]: each for each in lines(done.stdout) if each["phase"] in ("failed", "completed")}
    assert ends["betpawa"]["phase"] == "failed"
    assert "the recording cannot be written" in ends["betpawa"]["error"]["error_message"]
    assert ends["sportybet"]["phase"] == ends["bet9ja"]["phase"] == "completed"
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    """The exit code is 1, for every command that needs a database."""
    settings = {"database_url": f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'odds.db'}"}
    for words in (["serve", "--bind", "127.0.0.1:0"], ["scrape"], ["migrate"]):
        done = run(words, settings, tmp_path, 1)
        assert "Error: " in done.stderr, words
        assert "Traceback" not in done.stderr, words


def test_migrate_names_the_revision(tmp_path: Path) -> None:
    """Migrating twice has the same result as once."""
    for _ in range(2):
        done = run(["migrate"], {"database_url": "sqlite:///odds.db"}, tmp_path)
        assert re.fullmatch(r"The database is at revision \w+\.\n", done.stdout)


def test_the_version_is_the_package_s() -> None:
    """The version is defined in one place."""
    assert CliRunner().invoke(main, ["--version"]).output == f"quart-odds, version {__version__}\n"


def test_settings_of_the_sandbox_give_way_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The slow pace and the separate database are defaults, which the environment overrides."""
    monkeypatch.setenv("QUART_ODDS_BETPAWA_CONCURRENCY", "9")
    urls = {"betpawa": "http://127.0.0.1:9", "bet9ja": "http://127.0.0.1:9"}
    settings = sandbox_settings(urls, {"log_level": "warning"})
    assert settings.bookmakers == (BETPAWA, BET9JA)
    assert (settings.concurrency(Platform.BETPAWA), settings.concurrency(Platform.BET9JA)) == (9, 3)
    assert (settings.url(Platform.BETPAWA), settings.log_level) == ("http://127.0.0.1:9", "warning")
    assert settings.database_url == "sqlite:///quart-odds-sandbox.db"


def test_the_page_about_it_names_every_command_and_option() -> None:
    """docs/cli.md describes every command and option."""
    text = DOCS.read_text()
    for name, command in main.commands.items():
        if name == "sandbox":
            assert "sandbox.md" in text
            continue
        section = text.partition(f"## quart-odds {name}")[2].partition("\n## ")[0]
        assert section, name
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert all(f"`{each}" in section for each in parameter.opts), f"{name}: {parameter.opts}"
