"""How every command ends that is interrupted, or whose output nobody reads, as real processes."""

import contextlib
import fcntl
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from quart_odds.cli import main
from quart_odds.cli.ends import UNREAD
from quart_odds.domain.platforms import Platform
from tests.cli.commands import commands
from tests.export.preparing import Prepared
from tests.server.serving import environment

COMMAND = (sys.executable, "-m", "quart_odds")
SECONDS = 60
LEAVES = [words for words, _ in commands(with_groups=False)]


@contextlib.contextmanager
def started(
    words: tuple[str, ...], settings: Mapping[str, object], folder: Path, stdout: int = subprocess.DEVNULL
) -> Iterator["subprocess.Popen[str]"]:
    """Start a command, and end it with the block if it has not ended by then."""
    process = subprocess.Popen(
        [*COMMAND, *words], env=environment(settings), cwd=folder, stdout=stdout, stderr=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def unread(words: tuple[str, ...], settings: Mapping[str, object], folder: Path) -> tuple[int, str]:
    """Run a command whose standard output nobody reads. Return its exit code, and what it said about that."""
    read, write = os.pipe()
    os.close(read)
    with started(words, settings, folder, write) as process:
        os.close(write)
        _, said = process.communicate(timeout=SECONDS)
        return process.returncode, said


@pytest.mark.parametrize("words", [(), *LEAVES], ids=" ".join)
def test_help_that_nobody_reads_ends_quietly(words: tuple[str, ...], tmp_path: Path) -> None:
    """The code is that of a program that SIGPIPE ends."""
    assert unread((*words, "--help"), {}, tmp_path) == (UNREAD, "")


@pytest.mark.parametrize(
    "words",
    [
        ("config",),
        ("config", "--json"),
        ("doctor", "--timeout", "1"),
        ("doctor", "--timeout", "1", "--json"),
        ("completion", "bash"),
        ("migrate",),
        ("scrape", "--sandbox", "--events", "4", "--latency-ms", "1", "--json"),
        ("scrape", "--sandbox", "--events", "4", "--latency-ms", "1"),
        ("record", "recording"),
        ("sandbox",),
        ("alerts", "targets", "add", "mine", "https://odds.example.com/hook"),
        ("alerts", "rules", "add", "runs", '{"kind": "run"}'),
        ("token", "create", "--name", "mine", "--scope", "read"),
    ],
    ids=" ".join,
)
def test_a_command_that_nobody_reads_ends_quietly(words: tuple[str, ...], tmp_path: Path) -> None:
    """There is neither a message nor a traceback, apart from what stand-ins log."""
    nowhere = {f"{each}_url": "http://127.0.0.1:9" for each in Platform}
    settings = nowhere | {"database_url": "sqlite:///odds.db", "request_tries": 1, "decode_workers": 0}
    code, said = unread(words, settings, tmp_path)
    assert (code, [line for line in said.splitlines() if " sandbox." not in line]) == (UNREAD, [])


def test_the_rest_of_a_long_export_is_not_made(prepared: Prepared, tmp_path: Path) -> None:
    """As with `head -1`, in a shell that tells the code of each part of a pipe."""
    line = f"{sys.executable} -m quart_odds export history --include-started | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(
        ["bash", "-c", line],
        env=environment({"database_url": prepared.url}),
        capture_output=True,
        text=True,
        timeout=SECONDS,
    )
    [head, code] = done.stdout.splitlines()
    assert head.startswith("event_id,")
    # A short export is written before `head` leaves.
    assert (int(code) in (0, UNREAD), done.stderr) == (True, "")


@contextlib.contextmanager
def silent_server() -> Iterator[socket.socket]:
    """A server that accepts connections, as Redis, PostgreSQL or a site, and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(SECONDS)
        yield listening


WAITING = [
    ("scrape", "--json"),
    ("record", "recording"),
    ("export",),
    ("export", "--output", "odds.csv"),
    ("migrate",),
    ("doctor", "--timeout", "60"),
    ("alerts", "targets", "list"),
    ("alerts", "targets", "remove", "1"),
    ("alerts", "rules", "list"),
    ("token", "list"),
    ("watch", "--once"),
]
"""Commands that wait for somebody's answer."""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
@pytest.mark.parametrize("words", WAITING, ids=" ".join)
def test_a_signal_ends_a_command_that_waits(
    words: tuple[str, ...], number: signal.Signals, code: int, tmp_path: Path
) -> None:
    """At once, without a traceback, and with the code of the signal. No half of a file is left."""
    with silent_server() as server:
        url = f"127.0.0.1:{server.getsockname()[1]}"
        settings: dict[str, object] = {f"{each}_url": f"http://{url}" for each in Platform}
        if words[0] in ("scrape", "record"):
            settings |= {"database_url": "sqlite:///odds.db", "decode_workers": 0, "drain_seconds": 0.1}
        elif words[0] == "watch":
            words = (*words, f"http://{url}")
        else:
            settings["database_url"] = f"postgresql://u@{url}/odds"
        with started(words, settings, tmp_path) as process:
            connection, _ = server.accept()
            with connection:
                process.send_signal(number)
                _, said = process.communicate(timeout=SECONDS)
    assert (process.returncode, "Traceback" in said, "Aborted" in said) == (code, False, False), said
    assert not [each for each in tmp_path.iterdir() if "csv" in each.name]


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["text", "json"])
def test_ctrl_c_ends_a_command_whose_reader_reads_nothing(as_json: tuple[str, ...], tmp_path: Path) -> None:
    """As with a pager that shows its first page. What was not written yet does not hold up the end."""
    hosts = ",".join(f"{number}.example.com" for number in range(300))
    words = ("config", "--set", f"allowed_hosts={hosts}", *as_json)
    read, write = os.pipe()
    try:
        room = fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        assert len(CliRunner().invoke(main, words).output) > room
        with started(words, {}, tmp_path, write) as process:
            assert select.select([read], [], [], SECONDS)[0]
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=SECONDS)
    finally:
        os.close(read)
        os.close(write)
    assert (process.returncode, said) == (130, "")


def test_ctrl_c_before_anything_has_begun_is_quiet(tmp_path: Path) -> None:
    """Here while the command line itself is loaded."""
    code = (
        "import builtins, signal\n"
        "from quart_odds.__main__ import main\n"
        "load = builtins.__import__\n"
        "def loaded(name, *more):\n"
        "    if name == 'quart_odds.cli':\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "    return load(name, *more)\n"
        "builtins.__import__ = loaded\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=SECONDS, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_signals_are_left_as_they_were(tmp_path: Path) -> None:
    """Also when the command line is used in another program."""
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    assert CliRunner().invoke(main, ["config", "--json"], env={}).exit_code == 0
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == before
