"""`/alerts`: what fired, the rules, and the targets with a test of each. Works without a script."""

from quart import Blueprint, Response, redirect
from quart_schema import hide
from werkzeug.datastructures import MultiDict
from werkzeug.wrappers import Response as WerkzeugResponse

from quart_odds.alerts.rules import (
    BookmakerSpec,
    EventSpec,
    MovementSpec,
    OpportunitySpec,
    PriceOf,
    PriceSpec,
    Rule,
    RunSpec,
    offered_spec,
)
from quart_odds.alerts.targets import shown
from quart_odds.domain.outcomes import outcome_words
from quart_odds.routes.access.forwarding import carried_out_by_writer
from quart_odds.routes.access.problems import bad_request
from quart_odds.routes.access.root_path import public_path
from quart_odds.routes.access.same_origin import same_origin_only
from quart_odds.routes.api.requests import form_fields, takes_query
from quart_odds.routes.api.schemas.alerts import AlertsQuery
from quart_odds.routes.pages.shell import page
from quart_odds.routes.pages.views import frame, trouble
from quart_odds.services import services

SHOWN = 50
MOST_TARGETS_OF_RULE = 20

blueprint = Blueprint("alert_pages", __name__)
blueprint.register_error_handler(Exception, trouble)


@blueprint.get("/alerts")
@hide
@takes_query(AlertsQuery)
async def alerts(query: AlertsQuery) -> Response:
    """Show what fired, newest first, the rules, and the targets."""
    return await _page(query)


@blueprint.post("/alerts")
@same_origin_only
@carried_out_by_writer
@hide
async def add_rule() -> WerkzeugResponse:
    """Add a rule of the form, and show it."""
    form = await form_fields()
    spec = offered_spec(_spec_of(form))
    await services().alerts.rules.add(form.get("name", ""), spec, _targets_of(form))
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
    return await _page(AlertsQuery(), tested=target_id, said=said)


async def _page(query: AlertsQuery, *, tested: int | None = None, said: str = "") -> Response:
    parts = services()
    fired = await parts.store.list_alerts(limit=SHOWN + 1, before_id=query.before, rule_id=query.rule_id)
    targets = await parts.alerts.targets.all()
    names = {target.id: target.name for target in targets}
    shown_values = {
        "fired": fired[:SHOWN],
        "older": fired[SHOWN - 1].id if len(fired) > SHOWN else None,
        "is_newest": query.before is None,
        "rules": [(rule, words_of(rule), _names(rule, names)) for rule in await parts.alerts.rules.all()],
        "targets": [(target, shown(target.url)) for target in targets],
        "tested": tested,
        "said": said,
    }
    return await page("alerts.html", {**frame("", "alerts"), **shown_values})


def _names(rule: Rule, names: dict[int, str]) -> str:
    return ", ".join(names[each] for each in rule.target_ids if each in names)


def words_of(rule: Rule) -> str:
    """Return what a rule is about, in words."""
    match rule.spec:
        case PriceSpec() as spec:
            beyond = f"over {spec.over:g}" if spec.over is not None else f"under {spec.under:g}"
            return f"{_price(spec)} is {beyond}"
        case MovementSpec() as spec:
            way = {"up": "up by", "down": "down by", "either": "by"}[spec.direction]
            return f"{_price(spec)} moves {way} {spec.percent:g} % within {spec.within_seconds} s"
        case EventSpec() as spec:
            which = f"event {spec.event_id}" if spec.event_id is not None else f"an event with “{spec.search}”"
            return f"{which} is {' or '.join(spec.on)}{_at(spec.bookmaker)}"
        case BookmakerSpec() as spec:
            who = "a bookmaker" if spec.bookmaker is None else spec.bookmaker.display_name
            return f"{who} is {' or '.join(spec.on)}"
        case RunSpec() as spec:
            what = "a run" if spec.mode is None else {"full": "a full run", "sweep": "a sweep"}[spec.mode.value]
            return f"{what} ends as {' or '.join(spec.statuses)}"
        case OpportunitySpec() as spec:
            return f"{spec.of} over {spec.over_percent:g} %"


def _price(spec: PriceOf) -> str:
    words = outcome_words(spec.market_of, spec.outcome, spec.line)
    return f"{spec.market_of.name}, {words}, of event {spec.event_id}{_at(spec.bookmaker)}"


def _at(bookmaker: object) -> str:
    return "" if bookmaker is None else f" at {getattr(bookmaker, 'display_name', bookmaker)}"


def _spec_of(form: "MultiDict[str, str]") -> dict[str, object]:
    """Return what the fields of a form say that a rule is about. Empty fields are left out."""
    kind = form.get("kind", "")
    number = form.get("percent" if kind == "opportunity" else "threshold", "").strip()
    if kind == "opportunity":
        return {"kind": kind, "of": form.get("of", ""), "over_percent": number}
    if kind == "price":
        fields = {name: form.get(name, "").strip() for name in ("event_id", "market", "line", "outcome", "bookmaker")}
        side = form.get("side", "")
        if side not in ("over", "under"):
            raise bad_request("The form is not complete.", ("side", "choose over or under"))
        return {"kind": kind, **{name: text for name, text in fields.items() if text}, side: number}
    if kind == "bookmaker":
        return {"kind": kind, "on": ["failing", "stale"]}
    return {"kind": kind}


def _targets_of(form: "MultiDict[str, str]") -> list[int]:
    """Return the ids of the targets that are chosen in a form. Raises a 400."""
    chosen = [each for each in form.getlist("target") if each]
    if len(chosen) > MOST_TARGETS_OF_RULE or not all(each.isascii() and each.isdigit() for each in chosen):
        raise bad_request("The form is not valid.", ("target", f"choose up to {MOST_TARGETS_OF_RULE} targets"))
    return [int(each[:10]) for each in chosen]
