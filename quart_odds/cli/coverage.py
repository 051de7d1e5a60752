"""`quart-odds coverage`: counts how much of a recording is mapped."""

import json
from pathlib import Path

import click

from quart_odds.cli.options import examples
from quart_odds.cli.runner import exit_with


@click.command(
    "coverage",
    epilog=examples("quart-odds coverage recording/", "quart-odds coverage recording/ --json | jq"),
)
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the counts per bookmaker as one line of JSON.")
def coverage_command(folder: Path, as_json: bool) -> None:
    """Count how many prices of a recording are mapped. Exits with 3 if a file could not be read."""
    from quart_odds.bookmakers.coverage import measure

    measured = measure(folder)
    for name, reason in measured.broken.items():
        click.echo(f"{name}: {reason}", err=True)
    if as_json:
        click.echo(json.dumps({str(platform): each.counts() for platform, each in measured.bookmakers.items()}))
    else:
        for line in measured.lines():
            click.echo(line)
    if measured.broken:
        exit_with(3)
