"""Follows the odds of a server with the client library: as a live table, as lines of text, or as lines of JSON."""

import sys
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC
from typing import Any

import click
import orjson
from rich.console import ConsoleRenderable, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

import quart_odds_client as client
from quart_odds.cli.consoles import console_for
from quart_odds.cli.followed_runs import Say, state_teller, watch_error
from quart_odds.cli.terminal import REFRESHES_A_SECOND
from quart_odds.domain.catalogue import CATALOGUE
from quart_odds.domain.clock import iso_z
from quart_odds.domain.outcomes import is_handicap, outcome_words
from quart_odds.domain.terminals import is_live
from quart_odds.domain.text import printable
from quart_odds_client.messages import PriceChange


async def follow_odds(
    url: str,
    *,
    events: Iterable[int],
    markets: Iterable[str],
    bookmakers: Iterable[str],
    token: str | None,
    as_json: bool,
) -> None:
    """Show the odds of these events, or of all, until cancelled. Raises WatchError."""
    chosen = client.OddsFilter.of(event_id=events, market=markets, platform=bookmakers, image=True)
    try:
        if as_json:
            await _print_json(url, chosen, token)
        elif is_live(sys.stdout):
            table = OddsTable()
            with Live(table, console=console_for(sys.stdout), refresh_per_second=REFRESHES_A_SECOND):
                await _follow(url, chosen, token, table.say, table.show)
        else:
            await _follow(url, chosen, token, _to_stderr, print_change)
    except client.ClientError as error:
        raise watch_error(error) from error


Show = Callable[[client.OddsCopy, client.AnyMessage], None]


async def _follow(url: str, chosen: client.OddsFilter, token: str | None, say: Say, show: Show) -> None:
    copy = client.OddsCopy()
    stream = client.connect(url, topics=["odds"], odds=chosen, token=token, on_state=state_teller(url, say))
    async with stream:
        async for message in stream:
            copy.apply(message)
            show(copy, message)


async def _print_json(url: str, chosen: client.OddsFilter, token: str | None) -> None:
    stream = client.connect(url, topics=["odds"], odds=chosen, token=token, on_state=state_teller(url, _to_stderr))
    async with stream:
        async for message in stream:
            if isinstance(message, client.Gap):
                data = {"missed": message.missed, "reason": message.reason}
                _print_line({"type": "gap", "timestamp": message.timestamp, "data": data})
            elif not isinstance(message, client.ConnectionAck):
                _print_line(message.model_dump())


def _print_line(value: dict[str, Any]) -> None:
    # Times in the form of the wire.
    click.echo(orjson.dumps(value, default=iso_z, option=orjson.OPT_PASSTHROUGH_DATETIME))


def _to_stderr(text: str) -> None:
    click.echo(printable(text), err=True)


def print_change(copy: client.OddsCopy, message: client.AnyMessage) -> None:
    """Print what a message says: a line for each event of an image, and for each price that changed."""
    if isinstance(message, client.OddsImage):
        for each in message.data.events:
            _print_event(copy.events.get(each.id))
        for event_id in message.data.removed:
            click.echo(f"event {event_id} is gone")
    elif isinstance(message, client.OddsChange):
        event = copy.events.get(message.data.event_id)
        name = f"event {message.data.event_id}" if event is None else event.name
        for row in message.data.changes:
            market = event and event.market(message.data.source, row.market_id, row.line, row.market_promotion)
            what = " ".join(_words((market and market.name) or row.market_id, row))
            at = iso_z(message.data.seen_at)
            click.echo(printable(f"{at} {name}: {message.data.source} {what} {_move(row)}"))
    elif isinstance(message, client.EventChange):
        click.echo(f"event {message.data.event_id}: {printable(message.data.change)}")
    elif isinstance(message, client.Gap):
        count = "an unknown number of" if message.missed is None else message.missed
        click.echo(f"{count} changes were missed; the newest prices follow")


def _print_event(event: client.Event | None) -> None:
    if event is not None:
        count = sum(price.is_open for _, price in event.prices())
        click.echo(printable(f"event {event.id}, {_title(event)}: {count} open prices"))


def _move(row: PriceChange) -> str:
    if not row.available:
        return f"{row.previous or row.odds:g} → gone"
    before = "new" if row.previous is None else f"{row.previous:g}"
    return f"{before} → {row.odds:g}{'' if row.is_active else ' suspended'}"


def _words(market: str, row: PriceChange) -> Iterator[str]:
    yield market
    outcome = _outcome(row.market_id, row.outcome, row.line)
    if row.line is not None and outcome == row.outcome:
        yield f"{row.line:g}"
    yield outcome


def _outcome(market_id: str, name: str, line: float | None) -> str:
    """Return the name of an outcome, of a handicap with the line of its own side."""
    market = CATALOGUE.by_id.get(market_id)
    return name if market is None or not is_handicap(market) else outcome_words(market, name, line)


def _title(event: client.Event) -> str:
    return f"{event.name}, {event.kickoff.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


class OddsTable:
    """Table of the prices of each event: a row for each outcome, a column for each bookmaker. The best is bold."""

    def __init__(self) -> None:
        self._copy = client.OddsCopy()
        self._state = ""

    def show(self, copy: client.OddsCopy, _: client.AnyMessage) -> None:
        """Show a copy from the next refresh on."""
        self._copy = copy

    def say(self, state: str) -> None:
        """Show a line of text below the tables."""
        self._state = state

    def __rich__(self) -> ConsoleRenderable:
        """Return the tables, by kick-off, followed by the state of the connection."""
        events = sorted(self._copy.events.values(), key=lambda event: (event.kickoff, event.id))
        shown: list[ConsoleRenderable] = [_event_table(event) for event in events]
        if self._copy.is_whole and not events:
            shown.append(Text("There are no such events."))
        if self._state:
            shown.append(Text(printable(self._state), style="dim"))
        return Group(*shown)


def _event_table(event: client.Event) -> Table:
    title = Text(printable(_title(event)), style="bold")
    table = Table(box=None, pad_edge=False, header_style="dim", title=title, title_justify="left")
    table.add_column("market", no_wrap=True)
    table.add_column("outcome", no_wrap=True)
    for here in event.bookmakers.values():
        table.add_column(printable(here.entry.bookmaker_name or here.slug), justify="right", no_wrap=True)
    # All bookmakers' markets and outcomes, in the order in which they come.
    rows: dict[tuple[str, float | None], dict[str, None]] = {}
    names: dict[str, str] = {}
    for here in event.bookmakers.values():
        for market in here.markets.values():
            if market.promotion is None:
                rows.setdefault((market.id, market.line), {}).update(dict.fromkeys(market.prices))
                names[market.id] = market.name or names.get(market.id) or market.id
    for (market_id, line), outcomes in rows.items():
        best = event.best(market_id, line)
        label = printable(names[market_id] if line is None else f"{names[market_id]} {line:g}")
        for outcome in outcomes:
            cells = [_cell(event.price(slug, market_id, outcome, line), best.get(outcome)) for slug in event.bookmakers]
            table.add_row(label, printable(_outcome(market_id, outcome, line)), *cells)
            label = ""
    return table


def _cell(price: client.Price | None, best: client.BestPrice | None) -> Text:
    if price is None or not price.available:
        return Text("–", style="dim")
    if not price.is_active:
        return Text(f"({price.odds:g})", style="dim")
    return Text(f"{price.odds:.2f}", style="bold green" if best is not None and price.odds == best.price.odds else "")
