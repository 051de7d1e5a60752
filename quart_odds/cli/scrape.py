"""`quart-odds scrape`: one run in this process."""

import signal
from typing import TYPE_CHECKING

import click

from quart_odds.cli.options import SOME_BOOKMAKER, examples, json_option, platforms_option, sandbox_options
from quart_odds.cli.runner import QUIET, exit_with, run_command
from quart_odds.cli.stand_ins import stand_ins
from quart_odds.cli.streams import run_while_read
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunMode
from quart_odds.settings import Settings

if TYPE_CHECKING:
    from quart_odds.scraping.schemas import ScrapeProgress


@click.command(
    "scrape",
    epilog=examples(
        "quart-odds scrape",
        f"quart-odds scrape --sweep --platform {SOME_BOOKMAKER}",
        "quart-odds scrape --sandbox --events 4 --json | jq -r .message",
    ),
)
@platforms_option
@click.option("--sweep", is_flag=True, help="Read only the lists, and the main markets in them.")
@json_option
@sandbox_options
def scrape_command(
    platforms: tuple[str, ...], sweep: bool, as_json: bool, sandbox: bool, events: int, latency_ms: int
) -> None:
    """Scrape once, without a server, and show progress live.

    Exits with 0 if all went well, 3 if a bookmaker failed, 1 if all failed. Ctrl-C cancels the run, and exits with 130.
    """
    from quart_odds.cli.one_shot_run import scrape_once
    from quart_odds.cli.terminal import exit_code, is_cancelled, opened_screen

    signals: list[signal.Signals] = []

    async def work(settings: Settings) -> "ScrapeProgress | None":
        with opened_screen(as_json=as_json) as screen:
            mode = RunMode.SWEEP if sweep else RunMode.FULL
            chosen = [Platform(each) for each in platforms]
            return await run_while_read(scrape_once(settings, chosen, screen.tell, mode, signals.append))

    last = run_command(work, stand_ins(sandbox, events, latency_ms), QUIET)
    exit_with(128 + signals[0] if signals and is_cancelled(last) else exit_code(last))
