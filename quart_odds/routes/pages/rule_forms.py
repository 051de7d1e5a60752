"""The forms of the page of alerts: what their fields say that a rule is about, and what is wrong with them."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from quart_odds.alerts.rule_book import DEFAULT_COOLDOWN_SECONDS, MOST_COOLDOWN_SECONDS
from quart_odds.alerts.rules import AnySpec, offered_spec
from quart_odds.errors import AlertInputError

if TYPE_CHECKING:
    from werkzeug.datastructures import MultiDict

MOST_TARGETS_OF_RULE = 20
SHARED = ("name", "cooldown_seconds")
PRICE = ("event_id", "market", "line", "outcome", "bookmaker")
FIELD_OF: Mapping[str, str] = {"over": "threshold", "under": "threshold", "over_percent": "percent"}
"""The field of a form that says what a rule calls otherwise."""

DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "opportunity": {"name": "Arbitrage", "of": "arbitrage", "percent": "1", "margin_percent": "2"},
    "price": {"name": "Price", "side": "over", "margin_percent": "2"},
    "movement": {"name": "Movement", "percent": "5", "within_seconds": "600", "direction": "either"}
    | {"margin_percent": "2"},
    "event": {"name": "Match"},
    "bookmaker": {"name": "Bookmaker in trouble", "stale_after_seconds": "900"},
    "run": {"name": "Run failed", "mode": "full"},
}
"""What the fields of each kind of rule begin with."""

TICKED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "event": {"on": ("listed", "gone", "postponed")},
    "bookmaker": {"on": ("failing", "stale")},
    "run": {"statuses": ("failed", "interrupted")},
}
"""The boxes that are ticked at first."""


SAID = (
    (r"Tuple should have at least 1 item.*", "Tick at least one."),
    (r"Input should be a valid integer.*", "Give a whole number."),
    (r"Input should be a valid number.*", "Give a number."),
    (r"Input should be greater than or equal to (.+)", r"Give at least \1."),
    (r"Input should be greater than (.+)", r"Give more than \1."),
    (r"Input should be less than or equal to (.+)", r"Give at most \1."),
    (r"String should have at least (\d+) characters", r"Give at least \1 characters."),
    (r"String should have at most (\d+) characters", r"Give at most \1 characters."),
    (r"Field required", "Fill this in."),
)
"""What is said at a field instead of what pydantic says."""


@dataclass(frozen=True, slots=True)
class RuleForm:
    """A form for a kind of rule: its fields, its ticked boxes by name, and what is wrong, by field ("" for none)."""

    kind: str
    values: Mapping[str, str]
    ticked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    is_open: bool = False

    @classmethod
    def empty(cls, kind: str, given: Mapping[str, str] | None = None) -> "RuleForm":
        """Return the form as it is at first, with these fields filled in and open if there are any."""
        known = {"cooldown_seconds": str(DEFAULT_COOLDOWN_SECONDS), **DEFAULTS[kind]}
        return cls(kind, {**known, **(given or {})}, TICKED.get(kind, {}), is_open=given is not None)

    def value(self, name: str) -> str:
        """Return what a field has."""
        return self.values.get(name, "")

    def has(self, name: str, value: str) -> bool:
        """Return whether a box is ticked."""
        return value in self.ticked.get(name, ())


@dataclass(frozen=True, slots=True)
class NewRule:
    """What a form asks for. Raised errors are AlertInputError."""

    name: str
    spec: AnySpec
    cooldown_seconds: int
    target_ids: tuple[int, ...]


def read_rule(form: "MultiDict[str, str]") -> NewRule:
    """Return the rule that a form asks for. Raises AlertInputError, which names fields as rules do."""
    spec = offered_spec(_spec_of(form))
    cooldown = form.get("cooldown_seconds", "").strip() or str(DEFAULT_COOLDOWN_SECONDS)
    if not (cooldown.isascii() and cooldown.isdigit() and len(cooldown) < 9 and int(cooldown) <= MOST_COOLDOWN_SECONDS):
        raise AlertInputError("cooldown_seconds", f"give whole seconds, from 0 to {MOST_COOLDOWN_SECONDS}")
    return NewRule(form.get("name", ""), spec, int(cooldown), _targets_of(form))


def refused(form: "MultiDict[str, str]", error: AlertInputError) -> RuleForm:
    """Return a form as it was sent, with what is wrong at the fields that are."""
    kind = form.get("kind", "")
    kind = kind if kind in DEFAULTS else "price"
    found = error.faults or ((error.field.removeprefix("when").removeprefix("."), error.reason),)
    shown = {*DEFAULTS[kind], *TICKED.get(kind, {}), *SHARED, *PRICE, "threshold", "search", "target", "targets"}
    errors: dict[str, str] = {}
    for name, reason in found:
        own = FIELD_OF.get(name.split(".")[0], name.split(".")[0])
        errors.setdefault("target" if own == "targets" else own if own in shown else "", _said(reason))
    ticked = {name: tuple(form.getlist(name)) for name in (*TICKED.get(kind, {}), "target")}
    return RuleForm(kind, {**RuleForm.empty(kind).values, **form.to_dict()}, ticked, errors, is_open=True)


def _said(reason: str) -> str:
    """Return what is wrong with a field, as a sentence that says what to do."""
    for pattern, words in SAID:
        if found := re.fullmatch(pattern, reason):
            return found.expand(words)
    return reason


def _spec_of(form: "MultiDict[str, str]") -> dict[str, object]:
    """Return what the fields of a form say that a rule is about. Empty fields are left out."""
    kind = form.get("kind", "")
    read = _READERS.get(kind)
    if read is None:
        return {"kind": kind}
    return {"kind": kind, **{name: value for name, value in read(form).items() if value != ""}}


def _texts(form: "MultiDict[str, str]", *names: str) -> dict[str, object]:
    return {name: form.get(name, "").strip() for name in names}


def _opportunity(form: "MultiDict[str, str]") -> dict[str, object]:
    return {**_texts(form, "of", "margin_percent"), "over_percent": form.get("percent", "").strip()}


def _price(form: "MultiDict[str, str]") -> dict[str, object]:
    side = form.get("side", "")
    if side not in ("over", "under"):
        raise AlertInputError("when", "side: choose over or under", faults=[("side", "choose over or under")])
    return {**_texts(form, *PRICE, "margin_percent"), side: form.get("threshold", "").strip()}


def _movement(form: "MultiDict[str, str]") -> dict[str, object]:
    return _texts(form, *PRICE, "margin_percent", "percent", "within_seconds", "direction")


def _event(form: "MultiDict[str, str]") -> dict[str, object]:
    return {**_texts(form, "event_id", "search", "bookmaker"), "on": form.getlist("on")}


def _bookmaker(form: "MultiDict[str, str]") -> dict[str, object]:
    return {**_texts(form, "bookmaker", "stale_after_seconds"), "on": form.getlist("on")}


def _run(form: "MultiDict[str, str]") -> dict[str, object]:
    mode = form.get("mode", "full")
    return {"statuses": form.getlist("statuses"), "mode": None if mode == "all" else mode}


_READERS: Mapping[str, Callable[["MultiDict[str, str]"], dict[str, object]]] = {
    "opportunity": _opportunity,
    "price": _price,
    "movement": _movement,
    "event": _event,
    "bookmaker": _bookmaker,
    "run": _run,
}


def _targets_of(form: "MultiDict[str, str]") -> tuple[int, ...]:
    """Return the ids of the targets that are chosen in a form. Raises AlertInputError."""
    chosen = [each for each in form.getlist("target") if each]
    if len(chosen) > MOST_TARGETS_OF_RULE or not all(each.isascii() and each.isdigit() for each in chosen):
        raise AlertInputError("target", f"choose up to {MOST_TARGETS_OF_RULE} targets")
    return tuple(int(each[:10]) for each in chosen)
