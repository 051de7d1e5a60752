"""The runs page: the result of each run per bookmaker, and a bar chart of durations, drawn by the server."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PlatformResult, RunRecord, RunStatus, ScrapePhase

HEIGHT = 120
WIDE = 36
NARROW = 18
FEW = 30
"""Up to this many runs, bars are wide."""


NO_PART = "–"
"""Shown if a bookmaker had no part in a run, or its result is unknown."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The result of a run at one bookmaker, as text."""

    text: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One run, with a cell for each bookmaker."""

    record: RunRecord
    cells: tuple[Cell, ...]


def platforms_of(records: Iterable[RunRecord], used: Iterable[Platform]) -> list[Platform]:
    """Return the bookmakers that are used, and those that are not any more and had a part in these runs, in order."""
    return sorted({*used, *(each for record in records for each in record.platforms)}, key=lambda each: each.place)


def run_rows(records: Sequence[RunRecord], platforms: Sequence[Platform]) -> list[Row]:
    """Return the rows of these runs, in the same order, with a cell for each of these bookmakers."""
    return [Row(record, _cells(record, platforms)) for record in records]


def _cells(record: RunRecord, platforms: Iterable[Platform]) -> tuple[Cell, ...]:
    results = {result.platform: result for result in record.results}
    return tuple(_cell(results.get(platform), record.status) for platform in platforms)


def _cell(result: PlatformResult | None, status: RunStatus) -> Cell:
    if result is None:
        return Cell(NO_PART)
    if result.phase is ScrapePhase.FAILED and status not in (RunStatus.CANCELLED, RunStatus.INTERRUPTED):
        reason = f": {result.error.error_type.replace('_', ' ')}" if result.error else ""
        return Cell(f"failed{reason}", is_bad=True)
    return Cell(f"{result.fetched} of {max(result.found, result.fetched + result.failed)}")


@dataclass(frozen=True, slots=True)
class Bar:
    """Position and size of one run's bar, in the plot's own units."""

    record: RunRecord
    x: int
    y: float
    width: int
    height: float


@dataclass(frozen=True, slots=True)
class Bars:
    """The plot: bars from the oldest to the newest, and the duration at its top."""

    bars: tuple[Bar, ...]
    width: int
    height: int
    top_ms: int


def run_bars(records: Sequence[RunRecord]) -> Bars | None:
    """Return the bars of the finished runs among `records` (newest first), or None if fewer than two have finished."""
    done = [record for record in reversed(records) if record.duration_ms is not None]
    if len(done) < 2:
        return None
    top = max(max(record.duration_ms or 0 for record in done), 1)
    step = WIDE if len(done) <= FEW else NARROW
    bars = []
    for place, record in enumerate(done):
        height = max(2.0, round((record.duration_ms or 0) / top * HEIGHT, 1))
        bars.append(Bar(record, place * step, round(HEIGHT - height, 1), step - 4, height))
    return Bars(tuple(bars), len(done) * step, HEIGHT, top)
