"""The judgement of events that a bookmaker does not find."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from quart_odds.scraping.not_found import NEIGHBOURS, NotFoundJudge

AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


def answer(judge: NotFoundJudge, answers: Iterable[str]) -> dict[str, datetime]:
    """Note answers about different events: `+` found, `-` not found, one second apart. Returns what is gone."""
    gone: dict[str, datetime] = {}
    for number, each in enumerate(answers):
        if each == "+":
            judge.note_found(str(number))
        else:
            judge.note_not_found(str(number), AT + timedelta(seconds=number))
        gone |= judge.take_gone()
    return gone


def test_an_event_is_gone_once_enough_others_were_found() -> None:
    """It bears the time of its own answer, and is told once."""
    judge = NotFoundJudge()
    assert answer(judge, "-" + "+" * (NEIGHBOURS - 1)) == {}
    judge.note_found("another")
    assert judge.take_gone() == {"0": AT}
    assert judge.take_gone() == {}


@pytest.mark.parametrize("before", [0, 5, 50], ids=["at the start", "soon after it", "after a long time"])
def test_nothing_is_gone_when_the_address_changes(before: int) -> None:
    """No event is found from some moment on, and not even the first of them is gone."""
    assert answer(NotFoundJudge(), "+" * before + "-" * 200) == {}


def test_nothing_is_gone_when_the_address_is_back() -> None:
    """Not even the last events that were not found: their neighbours were not found either."""
    assert answer(NotFoundJudge(), "+" * 50 + "-" * 30 + "+" * 50) == {}


def test_single_events_among_many_are_gone() -> None:
    """However many of them come in the course of time."""
    assert len(answer(NotFoundJudge(), "-+++" * 100)) == 98


def test_an_event_that_is_found_later_is_not_gone() -> None:
    """Whether that is before it could be judged, or after it and before anybody asked."""
    judge = NotFoundJudge()
    judge.note_not_found("a", AT)
    judge.note_found("a")
    assert answer(judge, "+" * 30) == {}
    judge.note_not_found("a", AT)
    for number in range(30):
        judge.note_found(str(number))
    judge.note_found("a")
    assert judge.take_gone() == {}


def test_repeated_answers_about_one_event_are_no_evidence_against_the_address() -> None:
    """It is asked for again and again, and a few others now and then. The first answer's time counts."""
    judge = NotFoundJudge()
    for number in range(NEIGHBOURS):
        judge.note_not_found("a", AT + timedelta(minutes=number))
        judge.note_not_found("a", AT + timedelta(minutes=number, seconds=30))
        judge.note_found(str(number % 3))
    assert judge.take_gone() == {"a": AT}
