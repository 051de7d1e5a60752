"""`quart-odds coverage`: how much of a recording is understood."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from quart_odds.bookmakers.coverage import measure
from quart_odds.cli import main
from quart_odds.domain.odds import UnmappedMarket
from quart_odds.domain.platforms import Platform
from quart_odds.errors import RecordingError
from tests.bookmakers.wire import (
    BET9JA,
    BET9JA_SPORTS,
    BETPAWA_CATEGORIES,
    BETPAWA_V3,
    BETPAWA_V4,
    SPORTYBET,
    SPORTYBET_DATA,
    SPORTYBET_TREE,
    dumps,
    with_,
)

SCORERS = {
    "id": "40",
    "desc": "Anytime Goalscorer",
    "status": 0,
    "outcomes": [{"id": f"sr:player:{number}", "odds": "2.00", "isActive": 1} for number in range(3)],
}


NOTHING = {
    **dict.fromkeys(("events", "prices", "mapped", "unmapped", "dropped", "player_prices"), 0),
    "mapped_percent_without_players": None,
}
"""The counts of a bookmaker without bodies."""


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Create bodies of all kinds for three bookmakers and for an unknown one."""
    markets = [*SPORTYBET_DATA["markets"], SCORERS]
    bodies: dict[str, bytes] = {
        "requests.json": b"[]",
        "betpawa/event_501.json": dumps(BETPAWA_V4),
        "betpawa/event_501_v3.json": dumps(BETPAWA_V3),
        "betpawa/2.json": dumps(BETPAWA_CATEGORIES),
        "betpawa/by_queries.json": dumps({"responses": [{"responses": [BETPAWA_V4]}]}),
        "betpawa/by_queries_end.json": dumps({"responses": [{}]}),
        "sportybet/event.json": dumps(with_(SPORTYBET, markets, "data", "markets")),
        "sportybet/pcEvents.json": dumps({"bizCode": 10000, "data": [{"id": "t", "events": [SPORTYBET_DATA]}]}),
        "sportybet/tree.json": dumps(SPORTYBET_TREE),
        "bet9ja/event.json": dumps(BET9JA),
        "bet9ja/group.json": dumps({"R": "OK", "D": {"E": [BET9JA["D"]]}}),
        "bet9ja/sports.json": dumps(BET9JA_SPORTS),
        "bet9ja/refused.html": b"<html>",
        "ladbrokes/event.json": b"{}",
    }
    for name, content in bodies.items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)
    return tmp_path


def test_every_outcome_of_every_event_is_counted(recording: Path) -> None:
    """Mapped, unmapped and dropped prices add up to the total. Players' prices are counted separately."""
    measured = measure(recording)
    assert {platform: each.counts() for platform, each in measured.bookmakers.items()} == {
        Platform.BETPAWA: {
            "events": 2,
            "prices": 33,
            "mapped": 28,
            "unmapped": 2,
            "dropped": 3,
            "player_prices": 0,
            "mapped_percent_without_players": 84.85,
        },
        Platform.SPORTYBET: {
            "events": 1,
            "prices": 44,
            "mapped": 35,
            "unmapped": 6,
            "dropped": 3,
            "player_prices": 3,
            "mapped_percent_without_players": 85.37,
        },
        Platform.BET9JA: {
            "events": 1,
            "prices": 26,
            "mapped": 22,
            "unmapped": 1,
            "dropped": 3,
            "player_prices": 0,
            "mapped_percent_without_players": 84.62,
        },
        **dict.fromkeys((Platform.MSPORT, Platform.BETKING), NOTHING),
    }
    assert measured.bookmakers[Platform.SPORTYBET].markets[UnmappedMarket("40", "Anytime Goalscorer")] == 3
    assert (measured.broken, measured.other_bodies, measured.unknown_bookmakers) == ({}, 7, {"ladbrokes": 1})


def test_a_file_that_cannot_be_read_costs_no_other(recording: Path) -> None:
    """The file is listed with the reason, and the others are counted."""
    whole = measure(recording)
    broken = {
        "betpawa/a_cut.json": dumps(BETPAWA_V4)[:200],
        "betpawa/b_page.json": b"<html>",
        "sportybet/c_empty.json": b"",
        "sportybet/d_nobody.json": dumps(with_(SPORTYBET, "", "data", "homeTeamName")),
        "bet9ja/e_list.json": b"[]",
    }
    for name, content in broken.items():
        (recording / name).write_bytes(content)
    (recording / "bet9ja/f_folder.json").mkdir()
    measured = measure(recording)
    assert set(measured.broken) == {*broken, "bet9ja/f_folder.json"}
    assert all(measured.broken.values())
    assert measured.broken["sportybet/d_nobody.json"] == "an empty text in homeTeamName"
    assert {each: counts.counts() for each, counts in measured.bookmakers.items()} == {
        each: counts.counts() for each, counts in whole.bookmakers.items()
    }


@pytest.mark.parametrize("names", [[], ["betpawa"], ["odds"]])
def test_a_folder_without_events_is_no_recording(tmp_path: Path, names: list[str]) -> None:
    """The error names the folder and what was expected in it."""
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(RecordingError, match="no body of an event in a folder named after a bookmaker") as caught:
        measure(tmp_path)
    assert str(caught.value).startswith(str(tmp_path))


def test_a_folder_that_is_not_there_is_no_recording(tmp_path: Path) -> None:
    """Neither is a file."""
    with pytest.raises(RecordingError, match="cannot be read"):
        measure(tmp_path / "nowhere")


def test_the_command_prints_json_last(recording: Path) -> None:
    """Errors go to standard error, and exit code 3 means unreadable files."""
    result = CliRunner().invoke(main, ["coverage", str(recording), "--json"])
    assert result.exit_code == 0
    counts = json.loads(result.stdout.splitlines()[-1])
    assert set(counts) == set(Platform)
    assert set(counts["betpawa"]) >= {"prices", "mapped", "unmapped", "dropped", "mapped_percent_without_players"}
    (recording / "betpawa/cut.json").write_bytes(b'{"id": ')
    result = CliRunner().invoke(main, ["coverage", str(recording), "--json"])
    assert (result.exit_code, json.loads(result.stdout)) == (3, counts)
    assert result.stderr.startswith("betpawa/cut.json: no valid JSON")


def test_the_command_prints_a_table(recording: Path) -> None:
    """The table includes the most common unmapped markets with id and name, and what was skipped."""
    result = CliRunner().invoke(main, ["coverage", str(recording)])
    assert result.exit_code == 0
    assert "SportyBet          1       44       35         6        3        3      85.4" in result.stdout
    assert "       3  40  Anytime Goalscorer  (players)" in result.stdout
    assert "       1  999  Unheard Of\n" in result.stdout
    assert "Skipped: 7 lists and other bodies that are not events." in result.stdout
    assert "Skipped: 1 bodies of ladbrokes, an unknown bookmaker." in result.stdout


def test_a_bookmaker_without_bodies_has_no_percentage(recording: Path) -> None:
    """No prices does not mean one hundred per cent."""
    for file in (recording / "bet9ja").iterdir():
        file.unlink()
    counts = measure(recording).bookmakers[Platform.BET9JA]
    assert (counts.prices, counts.mapped_percent_without_players) == (0, None)
    result = CliRunner().invoke(main, ["coverage", str(recording)])
    assert "Bet9ja             0        0        0         0        0        0         -" in result.stdout


def test_the_command_says_what_is_no_recording(tmp_path: Path) -> None:
    """The command prints a sentence instead of a traceback."""
    result = CliRunner().invoke(main, ["coverage", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (1, "")
    assert f"Error: {tmp_path} is no recording" in result.stderr
    result = CliRunner().invoke(main, ["coverage", str(tmp_path / "nowhere")])
    assert result.exit_code == 2
    assert "does not exist" in result.stderr
