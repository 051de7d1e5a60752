"""The forms of the settings page: their fields with what is allowed, and what was typed into them."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from quart_odds.access.tokens import lifetime_of
from quart_odds.domain.platforms import Platform
from quart_odds.domain.scopes import Scope
from quart_odds.errors import AccessTokenError
from quart_odds.routes.access.problems import bad_request
from quart_odds.routes.api.schemas.storage import CleanupAgreed, CleanupQuery
from quart_odds.scraping.runtime_settings import PreferenceChanges, Preferences

Form = MultiDict[str, str]

ENABLED = "enabledPlatforms"
SWEEPS = "sweepIntervalSeconds"
SECTIONS = ("schedule", "bookmakers", "retention")
"""The forms that change preferences, by the name in their field `section`."""

MOST_SHOWN = 60
"""How much of a refused value is put back into its field."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field for a whole number: its name on the wire, what is in it, the range, and why it was refused, if it was."""

    name: str
    value: str
    least: int
    most: int
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class BookmakerFields:
    """The row of a bookmaker."""

    platform: Platform
    is_enabled: bool
    concurrency: Field
    delay: Field


@dataclass(frozen=True, slots=True)
class Filled:
    """What somebody has typed into a form, and the faults by field. Empty for a form that nobody has sent."""

    form: Form
    faults: dict[str, str]

    def field(self, name: str, now: int) -> Field:
        """Return a field with what was typed, or with the value that is in effect."""
        least, most = _range(name)
        typed = self.form.get(name)
        return Field(name, str(now) if typed is None else typed[:MOST_SHOWN], least, most, self.faults.get(name))


NOT_FILLED = Filled(MultiDict(), {})


def changes_of(form: Form) -> tuple[PreferenceChanges | None, dict[str, str]]:
    """Return the changes that a form asks for; or None, and the faults by field."""
    section = form.get("section", "")
    if section not in SECTIONS:
        raise bad_request("The form is not complete.", ("section", f"is one of {', '.join(SECTIONS)}"))
    given: dict[str, Any] = {name: form[name].strip() for name in _numbers() if name in form}
    if section == "bookmakers":
        given[ENABLED] = form.getlist(ENABLED)
    try:
        return PreferenceChanges.model_validate(given), {}
    except ValidationError as error:
        names = [str(fault["loc"][0]) for fault in error.errors()]
    return None, {name: _allowed(name) for name in names}


def agreed_of(form: Form) -> CleanupAgreed:
    """Return what a clean-up may remove, as the preview in a form says. Raises a 400."""
    numbers = ("events", "history_rows", "runs", "oddsRetentionDays", "matchRetentionDays")
    if any(name not in form for name in numbers):
        raise bad_request("The form is not complete.", ("events", "preview the clean-up first"))
    try:
        return CleanupAgreed.model_validate({name: form[name] for name in numbers})
    except ValidationError:
        raise bad_request("The form is not valid.", ("events", "preview the clean-up again")) from None


def asked_of(typed: Form) -> tuple[CleanupQuery | None, Filled]:
    """Return the ages that a preview is asked for, None if there is none to show; and its form as it was filled in."""
    names = {"odds_days": "oddsRetentionDays", "match_days": "matchRetentionDays"}
    given = {name: typed[name].strip() for name in names if name in typed}
    if not given:
        return None, NOT_FILLED
    filled: Form = MultiDict({names[name]: text for name, text in given.items()})
    try:
        return CleanupQuery.model_validate(given), Filled(filled, {})
    except ValidationError as error:
        faulty = [names[str(fault["loc"][0])] for fault in error.errors()]
    return None, Filled(filled, {name: _allowed(name) for name in faulty})


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that a form asks for. `lifetime` is as in `30d`, None for a token that does not expire."""

    name: str
    scope: Scope
    lifetime: str | None


def token_of(form: Form) -> tuple[NewToken | None, dict[str, str]]:
    """Return the token that a form asks for; or None, and the faults by field. Its name is checked when it is made."""
    faults = {}
    scope, expires = form.get("scope", ""), form.get("expires", "").strip()
    if scope not in list(Scope):
        faults["scope"] = f"choose {', '.join(Scope)}"
    if expires:
        try:
            lifetime_of(expires)
        except AccessTokenError:
            faults["expires"] = "give a time such as 45m, 12h, 30d or 8w, or nothing"
    if faults:
        return None, faults
    return NewToken(form.get("name", ""), Scope(scope), expires or None), {}


def bookmaker_fields(current: Preferences, filled: Filled) -> list[BookmakerFields]:
    """Return the rows of all installed bookmakers, in order."""
    is_sent = filled.form.get("section") == "bookmakers"
    enabled = filled.form.getlist(ENABLED) if is_sent else list(current.enabled_platforms)
    values = current.model_dump(by_alias=True)
    rows = []
    for each in Platform:
        concurrency, delay = _alias(f"{each}_concurrency"), _alias(f"{each}_delay_ms")
        fields = (filled.field(name, values[name]) for name in (concurrency, delay))
        rows.append(BookmakerFields(each, each in enabled, *fields))
    return rows


def number_fields(current: Preferences, filled: Filled) -> dict[str, Field]:
    """Return the other fields of the forms, by name."""
    values = current.model_dump(by_alias=True)
    names = ("scrapeIntervalMinutes", SWEEPS, "oddsRetentionDays", "matchRetentionDays", "cleanupFrequencyHours")
    return {name: filled.field(name, values[name]) for name in names}


@cache
def _numbers() -> dict[str, tuple[int, int]]:
    """Return the range of each preference that is a whole number, by its name on the wire."""
    ranges = {}
    for name, schema in PreferenceChanges.model_json_schema()["properties"].items():
        whole = [each for each in schema["anyOf"] if each.get("type") == "integer"]
        if whole:
            ranges[name] = (int(whole[0]["minimum"]), int(whole[0]["maximum"]))
    return ranges


def _range(name: str) -> tuple[int, int]:
    return _numbers()[name]


def _alias(name: str) -> str:
    return str(PreferenceChanges.model_fields[name].alias)


def _allowed(name: str) -> str:
    """Return what is allowed in a field, as a sentence for the one who has typed something else."""
    if name == ENABLED:
        return "Choose at least one bookmaker."
    least, most = _range(name)
    if name == SWEEPS:
        return f"Give 0, which turns sweeps off, or a whole number from 2 to {most}."
    return f"Give a whole number from {least} to {most}."
