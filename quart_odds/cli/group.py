"""The group of all commands: finds a command and reports its errors."""

import os
import sys
from typing import Any

import click

from quart_odds.cli.streams import drop_stdout, is_stdout_broken, prepare_streams
from quart_odds.domain.secrets import masked
from quart_odds.domain.text import printable
from quart_odds.errors import QuartOddsError, SettingsError


class CommandGroup(click.Group):
    """Commands that report errors as sentences, not tracebacks.

    The `sandbox` command is imported on demand: decoding processes import this module and should stay small.
    """

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return sorted([*super().list_commands(ctx), "sandbox"])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by name."""
        if cmd_name == "sandbox":
            from quart_odds.sandbox import sandbox_command

            return sandbox_command
        return super().get_command(ctx, cmd_name)

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command from the command line, even if a standard stream is closed, full or not read."""
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
        """Run a command. Our own errors, and errors about a named file, end it with a message."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            # Not masked: the message never shows the given value, and masking would spoil its example URLs.
            raise click.UsageError(printable(str(error))) from None
        except QuartOddsError as error:
            raise click.ClickException(_shown(error)) from None
        except OSError as error:
            if error.filename is None:
                raise
            raise click.ClickException(f"{os.fsdecode(error.filename)}: {error.strerror or error}") from None


def _shown(error: QuartOddsError) -> str:
    return printable(masked(error.for_operator))
