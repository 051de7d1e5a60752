"""The page of settings: its forms, what they refuse, clean-ups with their preview, tokens, and what a start has set."""

import html
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from quart_odds.access.tokens import AccessTokens
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.scopes import Scope
from quart_odds.odds.stored_data import StorageAlert
from quart_odds.setting_values import Source, values_in_effect
from quart_odds.settings import load_settings
from tests.apps import RunningApp, running_app
from tests.odds.making import X1, header, mapped

NOWHERE = "http://127.0.0.1:9"
DAY = timedelta(days=1)
Sent = dict[str, str | list[str]]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app with an event of ten days ago, and one of today."""
    async with running_app(tmp_path, NOWHERE) as opened:
        for days, name in ((10, "1"), (0, "2")):
            at = utc_now() - days * DAY
            event = header(Platform.BETPAWA, name, kickoff=at, sportradar_id=f"7000000{name}")
            await opened.parts.odds_service.record(mapped(event, X1), at)
        await opened.parts.odds_service.confirm()
        yield opened


async def markup(running: RunningApp, path: str = "/settings", status: int = 200, **options: Any) -> str:
    """Return the page."""
    response = await running.client.get(path, **{"headers": {"Accept": "text/html"}, **options})
    assert response.status_code == status
    return str(await response.get_data(as_text=True))


async def send(running: RunningApp, path: str, form: Sent, status: int = 303) -> str:
    """Send a form, and return the page that answers, or the address that it leads to."""
    headers = {"Accept": "text/html", "Content-Type": "application/x-www-form-urlencoded"}
    response = await running.client.post(path, data=urlencode(form, doseq=True), headers=headers)
    text: str = await response.get_data(as_text=True)
    assert response.status_code == status, words(text)
    return response.headers.get("Location", text)


def words(page: str) -> str:
    """Return what a page says."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())


def value(page: str, name: str) -> str:
    """Return what is in the first field of a name that can be seen."""
    found = re.search(rf'<input name="{name}"[^>]* value="([^"]*)"', page)
    assert found is not None, name
    return found[1]


def hidden(page: str, action: str) -> Sent:
    """Return the hidden fields of the form with this action."""
    forms = re.findall(rf'<form[^>]* action="{action}[^"]*">(.*?)</form>', page, re.DOTALL)
    fields = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', forms[0])
    return dict(fields)


async def test_the_schedule_is_changed_paused_and_resumed(running: RunningApp) -> None:
    """Off is said in words, with what to do."""
    said = words(await markup(running))
    assert "off No run starts by itself: set an interval below" in said
    to = await send(
        running, "/settings", {"section": "schedule", "scrapeIntervalMinutes": "30", "sweepIntervalSeconds": "20"}
    )
    assert to == "/settings?saved=schedule#schedule"
    page = await markup(running, to.partition("#")[0])
    assert value(page, "scrapeIntervalMinutes") == "30"
    assert "The schedule was saved. on Next run" in words(page)
    await send(running, "/settings/schedule/pause", {})
    assert "paused No run and no sweep starts until you resume" in words(await markup(running))
    await send(running, "/settings/schedule/resume", {})
    assert re.search(r"on Next run .* UTC \. A sweep starts every 20 s\.", words(await markup(running)))


async def test_bookmakers_are_chosen_and_slowed(running: RunningApp) -> None:
    """What the form does not have stays as it is."""
    chosen: Sent = {
        "section": "bookmakers",
        "enabledPlatforms": ["bet9ja", "msport"],
        "bet9jaConcurrency": "7",
        "bet9jaDelayMs": "250",
    }
    await send(running, "/settings", chosen)
    current = running.parts.preferences.current
    assert current.enabled_platforms == (Platform.BET9JA, Platform.MSPORT)
    assert running.parts.preferences.concurrency(Platform.BET9JA) == 7
    page = await markup(running)
    assert (value(page, "bet9jaDelayMs"), value(page, "betpawaDelayMs")) == ("250", "0")
    assert re.findall(r'value="(\w+)" checked', page) == ["bet9ja", "msport"]


@pytest.mark.parametrize(
    ("form", "name", "allowed"),
    [
        ({"section": "schedule", "scrapeIntervalMinutes": "1441"}, "scrapeIntervalMinutes", "from 0 to 1440."),
        (
            {"section": "schedule", "sweepIntervalSeconds": "1"},
            "sweepIntervalSeconds",
            "Give 0, which turns sweeps off",
        ),
        ({"section": "retention", "oddsRetentionDays": ""}, "oddsRetentionDays", "from 1 to 3650."),
        ({"section": "retention", "cleanupFrequencyHours": "<b>"}, "cleanupFrequencyHours", "from 1 to 168."),
        ({"section": "bookmakers", "bet9jaConcurrency": "51"}, "bet9jaConcurrency", "from 1 to 50."),
        (
            {"section": "bookmakers", "enabledPlatforms": "ladbrokes"},
            "enabledPlatforms",
            "Choose at least one bookmaker.",
        ),
    ],
)
async def test_a_refused_value_comes_back_at_its_field(
    form: Sent, name: str, allowed: str, running: RunningApp
) -> None:
    """With what is allowed, which a screen reader hears with the field; nothing is changed."""
    before = running.parts.preferences.current
    page = await send(running, "/settings", form, 400)
    fault = re.search(rf'<small class="bad" id="fault-{name}">([^<]*)</small>', page)
    assert fault is not None
    assert allowed in fault[1]
    assert f'aria-describedby="fault-{name}"' in page
    if name != "enabledPlatforms":
        assert html.unescape(value(page, name)) == form[name]
    assert running.parts.preferences.current == before


async def test_keeping_data_for_less_time_shows_first_what_would_go(running: RunningApp) -> None:
    """Once that is agreed to, it is saved. Where nothing would go, it is saved at once."""
    form: Sent = {"section": "retention", "oddsRetentionDays": "5", "matchRetentionDays": "30"}
    page = await send(running, "/settings", form, 200)
    assert "With these settings the next clean-up removes 1 event that kicked off more than 5 days ago" in words(page)
    assert running.parts.preferences.current.odds_retention_days == 30
    agreed = hidden(page, "/settings#retention")
    assert agreed.items() >= {"agreed": "yes", "oddsRetentionDays": "5"}.items()
    assert await send(running, "/settings", agreed) == "/settings?saved=retention#retention"
    assert running.parts.preferences.current.odds_retention_days == 5
    await send(running, "/settings", {**form, "oddsRetentionDays": "20"})
    await send(running, "/settings", {**form, "oddsRetentionDays": "15"})
    assert running.parts.preferences.current.odds_retention_days == 15


async def test_a_clean_up_removes_what_its_preview_has_shown(running: RunningApp) -> None:
    """And no more. It is recorded, with who asked for it."""
    assert "No clean-up yet" in words(await markup(running))
    assert "a clean-up would remove nothing" in words(await markup(running, "/settings?odds_days=30&match_days=30"))
    page = await markup(running, "/settings?odds_days=5&match_days=30")
    assert "This would be removed 1 event that kicked off more than 5 days ago" in words(page)
    shown = hidden(page, "/settings/clean-up")
    assert shown["events"] == "1"
    refused = await send(running, "/settings/clean-up", {**shown, "events": "0"}, 409)
    assert "which is more than was agreed to; nothing was removed" in words(refused)
    await send(running, "/settings/clean-up", {}, 400)
    await send(running, "/settings/clean-up", {**shown, "oddsRetentionDays": "x"}, 400)
    assert await send(running, "/settings/clean-up", shown) == "/settings?saved=clean-up#clean-ups"
    said = words(await markup(running, "/settings?saved=clean-up"))
    assert "The clean-up is done" in said
    assert "completed this machine 5 d 30 d 1 0 0" in said
    page = await markup(running, "/settings?odds_days=x&match_days=0", 400)
    assert "Give a whole number from 1 to 3650." in words(page)
    assert (value(page, "odds_days"), value(page, "match_days")) == ("x", "0")


async def test_storage_and_its_alerts_are_shown(running: RunningApp) -> None:
    """The size is there before the first sample, its growth from the second on; an alert can be resolved."""
    said = words(await markup(running))
    assert "Growth in a day not known yet" in said
    assert "Its growth is here from the second sample on" in said
    store = running.parts.store
    sample = await store.measure(utc_now() - DAY)
    await store.add_sample(sample, store.term, forget_before=utc_now() - 9 * DAY)
    await running.parts.maintenance.watch_storage()
    await store.add_storage_alert(StorageAlert("size_critical", "Large.", utc_now(), 1, 1, 0.0), store.term)
    page = await markup(running)
    assert "Growth in a day +" in words(page)
    assert 'role="img" aria-label="From ' in page
    assert "Large." in words(page)
    await send(running, "/settings/alerts/1/resolve", {})
    page = await markup(running)
    assert "Mark as resolved" not in page
    assert "Alerts that are over 1" in words(page)
    await send(running, "/settings/alerts/9/resolve", {}, 404)


async def test_a_token_is_shown_once_and_revoked(running: RunningApp) -> None:
    """Its text is in the answer to the form, which nobody may store, and nowhere else."""
    form: Sent = {"name": "office", "scope": "run", "expires": "30d"}
    response = await running.client.post("/settings/tokens", form=form, headers={"Accept": "text/html"})
    page = str(await response.get_data(as_text=True))
    assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
    [text] = re.findall(r"qo_[0-9a-f]{12}_[0-9a-f]{64}", page)
    assert "/region.js" not in page, "what was sent is not at this address: it must not be fetched again"
    grant = await running.parts.credentials.of_token(text)
    assert grant.scope is Scope.RUN
    response = await running.client.get("/settings/tokens")
    assert (response.status_code, response.headers["Location"]) == (302, "/settings#tokens")
    page = await markup(running)
    assert text not in page
    token_id = text.split("_")[1]
    assert f"office {token_id} run usable" in words(page)
    assert await send(running, f"/settings/tokens/{token_id}/revoke", {}) == "/settings?saved=token#tokens"
    assert f"office {token_id} run revoked" in words(await markup(running))
    await send(running, f"/settings/tokens/{token_id}/revoke", {}, 404)


@pytest.mark.parametrize(
    ("change", "name", "allowed"),
    [
        ({"name": " "}, "name", "A token needs a name of up to 100 printable characters."),
        ({"scope": "root"}, "scope", "choose read, run, admin"),
        ({"expires": "soon"}, "expires", "give a time such as 45m, 12h, 30d or 8w, or nothing"),
    ],
)
async def test_a_token_that_cannot_be_is_refused_at_its_field(
    change: Sent, name: str, allowed: str, running: RunningApp
) -> None:
    """And none is made."""
    page = await send(running, "/settings/tokens", {"name": "office", "scope": "run", "expires": "", **change}, 400)
    assert f'id="fault-{name}">{allowed}</small>' in page
    assert await running.parts.store.access_tokens() == []


async def test_those_who_may_not_change_it_read_it_without_tokens_and_addresses(running: RunningApp) -> None:
    """A token of the scope run pauses, and one of the scope read only reads."""
    texts = {}
    for scope in (Scope.READ, Scope.RUN):
        _, texts[scope] = await AccessTokens(running.parts.store).create("secret name", scope)
    await running.client.put("/api/settings", json={"scrapeIntervalMinutes": 30})
    for scope, text in texts.items():
        asked = {"Authorization": f"Bearer {text}", "Accept": "text/html"}
        page = await markup(running, headers=asked, scope_base={"client": ("192.0.2.9", 50_000)})
        assert "Log in with a token of the scope admin to change them" in words(page)
        assert "secret name" not in page
        assert "QUART_ODDS_" not in page
        assert page.count("<fieldset disabled>") == 3
        assert ("/settings/schedule/pause" in page) == (scope is Scope.RUN)
        for path in ("/settings", "/settings/clean-up", "/settings/tokens"):
            response = await running.client.post(
                path, form={}, headers=asked, scope_base={"client": ("192.0.2.9", 50_000)}
            )
            assert response.status_code == 403


async def test_what_a_start_has_set_is_shown_without_secrets(tmp_path: Path) -> None:
    """With where it came from. What can be changed here is not among it."""
    async with running_app(tmp_path, NOWHERE, betpawa_proxy="http://me:hush@proxy.example:3128") as running:
        page = await markup(running)
    assert "proxy.example:3128" in page
    assert "hush" not in page
    assert "QUART_ODDS_LOG_LEVEL" in page
    assert "QUART_ODDS_ODDS_RETENTION_DAYS" not in page
    assert "QUART_ODDS_BET9JA_CONCURRENCY" not in page


def test_it_is_known_where_a_value_came_from() -> None:
    """From the environment, an option, or the default."""
    environ = {"QUART_ODDS_LOG_LEVEL": "error", "QUART_ODDS_MAX_CONNECTIONS": "5"}
    found = {each.name: each for each in values_in_effect(load_settings(environ, max_connections=6), environ)}
    assert found["QUART_ODDS_LOG_LEVEL"].source is Source.ENVIRONMENT
    assert found["QUART_ODDS_MAX_CONNECTIONS"].source is Source.OPTION
    assert found["QUART_ODDS_MAX_CONNECTIONS"].text == "6"
    assert found["QUART_ODDS_DRAIN_SECONDS"].source is Source.DEFAULT
