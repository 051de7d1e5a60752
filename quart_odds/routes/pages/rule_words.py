"""What a rule is about, in words, around the name of the match that it is about."""

from collections.abc import Mapping
from dataclasses import dataclass

from quart_odds.alerts.rules import (
    BookmakerSpec,
    EventSpec,
    MovementSpec,
    OpportunitySpec,
    PriceOf,
    PriceSpec,
    Rule,
    RunSpec,
)
from quart_odds.domain.outcomes import outcome_words


@dataclass(frozen=True, slots=True)
class RuleWords:
    """What a rule is about: words, the match between them if it is about one, and more words."""

    before: str
    event_id: int | None = None
    event: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before}{self.event}{self.after}"


def words_of(rule: Rule, names: Mapping[int, str] | None = None) -> RuleWords:
    """Return what a rule is about. `names` are those of events by their id; one without a name is called by its id."""
    match rule.spec:
        case PriceSpec() as spec:
            beyond = f"over {spec.over:g}" if spec.over is not None else f"under {spec.under:g}"
            return _of_price(spec, f" is {beyond}", names)
        case MovementSpec() as spec:
            way = {"up": "up by", "down": "down by", "either": "by"}[spec.direction]
            return _of_price(spec, f" moves {way} {spec.percent:g} % within {spec.within_seconds} s", names)
        case EventSpec() as spec:
            what = f" is {' or '.join(spec.on)}{_at(spec.bookmaker)}"
            if spec.event_id is None:
                return RuleWords(f"an event with “{spec.search}”{what}")
            return RuleWords("", spec.event_id, _name(spec.event_id, names), what)
        case BookmakerSpec() as spec:
            who = "a bookmaker" if spec.bookmaker is None else spec.bookmaker.display_name
            stale = f" (nothing for {spec.stale_after_seconds} s)" if "stale" in spec.on else ""
            return RuleWords(f"{who} is {' or '.join(spec.on)}{stale}")
        case RunSpec() as spec:
            what = "a run" if spec.mode is None else {"full": "a full run", "sweep": "a sweep"}[spec.mode.value]
            return RuleWords(f"{what} ends as {' or '.join(spec.statuses)}")
        case OpportunitySpec() as spec:
            return RuleWords(f"{spec.of} over {spec.over_percent:g} %")


def _of_price(spec: PriceOf, what: str, names: Mapping[int, str] | None) -> RuleWords:
    price = outcome_words(spec.market_of, spec.outcome, spec.line)
    after = f"{_at(spec.bookmaker)}{what}"
    return RuleWords(f"{spec.market_of.name}, {price}, of ", spec.event_id, _name(spec.event_id, names), after)


def _name(event_id: int, names: Mapping[int, str] | None) -> str:
    return (names or {}).get(event_id, f"event {event_id}")


def _at(bookmaker: object) -> str:
    return "" if bookmaker is None else f" at {getattr(bookmaker, 'display_name', bookmaker)}"
