"""The help of every command: examples that work, in eighty columns."""

import asyncio
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from quart_odds.cli import main
from quart_odds.settings import PREFIX, Settings
from quart_odds.storage import migrate
from tests.cli.commands import command_of, commands

ALL = list(commands())
COLUMNS = 80
CHEAP = ("config", "completion", "migrate", "export", "alerts", "token", "schema")
"""Commands whose examples are run: they need a database at most."""


def examples(command: click.Command) -> list[str]:
    """Return the lines below `Examples:` in the help of a command."""
    found = re.search(r"^Examples:\n((?:  .+\n?)+)", (command.epilog or "").replace("\b\n", ""), re.MULTILINE)
    return [] if found is None else [line.strip() for line in found[1].splitlines()]


def words_of(line: str) -> tuple[dict[str, str], list[str]]:
    """Return the environment and the words of an example, without what a shell does with the output."""
    inner = re.search(r"\$\((.*?)\)", line)
    lexer = shlex.shlex(inner[1] if inner else line, posix=True, punctuation_chars="|>;&")
    lexer.whitespace_split = True
    environ: dict[str, str] = {}
    words: list[str] = []
    for word in lexer:
        if word in ("|", ">"):
            break
        name, sign, value = word.partition("=")
        if not words and sign and name.isupper():
            environ[name] = value
        else:
            words.append(word)
    return environ, words


EXAMPLES = [pytest.param(line, id=line) for _, command in ALL for line in examples(command)]


@pytest.mark.parametrize(("words", "command"), ALL, ids=[" ".join(words) or "quart-odds" for words, _ in ALL])
def test_every_command_has_examples_in_eighty_columns(words: tuple[str, ...], command: click.Command) -> None:
    """`-h` is as good as `--help`."""
    assert examples(command), words
    asked = [CliRunner().invoke(main, [*words, each], terminal_width=COLUMNS) for each in ("-h", "--help")]
    assert [each.exit_code for each in asked] == [0, 0]
    assert asked[0].output == asked[1].output
    assert [line for line in asked[0].output.splitlines() if len(line) > COLUMNS] == []
    for line in examples(command):
        assert line in asked[0].output


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with what the examples name."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recording").mkdir()
    return tmp_path


@pytest.mark.parametrize("line", EXAMPLES)
def test_every_example_is_a_valid_command_line(line: str, folder: Path) -> None:
    """Its options and arguments are taken. Variables are settings."""
    environ, words = words_of(line)
    assert words[0] == "quart-odds"
    assert {name.removeprefix(PREFIX).lower() for name in environ} <= Settings.model_fields.keys()
    command, rest = command_of(words[1:])
    command.make_context(words[1], rest, parent=main.make_context("quart-odds", ["config"]))


def cheap() -> Iterator[str]:
    """Yield the examples to run: additions first, removals last, and nothing that is sent to somebody."""
    lines = [str(each.values[0]) for each in EXAMPLES]
    chosen = [line for line in lines if words_of(line)[1][1] in CHEAP and not re.search(" test | revoke ", line)]
    yield from sorted(chosen, key=lambda line: (" remove " in line, " add " not in line))


def test_examples_that_need_only_a_database_work(folder: Path) -> None:
    """One after the other, on one database."""
    asyncio.run(migrate("sqlite:///quart-odds.db"))
    lines = list(cheap())
    assert len(lines) > 10
    for line in lines:
        environ, words = words_of(line)
        done = CliRunner().invoke(main, words[1:], env=environ, input="https://odds.example.com/hook\n")
        assert done.exit_code == 0, (line, done.output, done.exception)
    assert (folder / "history.parquet").is_file()
