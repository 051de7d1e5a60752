"""`quart-odds export`: writes odds or their history from the database to a file or to standard output."""

import asyncio
import sys
from collections.abc import AsyncGenerator, Generator, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from quart_odds.cli.options import Command, examples
from quart_odds.cli.output_file import OutputFile
from quart_odds.cli.runner import QUIET
from quart_odds.cli.stand_ins import not_given
from quart_odds.domain.platforms import Platform
from quart_odds.settings import load_settings

if TYPE_CHECKING:
    from quart_odds.export.stream import Export
    from quart_odds.routes.api.export_query import ExportQuery
    from quart_odds.storage import Store

KINDS = ("current", "history", "opportunities")
FORMATS = ("csv", "jsonl", "parquet")
PROGRESS_AFTER_SECONDS = 1.0
_SINGULAR = {"tournament_ids": "tournament_id", "countries": "country"}


def filter_options(command: Command) -> Command:
    """Add the filters of the API as options. Those that may be repeated have their names in the singular."""
    options = (
        click.option("--event-id", multiple=True, help="Only this event, even after its kick-off; may be repeated."),
        click.option(
            "--bookmaker",
            multiple=True,
            type=click.Choice([each.value for each in Platform]),
            help="Only prices of this bookmaker; may be repeated.",
        ),
        click.option("--market", multiple=True, help="Only prices of this market, by id or slug; may be repeated."),
        click.option("--include-started", is_flag=True, default=None, help="Also events that have kicked off."),
        click.option("--kickoff-from", metavar="TIME", help="Only events that kick off at this time or later."),
        click.option("--kickoff-to", metavar="TIME", help="Only events that kick off at this time or earlier."),
        click.option("--search", metavar="WORDS", help="Only events with these words in their names."),
        click.option("--min-bookmakers", metavar="NUMBER", help="Only events that so many bookmakers list."),
        click.option(
            "--tournament-id", "tournament_ids", multiple=True, help="Only events of this competition; may be repeated."
        ),
        click.option("--competition", metavar="WORDS", help="Only events of competitions with these words."),
        click.option("--country", "countries", multiple=True, help="Only events of this country; may be repeated."),
        click.option("--availability", help="betpawa, competitor or alerts, as in the API."),
        click.option("--changed-since", metavar="TIME", help="Only events that changed after this time."),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command(
    "export",
    epilog=examples(
        "quart-odds export > current.csv",
        "quart-odds export history --include-started --output history.parquet",
        "quart-odds export --format jsonl --market 3743 --country England",
    ),
)
@click.argument("kind", type=click.Choice(KINDS), default="current")
@click.option(
    "--format", "shape", type=click.Choice(FORMATS), help="Format; by default by the name of the file, otherwise csv."
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file, which appears when complete."
)
@click.option("--force", is_flag=True, help="Replace the file if there is one.")
@filter_options
def export_command(kind: str, shape: str | None, output: Path | None, force: bool, **filters: Any) -> None:
    """Export current odds, their history, or opportunities, one row per price. Reads only the database."""
    from quart_odds.export.stream import Export
    from quart_odds.logs import ensure_logging

    shape = shape or _format_of(output)
    query = _query(kind, shape, filters)
    if output is None and query.shape.is_binary and is_terminal(sys.stdout):
        raise click.UsageError("Parquet is not for a terminal: add --output FILE")
    if output is not None:
        output = _checked(output, replaces=force)
    settings = load_settings(None, **not_given(QUIET))
    ensure_logging(settings)  # to standard error: standard output is the export
    with asyncio.Runner() as runner:
        store = runner.run(_opened(settings.database_url))
        try:
            max_age = timedelta(seconds=settings.stale_after_seconds)
            export = Export(query.row_kind, query.shape, query.wanted(max_age), store)
            with _parts(runner, store, query, export) as parts:
                _write(parts, output, replaces=force)
        finally:
            runner.run(store.aclose())


def is_terminal(stream: IO[str]) -> bool:
    """Return whether a stream is a terminal."""
    return stream.isatty()


def _checked(output: Path, *, replaces: bool) -> Path:
    """Return the file that is meant, behind links. Raises UsageError if it must not be written."""
    output = output.resolve()
    if output.exists():
        if not output.is_file():
            raise click.UsageError(f"{output} is not a file that can be replaced")
        if not replaces:
            raise click.UsageError(f"{output} exists: add --force to replace it")
    return output


def _format_of(output: Path | None) -> str:
    ending = "" if output is None else output.suffix.removeprefix(".").lower()
    return ending if ending in FORMATS else "csv"


def _query(kind: str, shape: str, filters: dict[str, Any]) -> "ExportQuery":
    """Return the query that the options make. Raises UsageError."""
    from pydantic import ValidationError

    from quart_odds.routes.api.export_query import ExportQuery, first_fault
    from quart_odds.routes.api.query import Revision

    given = {name: list(value) if isinstance(value, tuple) else value for name, value in filters.items()}
    given = {name: value for name, value in given.items() if value not in (None, [])}
    try:
        query = ExportQuery.model_validate({"kind": kind, "format": shape, **given})
    except ValidationError as error:
        name, reason = first_fault(error)
        raise click.UsageError(f"--{_SINGULAR.get(name, name).replace('_', '-')}: {reason}") from None
    if isinstance(query.changed_since, Revision):
        raise click.UsageError("--changed-since: give a time, because cursors belong to a running server")
    return query


async def _opened(database_url: str) -> "Store":
    from quart_odds.storage import open_migrated

    return await open_migrated(database_url)


@contextmanager
def _parts(runner: asyncio.Runner, store: "Store", query: "ExportQuery", export: "Export") -> Iterator[Iterator[bytes]]:
    """Return the parts of an export, made while they are taken.

    The loop runs only while a part is made: in between, Ctrl-C interrupts a write that waits for its reader.
    """
    from quart_odds.domain.clock import utc_now
    from quart_odds.export.stream import chosen_events

    now = utc_now()
    first, last = query.kickoff_range(now)
    event_ids = runner.run(store.event_ids(kickoff_from=first, kickoff_to=last, among=query.event_id or None))
    made = export.parts(chosen_events((), store, event_ids, query.filter(now)))

    def taken() -> Generator[bytes, None, None]:
        with _progress(export, len(event_ids)) as tell:
            parts: list[bytes] = []
            while runner.run(_advance(made, parts)):
                yield parts.pop()
                tell()

    parts = taken()
    try:
        yield parts
    finally:
        parts.close()
        runner.run(made.aclose())


async def _advance(made: AsyncGenerator[bytes, None], parts: list[bytes]) -> bool:
    """Append the next part, and return whether there was one.

    It is not returned itself: `asyncio.Runner` makes a text of each result, which takes a millisecond for a part.
    """
    async for part in made:
        parts.append(part)
        return True
    return False


@contextmanager
def _progress(export: "Export", most_events: int) -> "Iterator[Any]":
    """Show how far an export is on standard error, if that is a terminal, and if it takes long."""
    from time import monotonic

    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    from quart_odds.cli.consoles import console_for
    from quart_odds.domain.terminals import is_live

    console = console_for(sys.stderr)
    columns = (BarColumn(), TextColumn("{task.completed} of {task.total} events, {task.fields[rows]} rows"))
    progress = Progress(*columns, TimeElapsedColumn(), console=console, transient=True, disable=not is_live(sys.stderr))
    task = progress.add_task("", total=most_events, rows=0)
    shown_from = monotonic() + PROGRESS_AFTER_SECONDS

    def tell() -> None:
        progress.update(task, completed=export.told.events, rows=export.told.rows)
        if not progress.live.is_started and monotonic() >= shown_from:
            progress.start()

    try:
        yield tell
    finally:
        progress.stop()


def _write(parts: Iterator[bytes], output: Path | None, *, replaces: bool) -> None:
    """Write an export to a file, which appears when it is complete, or to standard output."""
    if output is None:
        for part in parts:
            sys.stdout.buffer.write(part)
            sys.stdout.buffer.flush()
        return
    with OutputFile(output, replaces=replaces) as file:
        for part in parts:
            file.write(part)
