"""`quart-odds config`: every setting, its value and where that came from."""

import json
import os
from typing import Any

import pytest
from click.testing import CliRunner, Result

from quart_odds.cli import main
from quart_odds.settings import PREFIX, Settings
from tests.server.serving import environment

SECRET = "s3cret"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove the settings of the developer's environment."""
    for name in environment({}).keys() ^ os.environ.keys():
        monkeypatch.delenv(name)


def config(*words: str, code: int = 0) -> Result:
    """Run the command and check its exit code."""
    done = CliRunner().invoke(main, ["config", *words])
    assert done.exit_code == code, (done.output, done.exception)
    assert SECRET not in done.output
    return done


def rows(*words: str, code: int = 0) -> dict[str, dict[str, Any]]:
    """Return the settings by their names without the prefix."""
    told = json.loads(config("--json", *words, code=code).stdout)
    assert told["is_valid"] == (code == 0)
    return {each["name"].removeprefix(PREFIX): each for each in told["settings"]}


def test_every_setting_is_there_with_its_default() -> None:
    """Values have the types of JSON."""
    found = rows()
    assert found.keys() == {name.upper() for name in Settings.model_fields}
    assert {each["source"] for each in found.values()} == {"default"}
    assert found["MAX_CONNECTIONS"]["value"] == 10_000
    assert found["BOOKMAKERS"]["value"][0] == "betpawa"
    assert found["ENGINE_URL"]["value"] is None


def test_where_a_value_came_from_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """An option is stronger than the environment, and is kept nowhere."""
    monkeypatch.setenv("QUART_ODDS_MAX_CONNECTIONS", "7")
    monkeypatch.setenv("QUART_ODDS_LOG_FORMAT", "json")
    found = rows("--set", "max_connections=8", "--set", "QUART_ODDS_TRUSTED_PROXIES=10.0.0.0/8,::1")
    assert (found["MAX_CONNECTIONS"]["value"], found["MAX_CONNECTIONS"]["source"]) == (8, "option")
    assert found["TRUSTED_PROXIES"]["value"] == ["10.0.0.0/8", "::1/128"]
    assert (found["LOG_FORMAT"]["value"], found["LOG_FORMAT"]["source"]) == ("json", "environment")
    assert rows()["MAX_CONNECTIONS"]["value"] == 7


def test_people_get_a_line_for_each() -> None:
    """Source, name, and the value as the environment would give it."""
    lines = [line.split() for line in config("--set", "alerts_allow_private=true").stdout.splitlines()]
    assert len(lines) == len(Settings.model_fields)
    assert ["option", "QUART_ODDS_ALERTS_ALLOW_PRIVATE", "true"] in lines
    assert ["default", "QUART_ODDS_ENGINE_URL"] in lines
    assert ["default", "QUART_ODDS_BOOKMAKERS", "betpawa,sportybet,bet9ja,msport"] in lines


def test_what_is_wrong_is_marked_with_the_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are shown as ever. A name that is no setting is marked, too."""
    monkeypatch.setenv("QUART_ODDS_MAX_CONNECTIONS", "many")
    monkeypatch.setenv("QUART_ODDS_BETPAWA_PROXY", f"socks5://user:{SECRET}@h:1")
    monkeypatch.setenv("QUART_ODDS_MAX_CONECTIONS", "3")
    found = rows(code=2)
    assert (found["MAX_CONNECTIONS"]["value"], "valid integer" in found["MAX_CONNECTIONS"]["problem"]) == ("many", True)
    assert found["BETPAWA_PROXY"]["value"] is None
    assert "give a proxy as http://" in found["BETPAWA_PROXY"]["problem"]
    assert found["DRAIN_SECONDS"]["problem"] is None
    text = config(code=2).stdout
    assert "wrong       QUART_ODDS_MAX_CONECTIONS is no setting; did you mean QUART_ODDS_MAX_CONNECTIONS?" in text
    assert "(not shown)" in text


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("database_url", f"postgresql://user:{SECRET}@h/odds", "postgresql://***@h/odds"),
        ("database_url", f"postgresql://h/odds?password={SECRET}", "postgresql://h/odds?password=***"),
        ("engine_url", f"redis+sentinel://user:{SECRET}@h:1,h:2/name", "redis+sentinel://***@h:1,h:2/name"),
        ("betpawa_proxy", f"http://user:a@{SECRET}/@h:1", "http://***@h:1"),
    ],
)
def test_secrets_are_masked(name: str, value: str, shown: str) -> None:
    """The rest of a URL is shown."""
    assert rows("--set", f"{name}={value}")[name.upper()]["value"] == shown


def test_an_option_that_is_none_is_answered_with_what_is_allowed() -> None:
    """The exit code is 2."""
    assert "give NAME=VALUE" in config("--set", "max_connections", code=2).output
