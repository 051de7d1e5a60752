"""What commands print where there is no terminal, a plain one, or one that lacks letters."""

import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from quart_odds.domain.platforms import Platform
from tests.apps import Sandbox, running_sandbox
from tests.cli.commands import commands
from tests.cli.test_cli import settings_at
from tests.server.serving import environment

COMMAND = (sys.executable, "-m", "quart_odds")
SECONDS = 60
COLOUR = re.compile(r"\x1b\[(?:[0-9]+;)*(?:3|9)[0-9](?:;[0-9]+)*m")
CURSOR = re.compile(r"\x1b\[[0-9;?]*[A-HJKSTfhl]")
WORDS = (("scrape",), ("scrape", "--sweep"), ("doctor", "--bind", "127.0.0.1:0"))
HELP_OF_ALL = """
import json, sys
from quart_odds.cli import main
for words in json.loads(sys.argv[1]):
    try:
        main([*words, "--help"], prog_name="quart-odds")
    except SystemExit as end:
        assert not end.code, (words, end.code)
"""


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Stand-in bookmakers."""
    with running_sandbox("--events", "6", "--markets", "12") as running:
        yield running


def environ(sandbox: Sandbox, folder: Path, **more: str) -> dict[str, str]:
    """Return the environment of a command, with nothing about terminals but what is given."""
    settings = settings_at(sandbox.url, folder) | {"bookmakers": "betpawa,sportybet,bet9ja"}
    kept = environment(settings)
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "COLORTERM", "TERM", "COLUMNS"):
        kept.pop(name, None)
    return kept | {"TERM": "xterm-256color", **more}


def in_terminal(words: tuple[str, ...], env: Mapping[str, str], folder: Path) -> str:
    """Run a command in a terminal of its own, and return all that it wrote there."""
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*COMMAND, *words], env=env, cwd=folder, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        parts = []
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # how Linux tells that the other side is closed
                break
            if not part:
                break
            parts.append(part)
        assert process.wait(SECONDS) == 0, b"".join(parts)
    os.close(ours)
    return b"".join(parts).decode()


def in_pipe(words: tuple[str, ...], env: Mapping[str, str], folder: Path) -> str:
    """Run a command whose output goes to pipes, and return all of it."""
    done = subprocess.run([*COMMAND, *words], env=env, cwd=folder, capture_output=True, timeout=SECONDS)
    assert done.returncode == 0, done
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_there_are_no_control_sequences_without_a_terminal(
    words: tuple[str, ...], sandbox: Sandbox, tmp_path: Path
) -> None:
    """And nothing is printed twice: one row for each bookmaker."""
    text = in_pipe(words, environ(sandbox, tmp_path), tmp_path)
    assert "\x1b" not in text
    assert "\r" not in text
    assert len(re.findall(r"^(?:ok +bookmaker[.]sportybet|SportyBet) ", text, re.MULTILINE)) == 1, text


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_a_terminal_shows_colours_and_progress(words: tuple[str, ...], sandbox: Sandbox, tmp_path: Path) -> None:
    """NO_COLOR takes the colours, and TERM=dumb everything."""
    folders = [tmp_path / name for name in ("plain", "none", "dumb")]
    for folder in folders:
        folder.mkdir()
    text = in_terminal(words, environ(sandbox, folders[0]), folders[0])
    assert (bool(COLOUR.search(text)), bool(CURSOR.search(text))) == (True, True), text
    text = in_terminal(words, environ(sandbox, folders[1], NO_COLOR="1"), folders[1])
    assert (bool(COLOUR.search(text)), bool(CURSOR.search(text))) == (False, True), text
    text = in_terminal(words, environ(sandbox, folders[2], TERM="dumb"), folders[2])
    assert "\x1b" not in text, text


@pytest.mark.parametrize("words", WORDS, ids=" ".join)
def test_colours_can_be_had_in_a_pipe(words: tuple[str, ...], sandbox: Sandbox, tmp_path: Path) -> None:
    """With FORCE_COLOR, as in the log of a build. Nothing is drawn over again there."""
    text = in_pipe(words, environ(sandbox, tmp_path, FORCE_COLOR="1"), tmp_path)
    assert COLOUR.search(text), text
    assert not CURSOR.search(text), text
    assert "\r" not in text


def test_log_lines_have_colours_where_the_terminal_has(sandbox: Sandbox, tmp_path: Path) -> None:
    """Those of `serve`, whose standard error is a pipe here."""
    for more, coloured in (({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)):
        env = environ(sandbox, tmp_path, **more)
        with subprocess.Popen([*COMMAND, "serve", "--bind", "127.0.0.1:0"], env=env, stdout=subprocess.PIPE,
                              stderr=subprocess.PIPE, cwd=tmp_path, text=True) as server:  # fmt: skip
            assert server.stdout is not None
            assert "Quart Odds is at" in server.stdout.readline()
            server.terminate()
            _, log = server.communicate(timeout=SECONDS)
        assert "server.stopped" in log
        assert bool(COLOUR.search(log)) == coloured, log


LIMITED = {
    "latin-1": {"PYTHONIOENCODING": "latin-1"},
    "ascii": {"PYTHONIOENCODING": "ascii"},
    "C": {"LC_ALL": "C"},
    "C without UTF-8": {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
}
"""Environments in which the interpreter cannot encode every letter, or might not."""


@pytest.mark.parametrize("limit", LIMITED)
def test_no_letter_is_too_much_for_any_help(limit: str) -> None:
    """Letters that are missing are replaced."""
    words = json.dumps([list(words) for words, _ in commands()])
    env = environment({}) | LIMITED[limit]
    done = subprocess.run([sys.executable, "-c", HELP_OF_ALL, words], env=env, capture_output=True, timeout=SECONDS)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.count(b"Usage:") == len(list(commands()))


@pytest.mark.parametrize("limit", LIMITED)
@pytest.mark.parametrize("as_json", [[], ["--json"]], ids=["text", "json"])
@pytest.mark.parametrize("command", ["config", "doctor"])
def test_no_letter_is_too_much_for_what_is_found(command: str, as_json: list[str], limit: str, tmp_path: Path) -> None:
    """Here a file whose name no limited terminal can show. JSON has it all the same, in UTF-8."""
    nowhere = {f"{each}_url": "http://127.0.0.1:9" for each in Platform}
    env = environment(nowhere | {"database_url": "sqlite:///tést-漢字.db"}) | LIMITED[limit]
    words = [command, *as_json, *(["--timeout", "1"] if command == "doctor" else [])]
    done = subprocess.run([*COMMAND, *words], env=env, capture_output=True, timeout=SECONDS, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (int(command == "doctor"), b"")
    if as_json:
        assert "tést-漢字.db" in done.stdout.decode()
