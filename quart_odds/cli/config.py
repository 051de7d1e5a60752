"""`quart-odds config`: every setting with its value, and where that came from."""

from collections.abc import Iterator

import click

from quart_odds.cli.options import examples
from quart_odds.cli.runner import exit_with
from quart_odds.cli.streams import json_line
from quart_odds.domain.text import printable
from quart_odds.setting_values import SettingValue, SettingValues, setting_values, variable
from quart_odds.settings import PREFIX, Settings

WRONG = "wrong"


def _assignments(ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    """Return the values by the name of the variable."""
    values = {}
    for each in given:
        name, separator, value = each.partition("=")
        if not separator:
            raise click.BadParameter("give NAME=VALUE, such as MAX_CONNECTIONS=500", ctx, parameter)
        values[variable(name)] = value
    return values


def _names(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Complete the name of a setting, with or without the prefix, in capitals."""
    prefix = PREFIX if incomplete.upper().startswith(PREFIX) else ""
    names = (f"{prefix}{field.upper()}=" for field in Settings.model_fields)
    return [each for each in names if each.startswith(incomplete.upper())]


@click.command(
    "config",
    epilog=examples(
        "quart-odds config",
        "quart-odds config --json | jq .is_valid",
        "quart-odds config --set max_connections=500    # would this be valid?",
    ),
)
@click.option(
    "--set",
    "assignments",
    multiple=True,
    callback=_assignments,
    shell_complete=_names,
    metavar="NAME=VALUE",
    help="Show it with this value, without setting it; may be repeated.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def config_command(assignments: dict[str, str], as_json: bool) -> None:
    """Show every setting, its value, and where that came from.

    Secrets are masked. Exits with 2 if a setting is wrong or unknown, and says why.
    """
    found = setting_values(assignments)
    if as_json:
        click.echo(json_line(_as_json(found)))
    else:
        for line in _lines(found):
            click.echo(printable(line))
    if not found.are_valid:
        exit_with(2)


def _lines(found: SettingValues) -> Iterator[str]:
    width = max(len(each.name) for each in found.settings)
    for each in found.settings:
        source = each.source if each.problem is None else WRONG
        yield f"{source:<11} {each.name:<{width}} {_text(each)}".rstrip()
        if each.problem is not None:
            yield f"{'':11} {each.problem}"
    for problem in found.unknown:
        yield f"{WRONG:<11} {problem}"


def _text(each: SettingValue) -> str:
    return "(not shown)" if each.problem is not None and each.value is None else each.text


def _as_json(found: SettingValues) -> dict[str, object]:
    return {
        "is_valid": found.are_valid,
        "settings": [
            {"name": each.name, "value": each.value, "source": each.source.value, "problem": each.problem}
            for each in found.settings
        ],
        "unknown": [{"name": each.name, "problem": each.reason} for each in found.unknown],
    }
