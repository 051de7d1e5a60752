"""Whether an event is gone that a bookmaker does not find, or whether it is the address that has changed.

A round asks for few events, often for one. Therefore each "not found" is judged by the answers about other events
around it, over as many rounds as that takes.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

NEIGHBOURS = 10
"""A "not found" is judged by so many answers about other events before it (or as many as there were) and after it."""

ANSWERS_KEPT = 50
"""How many answers are kept. More than twice the neighbours, because answers about the event itself do not count."""


@dataclass(frozen=True, slots=True)
class _Answer:
    number: int
    external_id: str
    is_found: bool


@dataclass(frozen=True, slots=True)
class _Doubt:
    """An event that was not found: when, and the number of that answer."""

    at: datetime
    number: int


class NotFoundJudge:
    """Collects one bookmaker's answers about events. Only answers that tell whether an event is there count.

    An event is gone if at most half of the answers around are "not found" as well, itself included. Otherwise nothing
    is concluded.
    """

    def __init__(self) -> None:
        self._answers: deque[_Answer] = deque(maxlen=ANSWERS_KEPT)
        self._count = 0
        self._doubts: dict[str, _Doubt] = {}
        self._gone: dict[str, datetime] = {}

    def note_found(self, external_id: str) -> None:
        """Note that the bookmaker answered with an event's body. What it said of the event before no longer counts."""
        self._doubts.pop(external_id, None)
        self._gone.pop(external_id, None)
        self._note(external_id, is_found=True)

    def note_not_found(self, external_id: str, at: datetime) -> None:
        """Note that the bookmaker answered, at this time, that there is no such event."""
        number = self._note(external_id, is_found=False)
        # The first of several answers counts, so that a repetition does not put off the judgement.
        self._doubts.setdefault(external_id, _Doubt(at, number))

    def take_gone(self) -> dict[str, datetime]:
        """Return the events found to be gone since the last call, and when the bookmaker said so, by id."""
        gone, self._gone = self._gone, {}
        return gone

    def _note(self, external_id: str, *, is_found: bool) -> int:
        self._count += 1
        self._answers.append(_Answer(self._count, external_id, is_found))
        for doubted, doubt in list(self._doubts.items()):
            self._judge(doubted, doubt)
        return self._count

    def _judge(self, external_id: str, doubt: _Doubt) -> None:
        others = [each for each in self._answers if each.external_id != external_id]
        after = [each for each in others if each.number > doubt.number]
        if len(after) < NEIGHBOURS:
            return
        before = [each for each in others if each.number < doubt.number]
        around = before[-NEIGHBOURS:] + after[:NEIGHBOURS]
        not_found = 1 + sum(not each.is_found for each in around)
        del self._doubts[external_id]
        if 2 * not_found <= len(around) + 1:
            self._gone[external_id] = doubt.at
