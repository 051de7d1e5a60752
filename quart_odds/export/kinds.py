"""The kinds of exports. A new kind needs its columns, and a function that yields the rows of an event.

Its name is also in `routes.api.export_query` and `cli.export`, and its columns are in docs/analysis.md. Tests compare
them.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass

from quart_odds.export.columns import Column, Rows, Wanted
from quart_odds.export.current import CURRENT_COLUMNS, current_rows
from quart_odds.export.history import HISTORY_COLUMNS, history_rows
from quart_odds.export.opportunities import OPPORTUNITY_COLUMNS, opportunity_rows
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.ports import StoredHistory


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of export: its name, its columns, and the rows that it makes of an event.

    `is_past` tells that it is about the past: a server takes its events from the database, not from memory, which has
    recent events only.
    """

    name: str
    columns: tuple[Column, ...]
    rows: Callable[[CachedEvent, Wanted, StoredHistory], AsyncGenerator[Rows, None]]
    is_past: bool = False


KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        Kind("current", CURRENT_COLUMNS, current_rows),
        Kind("history", HISTORY_COLUMNS, history_rows, is_past=True),
        Kind("opportunities", OPPORTUNITY_COLUMNS, opportunity_rows),
    )
}
