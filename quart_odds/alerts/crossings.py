"""Where each subject of a rule is: armed, or beyond the threshold. One crossing is one alert."""

from collections import deque
from collections.abc import Iterable
from datetime import datetime, timedelta

from quart_odds.alerts.rules import Rule
from quart_odds.alerts.values import SubjectState

MOST_IN_AN_HOUR = 100
"""Maximum alerts of one rule within an hour, so that no rule floods its targets."""

_HOUR = timedelta(hours=1)

Key = tuple[int, str]


class Crossings:
    """The states of the subjects of all rules, as they will be stored. `changed` are those that are not stored yet."""

    def __init__(self, states: Iterable[SubjectState] = ()) -> None:
        self._states: dict[Key, SubjectState] = {(each.rule_id, each.subject): each for each in states}
        self._fired: dict[int, deque[datetime]] = {}
        self.changed: dict[Key, SubjectState] = {}

    def cross(self, rule: Rule, subject: str, *, is_beyond: bool, is_back: bool, now: datetime) -> bool:
        """Note where a subject is, and return whether the rule fires.

        It fires if the subject is beyond the threshold and armed, and did not fire within the cooldown. It is armed
        again once it is back. A crossing within the cooldown does not fire later either.
        """
        state = self._states.get((rule.id, subject))
        if state is None or state.is_armed:
            if not is_beyond:
                return False
            fires = self._may_fire(rule, state, now)
            former = None if state is None else state.fired_at
            self._set(SubjectState(rule.id, subject, False, now if fires else former, now))
            return fires
        if is_back:
            self._set(SubjectState(rule.id, subject, True, state.fired_at, now))
        return False

    def pulse(self, rule: Rule, subject: str, now: datetime) -> bool:
        """Note that something happened, and return whether the rule fires: it has no threshold, but a cooldown."""
        state = self._states.get((rule.id, subject))
        if not self._may_fire(rule, state, now):
            return False
        self._set(SubjectState(rule.id, subject, True, now, now))
        return True

    def keep(self, rule_ids: Iterable[int]) -> None:
        """Drop the states of all rules but these."""
        kept = set(rule_ids)
        self._states = {key: state for key, state in self._states.items() if key[0] in kept}
        self.changed = {key: state for key, state in self.changed.items() if key[0] in kept}
        self._fired = {rule_id: times for rule_id, times in self._fired.items() if rule_id in kept}

    def forget(self, rule_id: int) -> None:
        """Arm all subjects of a rule, because what it is about has changed."""
        for (each, subject), state in list(self._states.items()):
            if each == rule_id and not state.is_armed:
                self._set(SubjectState(rule_id, subject, True, None, state.changed_at))

    def beyond(self, prefix: str) -> list[Key]:
        """Return the subjects beyond a threshold whose names begin so."""
        return [key for key, state in self._states.items() if not state.is_armed and key[1].startswith(prefix)]

    def arm(self, keys: Iterable[Key], now: datetime) -> None:
        """Arm these subjects, which are no longer beyond the threshold."""
        for key in keys:
            state = self._states.get(key)
            if state is not None and not state.is_armed:
                self._set(SubjectState(*key, True, state.fired_at, now))

    def _may_fire(self, rule: Rule, state: SubjectState | None, now: datetime) -> bool:
        if state is not None and state.fired_at is not None and now - state.fired_at < rule.cooldown:
            return False
        times = self._fired.setdefault(rule.id, deque())
        while times and now - times[0] >= _HOUR:
            times.popleft()
        if len(times) >= MOST_IN_AN_HOUR:
            return False
        times.append(now)
        return True

    def _set(self, state: SubjectState) -> None:
        self._states[state.rule_id, state.subject] = state
        self.changed[state.rule_id, state.subject] = state
