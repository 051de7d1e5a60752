"""Options that several commands share."""

from collections.abc import Callable
from typing import TypeVar

import click

from quart_odds.domain.platforms import Platform

DEFAULT_BIND = "127.0.0.1:8000"

Command = TypeVar("Command", bound=Callable[..., object])


def sandbox_options(command: Command) -> Command:
    for option in (
        click.option("--latency-ms", default=340, show_default=True, help="How long the stand-ins take to answer."),
        click.option("--events", default=60, show_default=True, help="Events that the stand-ins have."),
        click.option("--sandbox", is_flag=True, help="Start stand-in bookmakers, with a database of their own."),
    ):
        command = option(command)
    return command


platforms_option = click.option(
    "--platform",
    "platforms",
    multiple=True,
    type=click.Choice([each.value for each in Platform]),
    help="Only this one; may be repeated.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print each progress as a line of JSON.")
