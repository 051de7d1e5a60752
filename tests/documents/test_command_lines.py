"""Every command line of `quart-odds` in the documents is one that it accepts, also those that cannot be run here."""

import re
import shlex
from pathlib import Path

import click
import pytest

from quart_odds.cli import main
from tests.documents.blocks import ROOT, pages

LINE = r"^ *(?:[A-Z_]+=\S+ )*{program} (?P<words>.+)$"
"""In a block of code, after variables of the environment."""


def command_lines(path: Path, program: str = "quart-odds") -> list[str]:
    """Return what follows the name of a program in each line of code that begins with it."""
    wanted = re.compile(LINE.format(program=program))
    is_code = False
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("```"):
            is_code = not is_code
        elif (is_code or line.startswith("    ")) and (match := wanted.match(line)):
            found.append(match["words"])
    return found


def parse(line: str) -> None:
    """Parse a command line up to a pipe or a redirection, without carrying it out. UsageError if it is wrong."""
    words = shlex.split(line, comments=True)
    end = next((place for place, word in enumerate(words) if word in ("|", ">", ";", "&&")), len(words))
    command: click.Command = main
    context = click.Context(main, info_name="quart-odds", **main.context_settings)
    rest = words[:end]
    while isinstance(command, click.Group) and rest:
        name, *rest = rest
        found = command.get_command(context, name)
        if found is None:
            raise click.UsageError(f"no command {name}")
        command = found
        context = click.Context(command, parent=context, info_name=name)
    command.make_parser(context).parse_args(rest)


@pytest.mark.parametrize(
    ("page", "line"), [(path.relative_to(ROOT).as_posix(), line) for path in pages() for line in command_lines(path)]
)
def test_a_command_line_is_accepted(page: str, line: str) -> None:
    """The command and its options exist."""
    parse(line)


def test_make_has_the_targets_that_are_named() -> None:
    """`make demo` and `make test` among them."""
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {shlex.split(line, comments=True)[0] for path in pages() for line in command_lines(path, "make")}
    assert {"demo", "test"} <= named <= targets


@pytest.mark.parametrize("line", ["serv", "serve --port 8000", "alerts rule list", "watch --once=1"])
def test_a_wrong_command_line_is_noticed(line: str) -> None:
    """A command, an option or a value that does not exist is an error."""
    with pytest.raises(click.UsageError):
        parse(line)
