"""Options shared by several commands."""

from collections.abc import Callable
from typing import TypeVar

import click

from quart_odds.domain.platforms import Platform

DEFAULT_BIND = "127.0.0.1:8000"

SOME_BOOKMAKER = next(iter(Platform)).value
"""The bookmaker of the examples."""

Command = TypeVar("Command", bound=Callable[..., object])


def examples(*lines: str) -> str:
    """Return the end of a command's help, which shows how it is used. Tests run each line that is a command."""
    return "\n".join(("\b", "Examples:", *(f"  {line}" for line in lines)))


def sandbox_options(command: Command) -> Command:
    """Add `--sandbox`, `--events` and `--latency-ms` to a command."""
    for option in (
        click.option("--latency-ms", default=340, show_default=True, help="Response time of the stand-ins."),
        click.option("--events", default=60, show_default=True, help="Number of events at the stand-ins."),
        click.option("--sandbox", is_flag=True, help="Start stand-in bookmakers, with a separate database."),
    ):
        command = option(command)
    return command


platforms_option = click.option(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice([each.value for each in Platform]),
    help="Only this bookmaker; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print each progress update as a line of JSON.")
