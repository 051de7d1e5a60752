"""Settings that can be changed while the server runs: the pace of scrapes, and how long data is kept.

The initial values come from the environment. Changes made through the API are stored in the database and survive a
restart. The names on the wire are those that clients of similar systems already use.
"""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import structlog
from pydantic import BaseModel, ConfigDict, Field, create_model
from pydantic.alias_generators import to_camel, to_pascal

from quart_odds.domain.bookmakers import installed
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.scraping.owned import owned
from quart_odds.scraping.schemas import Timestamp
from quart_odds.settings import Settings, SweepInterval

KEY = "preferences"

log = structlog.get_logger(__name__)


_OF_BOOKMAKER = {
    f"{slug}_{what}": (least, most)
    for slug, each in installed().items()
    for what, least, most in (("concurrency", 1, each.bookmaker.concurrency.most), ("delay_ms", 0, 10_000))
}
"""The preferences of the bookmakers, which are settings of the same names, with the range of their values."""


def _alias(name: str) -> str:
    slug, _, rest = name.partition("_")
    return slug + to_pascal(rest) if slug in installed() else to_camel(name)


class _CommonChanges(BaseModel):
    """Changes to the preferences besides those of each bookmaker."""

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
    batch_size: int | None = Field(None, ge=10, le=200, description="has no effect: there are no batches")
    max_concurrent_events: int | None = Field(None, ge=1, le=50, description="has no effect: there are no batches")


if TYPE_CHECKING:

    class PreferenceChanges(_CommonChanges):
        """Changes to the preferences; None leaves a preference as it is. The names include the units."""

else:
    PreferenceChanges = create_model(
        "PreferenceChanges",
        __base__=_CommonChanges,
        __module__=__name__,
        __doc__="Changes to the preferences; None leaves a preference as it is. The names include the units.",
        **{name: (int | None, Field(None, ge=least, le=most)) for name, (least, most) in _OF_BOOKMAKER.items()},
    )


class _CommonPreferences(PreferenceChanges):
    """The preferences besides those of each bookmaker."""

    scrape_interval_minutes: int = Field(ge=0, le=1440)
    sweep_interval_seconds: SweepInterval
    enabled_platforms: tuple[Platform, ...] = Field(min_length=1)
    odds_retention_days: int
    match_retention_days: int
    cleanup_frequency_hours: int = 24
    batch_size: int = 50
    max_concurrent_events: int = 10
    updated_at: Timestamp | None = None

    def applied_to(self, settings: Settings) -> Settings:
        """Return a copy of the settings in which the preferences replace the initial values."""
        return settings.model_copy(
            update={
                **{name: getattr(self, name) for name in _OF_BOOKMAKER},
                "scrape_interval_minutes": self.scrape_interval_minutes,
                "sweep_interval_seconds": self.sweep_interval_seconds,
                "odds_retention_days": self.odds_retention_days,
                "run_retention_days": self.match_retention_days,
            }
        )


if TYPE_CHECKING:

    class Preferences(_CommonPreferences):
        """All preferences that are in effect. `updated_at` is None if none has been changed through the API."""

else:
    Preferences = create_model(
        "Preferences",
        __base__=_CommonPreferences,
        __module__=__name__,
        __doc__="All preferences that are in effect. `updated_at` is None if none has been changed through the API.",
        **dict.fromkeys(_OF_BOOKMAKER, (int, ...)),
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
            enabled_platforms=settings.bookmakers,
            odds_retention_days=settings.odds_retention_days,
            match_retention_days=settings.run_retention_days,
            **{name: getattr(settings, name) for name in _OF_BOOKMAKER},
        )
        self._changed: dict[str, object] = {}
        self._changing: set[asyncio.Task[Any]] = set()
        self.current = self._first
        self._applied: tuple[Preferences, Settings] | None = None
        """The settings with the preferences that they were made with. Each request to a bookmaker asks for them."""

    def settings(self) -> Settings:
        """Return the settings of the process, with the preferences applied to them."""
        if self._applied is None or self._applied[0] is not self.current:
            self._applied = self.current, self.current.applied_to(self._settings)
        return self._applied[1]

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
            kept = _Kept.model_validate(_of_installed(json.loads(text)))
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


def _of_installed(kept: dict[str, Any]) -> dict[str, Any]:
    """Return stored preferences without those of bookmakers that are no longer installed."""
    changes = {name: value for name, value in kept["changes"].items() if name in PreferenceChanges.model_fields}
    enabled = [each for each in changes.pop("enabled_platforms", ()) if each in Platform]
    left_out = sorted(kept["changes"].keys() - changes.keys() - {"enabled_platforms"})
    if left_out:
        log.warning("preferences.left_out", names=left_out, reason="they are of a bookmaker that is not installed")
    return {**kept, "changes": changes | ({"enabled_platforms": enabled} if enabled else {})}


class _Kept(BaseModel):
    changes: PreferenceChanges
    updated_at: Timestamp
