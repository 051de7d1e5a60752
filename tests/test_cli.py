"""The command line, as one uses it: what it prints, how it ends, and what it says when something is wrong."""

import asyncio
import contextlib
import json
import os
import re
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
from quart_odds.cli import main, sandbox_settings
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.settings import PREFIX
from quart_odds.storage import open_store
from tests.houses import HASTE, Sandbox, house, running_sandbox
from tests.served.serving import at, curl, environment, is_terminal, served

BETPAWA, SPORTYBET, BET9JA = Platform
COMMAND = (sys.executable, "-m", "quart_odds")
DOCS = Path(__file__).parents[1] / "docs" / "cli.md"
EVENTS = 6


@pytest.fixture(scope="module")
def process() -> Iterator[Sandbox]:
    """Bookmakers of six events."""
    with running_sandbox("--events", str(EVENTS), "--markets", "12") as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(process: Sandbox) -> Iterator[Sandbox]:
    """The same bookmakers, without faults before and after."""
    process.heal()
    yield process
    process.heal()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a developer has set is no matter here."""
    for name in environment({}).keys() ^ os.environ.keys():
        monkeypatch.delenv(name)


def settings_at(url: str, folder: Path) -> dict[str, object]:
    """Settings that ask one address and keep the odds in a folder."""
    return {**HASTE, **at(dict.fromkeys(Platform, url)), "database_url": f"sqlite:///{folder / 'odds.db'}"}


def run(
    words: list[str], settings: Mapping[str, object], folder: Path, code: int = 0
) -> subprocess.CompletedProcess[str]:
    """A command run to its end, which is with this exit code."""
    done = subprocess.run(
        [*COMMAND, *words], env=environment(settings), cwd=folder, capture_output=True, text=True, timeout=60
    )
    assert done.returncode == code, f"{done.returncode}: {done.stdout}{done.stderr}"
    return done


def statuses(folder: Path) -> list[str]:
    """How the runs in a folder's database ended."""
    with contextlib.closing(sqlite3.connect(folder / "odds.db")) as connection:
        return [status for (status,) in connection.execute("select status from runs order by id")]


def lines(text: str) -> list[dict[str, Any]]:
    """The lines of JSON that a command printed."""
    return [json.loads(line) for line in text.splitlines()]


async def test_scrape_is_one_run_whose_progress_is_printed(sandbox: Sandbox, tmp_path: Path) -> None:
    """A line of JSON each, the last one terminal; the run's row and the odds are in the database then."""
    done = run(["scrape", "--json"], settings_at(sandbox.url, tmp_path), tmp_path)
    told = lines(done.stdout)
    assert done.stderr == ""
    assert told[0]["phase"] == "initializing"
    assert [is_terminal(each) for each in told].count(True) == 1
    assert (told[-1]["phase"], told[-1]["platform"]) == ("completed", None)
    async with house(tmp_path, sandbox.url) as home:
        row = await home.get(f"/api/scrape/{told[-1]['scrape_run_id']}")
        assert (row["status"], row["trigger"], row["events_scraped"]) == ("completed", "cli", told[-1]["events_count"])
        for platform in Platform:
            assert await home.quotes(platform)


def test_scrape_shows_the_bookmakers_side_by_side(sandbox: Sandbox, tmp_path: Path) -> None:
    """In a pipe only how it ended: all three, the whole, and a sentence."""
    text = run(["scrape"], settings_at(sandbox.url, tmp_path), tmp_path).stdout
    for name in ("BetPawa", "SportyBet", "Bet9ja", "all"):
        assert re.search(rf"^{name} +completed .*[0-9]+ of [0-9]+", text, re.MULTILINE), text
    assert text.endswith("events\n")


@pytest.mark.parametrize(
    ("struck", "words", "code", "reason"),
    [
        ([BET9JA], [], 3, "Bet9ja failed"),
        (list(Platform), [], 1, "failed: "),
        ([BETPAWA], ["--platform", "bet9ja", "--platform", "sportybet"], 0, "odds of"),
        ([BETPAWA], ["--platform", "betpawa"], 1, "BetPawa at the list of competitions: refused (403)"),
    ],
)
def test_the_exit_code_says_what_came_of_it(
    struck: list[Platform], words: list[str], code: int, reason: str, sandbox: Sandbox, tmp_path: Path
) -> None:
    """0 when all went well, 3 when a bookmaker failed, 1 when all did."""
    sandbox.strike("403", *struck)
    done = run(["scrape", *words], settings_at(sandbox.url, tmp_path), tmp_path, code)
    assert reason in " ".join(done.stdout.split())


def test_a_signal_cancels_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """It ends at once, with its terminal progress, and 1."""
    sandbox.strike("timeout", *Platform)
    settings = settings_at(sandbox.url, tmp_path)
    command = [*COMMAND, "scrape", "--json"]
    with subprocess.Popen(command, env=environment(settings), stdout=subprocess.PIPE, text=True) as started:
        assert started.stdout is not None
        assert "initializing" in started.stdout.readline()
        started.send_signal(signal.SIGINT)
        last = lines(started.stdout.read())[-1]
        assert started.wait(timeout=5) == 1
    assert (last["phase"], last["error"]["error_type"]) == ("failed", "cancelled")
    assert statuses(tmp_path) == ["cancelled"]


def test_a_reader_that_leaves_cancels_the_run(sandbox: Sandbox, tmp_path: Path) -> None:
    """As `head -1` does: the command ends at once, without a traceback."""
    sandbox.strike("timeout", *Platform)
    command = [*COMMAND, "scrape", "--json"]
    env = environment(settings_at(sandbox.url, tmp_path) | {"drain_seconds": 60})
    with subprocess.Popen(
        command, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path
    ) as started:
        assert started.stdout is not None
        assert started.stderr is not None
        started.stdout.readline()
        started.stdout.close()
        assert started.wait(timeout=10) == 1
        assert "Traceback" not in started.stderr.read()
    assert statuses(tmp_path) == ["cancelled"]


def test_scrape_brings_its_own_bookmakers_where_it_is_asked_to(tmp_path: Path) -> None:
    """With a database that real odds never see."""
    words = ["scrape", "--json", "--sandbox", "--events", "4", "--latency-ms", "1"]
    told = lines(run(words, {"decode_workers": 0}, tmp_path).stdout)
    assert told[-1]["phase"] == "completed"
    assert told[-1]["events_count"] >= 8
    assert (tmp_path / "quart-odds-sandbox.db").is_file()
    assert not (tmp_path / "quart-odds.db").exists()


async def test_scrape_leaves_the_database_of_a_server_alone(sandbox: Sandbox, tmp_path: Path) -> None:
    """A sentence that says who has it, and 1."""
    store = await open_store(f"sqlite:///{tmp_path / 'odds.db'}")
    try:
        assert await store.database.claim()
        await store.create_run(trigger="api", platforms=[BETPAWA], started_at=utc_now())
        done = run(["scrape"], settings_at(sandbox.url, tmp_path), tmp_path, 1)
    finally:
        await store.aclose()
    assert "Error: another process writes to this database" in done.stderr
    assert statuses(tmp_path) == ["running"]
    assert "Traceback" not in done.stderr


async def test_watch_shows_the_runs_of_a_server_from_outside(sandbox: Sandbox, tmp_path: Path) -> None:
    """With `--once` to the end of the run that comes next, with an exit code as `scrape` has."""
    async with served(tmp_path, at(dict.fromkeys(Platform, sandbox.url))) as server:
        watch = await asyncio.create_subprocess_exec(
            *COMMAND, "watch", "--once", "--json", server.url,
            env=environment({}), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        )  # fmt: skip
        try:
            assert watch.stderr is not None
            async with asyncio.timeout(30):
                assert await watch.stderr.readline() == f"watching {server.url}\n".encode()
                told = await curl(server, "/api/scrape/stream")
                out, _ = await watch.communicate()
        finally:
            if watch.returncode is None:
                watch.kill()
    assert watch.returncode == 0
    assert lines(out.decode()) == told


def test_watch_says_when_there_is_nothing_to_watch(tmp_path: Path) -> None:
    """A sentence and 1."""
    done = run(["watch", "http://127.0.0.1:9"], {}, tmp_path, 1)
    assert "Error: there is no Quart Odds to watch at http://127.0.0.1:9: " in done.stderr
    assert "Traceback" not in done.stderr


async def test_a_recording_can_be_replayed(sandbox: Sandbox, tmp_path: Path) -> None:
    """A scrape of the replay gives the very odds that a scrape of the bookmakers gives."""
    folder = tmp_path / "recording"
    done = run(["record", str(folder)], settings_at(sandbox.url, tmp_path), tmp_path)
    assert re.search(r"bodies of events are in .*recording", " ".join(done.stdout.split()))
    assert not (tmp_path / "odds.db").exists()
    (tmp_path / "direct").mkdir()
    (tmp_path / "replayed").mkdir()
    with running_sandbox("--replay", str(folder)) as replay:
        async with (
            house(tmp_path / "direct", sandbox.url) as direct,
            house(tmp_path / "replayed", replay.url) as replayed,
        ):
            rows = [(await each.scrape())[0] for each in (direct, replayed)]
            assert [each["status"] for each in rows] == ["completed", "completed"]
            assert rows[0]["events_scraped"] == rows[1]["events_scraped"]
            for platform in Platform:
                odds = [await each.quotes(platform) for each in (direct, replayed)]
                assert odds[0].keys() == odds[1].keys()
                for external_id, quote in odds[0].items():
                    assert quote["inline_odds"] == odds[1][external_id]["inline_odds"]


def test_a_recording_can_be_of_a_few_events_and_of_one_bookmaker(sandbox: Sandbox, tmp_path: Path) -> None:
    """Those events that most bookmakers have; a second recording adds to the first."""
    settings = settings_at(sandbox.url, tmp_path)
    last = lines(run(["record", "rec", "--events", "2", "--json"], settings, tmp_path).stdout)[-1]
    assert (last["phase"], last["current"], last["events_count"]) == ("completed", 6, 6)
    entries = json.loads((tmp_path / "rec" / "requests.json").read_text())
    assert {each["bookmaker"] for each in entries} == set(Platform)
    run(["record", "rec", "--platform", "bet9ja"], settings, tmp_path)
    more = json.loads((tmp_path / "rec" / "requests.json").read_text())
    added = [each["bookmaker"] for each in more if each not in entries]
    assert set(added) == {"bet9ja"}


@pytest.mark.parametrize(
    ("fault", "struck", "code"),
    [("403", [BET9JA], 3), ("403@details", [BET9JA], 3), ("empty", list(Platform), 1)],
)
def test_a_recording_says_who_could_not_be_recorded(
    fault: str, struck: list[Platform], code: int, sandbox: Sandbox, tmp_path: Path
) -> None:
    """With an exit code as a scrape has; the first refusal of a body is the last request."""
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
    """And 2, before anything is opened or started."""
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
    """And 2."""
    result = CliRunner().invoke(main, words)
    assert (result.exit_code, said in " ".join(result.output.split())) == (2, True), result.output


@pytest.mark.parametrize("bind", ["127.0.0.1:{}", "nowhere.invalid:8000", "nonsense"])
def test_an_address_that_cannot_be_had_is_a_sentence(bind: str, tmp_path: Path) -> None:
    """And 2, without a traceback: somebody else's port, or no address at all."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        bind = bind.format(taken.getsockname()[1])
        done = run(["serve", "--bind", bind], {}, tmp_path, 2)
    assert f"Error: --bind '{bind}': " in done.stderr
    assert "Traceback" not in done.stderr


def test_a_database_that_cannot_be_opened_is_a_sentence(tmp_path: Path) -> None:
    """And 1, for every command that needs one."""
    settings = {"database_url": f"sqlite:///{tmp_path / 'no' / 'such' / 'folder' / 'odds.db'}"}
    for words in (["serve", "--bind", "127.0.0.1:0"], ["scrape"], ["migrate"]):
        done = run(words, settings, tmp_path, 1)
        assert "Error: " in done.stderr, words
        assert "Traceback" not in done.stderr, words


def test_migrate_names_the_revision(tmp_path: Path) -> None:
    """Twice is the same as once."""
    for _ in range(2):
        done = run(["migrate"], {"database_url": "sqlite:///odds.db"}, tmp_path)
        assert re.fullmatch(r"The database is at revision \w+\.\n", done.stdout)


def test_the_version_is_the_package_s() -> None:
    """One number, in one place."""
    assert CliRunner().invoke(main, ["--version"]).output == f"quart-odds, version {__version__}\n"


def test_settings_of_the_sandbox_give_way_to_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pace that can be watched and a database of its own, unless these are set."""
    monkeypatch.setenv("QUART_ODDS_BETPAWA_CONCURRENCY", "9")
    settings = sandbox_settings({"betpawa": "http://127.0.0.1:9"}, {"log_level": "warning"})
    assert (settings.betpawa_concurrency, settings.bet9ja_concurrency) == (9, 3)
    assert (settings.betpawa_url, settings.log_level) == ("http://127.0.0.1:9", "warning")
    assert settings.database_url == "sqlite:///quart-odds-sandbox.db"


def test_the_page_about_it_names_every_command_and_option() -> None:
    """docs/cli.md and the commands are held together."""
    text = DOCS.read_text()
    for name, command in main.commands.items():
        if name == "sandbox":
            assert "sandbox.md" in text
            continue
        section = text.partition(f"## quart-odds {name}")[2].partition("\n## ")[0]
        assert section, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert all(f"`{each}" in section for each in parameter.opts), f"{name}: {parameter.opts}"
