"""Settings: read from the environment, refused with a sentence when wrong."""

from pathlib import Path

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.errors import SettingsError
from quart_odds.settings import PREFIX, Settings, load_settings, sqlite_path


def test_defaults_need_no_environment() -> None:
    """Nothing has to be set."""
    settings = load_settings({})
    assert settings.database_url == "sqlite:///quart-odds.db"
    assert settings.concurrency(Platform.BET9JA) == 15
    assert settings.proxy(Platform.BETPAWA) is None


def test_the_environment_is_read() -> None:
    """Names are prefixed and in capitals; lists are by comma."""
    settings = load_settings(
        {
            "QUART_ODDS_BETPAWA_URL": "http://127.0.0.1:8090/",
            "QUART_ODDS_ALLOWED_ORIGINS": "https://a.example, https://b.example",
            "QUART_ODDS_DATABASE_URL": "postgresql://u:p@localhost/odds",
            "HOME": "/nowhere",
        }
    )
    assert settings.url(Platform.BETPAWA) == "http://127.0.0.1:8090"
    assert settings.allowed_origins == ("https://a.example", "https://b.example")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("QUART_ODDS_BETPAWA_UR", "x", "did you mean QUART_ODDS_BETPAWA_URL?"),
        ("QUART_ODDS_NONSENSE_ENTIRELY", "x", "QUART_ODDS_NONSENSE_ENTIRELY is no setting"),
        ("QUART_ODDS_BET9JA_URL", "ftp://x", "QUART_ODDS_BET9JA_URL: give scheme and host only"),
        ("QUART_ODDS_SPORTYBET_URL", "https://x/path", "QUART_ODDS_SPORTYBET_URL: give scheme and host only"),
        ("QUART_ODDS_DECODE_WORKERS", "many", "QUART_ODDS_DECODE_WORKERS: Input should be a valid integer"),
        ("QUART_ODDS_BET9JA_CONCURRENCY", "51", "QUART_ODDS_BET9JA_CONCURRENCY: Input should be less than or equal"),
        ("QUART_ODDS_LOG_FORMAT", "xml", "QUART_ODDS_LOG_FORMAT: Input should be 'console' or 'json'"),
        ("QUART_ODDS_DATABASE_URL", "mysql://x", "QUART_ODDS_DATABASE_URL: give sqlite:///"),
        ("QUART_ODDS_BETPAWA_PROXY", "socks5://x", "QUART_ODDS_BETPAWA_PROXY: give a proxy as http://"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(name: str, value: str, said: str) -> None:
    """The error names the setting as the operator wrote it."""
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert said in str(caught.value)


def test_all_that_is_wrong_is_said_at_once() -> None:
    """Nobody has to start the server once for each mistake."""
    with pytest.raises(SettingsError) as caught:
        load_settings({"QUART_ODDS_X": "1", "QUART_ODDS_LOG_LEVEL": "loud", "QUART_ODDS_DECODE_WORKERS": "-1"})
    assert len(str(caught.value).splitlines()) == 3


def test_secrets_do_not_show_in_errors() -> None:
    """A password in a URL that is refused is not printed."""
    with pytest.raises(SettingsError) as caught:
        load_settings({"QUART_ODDS_DATABASE_URL": "mysql://user:hunter2@host/db"})
    assert "hunter2" not in str(caught.value)


def test_the_name_that_only_tests_read_is_let_through() -> None:
    """QUART_ODDS_RECORDED says where recorded bodies are, and is no setting of the server."""
    assert load_settings({"QUART_ODDS_RECORDED": "/somewhere"}) == load_settings({})


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("sqlite:///odds.db", Path("odds.db")),
        ("sqlite:////var/lib/odds.db", Path("/var/lib/odds.db")),
        ("sqlite:///:memory:", None),
        ("sqlite://", None),
        ("postgresql://host/db", None),
    ],
)
def test_the_file_of_a_sqlite_url(url: str, path: Path | None) -> None:
    """Only SQLite in a file has a file."""
    assert sqlite_path(url) == path


def test_every_setting_is_documented() -> None:
    """docs/settings.md names each setting, with its default and what it is for."""
    text = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        assert f"`{PREFIX}{name.upper()}`" in text, name
        assert field.description, name
        assert field.description in text, name
