"""`quart-odds record`: records the bookmakers' responses for the sandbox."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from quart_odds.cli.options import SOME_BOOKMAKER, examples, json_option, platforms_option
from quart_odds.cli.runner import QUIET, exit_with, run_command
from quart_odds.cli.streams import run_while_read
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings

if TYPE_CHECKING:
    from quart_odds.scraping.schemas import ScrapeProgress


@click.command(
    "record",
    epilog=examples(
        "quart-odds record recording/ --events 20",
        f"quart-odds record recording/ --platform {SOME_BOOKMAKER}",
        "quart-odds sandbox --replay recording/",
    ),
)
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
@platforms_option
@click.option(
    "--events", type=click.IntRange(min=1), help="Maximum number of events; those at most bookmakers come first."
)
@json_option
def record_command(folder: Path, platforms: tuple[str, ...], events: int | None, as_json: bool) -> None:
    """Record the bookmakers' responses for `quart-odds sandbox --replay FOLDER`. Exit codes are those of `scrape`."""
    from quart_odds.cli.terminal import exit_code, opened_screen
    from quart_odds.scraping.recording import record as record_into

    async def work(settings: Settings) -> "ScrapeProgress":
        chosen = [Platform(each) for each in platforms] or list(settings.bookmakers)
        with opened_screen(as_json=as_json) as screen:
            return await run_while_read(record_into(settings, folder, chosen, events, screen.tell))

    exit_with(exit_code(run_command(work, None, QUIET)))
