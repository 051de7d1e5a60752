"""The runs page: what each run came to at each bookmaker, and how long runs took, as bars that the server draws."""

from collections.abc import Sequence
from dataclasses import dataclass

from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PlatformResult, RunRecord, RunStatus, ScrapePhase

HEIGHT = 120
WIDE = 36
NARROW = 18
FEW = 30
"""With so many runs or fewer, bars are wide."""


NO_PART = "–"
"""What stands where a bookmaker had no part in a run, or it is not known what came of it."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What a run came to at one bookmaker, in words."""

    text: str
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class Row:
    """One run, with a cell for each bookmaker."""

    record: RunRecord
    cells: tuple[Cell, ...]


def run_rows(records: Sequence[RunRecord]) -> list[Row]:
    """Runs as the page shows them, in their order."""
    return [Row(record, _cells(record)) for record in records]


def _cells(record: RunRecord) -> tuple[Cell, ...]:
    results = {result.platform: result for result in record.results}
    return tuple(_cell(results.get(platform), record.status) for platform in Platform)


def _cell(result: PlatformResult | None, status: RunStatus) -> Cell:
    if result is None:
        return Cell(NO_PART)
    if result.phase is ScrapePhase.FAILED and status not in (RunStatus.CANCELLED, RunStatus.INTERRUPTED):
        reason = f": {result.error.error_type.replace('_', ' ')}" if result.error else ""
        return Cell(f"failed{reason}", is_bad=True)
    return Cell(f"{result.fetched} of {max(result.found, result.fetched + result.failed)}")


@dataclass(frozen=True, slots=True)
class Bar:
    """One run: where its bar stands and how high it is, in the plot's own units."""

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
    """The bars of finished runs, which come the newest first; None when fewer than two have finished."""
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
