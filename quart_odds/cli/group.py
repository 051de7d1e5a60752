"""The group of all commands: how they are found, and how their errors are shown."""

import os
import sys
from typing import Any

import click

from quart_odds.cli.streams import drop_stdout, is_stdout_broken, prepare_streams
from quart_odds.domain.secrets import masked
from quart_odds.domain.text import printable
from quart_odds.errors import QuartOddsError, SettingsError


class CommandGroup(click.Group):
    """Commands whose errors are sentences, not tracebacks.

    `sandbox` is imported when it is asked for: the decoding processes import this module, and should stay small.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """All names."""
        return sorted([*super().list_commands(ctx), "sandbox"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """A command by its name."""
        if cmd_name == "sandbox":
            from quart_odds.sandbox import sandbox_command

            return sandbox_command
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command from the command line, on whatever standard streams there are."""
        prepare_streams()
        try:
            return super().main(*args, **kwargs)
        except OSError as error:
            if not is_stdout_broken():
                raise
            drop_stdout()
            click.echo(f"Error: standard output cannot be written: {error.strerror or error}", err=True)
            sys.exit(1)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; our own errors, and files that cannot be had, end it with their text."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            # It shows nothing of what was given, and examples with passwords of what is allowed.
            raise click.UsageError(printable(str(error))) from None
        except QuartOddsError as error:
            raise click.ClickException(_shown(error)) from None
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(f"{os.fsdecode(error.filename)}: {error.strerror or error}") from None


def _shown(error: QuartOddsError) -> str:
    return printable(masked(error.for_operator))
