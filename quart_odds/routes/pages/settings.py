"""`/settings`: what can be changed while the server runs, storage and clean-ups, tokens, and what was set at the start.

Works without a script. A form with a refused value comes back as it was filled in, with what is allowed at each field.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from functools import wraps

from quart import Blueprint, Response, redirect, request
from quart_schema import hide
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.access.tokens import AccessTokens, lifetime_of
from quart_odds.access.values import AccessToken
from quart_odds.domain.clock import utc_now
from quart_odds.domain.scopes import Scope
from quart_odds.errors import AccessTokenError
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.gate import grant_of
from quart_odds.routes.access.problems import Problem
from quart_odds.routes.access.requester import requester
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.clean_ups import ages_of, agreed, agreed_ages
from quart_odds.routes.api.processes import writer_state
from quart_odds.routes.api.requests import form_fields, query_fields
from quart_odds.routes.pages.setting_forms import (
    NOT_FILLED,
    Filled,
    agreed_of,
    asked_of,
    bookmaker_fields,
    changes_of,
    number_fields,
    token_of,
)
from quart_odds.routes.pages.shell import page
from quart_odds.routes.pages.storage_view import Preview, preview_of, storage_view
from quart_odds.routes.pages.views import frame, trouble
from quart_odds.scraping.runtime_settings import PreferenceChanges, Preferences
from quart_odds.services import Services, services
from quart_odds.setting_values import SettingValue, Source, values_in_effect
from quart_odds.settings import PREFIX, Settings

View = Callable[..., Awaitable[Response | WerkzeugResponse]]

SAVED = {
    "schedule": ("schedule", "The schedule was saved."),
    "bookmakers": ("bookmakers", "The bookmakers were saved. What starts from now on uses them."),
    "retention": ("retention", "How long data is kept was saved. The next clean-up follows it."),
    "clean-up": ("clean-ups", "The clean-up is done. What it removed is the first line."),
    "token": ("tokens", "The token was revoked. Servers refuse it, and end its connections, within seconds."),
}
"""What the page says after a redirect, by the parameter `saved`: in which part, and the words."""

blueprint = Blueprint("setting_pages", __name__)
blueprint.register_error_handler(Exception, trouble)


@blueprint.get("/settings")
@hide
async def settings() -> Response:
    """Show all settings. With `odds_days` or `match_days`, also what a clean-up with these ages would remove."""
    parts = services()
    given = query_fields()
    query, asked = asked_of(given)
    preview = None
    if query is not None:
        preview = await preview_of(parts, ages_of(parts, query.odds_days, query.match_days), is_now=True)
    return await _page(said=SAVED.get(given.get("saved", "")), asked=asked, preview=preview)


def _checked_first(view: View) -> View:
    """Return the view, whose form is checked by the process that got it: the page that it shows belongs to a session.

    A form that would let the next clean-up remove something is shown again with what that is, until it is agreed to.
    """

    @wraps(view)
    async def checked() -> Response | WerkzeugResponse:
        form = await form_fields()
        changes, faults = changes_of(form)
        if changes is None:
            return await _page(filled=Filled(form, faults))
        preview = None if "agreed" in form else await _shortened(services(), changes)
        return await view() if preview is None else await _page(filled=Filled(form, {}), preview=preview)

    return checked


async def _shortened(parts: Services, changes: PreferenceChanges) -> Preview | None:
    """Return what changes of how long data is kept would have removed; None if that is nothing."""
    kept = parts.maintenance.ages
    ages = ages_of(parts, changes.odds_retention_days, changes.match_retention_days)
    if ages.is_within(kept):
        return None
    preview = await preview_of(parts, ages, is_now=False)
    return None if preview.is_empty else preview


@blueprint.post("/settings")
@same_origin_only
@_checked_first
@carried_out_by_writer
@hide
async def change_settings() -> WerkzeugResponse:
    """Change the preferences of one of the forms."""
    form = await form_fields()
    changes, _ = changes_of(form)
    assert changes is not None, "a form is checked before it is carried out"
    await services().preferences.change(changes)
    return _back(form["section"])


@blueprint.post("/settings/schedule/<any(pause, resume):change>")
@same_origin_only
@carried_out_by_writer
@hide
async def pause_or_resume(change: str) -> WerkzeugResponse:
    """Pause or resume scheduled runs and sweeps."""
    await services().maintenance.pause(change == "pause")
    return redirect(public_path("/settings#schedule"), 303)


@blueprint.post("/settings/clean-up")
@same_origin_only
@carried_out_by_writer
@hide
async def clean_up() -> WerkzeugResponse:
    """Remove what a preview has shown, and no more."""
    parts = services()
    body = agreed_of(await form_fields())
    await parts.maintenance.clean_up(
        agreed(body), ages=agreed_ages(parts, body), trigger="manual", requested_by=requester()
    )
    return _back("clean-up")


@blueprint.post("/settings/alerts/<int:alert_id>/resolve")
@same_origin_only
@carried_out_by_writer
@hide
async def resolve_alert(alert_id: int) -> WerkzeugResponse:
    """Mark an alert about the database as resolved."""
    if await services().store.resolve_storage_alert(alert_id, utc_now()) is None:
        raise Problem(404, "No such alert", f"There is no alert {alert_id} about the database.")
    return redirect(public_path("/settings#storage"), 303)


@blueprint.get("/settings/tokens")
@hide
async def tokens() -> WerkzeugResponse:
    """Lead to the tokens: a browser that has made one is at this address."""
    return redirect(public_path("/settings#tokens"))


@blueprint.post("/settings/tokens")
@same_origin_only
@hide
async def create_token() -> Response:
    """Make a token, and show it: here and now, and never again. It does not pass through other processes."""
    form = await form_fields()
    new, faults = token_of(form)
    if new is None:
        return await _page(filled=Filled(form, faults))
    lifetime = None if new.lifetime is None else lifetime_of(new.lifetime)
    try:
        token, text = await AccessTokens(services().store).create(new.name, new.scope, lifetime=lifetime)
    except AccessTokenError as error:
        return await _page(filled=Filled(form, {"name": f"{str(error)[:1].upper()}{str(error)[1:]}."}))
    return await _page(created=(token, text))


@blueprint.post("/settings/tokens/<token_id>/revoke")
@same_origin_only
@hide
async def revoke_token(token_id: str) -> WerkzeugResponse:
    """Revoke a token."""
    try:
        await AccessTokens(services().store).revoke(token_id)
    except AccessTokenError as error:
        raise Problem(404, "No such token", f"{error}.") from None
    return _back("token")


async def _page(
    *,
    filled: Filled = NOT_FILLED,
    asked: Filled = NOT_FILLED,
    preview: Preview | None = None,
    said: tuple[str, str] | None = None,
    created: tuple[AccessToken, str] | None = None,
) -> Response:
    """Return the page. `created` is a token that was just made, with its text."""
    parts = services()
    if not parts.odds_service.is_writer:
        # Another process may have changed them a moment ago, for the same reader.
        await parts.preferences.load()
    current = parts.preferences.current
    scope = grant_of(request).scope
    is_admin = scope.includes(Scope.ADMIN)
    kept = parts.maintenance.ages
    shown = {
        "is_admin": is_admin,
        "may_run": scope.includes(Scope.RUN),
        "own_token": grant_of(request).token_id,
        "said": said,
        "faults": filled.faults,
        "form": filled.form,
        "fields": number_fields(current, filled),
        "bookmaker_rows": bookmaker_fields(current, filled),
        "asked": {
            "odds_days": asked.field("oddsRetentionDays", kept.odds_days),
            "match_days": asked.field("matchRetentionDays", kept.match_days),
        },
        "preview": preview,
        "changed_at": current.updated_at,
        "state": writer_state(parts),
        "storage": await storage_view(parts),
        "next_clean_up": await _next_clean_up(parts),
        "tokens": await _tokens(parts) if is_admin else [],
        "scopes": list(Scope),
        "created": created,
        "values": _start_values(parts.settings) if is_admin else [],
        "descriptions": _descriptions(parts.settings),
        # What somebody has sent is not at this address: it must not be fetched again.
        "is_live": request.method != "POST",
    }
    status = 400 if filled.faults or asked.faults else 200
    answer = await page("settings.html", {**frame("", "settings"), **shown}, status=status)
    if created is not None:
        answer.headers["Cache-Control"] = "no-store"
    return answer


async def _next_clean_up(parts: Services) -> datetime | None:
    """Return when the next clean-up is due; None if it is not planned yet."""
    state = await parts.store.clean_up_state()
    hours = parts.preferences.current.cleanup_frequency_hours
    return None if state is None else state.due_at(utc_now(), timedelta(hours=hours))


async def _tokens(parts: Services) -> list[tuple[AccessToken, str | None]]:
    """Return the tokens with why they are over, those that can be used first."""
    now = utc_now()
    found = [(token, token.end_reason(now)) for token in await AccessTokens(parts.store).all()]
    return sorted(found, key=lambda each: each[1] is not None)


def _start_values(settings: Settings) -> list[SettingValue]:
    """Return the settings that only a start changes, with secrets masked, those first that are not the default."""
    changeable = {"scrape_interval_minutes", "sweep_interval_seconds", "bookmakers"}
    changeable |= {"odds_retention_days", "run_retention_days"} | set(Preferences.model_fields)
    found = [each for each in values_in_effect(settings) if _field(each) not in changeable]
    return sorted(found, key=lambda each: each.source is Source.DEFAULT)


def _field(value: SettingValue) -> str:
    return value.name.removeprefix(PREFIX).lower()


def _descriptions(settings: Settings) -> Mapping[str, str]:
    fields = type(settings).model_fields.items()
    return {f"{PREFIX}{name.upper()}": field.description or "" for name, field in fields}


def _back(saved: str) -> WerkzeugResponse:
    place, _ = SAVED[saved]
    return redirect(public_path(f"/settings?saved={saved}#{place}"), 303)
