"""What the database holds and how large it is: figures, samples of the size, and alerts about both."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

StorageAlertKind = Literal["growth_warning", "size_critical", "freshness_warning"]

DAY = timedelta(days=1)

GROWTH_PERCENT = 20.0
"""A database that grows by more than this in a day is reported."""

GROWTH_FROM_BYTES = 100_000_000
"""A smaller database may grow as it likes: a new one doubles every few minutes."""

SIZE_BYTES = 50_000_000_000
"""A database that is larger than this is reported."""

FRESH_FOR = DAY
"""Odds that nobody has seen for longer than this are reported, while a schedule should renew them."""


@dataclass(frozen=True, slots=True)
class TableFigures:
    """The rows of one kind, and the times of the oldest and the newest; None if there are none."""

    count: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None

    def plus(self, other: "TableFigures") -> "TableFigures":
        """Return the figures of both together."""
        oldest = [each.oldest for each in (self, other) if each.oldest is not None]
        newest = [each.newest for each in (self, other) if each.newest is not None]
        return TableFigures(self.count + other.count, min(oldest, default=None), max(newest, default=None))


@dataclass(frozen=True, slots=True)
class StoredData:
    """What is stored. The times are of changes, kick-offs and starts of runs.

    `changes`, `listings` and `competitions` are by the slug of the bookmaker; competitions have no times.
    """

    changes: Mapping[str, TableFigures]
    listings: Mapping[str, TableFigures]
    competitions: Mapping[str, TableFigures]
    events: TableFigures
    runs: TableFigures


@dataclass(frozen=True, slots=True)
class TableSize:
    """A table with its indexes. Both numbers are None where measuring them would read too much."""

    name: str
    bytes: int | None
    rows: int | None


@dataclass(frozen=True, slots=True)
class StorageSample:
    """The size of the database at one moment. `id` is None until it is stored."""

    sampled_at: datetime
    total_bytes: int
    tables: tuple[TableSize, ...] = ()
    id: int | None = None

    def growth_percent(self, earlier: "StorageSample") -> float:
        """Return by how many percent a day the database has grown since an earlier sample; negative if it shrank.

        Less than a day counts as a whole one: an hour of work says little about a day.
        """
        if earlier.total_bytes <= 0:
            return 0.0
        days = max((self.sampled_at - earlier.sampled_at) / DAY, 1.0)
        return 100 * (self.total_bytes / earlier.total_bytes - 1) / days


@dataclass(frozen=True, slots=True)
class StorageAlert:
    """Something about the database that somebody should know. `id` is None until it is stored."""

    kind: StorageAlertKind
    message: str
    created_at: datetime
    current_bytes: int
    previous_bytes: int
    growth_percent: float
    resolved_at: datetime | None = None
    id: int | None = field(default=None)


def size_alerts(sample: StorageSample, earlier: StorageSample | None) -> list[StorageAlert]:
    """Return what is to be said about the size of the database, compared with the sample before."""
    before = sample if earlier is None else earlier
    growth = sample.growth_percent(before)
    figures = (sample.sampled_at, sample.total_bytes, before.total_bytes, growth)
    found = []
    if growth > GROWTH_PERCENT and sample.total_bytes >= GROWTH_FROM_BYTES:
        words = f"The database grew by {growth:.0f} % in a day, to {size_words(sample.total_bytes)}."
        found.append(StorageAlert("growth_warning", words, *figures))
    if sample.total_bytes > SIZE_BYTES:
        words = f"The database has {size_words(sample.total_bytes)}, more than {size_words(SIZE_BYTES)}."
        found.append(StorageAlert("size_critical", words, *figures))
    return found


def freshness_alert(newest: datetime | None, now: datetime, sample: StorageSample) -> StorageAlert | None:
    """Return an alert if the newest odds were seen too long ago, None if they were not or there are none."""
    if newest is None or now - newest <= FRESH_FOR:
        return None
    hours = int((now - newest).total_seconds() // 3600)
    words = f"No odds have been stored for {hours} hours, though runs or sweeps are scheduled."
    return StorageAlert("freshness_warning", words, now, sample.total_bytes, sample.total_bytes, 0.0)


def size_words(count: int) -> str:
    """Format a number of bytes: `812 KB`, `12.5 MB`, `1.2 GB`, in powers of 1,000."""
    size, unit = count / 1000, "KB"
    for larger in ("MB", "GB", "TB"):
        if size < 999.5:
            break
        size, unit = size / 1000, larger
    return f"{size:.0f} {unit}" if unit == "KB" or size >= 99.95 else f"{size:.1f} {unit}"
