"""`quart-odds export`: what it writes, and where."""

import asyncio
import csv
import io
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from click.testing import CliRunner, Result
from pyarrow import parquet

from quart_odds.cli import export as command
from quart_odds.cli import main, output_file
from quart_odds.errors import StorageError
from quart_odds.export.kinds import KINDS
from quart_odds.routes.api.export_query import ExportQuery
from quart_odds.storage import Store
from tests.export.preparing import Prepared
from tests.server.serving import environment


@pytest.fixture(autouse=True)
def settings(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only one setting: the prepared database."""
    for name in environment({}).keys() ^ os.environ.keys():
        monkeypatch.delenv(name)
    monkeypatch.setenv("QUART_ODDS_DATABASE_URL", prepared.url)


def run(*words: str, code: int = 0) -> Result:
    """Run the command to its end and check its exit code."""
    done = CliRunner().invoke(main, ["export", *words])
    assert done.exit_code == code, (done.output, done.exception)
    return done


def rows(*words: str) -> list[dict[str, Any]]:
    """Return the rows that the command prints as JSON Lines."""
    return [orjson.loads(line) for line in run("--format", "jsonl", *words).stdout.splitlines()]


def test_it_prints_csv(prepared: Prepared) -> None:
    """Those of the events that have not kicked off, as the API has them, and nothing else."""
    done = run()
    [head, *cells] = csv.reader(io.StringIO(done.stdout))
    assert head == [column.name for column in KINDS["current"].columns]
    assert len(cells) == 6 * 5
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["--include-started"], {1, 2, 3, 4, 5}),
        (["--event-id", "5", "--event-id", "1"], {1, 5}),
        (["--country", "spain", "--country", "nowhere"], {2}),
        (["--search", "arsenal", "--bookmaker", "betpawa"], {1}),
        (["--min-bookmakers", "2"], {1, 2}),
        (["--market", "btts_ft"], set()),
        (["--include-started", "--kickoff-to", "2020-01-01T00:00:00Z"], set()),
        (["--changed-since", "2020-01-01T00:00:00Z", "--availability", "betpawa"], {1}),
        (["history", "--competition", "premier", "--kickoff-from", "2020-01-01T00:00:00Z"], {1, 4}),
    ],
)
def test_it_takes_the_filters_of_the_api(words: list[str], found: set[int]) -> None:
    """They can be combined."""
    assert {row["event_id"] for row in rows(*words)} == found


def test_every_filter_of_the_api_is_an_option() -> None:
    """And every kind and format a choice. Names are the same, those of lists in the singular."""
    names = {parameter.name for parameter in command.export_command.params}
    same_twice = {"tournament_id", "country"}
    assert ExportQuery.model_fields.keys() - {"format"} - same_twice == names - {"shape", "output", "force"}
    assert tuple(KINDS) == command.KINDS
    schema = ExportQuery.model_json_schema()["properties"]
    assert (schema["kind"]["enum"], schema["format"]["enum"]) == ([*command.KINDS], [*command.FORMATS])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--market", "no"], "--market: there is no market 'no'"),
        (["--event-id", "x"], "--event-id: Input should be a valid integer"),
        (["--tournament-id", "x"], "--tournament-id: "),
        (["--kickoff-from", "2026"], "--kickoff-from: write it as 2026-11-22T10:00:00Z"),
        (["--changed-since", "01234567-8"], "--changed-since: give a time"),
        (["--min-bookmakers", "9"], "--min-bookmakers: "),
        (["--availability", "no"], "--availability: "),
        (["--no"], "No such option"),
        (["no"], "is not one of 'current', 'history'"),
    ],
)
def test_what_is_wrong_with_an_option_is_said(words: list[str], message: str) -> None:
    """The exit code is 2."""
    assert message in run(*words, code=2).output


def test_a_file_has_the_format_of_its_name(tmp_path: Path) -> None:
    """Unless another one is asked for. There is nothing else in the folder."""
    run("history", "--output", str(tmp_path / "a.parquet"))
    run("--output", str(tmp_path / "b.JSONL"))
    run("--output", str(tmp_path / "c.parquet"), "--format", "csv")
    run("--output", str(tmp_path / "d"))
    assert parquet.read_table(tmp_path / "a.parquet").column_names == [each.name for each in KINDS["history"].columns]
    assert (tmp_path / "b.JSONL").read_bytes().startswith(b'{"event_id":')
    assert (tmp_path / "c.parquet").read_bytes() == (tmp_path / "d").read_bytes()
    assert {each.name for each in tmp_path.iterdir()} == {"a.parquet", "b.JSONL", "c.parquet", "d"}


def test_a_file_is_replaced_only_by_force(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even one that comes into being while the export is made."""
    path = tmp_path / "odds.csv"
    path.write_text("mine")
    assert "add --force" in run("--output", str(path), code=2).output
    monkeypatch.setattr(Path, "exists", lambda _: False)
    assert "exists by now" in run("--output", str(path), code=1).output

    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert "exists by now" in run("--output", str(path), code=1).output
    assert path.read_text() == "mine"
    run("--output", str(path), "--force")
    assert path.read_text().startswith("event_id,")
    run("--output", str(tmp_path / "other.csv"))
    assert {each.name for each in tmp_path.iterdir()} == {"odds.csv", "other.csv"}


def test_only_files_are_replaced(tmp_path: Path) -> None:
    """A device is not, and a link is followed."""
    assert "is not a file that can be replaced" in run("--output", os.devnull, "--force", code=2).output
    (tmp_path / "link.csv").symlink_to(tmp_path / "odds.csv")
    run("--output", str(tmp_path / "link.csv"))
    assert (tmp_path / "link.csv").is_symlink()
    assert (tmp_path / "odds.csv").read_text().startswith("event_id,")


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says why: there is no such folder, or no space."""
    missing = tmp_path / "missing" / "odds.csv"
    assert run("--output", str(missing), code=1).output == f"Error: {missing}: No such file or directory\n"

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    path = tmp_path / "odds.csv"
    assert run("--output", str(path), code=1).output == f"Error: {path}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_private_only_as_the_user_wants(tmp_path: Path) -> None:
    """Its mode is that of any new file."""
    (tmp_path / "any").touch()
    run("--output", str(tmp_path / "odds.csv"))
    assert (tmp_path / "odds.csv").stat().st_mode == (tmp_path / "any").stat().st_mode


@pytest.mark.parametrize(
    ("error", "code"), [(StorageError("the database is gone"), 1), (KeyboardInterrupt(), 128 + signal.SIGINT)]
)
def test_an_export_that_fails_leaves_no_file(
    error: BaseException, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither does Ctrl-C. A file that was there stays."""
    path = tmp_path / "odds.csv"
    path.write_text("mine")

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(output_file.OutputFile, "write", fail)
    done = run("--output", str(path), "--force", code=code)
    assert ("the database is gone" in done.output) == (code == 1)
    assert [each.read_text() for each in tmp_path.iterdir()] == ["mine"]


def test_a_signal_while_the_database_is_read_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C cancels the read, and closes the database."""

    async def interrupted(*_: object) -> list[object]:
        signal.raise_signal(signal.SIGINT)
        # The interpreter may handle the signal a little later, so the loop must not sleep until something wakes it.
        while True:
            await asyncio.sleep(0.01)

    monkeypatch.setattr(Store, "stored_events", interrupted)
    # As in a process of its own: a server that an earlier test ran in this one leaves its handler behind.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run("--output", str(tmp_path / "odds.csv"), code=128 + signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert list(tmp_path.iterdir()) == []


def test_parquet_without_pyarrow_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """One sentence says what to install."""
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    output = run("--format", "parquet", code=1).output
    assert output == "Error: Parquet needs the extra export: pip install 'quart-odds[export]'\n"


def test_log_lines_are_not_in_the_export(monkeypatch: pytest.MonkeyPatch) -> None:
    """They go to standard error, where nobody has configured logging."""
    structlog.reset_defaults()

    async def warned(*_: object) -> list[object]:
        structlog.get_logger("test").warning("something.odd")
        return []

    monkeypatch.setattr(Store, "stored_events", warned)
    assert run().stdout.count("\n") == 1


def test_parquet_is_not_for_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would upset the terminal."""
    monkeypatch.setattr(command, "is_terminal", lambda _: True)
    assert "add --output FILE" in run("--format", "parquet", code=2).output


def test_a_database_is_neither_made_nor_upgraded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says that there is none, or how to upgrade it."""
    monkeypatch.setenv("QUART_ODDS_DATABASE_URL", f"sqlite:///{tmp_path / 'odds.db'}")
    assert "there is no database" in run(code=1).output
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "odds.db").touch()
    assert "run `quart-odds migrate`" in run(code=1).output


def test_a_reader_that_leaves_ends_it(prepared: Prepared) -> None:
    """As with `head`, without a traceback."""
    words = [sys.executable, "-m", "quart_odds", "export", "history", "--include-started"]
    env = environment({"database_url": prepared.url})
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(words, env=env, stdout=write, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(write)
    assert done.returncode == 141
    assert done.stderr == ""
