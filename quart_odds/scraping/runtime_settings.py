"""Settings that can be changed while the server runs: the pace of scrapes, and how long data is kept.

The initial values come from the environment. Changes made through the API are stored in the database and survive a
restart. The names on the wire are those that clients of similar systems already use.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.scraping.owned import owned
from quart_odds.scraping.schemas import Timestamp
from quart_odds.settings import Settings, SweepInterval

KEY = "preferences"


def _alias(name: str) -> str:
    return to_camel(name).replace("bet9Ja", "bet9ja")


class PreferenceChanges(BaseModel):
    """Changes to the preferences; None leaves a preference as it is. The names include the units."""

    model_config = ConfigDict(
        alias_generator=_alias, validate_by_name=True, validate_by_alias=True, extra="forbid", frozen=True
    )

    scrape_interval_minutes: int | None = Field(None, ge=0, le=1440, description="0 turns scheduled runs off")
    sweep_interval_seconds: SweepInterval | None = Field(
        None, description="0 turns sweeps and the request budgets off; otherwise at least 2"
    )
    enabled_platforms: tuple[Platform, ...] | None = Field(
        None, min_length=1, description="the bookmakers that a run scrapes"
    )
    odds_retention_days: int | None = Field(None, ge=1, le=3650)
    match_retention_days: int | None = Field(None, ge=1, le=3650, description="how long runs are kept")
    cleanup_frequency_hours: int | None = Field(None, ge=1, le=168)
    betpawa_concurrency: int | None = Field(None, ge=1, le=100)
    sportybet_concurrency: int | None = Field(None, ge=1, le=100)
    bet9ja_concurrency: int | None = Field(None, ge=1, le=50)
    bet9ja_delay_ms: int | None = Field(None, ge=0, le=10_000)
    batch_size: int | None = Field(None, ge=10, le=200, description="has no effect: there are no batches")
    max_concurrent_events: int | None = Field(None, ge=1, le=50, description="has no effect: there are no batches")


class Preferences(PreferenceChanges):
    """All preferences that are in effect. `updated_at` is None if none has been changed through the API."""

    scrape_interval_minutes: int = Field(ge=0, le=1440)
    sweep_interval_seconds: SweepInterval
    enabled_platforms: tuple[Platform, ...] = Field(min_length=1)
    odds_retention_days: int
    match_retention_days: int
    cleanup_frequency_hours: int = 24
    betpawa_concurrency: int
    sportybet_concurrency: int
    bet9ja_concurrency: int
    bet9ja_delay_ms: int
    batch_size: int = 50
    max_concurrent_events: int = 10
    updated_at: Timestamp | None = None

    def applied_to(self, settings: Settings) -> Settings:
        """Return a copy of the settings in which the preferences replace the initial values."""
        return settings.model_copy(
            update={
                "betpawa_concurrency": self.betpawa_concurrency,
                "sportybet_concurrency": self.sportybet_concurrency,
                "bet9ja_concurrency": self.bet9ja_concurrency,
                "bet9ja_delay_ms": self.bet9ja_delay_ms,
                "scrape_interval_minutes": self.scrape_interval_minutes,
                "sweep_interval_seconds": self.sweep_interval_seconds,
                "odds_retention_days": self.odds_retention_days,
                "run_retention_days": self.match_retention_days,
            }
        )


class KeyValueStore(Protocol):
    """Stores key-value pairs."""

    async def get_value(self, name: str) -> str | None:
        """Return the value of a key; None if there is none."""

    async def set_value(self, name: str, value: str | None) -> None:
        """Set the value of a key; None removes it."""


class RuntimeSettings:
    """Holds the preferences that are in effect, and changes them."""

    def __init__(self, settings: Settings, values: KeyValueStore, now: Callable[[], datetime] = utc_now) -> None:
        self.on_change: Callable[[Preferences], None] = lambda _: None
        self._settings = settings
        self._values = values
        self._now = now
        self._first = Preferences(
            scrape_interval_minutes=settings.scrape_interval_minutes,
            sweep_interval_seconds=settings.sweep_interval_seconds,
            enabled_platforms=tuple(Platform),
            odds_retention_days=settings.odds_retention_days,
            match_retention_days=settings.run_retention_days,
            betpawa_concurrency=settings.betpawa_concurrency,
            sportybet_concurrency=settings.sportybet_concurrency,
            bet9ja_concurrency=settings.bet9ja_concurrency,
            bet9ja_delay_ms=settings.bet9ja_delay_ms,
        )
        self._changed: dict[str, object] = {}
        self._changing: set[asyncio.Task[Any]] = set()
        self.current = self._first

    def settings(self) -> Settings:
        """Return the settings of the process, with the preferences applied to them."""
        return self.current.applied_to(self._settings)

    def concurrency(self, platform: Platform) -> int:
        """Return how many requests to a bookmaker may be open at once."""
        return self.settings().concurrency(platform)

    def enabled_platforms(self) -> tuple[Platform, ...]:
        """Return the platforms that a run scrapes unless it names others."""
        return self.current.enabled_platforms

    async def load(self) -> None:
        """Apply the changes that are stored in the database: at the start, and when another process may have made some.

        Raises StorageError.
        """
        text = await self._values.get_value(KEY)
        before = self.current
        if text is None:
            self._changed, self.current = {}, self._first
        else:
            kept = _Kept.model_validate_json(text)
            self._put(kept.changes, kept.updated_at)
        if self.current != before:
            self.on_change(self.current)

    async def change(self, changes: PreferenceChanges) -> Preferences:
        """Store changes and apply them. Raises StorageError, without applying them, if they cannot be stored.

        Both steps are completed even if the caller is cancelled.
        """
        return await owned(self._change(changes), self._changing)

    async def _change(self, changes: PreferenceChanges) -> Preferences:
        at = self._now()
        merged = PreferenceChanges.model_validate(self._changed | changes.model_dump(exclude_none=True))
        await self._values.set_value(KEY, _Kept(changes=merged, updated_at=at).model_dump_json(exclude_none=True))
        self._put(merged, at)
        self.on_change(self.current)
        return self.current

    def _put(self, changes: PreferenceChanges, at: datetime) -> None:
        self._changed = changes.model_dump(exclude_none=True)
        self.current = self._first.model_copy(update=self._changed | {"updated_at": at})


class _Kept(BaseModel):
    changes: PreferenceChanges
    updated_at: Timestamp
