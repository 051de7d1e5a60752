"""Preferences as they are stored, and the settings of each bookmaker among them."""

import json

from structlog.testing import capture_logs

from quart_odds.domain.platforms import Platform
from quart_odds.scraping.runtime_settings import KEY, PreferenceChanges, RuntimeSettings
from quart_odds.settings import load_settings


class Values:
    """Key-value pairs in memory."""

    def __init__(self, **changes: object) -> None:
        kept = {"changes": changes, "updated_at": "2026-11-22T10:00:00Z"}
        self.kept: dict[str, str | None] = {KEY: json.dumps(kept)} if changes else {}

    async def get_value(self, name: str) -> str | None:
        """Return the value of a key."""
        return self.kept.get(name)

    async def set_value(self, name: str, value: str | None) -> None:
        """Set the value of a key."""
        self.kept[name] = value


async def test_each_bookmaker_has_its_pace() -> None:
    """Names on the wire begin with the slug, and a change reaches the settings that clients use."""
    preferences = RuntimeSettings(load_settings({}), Values())
    changes = PreferenceChanges.model_validate({"bet9jaConcurrency": 7, "sportybetDelayMs": 250})
    changed = (await preferences.change(changes)).model_dump(mode="json", by_alias=True)
    assert {name: changed[name] for name in ("betpawaConcurrency", "bet9jaConcurrency", "sportybetDelayMs")} == {
        "betpawaConcurrency": 50,
        "bet9jaConcurrency": 7,
        "sportybetDelayMs": 250,
    }
    assert preferences.concurrency(Platform.BET9JA) == 7
    assert preferences.settings().delay_seconds(Platform.SPORTYBET) == 0.25


async def test_the_bookmakers_of_the_settings_are_enabled_at_first() -> None:
    """Until a preference says otherwise."""
    preferences = RuntimeSettings(load_settings({"QUART_ODDS_BOOKMAKERS": "bet9ja, betpawa"}), Values())
    await preferences.load()
    assert preferences.enabled_platforms() == ("betpawa", "bet9ja")
    await preferences.change(PreferenceChanges.model_validate({"enabledPlatforms": ["sportybet"]}))
    assert preferences.enabled_platforms() == ("sportybet",)


async def test_preferences_of_a_bookmaker_that_is_not_installed_are_left_out() -> None:
    """The others are in effect, and the log names those that are not."""
    values = Values(bet9ja_concurrency=7, gonebets_concurrency=9, enabled_platforms=["gonebets", "bet9ja"])
    preferences = RuntimeSettings(load_settings({}), values)
    with capture_logs() as logs:
        await preferences.load()
    assert preferences.concurrency(Platform.BET9JA) == 7
    assert preferences.enabled_platforms() == ("bet9ja",)
    assert [(each["event"], each["names"]) for each in logs] == [("preferences.left_out", ["gonebets_concurrency"])]


async def test_where_none_of_the_enabled_ones_is_installed_the_settings_count() -> None:
    """A run always has a bookmaker."""
    preferences = RuntimeSettings(load_settings({}), Values(enabled_platforms=["gonebets"]))
    await preferences.load()
    assert preferences.enabled_platforms() == load_settings({}).bookmakers
