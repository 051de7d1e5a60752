"""What the settings page shows of the database: its size over time, its largest tables, and clean-ups in words."""

from collections.abc import Sequence
from dataclasses import dataclass

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.odds.retention import Ages, CleanUp, Removal
from quart_odds.odds.stored_data import DAY, StorageAlert, StorageSample
from quart_odds.services import Services

SAMPLES = 60
TABLES = 8
CLEAN_UPS = 10
ALERTS = 10

HEIGHT = 60
STEP = 12
GAP = 3


@dataclass(frozen=True, slots=True)
class Bar:
    """The size at one moment, in the plot's own units."""

    sample: StorageSample
    x: int
    y: float
    height: float


@dataclass(frozen=True, slots=True)
class StorageView:
    """The size of the database. `newest` is measured now if there is no sample yet.

    `bars` are from the oldest to the newest sample, none if there is only one.
    """

    newest: StorageSample
    growth_percent: float | None
    bars: tuple[Bar, ...]
    alerts: tuple[StorageAlert, ...]
    clean_ups: tuple[CleanUp, ...]
    clean_ups_total: int

    @property
    def tables(self) -> tuple[tuple[str, int, int | None], ...]:
        """The largest tables: name, bytes and rows."""
        known = [(each.name, each.bytes, each.rows) for each in self.newest.tables if each.bytes is not None]
        return tuple(known[:TABLES])

    @property
    def width(self) -> int:
        """The width of the plot."""
        return len(self.bars) * STEP


@dataclass(frozen=True, slots=True)
class Preview:
    """What a clean-up with these ages would remove. It is done now, or by the next one once the ages are saved."""

    ages: Ages
    removal: Removal
    is_now: bool

    @property
    def is_empty(self) -> bool:
        """Whether nothing would be removed."""
        return not (self.removal.events or self.removal.history_rows or self.removal.runs)

    @property
    def changes(self) -> list[tuple[Platform, int]]:
        """The changes of odds that would go, by bookmaker, in order."""
        found = [(Platform.of(slug), count) for slug, count in self.removal.rows_by.items() if count]
        return sorted(found, key=lambda each: each[0].place)


async def storage_view(parts: Services) -> StorageView:
    """Return what there is to see of the database. Raises StorageError."""
    samples, _ = await parts.store.samples(limit=SAMPLES)
    newest = samples[0] if samples else await parts.store.measure(utc_now())
    before = next((each for each in samples if newest.sampled_at - each.sampled_at >= 0.9 * DAY), None)
    done, total = await parts.store.clean_ups(limit=CLEAN_UPS)
    return StorageView(
        newest,
        None if before is None else newest.growth_percent(before),
        _bars(samples[::-1]),
        tuple(await parts.store.storage_alerts(limit=ALERTS)),
        tuple(done),
        total,
    )


async def preview_of(parts: Services, ages: Ages, *, is_now: bool) -> Preview:
    """Return what a clean-up with these ages would remove. Raises StorageError."""
    return Preview(ages, await parts.store.preview_removal(*ages.limits(utc_now())), is_now)


def _bars(samples: Sequence[StorageSample]) -> tuple[Bar, ...]:
    if len(samples) < 2:
        return ()
    top = max(max(each.total_bytes for each in samples), 1)
    bars = []
    for place, sample in enumerate(samples):
        height = max(1.0, round(sample.total_bytes / top * HEIGHT, 1))
        bars.append(Bar(sample, place * STEP, round(HEIGHT - height, 1), height))
    return tuple(bars)
