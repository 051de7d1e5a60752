"""`quart-odds alerts`: targets on the command line."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from quart_odds.cli import main


@pytest.fixture(autouse=True)
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A database of this test alone."""
    path = tmp_path / "odds.db"
    monkeypatch.setenv("QUART_ODDS_DATABASE_URL", f"sqlite:///{path}")
    return path


def alerts(*words: str, text: str = "") -> Result:
    """Run a command."""
    return CliRunner().invoke(main, ["alerts", *words], input=text)


def test_targets_are_added_listed_and_removed(database: Path) -> None:
    """A webhook's secret is printed once. Neither it nor the rest of a URL is printed again."""
    added = alerts("targets", "add", "mine", "https://odds.example/s3cret")
    assert added.exit_code == 0, added.output
    secret = added.output.strip().rpartition(" ")[2]
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT url, secret FROM alert_targets").fetchall() == [
            ("https://odds.example/s3cret", secret)
        ]
    (listed,) = map(json.loads, alerts("targets", "list", "--json").output.splitlines())
    assert listed == {"id": 1, "kind": "webhook", "name": "mine", "url": "https://odds.example/***"}
    assert alerts("targets", "list").output == "   1  webhook  https://odds.example/***  mine\n"
    assert alerts("targets", "remove", "1").output == "Target 1 was removed.\n"
    assert alerts("targets", "list").output == ""


def test_a_url_is_read_from_the_input() -> None:
    """So it is in no list of processes and in no history of a shell. Other schemes are Apprise's."""
    added = alerts("targets", "add", "phone", "-", text="json://odds.example/s3cret\n")
    assert added.exit_code == 0, added.output
    assert "secret" not in added.output
    assert alerts("targets", "list").output == "   1  apprise  json://odds.example/***  phone\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("add", "mine", "dbus://s3cret"), "dbus is no service that alerts are sent to"),
        (("remove", "7"), "there is no target 7"),
        (("test", "7"), "there is no target 7"),
    ],
)
def test_what_cannot_be_done_is_said(words: tuple[str, ...], said: str) -> None:
    """In a sentence, with exit code 1."""
    failed = alerts("targets", *words)
    assert failed.exit_code == 1
    assert said in failed.output
    assert "s3cret" not in failed.output


def test_a_test_that_is_not_delivered_says_why() -> None:
    """The exit code is 3."""
    alerts("targets", "add", "mine", "http://127.0.0.1:9/s3cret")
    failed = alerts("targets", "test", "1")
    assert failed.exit_code == 3
    assert "not delivered: 127.0.0.1 is not on the public internet" in failed.output


def test_rules_are_added_listed_and_removed() -> None:
    """What they are about is JSON, checked as the API checks it."""
    alerts("targets", "add", "mine", "https://odds.example")
    added = alerts("rules", "add", "runs", '{"kind": "run"}', "--target", "1", "--cooldown", "60")
    assert added.output == "Rule 1 was added.\n"
    (listed,) = map(json.loads, alerts("rules", "list", "--json").output.splitlines())
    when = {"kind": "run", "statuses": ["failed", "interrupted"], "mode": "full"}
    assert listed == {"id": 1, "name": "runs", "when": when, "targets": [1], "enabled": True}
    assert alerts("rules", "list").output.endswith("targets: 1\n")
    for words, said in (
        (("add", "x", '{"kind": "pigeon"}'), "expected tags: 'price', 'movement'"),
        (("add", "x", "nonsense"), "Invalid JSON"),
        (("add", "x", '{"kind": "run"}', "--target", "9"), "there is no such target among 9"),
        (("remove", "9"), "there is no rule 9"),
    ):
        failed = alerts("rules", *words)
        assert (failed.exit_code, said in failed.output) == (1, True), failed.output
    assert alerts("rules", "remove", "1").output == "Rule 1 was removed.\n"
    assert alerts("rules", "list").output == ""
