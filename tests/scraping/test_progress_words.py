"""What a progress says if there is nothing particular to say."""

import pytest

from quart_odds.domain.runs import ScrapePhase
from quart_odds.scraping.progress_tracker import PlatformTracker, RunTracker
from quart_odds.scraping.schemas import Platform, ScrapeProgress

PHASES = tuple(ScrapePhase)


@pytest.mark.parametrize("phase", PHASES)
def test_every_progress_has_a_message(phase: ScrapePhase) -> None:
    """Of a bookmaker and of the run, in every phase."""
    tracker = PlatformTracker(Platform.BETPAWA)
    tracker.enter(phase)
    for progress in (tracker.progress(), RunTracker([tracker]).progress(), RunTracker([tracker]).progress(phase)):
        assert progress.message


def test_what_there_is_to_say_comes_first() -> None:
    """A remark on a bookmaker replaces the counts."""
    tracker = PlatformTracker(Platform.BETPAWA)
    tracker.enter(ScrapePhase.SCRAPING)
    tracker.count_found()
    assert tracker.progress().message == "0 of 1 events"
    tracker.note("a list is not complete")
    assert tracker.progress().message == "a list is not complete"


def test_progress_without_a_message_gets_one() -> None:
    """Servers of earlier releases send null."""
    sent = {"phase": "scraping", "current": 3, "total": 9, "message": None}
    assert ScrapeProgress.model_validate(sent).message == "3 of 9 events"
