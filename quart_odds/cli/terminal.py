"""Live progress of a run in the terminal, one row per bookmaker, for `scrape`, `watch` and `record`."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

import click
import orjson
from rich.console import ConsoleRenderable, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from quart_odds.cli.consoles import console_for
from quart_odds.domain.platforms import Platform
from quart_odds.domain.terminals import is_live
from quart_odds.domain.text import printable
from quart_odds.scraping.schemas import RunMode, ScrapePhase, ScrapeProgress

REFRESHES_A_SECOND = 8
BAR_WIDTH = 20
COLOURS = {ScrapePhase.COMPLETED: "green", ScrapePhase.FAILED: "red"}

COMPLETED, FAILED, PARTIAL = 0, 1, 3
"""Exit codes of a run: docs/cli.md has all there are."""


def exit_code(terminal: ScrapeProgress | None) -> int:
    """Return the exit code for a run's terminal progress, or for a run without one."""
    if terminal is None or terminal.phase is ScrapePhase.FAILED:
        return FAILED
    return PARTIAL if terminal.error is not None else COMPLETED


def is_cancelled(terminal: ScrapeProgress | None) -> bool:
    """Return whether a run was cancelled before its end."""
    return terminal is not None and terminal.error is not None and terminal.error.error_type == "cancelled"


class ProgressTable:
    """Table of the newest progress of each platform of one run. Progress of another run starts it anew."""

    def __init__(self) -> None:
        self._state = ""
        self._run_id: int | None = None
        self._newest: dict[Platform | None, ScrapeProgress] = {}

    def tell(self, progress: ScrapeProgress) -> None:
        """Show a progress from the next refresh on."""
        if progress.scrape_run_id != self._run_id:
            self._run_id = progress.scrape_run_id
            self._newest.clear()
        self._newest[progress.platform] = progress

    def say(self, state: str) -> None:
        """Show a line of text below the table."""
        self._state = state

    def __rich__(self) -> ConsoleRenderable:
        """Return the table, followed by errors, the run's message and the state of the connection."""
        table = Table(box=None, pad_edge=False, header_style="dim")
        for name in ("bookmaker", "phase"):
            table.add_column(name, no_wrap=True)
        table.add_column("", width=BAR_WIDTH)
        for name in ("events", "a second", "seconds", "left"):
            table.add_column(name, justify="right", no_wrap=True)
        for platform in (*Platform, None):
            if (progress := self._newest.get(platform)) is not None:
                table.add_row(*_row(progress))
        notes = [Text(each, style="red") for each in self._errors()]
        whole = self._newest.get(None)
        # Before that it says what the table shows.
        if whole is not None and (whole.phase is ScrapePhase.STORING or whole.phase.is_final):
            words = printable(whole.message)
            kind = "Sweep" if whole.mode is RunMode.SWEEP else "Run"
            notes.append(Text(f"{kind} {whole.scrape_run_id}: {words}" if whole.scrape_run_id else words))
        if self._state:
            notes.append(Text(printable(self._state), style="dim"))
        return Group(table, *notes) if self._newest else Group(*notes)

    def _errors(self) -> Iterator[str]:
        for platform, progress in self._newest.items():
            if progress.error is not None and (platform is not None or progress.error.platform is None):
                yield printable(progress.error.error_message)


def _row(progress: ScrapeProgress) -> Iterator[ConsoleRenderable]:
    elapsed_ms = progress.duration_ms if progress.duration_ms is not None else progress.elapsed_ms or 0
    colour = COLOURS.get(progress.phase, "")
    yield Text(progress.platform.display_name if progress.platform else "all", style="bold")
    yield Text(str(progress.phase), style=colour)
    yield ProgressBar(max(progress.total, 1), progress.current, width=BAR_WIDTH, complete_style=colour or "cyan")
    yield Text(f"{progress.current} of {progress.total}")
    yield Text(f"{progress.current * 1000 / elapsed_ms:.0f}" if elapsed_ms and progress.current else "")
    yield Text(f"{elapsed_ms / 1000:.1f}")
    is_going = progress.remaining_ms is not None and not progress.phase.is_final
    yield Text(f"{(progress.remaining_ms or 0) / 1000:.0f} s" if is_going else "")


class Screen(Protocol):
    """Output of a command that shows a run."""

    def tell(self, progress: ScrapeProgress) -> None:
        """Show a progress."""

    def say(self, state: str) -> None:
        """Show a state other than the run's progress, such as a lost connection."""


@contextmanager
def opened_screen(*, as_json: bool) -> Iterator[Screen]:
    """Open a live table, or JSON lines. Without a terminal, the table is printed once, at the end."""
    if as_json:
        yield JsonLines()
        return
    table, console = ProgressTable(), console_for(sys.stdout)
    if is_live(sys.stdout):
        with Live(table, console=console, refresh_per_second=REFRESHES_A_SECOND):
            yield table
        return
    try:
        yield table
    finally:
        console.print(table)


class JsonLines:
    """Prints each progress as one line of JSON, as the streams send it, and everything else to standard error."""

    def tell(self, progress: ScrapeProgress) -> None:
        """Print a progress to standard output."""
        click.echo(orjson.dumps(progress.model_dump(mode="json")))

    def say(self, state: str) -> None:
        """Print a state to standard error."""
        click.echo(printable(state), err=True)
