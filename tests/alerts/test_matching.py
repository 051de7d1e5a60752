"""Which changes let which rules fire."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import orjson
import pytest

from quart_odds.alerts.crossings import Crossings
from quart_odds.alerts.matching import SETTLE, Matcher
from quart_odds.alerts.rules import Rule, read_spec
from quart_odds.alerts.values import NewAlert
from quart_odds.domain.odds import ListedCompetitions, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.domain.runs import PlatformResult, RunError, RunMode, RunRecord, RunStatus, ScrapePhase
from quart_odds.odds import OddsCache
from quart_odds.odds.event import EventChange
from quart_odds.odds.operations import Discovered, Recorded, Withdrawn, carry_out
from quart_odds.odds.opportunities import OpportunityEngine, Track, What
from tests.odds.making import KICKOFF, NOW, STALE_AFTER, X1, header, key, listed, mapped, seconds_on

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
HOME = key("1x2_ft", "1")
OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)
PRICE = '{"kind": "price", "event_id": 1, "market": "1x2_ft", "outcome": "1", "over": 2.5%s}'


class World:
    """A cache, and rules that are told of its changes. Each step takes a second."""

    def __init__(self, *specs: str, cooldown_seconds: int = 0) -> None:
        self.cache = OddsCache()
        self.matcher = Matcher(self.cache, Crossings())
        self.seconds = 0
        self.rules = [
            Rule(number, f"rule {number}", read_spec(spec), (), True, cooldown_seconds, NOW, NOW)
            for number, spec in enumerate(specs, start=1)
        ]
        self.matcher.replace(self.rules)

    @property
    def now(self) -> datetime:
        """The time."""
        return seconds_on(self.seconds)

    def tell(self, changes: Sequence[EventChange]) -> list[NewAlert]:
        """Tell the rules of changes, and return what fires."""
        return [alert for change in changes for alert in self.matcher.changed(change, self.now)]

    def take(self, event: MappedEvent) -> list[NewAlert]:
        """Let the cache take an event, and return what fires."""
        self.seconds += 1
        return self.tell(carry_out(self.cache, Recorded(event, self.now, self.now)))

    def price(self, odds: float, platform: Platform = BETPAWA, **more: Any) -> list[NewAlert]:
        """Let the home side have this price, and return what fires."""
        return self.take(mapped(header(platform), {**X1, HOME: odds}, **more))


def test_a_price_fires_once_when_it_crosses() -> None:
    """Again only after it went back by the margin. The words name all that matters."""
    world = World(PRICE % "")
    assert world.price(2.4) == []
    (alert,) = world.price(2.6)
    assert (alert.rule_id, alert.kind, alert.fired_at) == (1, "price", world.now)
    assert alert.title == "Arsenal - Chelsea: 2.60 is over 2.5"
    assert alert.text.endswith(", 1, at BetPawa is 2.60, over 2.5.")
    assert (
        alert.data.items() >= {"event_id": 1, "bookmaker": "betpawa", "outcome": "1", "odds": 2.6, "over": 2.5}.items()
    )
    assert [len(world.price(odds)) for odds in (2.7, 2.5, 2.46, 2.6, 2.45, 2.51, 2.6)] == [0, 0, 0, 0, 0, 1, 0]


def test_the_price_of_a_handicap_is_named_by_the_line_of_its_side() -> None:
    """A rule about the away side at a home handicap of -1.5 is about +1.5."""
    away = key("asian_handicap_ft", "2", -1.5)
    rule = '{"kind": "price", "event_id": 1, "market": "asian_handicap_ft", "line": -1.5, "outcome": "2", "over": 2}'
    world = World(rule)
    assert world.take(mapped(header(BETPAWA), {**X1, away: 1.9})) == []
    (alert,) = world.take(mapped(header(BETPAWA), {**X1, away: 2.1}))
    assert alert.text == "Asian Handicap, 2 (+1.5), at BetPawa is 2.10, over 2."


def test_the_threshold_itself_is_not_beyond() -> None:
    """Neither over nor under it."""
    world = World(PRICE % "", (PRICE % "").replace("over", "under"))
    assert world.price(2.5) == []
    assert [alert.rule_id for alert in world.price(2.49)] == [2]
    assert [alert.rule_id for alert in world.price(2.6)] == [1]


def test_a_first_price_that_is_beyond_fires_once() -> None:
    """Whether it is new, or was there before the rule."""
    world = World(PRICE % "")
    assert len(world.price(2.9)) == 1
    assert world.price(2.9) == []
    other = World()
    other.price(2.9)
    other.matcher.replace([Rule(1, "late", read_spec(PRICE % ""), (), True, 0, NOW, NOW)])
    assert len(list(other.matcher.present(other.now))) == 1
    assert list(other.matcher.present(other.now)) == []
    assert other.price(2.95) == []


def test_bookmakers_cross_each_for_itself() -> None:
    """A rule may name one of them."""
    world = World(PRICE % "", PRICE % ', "bookmaker": "sportybet"')
    assert [alert.rule_id for alert in world.price(2.6)] == [1]
    assert [alert.rule_id for alert in world.price(2.6, SPORTYBET)] == [1, 2]


def test_prices_that_nobody_can_bet_on_do_not_count() -> None:
    """Suspended ones, those that are gone, and those of a bookmaker that has the sides the other way round."""
    world = World(PRICE % "")
    assert world.price(2.4) == []
    assert world.price(2.9, suspended=frozenset({HOME})) == []
    assert world.take(mapped(odds={each: odds for each, odds in X1.items() if each != HOME})) == []
    crossed = header(SPORTYBET, home="Chelsea", away="Arsenal")
    assert world.take(mapped(crossed, {**X1, HOME: 2.9})) == []
    assert len(world.price(2.9)) == 1


def test_other_events_and_prices_do_not_fire() -> None:
    """Nor does the same price of another event."""
    world = World(PRICE % "")
    world.price(2.4)
    assert world.take(mapped(header(external_id="e2", sportradar_id="68995117"), {**X1, HOME: 2.9})) == []
    assert world.take(mapped(odds={**X1, key("1x2_ft", "2"): 3.9})) == []


def test_prices_in_lists_count() -> None:
    """As the events' own do."""
    world = World(PRICE % "")
    assert len(world.take(listed(odds={**X1, HOME: 2.6}))) == 1


@pytest.mark.parametrize(
    ("direction", "fired"),
    [("either", ["rose by 10.0 %", "fell by 18.2 %"]), ("up", ["rose by 10.0 %"]), ("down", ["fell by 18.2 %"])],
)
def test_a_movement_fires_in_its_direction(direction: str, fired: list[str]) -> None:
    """Measured from the lowest and the highest price within the period."""
    world = World(
        '{"kind": "movement", "event_id": 1, "market": "1x2_ft", "outcome": "1", "percent": 10, '
        f'"within_seconds": 60, "direction": "{direction}"}}'
    )
    alerts = [alert for odds in (2.0, 2.05, 2.2) for alert in world.price(odds)]
    world.seconds += 100
    alerts += [alert for odds in (2.2, 1.8) for alert in world.price(odds)]
    assert [alert.title.partition(": a price ")[2] for alert in alerts] == fired


def test_a_slow_movement_does_not_fire() -> None:
    """The same way in more time, or less of it, is no movement."""
    world = World(
        '{"kind": "movement", "event_id": 1, "market": "1x2_ft", "outcome": "1", "percent": 10, "within_seconds": 60}'
    )
    for odds in (2.0, 2.1, 2.2, 2.3):
        assert world.price(odds) == []
        world.seconds += 70


def test_what_happens_to_an_event_fires() -> None:
    """Listed, postponed, gone, and listed again, at the bookmaker that the rule names or at any."""
    world = World(
        '{"kind": "event", "on": ["listed", "gone", "postponed"], "search": "ARSENAL"}',
        '{"kind": "event", "on": ["gone"], "event_id": 1, "bookmaker": "bet9ja"}',
        '{"kind": "event", "on": ["listed"], "search": "liverpool"}',
    )
    assert [(alert.rule_id, alert.data["what"]) for alert in world.price(2.4)] == [(1, "listed")]
    assert [alert.data["bookmaker"] for alert in world.price(2.4, SPORTYBET)] == ["sportybet"]
    (postponed,) = world.take(mapped(header(kickoff=KICKOFF + timedelta(hours=1))))
    assert postponed.text == "At BetPawa, the kick-off of Arsenal - Chelsea is now 2026-11-22T17:00:00.000Z."
    world.seconds += 1
    (gone,) = world.tell(carry_out(world.cache, Withdrawn(BETPAWA, "e1", world.now, world.now)))
    assert (gone.rule_id, gone.text) == (1, "BetPawa no longer lists Arsenal - Chelsea.")
    (back,) = world.take(mapped(header(kickoff=KICKOFF + timedelta(hours=1))))
    assert back.data["what"] == "listed"


def test_an_event_that_is_missed_once_is_not_gone() -> None:
    """As everywhere else, two lists have to lack it."""
    world = World('{"kind": "event", "on": ["gone"], "event_id": 1}')
    world.price(2.4)
    whole = ListedCompetitions(is_tree_whole=True)

    def lists(minutes: int) -> list[NewAlert]:
        world.seconds = 60 * minutes
        operation = Discovered(BETPAWA, {}, world.now, whole, timedelta(minutes=5), world.now)
        return world.tell(carry_out(world.cache, operation))

    assert lists(1) == []
    assert [alert.title for alert in lists(10)] == ["Arsenal - Chelsea: gone"]


def record(
    number: int,
    status: RunStatus = RunStatus.COMPLETED,
    results: Mapping[Platform, ScrapePhase] | None = None,
    mode: RunMode = RunMode.FULL,
) -> RunRecord:
    """Return the record of a run that has ended."""
    error = RunError("blocked", "refused", NOW)
    return RunRecord(
        number,
        status,
        "api",
        tuple(Platform),
        NOW,
        NOW,
        results=tuple(
            PlatformResult(platform, phase, error=error if phase is ScrapePhase.FAILED else None)
            for platform, phase in (results or {}).items()
        ),
        mode=mode,
    )


def test_runs_that_fail_fire() -> None:
    """Each run once, in the modes and with the ends that the rule names, and no more often than the cooldown allows."""
    world = World('{"kind": "run"}', '{"kind": "run", "statuses": ["partial"], "mode": null}', cooldown_seconds=60)

    def ended(each: RunRecord) -> list[str]:
        return [f"{alert.rule_id}: {alert.title}" for alert in world.matcher.ended(each, world.now)]

    assert ended(record(1)) == []
    assert ended(record(2, RunStatus.FAILED)) == ["1: Run 2: failed"]
    assert ended(record(2, RunStatus.FAILED)) == []
    assert ended(record(3, RunStatus.INTERRUPTED)) == []
    world.seconds = 60
    assert ended(record(2, RunStatus.FAILED)) == []
    assert ended(record(4, RunStatus.INTERRUPTED)) == ["1: Run 4: interrupted"]
    assert ended(record(5, RunStatus.FAILED, mode=RunMode.SWEEP)) == []
    assert ended(record(6, RunStatus.PARTIAL, mode=RunMode.SWEEP)) == ["2: Run 6: partial"]


def test_a_bookmaker_that_fails_fires_until_it_works_again() -> None:
    """One alert for each time that it begins to fail."""
    world = World('{"kind": "bookmaker", "on": ["failing"]}')
    failed, fine = ScrapePhase.FAILED, ScrapePhase.COMPLETED

    def run(phase: ScrapePhase) -> list[str]:
        results = {BETPAWA: phase, BET9JA: fine}
        return [alert.text for alert in world.matcher.ended(record(1, results=results), world.now)]

    said = ["A run got nothing from BetPawa: refused."]
    assert [run(phase) for phase in (fine, failed, failed, fine, failed)] == [[], said, [], [], said]


def test_a_bookmaker_that_nothing_comes_from_is_stale() -> None:
    """Being seen again, unchanged, is enough not to be. Bookmakers that nothing ever came from are not told of."""
    world = World('{"kind": "bookmaker", "stale_after_seconds": 60}')

    def after(seconds: int) -> list[str]:
        world.seconds = seconds
        return [alert.text for alert in world.matcher.passed(world.now)]

    world.price(2.4)
    assert after(60) == []
    assert after(61) == ["No prices have come from BetPawa for 60 s."]
    assert after(500) == []
    world.price(2.4)
    assert after(502) == []
    assert after(600) == ["No prices have come from BetPawa for 99 s."]


ARBITRAGE = '{"kind": "opportunity", "of": "arbitrage", "over_percent": 2}'


class Searched:
    """A world in which opportunities are searched after each step, with the alerts that they let fire."""

    def __init__(self, *specs: str) -> None:
        self.world = World(*specs)
        self.engine = OpportunityEngine(self.world.cache, STALE_AFTER, clock=lambda: self.world.now)
        self.engine.on_told = self._told
        self._fired: list[NewAlert] = []

    def _told(self, what: What, track: Track, _: datetime) -> None:
        self._fired += self.world.matcher.found(track, self.world.now, is_gone=what == "gone")

    def over(self, odds: float) -> list[NewAlert]:
        """Let BetPawa have this price for over 2.5, beside SportyBet's 2.1 for under, and return what fires."""
        self._fired = []
        for platform, prices in ((BETPAWA, {OVER: odds, UNDER: 1.75}), (SPORTYBET, {OVER: 1.75, UNDER: 2.1})):
            self.world.seconds += 1
            event = mapped(header(platform), {**X1, **prices})
            for change in carry_out(self.world.cache, Recorded(event, self.world.now, self.world.now)):
                self.engine.note(change)
        self.engine.current()
        return self._fired


def test_an_opportunity_fires_once_above_its_worth() -> None:
    """Again only after it has gone back, or was gone."""
    searched = Searched(ARBITRAGE, '{"kind": "opportunity", "of": "middle", "over_percent": -50}')
    assert searched.over(1.92) == []
    (alert,) = searched.over(2.1)
    assert alert.kind == "opportunity"
    assert alert.title == "Arsenal - Chelsea: arbitrage 5.00 %"
    assert alert.text == "Over/Under, Over 2.5 2.10 at BetPawa, Under 2.5 2.10 at SportyBet: arbitrage 5.00 %."
    assert alert.data["event_id"] == 1
    opportunity: Any = alert.data["opportunity"]
    assert [each["bookmaker_slug"] for each in opportunity["outcomes"]] == ["betpawa", "sportybet"]
    assert orjson.loads(orjson.dumps(alert.data))["opportunity"]["margin"] == 5.0
    # 1.99 is 2.2 %, 1.92 is 0.3 %, and there is none at 1.8.
    assert [len(searched.over(odds)) for odds in (2.12, 1.99, 2.05, 1.92, 2.05, 1.8, 2.05)] == [0, 0, 0, 0, 1, 0, 1]


def test_what_was_beyond_before_a_restart_does_not_fire_again_while_it_is_there() -> None:
    """What is not found within two minutes was over before, and fires when it comes back."""
    before = Searched(ARBITRAGE)
    assert len(before.over(2.1)) == 1
    states = before.world.matcher.crossings.changed.values()
    for is_there in (True, False):
        after = Searched(ARBITRAGE)
        after.world.matcher.crossings = Crossings(states)
        after.world.matcher.expect(after.world.now)
        if is_there:
            assert after.over(2.1) == []
        after.world.seconds += int(SETTLE.total_seconds())
        assert list(after.world.matcher.passed(after.world.now)) == []
        assert len(after.over(2.1)) == (0 if is_there else 1)


def test_a_rule_that_is_not_enabled_does_not_fire() -> None:
    """Until it is."""
    world = World()
    rule = Rule(1, "off", read_spec(PRICE % ""), (), False, 0, NOW, NOW)
    world.matcher.replace([rule])
    assert world.price(2.9) == []
