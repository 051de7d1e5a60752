"""`/alerts`: what fired, the rules and forms for new ones, and the targets with a test of each."""

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from typing import Annotated

from pydantic import Field
from quart import Blueprint, Response, redirect, request
from quart.typing import ResponseReturnValue
from quart_schema import hide
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.alerts.rules import MAX_ID, Rule
from quart_odds.alerts.targets import shown
from quart_odds.broadcast import broadcast_registry
from quart_odds.domain.clock import utc_now
from quart_odds.domain.opportunities import KINDS
from quart_odds.domain.platforms import Platform
from quart_odds.errors import AlertInputError
from quart_odds.odds.event import CachedEvent
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.query import EventsFilter, select_events
from quart_odds.routes.api.requests import form_fields, takes_query
from quart_odds.routes.api.schemas.alerts import AlertsQuery
from quart_odds.routes.pages.price_choice import PriceChoice, price_choice
from quart_odds.routes.pages.rule_forms import DEFAULTS, PRICE, NewRule, RuleForm, read_rule, refused
from quart_odds.routes.pages.rule_words import words_of
from quart_odds.routes.pages.shell import page
from quart_odds.routes.pages.views import frame, trouble
from quart_odds.services import Services, services

SHOWN = 50
MOST_MATCHES = 10
"""How many matches are offered for a part of a name."""

MOST_NAME = 100

Asked = Annotated[str | None, Field(max_length=200)]

blueprint = Blueprint("alert_pages", __name__)
blueprint.register_error_handler(Exception, trouble)


class AlertsPageQuery(AlertsQuery):
    """Which alerts to show, and what the form for a rule is filled in with.

    `add` is the kind of the form, `price` if an event is named; `match` is a part of the name of a match to choose.
    """

    add: Asked = None
    match: Asked = None
    event_id: Asked = None
    market: Asked = None
    line: Asked = None
    outcome: Asked = None
    bookmaker: Asked = None
    of: Asked = None
    percent: Asked = None

    @property
    def form(self) -> RuleForm | None:
        """The form that is filled in; None if none is."""
        is_about_event = self.event_id is not None or self.match is not None
        kind = self.add or ("price" if is_about_event else "")
        if kind not in DEFAULTS:
            return None
        names = ("of", "percent") if kind == "opportunity" else PRICE
        given = {name: value for name in names if (value := getattr(self, name)) is not None}
        return RuleForm.empty(kind, given)


def refused_on_the_page(
    view: Callable[[], Awaitable[ResponseReturnValue]],
) -> Callable[[], Awaitable[ResponseReturnValue]]:
    """Return a view that shows a form again if it is refused: as it was sent, with what is wrong at the fields.

    The process that has the session of the browser does so, whichever writes. A program gets a problem as everywhere.
    """

    @wraps(view)
    async def checked() -> ResponseReturnValue:
        if "text/html" in request.headers.get("Accept", ""):
            form = await form_fields()
            try:
                await _checked(read_rule(form))
            except AlertInputError as error:
                return await _page(AlertsPageQuery(), form=refused(form, error), status=400)
        return await view()

    return checked


@blueprint.get("/alerts")
@hide
@takes_query(AlertsPageQuery)
async def alerts(query: AlertsPageQuery) -> Response:
    """Show what fired, newest first, the rules, forms for new ones, and the targets."""
    return await _page(query, form=query.form)


@blueprint.post("/alerts")
@same_origin_only
@refused_on_the_page
@carried_out_by_writer
@hide
async def add_rule() -> WerkzeugResponse:
    """Add a rule of a form, and show it."""
    new = read_rule(await form_fields())
    await services().alerts.rules.add(new.name, new.spec, new.target_ids, cooldown_seconds=new.cooldown_seconds)
    return redirect(public_path("/alerts#rules"), 303)


@blueprint.post("/alerts/rules/<int:rule_id>/<any(pause, resume, remove):change>")
@same_origin_only
@carried_out_by_writer
@hide
async def change_rule(rule_id: int, change: str) -> WerkzeugResponse:
    """Pause or resume a rule, or remove it."""
    rules = services().alerts.rules
    if change == "remove":
        await rules.remove(rule_id)
    else:
        await rules.change(rule_id, is_enabled=change == "resume")
    return redirect(public_path("/alerts#rules"), 303)


@blueprint.post("/alerts/targets/<int:target_id>/test")
@same_origin_only
@hide
async def test_target(target_id: int) -> Response:
    """Send a test message, and show how that went."""
    targets = services().alerts.targets
    name = (await targets.find(target_id)).name
    reason = await targets.test(target_id)
    said = f"The test message was delivered to {name}." if reason is None else f"{name} did not get it: {reason}."
    return await _page(AlertsPageQuery(), tested=target_id, said=said)


async def _checked(new: NewRule) -> None:
    """Raise AlertInputError if a rule cannot be added."""
    parts = services()
    await parts.alerts.rules.check(new.name, new.spec)
    known = {target.id for target in await parts.alerts.targets.all()}
    if missing := [each for each in new.target_ids if each not in known]:
        raise AlertInputError("target", f"there is no such target among {', '.join(map(str, missing))}")


async def _page(
    query: AlertsPageQuery,
    *,
    form: RuleForm | None = None,
    tested: int | None = None,
    said: str = "",
    status: int = 200,
) -> Response:
    parts = services()
    log = broadcast_registry.log
    cursor = log.cursor_at(log.next_seq)
    fired = await parts.store.list_alerts(limit=SHOWN + 1, before_id=query.before, rule_id=query.rule_id)
    targets = await parts.alerts.targets.all()
    rules = await parts.alerts.rules.all()
    last = await parts.store.last_alerts()
    told = {target.id: target.name for target in targets}
    event = None if form is None else await _event_of(parts, form.value("event_id"))
    names = _names_of(parts, rules)
    shown_values = {
        "fired": fired[:SHOWN],
        "older": fired[SHOWN - 1].id if len(fired) > SHOWN else None,
        "query": query,
        "rules": [(rule, words_of(rule, names), _told(rule, told), last.get(rule.id)) for rule in rules],
        "targets": [(target, shown(target.url)) for target in targets],
        "tested": tested,
        "said": said,
        "used": parts.bookmakers(),
        "kinds": KINDS,
        **_form_values(parts, query, form, event),
    }
    return await page("alerts.html", {**frame(cursor, "alerts"), **shown_values}, status=status)


def _form_values(
    parts: Services, query: AlertsPageQuery, form: RuleForm | None, event: CachedEvent | None
) -> dict[str, object]:
    """Return the forms, and what there is to choose from in the match of the one that is filled in."""
    forms = {kind: RuleForm.empty(kind) for kind in DEFAULTS}
    choice: PriceChoice | None = None
    if form is not None:
        if event is not None and form.kind in ("price", "movement"):
            choice = price_choice(event, form.value("market"), form.value("line"), tuple(Platform))
            form = _named(form, f"{event.header.name}, {choice.market.name}")
        forms[form.kind] = form
    text = (query.match or "").strip()
    found = select_events(parts.served.cache, EventsFilter(search=text), utc_now())[:MOST_MATCHES] if text else []
    return {
        "forms": forms,
        "prices": choice,
        "is_unknown": form is not None and event is None and bool(form.value("event_id")),
        "matches": [(each.id, each.header.name, each.header.kickoff) for each in found],
        "match": text,
        "kind": "" if form is None else form.kind,
    }


def _named(form: RuleForm, name: str) -> RuleForm:
    """Return a form with the match as the name of the rule, unless the name was changed."""
    if form.value("name") != DEFAULTS[form.kind]["name"]:
        return form
    return RuleForm(form.kind, {**form.values, "name": name[:MOST_NAME]}, form.ticked, form.errors, form.is_open)


async def _event_of(parts: Services, text: str) -> CachedEvent | None:
    """Return the event with the id that a form has; None if there is none."""
    is_id = text.isascii() and text.isdigit() and len(text) < 11 and 0 < int(text) <= MAX_ID
    return await parts.served.find(int(text)) if is_id else None


def _names_of(parts: Services, rules: list[Rule]) -> Mapping[int, str]:
    """Return the names of the events in memory that rules are about, by their id."""
    ids = {event_id for rule in rules if (event_id := getattr(rule.spec, "event_id", None)) is not None}
    return {each: event.header.name for each in ids if (event := parts.served.cache.get(each)) is not None}


def _told(rule: Rule, names: Mapping[int, str]) -> str:
    return ", ".join(names[each] for each in rule.target_ids if each in names)
