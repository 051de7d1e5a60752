"""The group of all commands: finds a command, and reports how it ends."""

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import click

from quart_odds.cli.ends import ending, sigterm_interrupts
from quart_odds.cli.streams import prepare_streams
from quart_odds.domain.secrets import masked
from quart_odds.domain.text import printable
from quart_odds.errors import QuartOddsError, SettingsError

OWN_SIGNALS = ("serve", "sandbox", "mcp")
"""Commands for which SIGTERM is the way to stop, and which handle it themselves."""


class ExplainedError(click.UsageError):
    """A wrong setting. Its message never shows the given value, and masking would spoil its example URLs."""


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

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Return the command of a command line, and let SIGTERM interrupt it unless it handles the signal itself."""
        name, command, rest = super().resolve_command(ctx, args)
        if not ctx.resilient_parsing and name not in OWN_SIGNALS:
            ctx.with_resource(sigterm_interrupts())
        return name, command, rest

    def main(self, *args: Any, **kwargs: Any) -> Any:
        """Run a command from the command line, even if a standard stream is closed, full or not read.

        The traceback of an error that nobody expected shows no passwords.
        """
        prepare_streams()
        try:
            return super().main(*args, **kwargs)
        except Exception:
            click.echo(printable(masked(traceback.format_exc())), err=True, nl=False)
            sys.exit(1)

    def make_context(self, *args: Any, **kwargs: Any) -> click.Context:
        """Parse the options before the command, which may print the help or the version."""
        with ending(), _masking():
            return super().make_context(*args, **kwargs)

    def invoke(self, ctx: click.Context) -> object:
        """Run a command. Our own errors, and errors about a named file, end it with a message."""
        with ending(), _masking():
            try:
                return super().invoke(ctx)
            except SettingsError as error:
                raise ExplainedError(printable(str(error))) from None
            except QuartOddsError as error:
                raise click.ClickException(_shown(error)) from None
            except OSError as error:
                if error.filename is None:
                    raise
                raise click.ClickException(f"{os.fsdecode(error.filename)}: {error.strerror or error}") from None


@contextlib.contextmanager
def _masking() -> Iterator[None]:
    """Mask passwords in the messages of the block's errors: a URL may be given where something else was due."""
    try:
        yield
    except click.ClickException as error:
        if not isinstance(error, ExplainedError):
            vars(error)["message"] = masked(error.message)  # declared as final
        raise


def _shown(error: QuartOddsError) -> str:
    return printable(masked(error.for_operator))
