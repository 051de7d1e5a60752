"""`quart-odds watch`: follows the runs of a server from outside."""

import contextlib
from typing import TYPE_CHECKING

import click

from quart_odds.cli.ends import interrupted_code
from quart_odds.cli.options import DEFAULT_BIND, examples, json_option
from quart_odds.cli.runner import exit_with
from quart_odds.cli.streams import run_while_read
from quart_odds.domain.runs import RunMode

if TYPE_CHECKING:
    from quart_odds.scraping.schemas import ScrapeProgress


@click.command(
    "watch",
    epilog=examples(
        "quart-odds watch",
        "quart-odds watch https://odds.example.org --once",
        "quart-odds watch --json | jq -r .message",
    ),
)
@click.argument("url", default=f"http://{DEFAULT_BIND}")
@click.option("--once", is_flag=True, help="Exit after the active or the next run, with the exit codes of scrape.")
@click.option("--sweeps", is_flag=True, help="Show sweeps, not full runs.")
@click.option(
    "--token", envvar="QUART_ODDS_TOKEN", metavar="TOKEN", help="A token of the server. Better: set QUART_ODDS_TOKEN."
)
@json_option
def watch_command(url: str, once: bool, sweeps: bool, token: str | None, as_json: bool) -> None:
    """Show the runs of a server live. A lost connection is resumed from its cursor."""
    from quart_odds.cli.terminal import exit_code, opened_screen
    from quart_odds.cli.watcher import Watcher
    from quart_odds.server.serve import run_in_loop

    last: list[ScrapeProgress] = []

    async def follow() -> None:
        with opened_screen(as_json=as_json) as screen:
            async with contextlib.aclosing(Watcher(url, token=token, on_state=screen.say).follow()) as progresses:
                async for progress in progresses:
                    if (progress.mode is RunMode.SWEEP) is not sweeps:
                        continue
                    screen.tell(progress)
                    if once and progress.is_terminal:
                        last.append(progress)
                        return

    try:
        run_in_loop(lambda: run_while_read(follow()))
    except KeyboardInterrupt:
        # Ctrl-C is the normal way to stop watching. With --once it means that no run was seen to its end.
        if once and not last:
            exit_with(interrupted_code())
    if last:
        exit_with(exit_code(last[0]))
