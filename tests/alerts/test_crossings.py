"""One crossing is one alert."""

from datetime import timedelta

from quart_odds.alerts import crossings as module
from quart_odds.alerts.crossings import Crossings
from quart_odds.alerts.movement import RecentPrices
from quart_odds.alerts.rules import Rule, RunSpec
from tests.alerts.making import NOW

RULE = Rule(1, "r", RunSpec(kind="run"), (), True, 60, NOW, NOW)


def crossed(crossings: Crossings, places: str, *, step_seconds: float = 100, subject: str = "s") -> str:
    """Return where a rule fires: for each place an x if it does.

    A place is + (beyond), - (back by the margin), or . (between the two).
    """
    fired = ""
    for number, place in enumerate(places):
        now = NOW + timedelta(seconds=number * step_seconds)
        fires = crossings.cross(RULE, subject, is_beyond=place == "+", is_back=place == "-", now=now)
        fired += "x" if fires else " "
    return fired


def test_a_rule_fires_once_when_a_value_crosses() -> None:
    """It is armed again only by the margin. A first value that is beyond fires."""
    assert crossed(Crossings(), "--+++") == "  x  "
    assert crossed(Crossings(), "+.+.+-+") == "x     x"
    assert crossed(Crossings(), "...-.-") == "      "


def test_a_crossing_within_the_cooldown_does_not_fire_later_either() -> None:
    """The next crossing after it does. Other subjects are not concerned."""
    crossings = Crossings()
    assert crossed(crossings, "+-+++++-+", step_seconds=20) == "x       x"
    assert crossed(crossings, "+", subject="other") == "x"


def test_the_states_survive_a_restart() -> None:
    """What is stored is all that there is to know."""
    before = Crossings()
    assert crossed(before, "+.") == "x "
    after = Crossings(before.changed.values())
    assert crossed(after, "+.+-+", step_seconds=1000) == "    x"


def test_a_pulse_has_no_threshold_but_a_cooldown() -> None:
    """Something that happens has no way back."""
    crossings = Crossings()
    moments = [NOW + timedelta(seconds=each) for each in (0, 59, 60, 61)]
    assert [crossings.pulse(RULE, "runs", now) for now in moments] == [True, False, True, False]


def test_no_rule_floods_its_targets() -> None:
    """Within an hour it fires so often and no more."""
    crossings = Crossings()
    fired = [crossings.pulse(RULE, f"event {number}", NOW) for number in range(module.MOST_IN_AN_HOUR + 9)]
    assert fired.count(True) == module.MOST_IN_AN_HOUR
    assert crossings.pulse(RULE, "later", NOW + timedelta(hours=1))


def test_a_rule_about_something_else_is_armed() -> None:
    """Its subjects fire again. States of rules that are gone are dropped."""
    crossings = Crossings()
    assert crossed(crossings, "+") == "x"
    crossings.forget(RULE.id)
    assert crossed(crossings, "+") == "x"
    crossings.keep([])
    assert crossings.changed == {}
    assert crossed(crossings, "+") == "x"


def test_a_movement_is_measured_within_its_period() -> None:
    """From the price at the beginning of the period, and from those in it."""
    movement = RecentPrices(60)
    assert movement.percent(0) == (0, 0)
    for at, odds in ((0, 2.0), (30, 2.2), (50, 1.98)):
        movement.add(odds, at)
    assert [round(each, 6) for each in movement.percent(50)] == [0, 10]
    assert [round(each, 6) for each in movement.percent(89)] == [0, 10]
    assert [round(each, 6) for each in movement.percent(110)] == [0, 0]
    movement.add(2.97, 120)
    assert [round(each, 6) for each in movement.percent(120)] == [50, 0]
    assert movement.latest == 2.97
