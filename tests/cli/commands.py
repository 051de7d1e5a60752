"""All commands of the command line, found by walking it, so that a new one is in every generated test."""

from collections.abc import Iterator, Sequence

import click

from quart_odds.cli import main


def commands(*, with_groups: bool = True) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    """Yield each command with its words, such as ("alerts", "targets", "list"). The command line itself has none."""
    yield from _within(main, (), with_groups)


def _within(
    command: click.Command, words: tuple[str, ...], with_groups: bool
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    if not isinstance(command, click.Group):
        yield words, command
        return
    if with_groups:
        yield words, command
    context = click.Context(command)
    for name in command.list_commands(context):
        found = command.get_command(context, name)
        assert found is not None
        yield from _within(found, (*words, name), with_groups)


def command_of(words: Sequence[str]) -> tuple[click.Command, list[str]]:
    """Return the command that words begin with, and the words after its name. AssertionError if there is none."""
    command: click.Command = main
    rest = list(words)
    while isinstance(command, click.Group):
        found = command.get_command(click.Context(command), rest.pop(0))
        assert found is not None, words
        command = found
    return command, rest
