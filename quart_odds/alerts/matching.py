"""Matches rules with what changes: prices, events, runs, bookmakers. Plain functions of the moment; nothing waits."""

import math
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from quart_odds.alerts.crossings import Crossings, Key
from quart_odds.alerts.movement import RecentPrices
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
from quart_odds.alerts.values import NewAlert
from quart_odds.alerts.wording import (
    Words,
    event_words,
    failing_words,
    movement_words,
    opportunity_words,
    price_words,
    run_words,
    stale_words,
)
from quart_odds.domain.odds import unpack_value
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import RunRecord, ScrapePhase
from quart_odds.odds.cache import OddsCache
from quart_odds.odds.event import CachedEvent, EventChange
from quart_odds.odds.event_odds import GONE
from quart_odds.odds.opportunities import Track

OPPORTUNITY = "opportunity:"
"""What the subjects of rules about opportunities begin with."""

SETTLE = timedelta(minutes=2)
"""How long the search of all odds may take after a start."""


class Matcher:
    """The enabled rules, by what they are about. Each method yields the alerts that fire.

    A price counts while its bookmaker lists the event with the same sides, and takes bets on it.
    """

    def __init__(self, cache: OddsCache, crossings: Crossings) -> None:
        self.crossings = crossings
        self._cache = cache
        self._prices: dict[int, list[tuple[Rule, PriceOf, int]]] = defaultdict(list)
        self._events: list[tuple[Rule, EventSpec]] = []
        self._bookmakers: list[tuple[Rule, BookmakerSpec]] = []
        self._runs: list[tuple[Rule, RunSpec]] = []
        self._opportunities: list[tuple[Rule, OpportunitySpec]] = []
        self._movements: dict[tuple[int, Platform], tuple[MovementSpec, RecentPrices]] = {}
        self.seen_at: dict[Platform, datetime] = {}
        """When prices last came from each bookmaker."""
        self._unseen: set[Key] = set()
        self._expected_until = datetime.min.replace(tzinfo=UTC)

    def replace(self, rules: Iterable[Rule]) -> None:
        """Match these rules from now on. What prices did before is kept for rules that are about the same."""
        self._prices.clear()
        for every in (self._events, self._bookmakers, self._runs, self._opportunities):
            every.clear()
        enabled = [rule for rule in rules if rule.is_enabled]
        for rule in enabled:
            match rule.spec:
                case PriceOf() as spec:
                    self._prices[spec.event_id].append((rule, spec, spec.key))
                case EventSpec() as spec:
                    self._events.append((rule, spec))
                case BookmakerSpec() as spec:
                    self._bookmakers.append((rule, spec))
                case RunSpec() as spec:
                    self._runs.append((rule, spec))
                case OpportunitySpec() as spec:
                    self._opportunities.append((rule, spec))
        specs = {rule.id: rule.spec for rule in enabled}
        self._movements = {key: kept for key, kept in self._movements.items() if specs.get(key[0]) == kept[0]}

    def changed(self, change: EventChange, now: datetime) -> Iterator[NewAlert]:
        """Yield what fires because of a change that the cache has just taken. Takes 2 µs if no rule is concerned."""
        self.seen_at[change.platform] = now
        if change.is_seen_only:
            return
        if self._prices:
            for event_id in change.event_ids:
                if event_id in self._prices:
                    yield from self._prices_of(event_id, change.platform if event_id == change.event_id else None, now)
        if self._events and (event := self._cache.get(change.event_id)) is not None:
            yield from self._happened(event, change, now)

    def present(self, now: datetime) -> Iterator[NewAlert]:
        """Yield what fires because of the prices that there are now. So nothing is missed that changed before."""
        for event_id in list(self._prices):
            yield from self._prices_of(event_id, None, now)

    def _prices_of(self, event_id: int, platform: Platform | None, now: datetime) -> Iterator[NewAlert]:
        """Yield what fires because of the prices of an event, at one bookmaker or at all."""
        event = self._cache.get(event_id)
        if event is None:
            return
        for each in event.odds if platform is None else (platform,):
            event_odds = event.odds.get(each)
            if event_odds is None or event_odds.gone_at is not None or event.is_reversed(each):
                continue
            columns = event_odds.columns
            for rule, spec, key in self._prices[event_id]:
                place = bisect_left(columns.keys, key) if spec.bookmaker in (None, each) else len(columns.keys)
                if place < len(columns.keys) and columns.keys[place] == key and not columns.values[place] & GONE:
                    odds, is_active = unpack_value(columns.values[place])
                    if is_active:
                        yield from self._price(rule, spec, f"{event.id}:{key}:{each}", event, each, odds, now)

    def _price(
        self,
        rule: Rule,
        spec: PriceOf,
        subject: str,
        event: CachedEvent,
        platform: Platform,
        odds: float,
        now: datetime,
    ) -> Iterator[NewAlert]:
        if isinstance(spec, PriceSpec):
            is_beyond, is_back = _place(spec, odds)
            if self.crossings.cross(rule, subject, is_beyond=is_beyond, is_back=is_back, now=now):
                yield _alert(rule, subject, price_words(spec, event, platform, odds), now)
        elif isinstance(spec, MovementSpec):
            percent = self._moved(rule, spec, subject, platform, odds, now)
            if percent is not None:
                yield _alert(rule, subject, movement_words(spec, event, platform, odds, percent), now)

    def _moved(
        self, rule: Rule, spec: MovementSpec, subject: str, platform: Platform, odds: float, now: datetime
    ) -> float | None:
        """Return by how many percent a price has moved if the rule fires, otherwise None."""
        _, movement = self._movements.setdefault((rule.id, platform), (spec, RecentPrices(spec.within_seconds)))
        if movement.latest == odds:
            return None
        at = now.timestamp()
        # Time alone may have brought it back, since the beginning of the period moves on.
        self._cross_movement(rule, spec, subject, movement.percent(at), now)
        movement.add(odds, at)
        return self._cross_movement(rule, spec, subject, movement.percent(at), now)

    def _cross_movement(
        self, rule: Rule, spec: MovementSpec, subject: str, moved: tuple[float, float], now: datetime
    ) -> float | None:
        up, down = moved
        up, down = (up if spec.direction != "down" else 0.0), (down if spec.direction != "up" else 0.0)
        most = max(up, down)
        is_back = most <= spec.percent * (1 - spec.margin_percent / 100)
        fires = self.crossings.cross(rule, subject, is_beyond=most >= spec.percent, is_back=is_back, now=now)
        return (up if up >= down else -down) if fires else None

    def _happened(self, event: CachedEvent, change: EventChange, now: datetime) -> Iterator[NewAlert]:
        event_odds = event.odds.get(change.platform)
        if event_odds is None:
            return
        happened = set()
        if change.is_new or change.is_available:
            happened.add("listed")
        if change.is_available is False:
            happened.add("gone")
        if change.former is not None and change.former.kickoff != event_odds.header.kickoff:
            happened.add("postponed")
        name = event.header.name.casefold()
        for rule, spec in self._events if happened else ():
            if spec.bookmaker not in (None, change.platform) or spec.event_id not in (None, event.id):
                continue
            if spec.search is not None and spec.search.casefold() not in name:
                continue
            for what in sorted(happened.intersection(spec.on)):
                subject = f"{event.id}:{what}:{change.platform}"
                if self.crossings.pulse(rule, subject, now):
                    yield _alert(rule, subject, event_words(what, event, change.platform), now)

    def ended(self, record: RunRecord, now: datetime) -> Iterator[NewAlert]:
        """Yield what fires because of the end of a run. The end of a run that was told before fires nothing again."""
        for rule, spec in self._runs:
            if record.status.value not in spec.statuses or spec.mode not in (None, record.mode):
                continue
            # The first is about this run, the second about the cooldown between runs.
            is_news = self.crossings.cross(rule, f"run:{record.id}", is_beyond=True, is_back=False, now=now)
            if is_news and self.crossings.pulse(rule, "runs", now):
                yield _alert(rule, "runs", run_words(record), now)
        for result in record.results:
            if result.phase.is_final:
                reason = None if result.error is None else result.error.error_message
                yield from self._bookmaker(
                    "failing",
                    result.platform,
                    result.phase is ScrapePhase.FAILED,
                    failing_words(result.platform, reason),
                    now,
                )

    def _bookmaker(
        self, what: str, platform: Platform, is_bad: bool, words: Words, now: datetime, only: Rule | None = None
    ) -> Iterator[NewAlert]:
        for rule, spec in self._bookmakers:
            if what in spec.on and spec.bookmaker in (None, platform) and only in (None, rule):
                subject = f"{what}:{platform}"
                if self.crossings.cross(rule, subject, is_beyond=is_bad, is_back=not is_bad, now=now):
                    yield _alert(rule, subject, words, now)

    def passed(self, now: datetime) -> Iterator[NewAlert]:
        """Yield what fires because time has passed and nothing came from a bookmaker. Call it about once a second."""
        if self._unseen and now >= self._expected_until:
            self.crossings.arm(self._unseen, now)
            self._unseen = set()
        for rule, spec in self._bookmakers:
            if "stale" in spec.on:
                for platform, seen_at in self.seen_at.items():
                    age = now - seen_at
                    is_stale = age >= timedelta(seconds=spec.stale_after_seconds)
                    words = stale_words(platform, age.total_seconds())
                    yield from self._bookmaker("stale", platform, is_stale, words, now, rule)

    def found(self, track: Track, now: datetime, *, is_gone: bool = False) -> Iterator[NewAlert]:
        """Yield what fires because an opportunity is worth as much as it is, or is gone."""
        subject, percent = _opportunity_subject(track), -math.inf if is_gone else track.opportunity.margin
        for rule, spec in self._opportunities:
            if spec.of == track.opportunity.kind:
                self._unseen.discard((rule.id, subject))
                is_back = percent <= spec.over_percent - abs(spec.over_percent) * spec.margin_percent / 100
                is_beyond = percent > spec.over_percent
                if self.crossings.cross(rule, subject, is_beyond=is_beyond, is_back=is_back, now=now):
                    yield _alert(rule, subject, opportunity_words(track, now), now)

    def expect(self, now: datetime) -> None:
        """Wait for the opportunities that were beyond a threshold before this process wrote, and arm the others then.

        They are not known at once: the odds have to be searched first.
        """
        self._unseen = set(self.crossings.beyond(OPPORTUNITY))
        self._expected_until = now + SETTLE


def _place(spec: PriceSpec, odds: float) -> tuple[bool, bool]:
    """Return whether a price is beyond the threshold, and whether it is back by the margin."""
    margin = spec.margin_percent / 100
    if spec.over is not None:
        return odds > spec.over, odds <= spec.over * (1 - margin)
    assert spec.under is not None, "a price has one threshold"
    return odds < spec.under, odds >= spec.under * (1 + margin)


def _opportunity_subject(track: Track) -> str:
    """Return what tells an opportunity apart from others as long as it lasts: its first and last price are enough."""
    found = track.opportunity
    return f"{OPPORTUNITY}{track.event.id}:{found.kind}:{found.legs[0].key:x}-{found.legs[-1].key:x}"


def _alert(rule: Rule, subject: str, words: Words, now: datetime) -> NewAlert:
    data = {"rule_id": rule.id, "rule": rule.name, "kind": rule.spec.kind, **words.data}
    return NewAlert(rule.id, rule.name, rule.spec.kind, subject, words.title, words.text, data, now)
