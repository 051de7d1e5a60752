"""The display of a run in the terminal, and the exit code of the command that shows it."""

import io

import pytest
from rich.console import Console

from quart_odds.cli.terminal import ProgressTable, exit_code
from quart_odds.domain.platforms import Platform
from quart_odds.scraping.schemas import ScrapeErrorContext, ScrapePhase, ScrapeProgress

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
BLOCKED = ScrapeErrorContext(error_type="blocked", error_message="Bet9ja: refused (403)", platform=BET9JA)


def shown(table: ProgressTable) -> str:
    """Return the text of a table in a terminal of eighty columns."""
    console = Console(file=io.StringIO(), width=80, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def progress(platform: Platform | None, phase: ScrapePhase, current: int = 0, **more: object) -> ScrapeProgress:
    """Return a progress of run 7."""
    given: dict[str, object] = {"scrape_run_id": 7, "elapsed_ms": 4000, "total": 60}
    return ScrapeProgress.model_validate({"platform": platform, "phase": phase, "current": current, **(given | more)})


def test_the_bookmakers_stand_side_by_side_with_the_whole_below() -> None:
    """A row has phase, events done of found, rate, elapsed time and time left, from the newest progress."""
    table = ProgressTable()
    table.tell(progress(None, ScrapePhase.SCRAPING, 50, total=180, remaining_ms=9400))
    table.tell(progress(SPORTYBET, ScrapePhase.SCRAPING, 10))
    table.tell(progress(BETPAWA, ScrapePhase.COMPLETED, 60, duration_ms=3000))
    table.tell(progress(SPORTYBET, ScrapePhase.SCRAPING, 30, remaining_ms=5000))
    table.say("watching http://127.0.0.1:8000")
    lines = [" ".join(line.replace("━", "").replace("╸", "").split()) for line in shown(table).splitlines()]
    assert lines == [
        "bookmaker phase events a second seconds left",
        "BetPawa completed 60 of 60 20 3.0",
        "SportyBet scraping 30 of 60 8 4.0 5 s",
        "all scraping 50 of 180 12 4.0 9 s",
        "watching http://127.0.0.1:8000",
    ]


def test_a_failure_is_reported_once_with_its_reason() -> None:
    """The terminal progress repeats the platform's error; the table does not."""
    table = ProgressTable()
    table.tell(progress(BET9JA, ScrapePhase.FAILED, error=BLOCKED))
    table.tell(progress(None, ScrapePhase.COMPLETED, 120, message="odds of 120 events; Bet9ja failed", error=BLOCKED))
    text = shown(table)
    assert text.count("refused (403)") == 1
    assert "Run 7: odds of 120 events; Bet9ja failed" in text
    cancelled = ScrapeErrorContext(error_type="cancelled", error_message="the run was cancelled")
    table.tell(progress(None, ScrapePhase.FAILED, error=cancelled))
    assert "the run was cancelled" in shown(table)


def test_another_run_begins_the_table_anew() -> None:
    """Nothing of the previous run is left."""
    table = ProgressTable()
    assert shown(table).strip() == ""
    table.tell(progress(BETPAWA, ScrapePhase.COMPLETED, 60))
    table.tell(progress(BET9JA, ScrapePhase.DISCOVERING, total=0, scrape_run_id=8))
    text = shown(table)
    assert "BetPawa" not in text
    assert "0 of 0" in text


def test_a_terminal_obeys_nothing_that_a_bookmaker_or_a_server_says() -> None:
    """Escape sequences, carriage returns and bidirectional controls are printed as replacements."""
    table = ProgressTable()
    error = ScrapeErrorContext(error_type="odd", error_message="a\x1b]0;owned\x07b", platform=BET9JA)
    table.tell(progress(BET9JA, ScrapePhase.FAILED, error=error))
    table.tell(progress(None, ScrapePhase.FAILED, message="c\rd\u202ee"))
    table.say("f\x9b31mg")
    text = shown(table)
    assert not any(letter in text for letter in "\x1b\x07\r\x9b\u202e")
    for words in ("a\\x1b]0;owned\\x07b", "c\\rd\\u202ee", "f\\x9b31mg"):
        assert words in text


def test_what_a_bookmaker_says_is_never_taken_for_markup() -> None:
    """Square brackets are printed as square brackets."""
    table = ProgressTable()
    odd = ScrapeErrorContext(error_type="odd", error_message="[bold]x[/nonsense]", platform=BET9JA)
    table.tell(progress(BET9JA, ScrapePhase.FAILED, error=odd))
    assert "[bold]x[/nonsense]" in shown(table)


@pytest.mark.parametrize(
    ("terminal", "code"),
    [
        (None, 1),
        (progress(None, ScrapePhase.FAILED, error=BLOCKED), 1),
        (progress(None, ScrapePhase.COMPLETED, error=BLOCKED), 3),
        (progress(None, ScrapePhase.COMPLETED), 0),
    ],
)
def test_exit_codes(terminal: ScrapeProgress | None, code: int) -> None:
    """The code is 1 without progress or after a failure, 3 for a partial run, 0 for a completed one."""
    assert exit_code(terminal) == code
