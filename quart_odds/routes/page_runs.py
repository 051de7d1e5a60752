"""How long runs took, as bars: geometry for the plot of the runs page, which the server draws."""

from collections.abc import Sequence
from dataclasses import dataclass

from quart_odds.domain.runs import RunRecord

HEIGHT = 120
WIDE = 36
NARROW = 18
FEW = 30
"""With so many runs or fewer, bars are wide."""


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
