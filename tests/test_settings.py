"""Settings are read from the environment, and wrong ones are refused with a sentence."""

from pathlib import Path

import pytest

from quart_odds.domain.platforms import Platform
from quart_odds.errors import SettingsError
from quart_odds.settings import PREFIX, Settings, load_settings, sqlite_path
from tests.platforms import FIRST_THREE


def test_defaults_need_no_environment() -> None:
    """No setting is required."""
    settings = load_settings({})
    assert settings.database_url == "sqlite:///quart-odds.db"
    assert settings.concurrency(Platform.BET9JA) == 15
    assert settings.proxy(Platform.BETPAWA) is None
    assert settings.sweep_interval_seconds == 0
    assert [settings.requests_per_second(each) for each in Platform] == [5] * len(Platform)
    assert settings.bookmakers == (*FIRST_THREE, Platform.MSPORT)


def test_the_environment_is_read() -> None:
    """Names are prefixed and in capitals; lists are comma-separated."""
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
        ("QUART_ODDS_SWEEP_INTERVAL_SECONDS", "1", "SECONDS: give 0, which turns sweeps off, or 2 to 3600 seconds"),
        ("QUART_ODDS_SWEEP_INTERVAL_SECONDS", "3601", "SECONDS: Input should be less than or equal to 3600"),
        ("QUART_ODDS_BETPAWA_REQUESTS_PER_SECOND", "0", "PER_SECOND: Input should be greater than 0"),
        ("QUART_ODDS_BETPAWA_REQUESTS_PER_SECOND", "nan", "PER_SECOND: Input should be"),
        ("QUART_ODDS_BET9JA_REQUESTS_PER_SECOND", "101", "PER_SECOND: Input should be less than or equal to 100"),
        ("QUART_ODDS_MAX_DETAIL_AGE_MINUTES", "0", "MINUTES: Input should be greater than or equal to 1"),
        ("QUART_ODDS_STALE_AFTER_SECONDS", "9", "SECONDS: Input should be greater than or equal to 10"),
        ("QUART_ODDS_ALERTS_ALLOW_PRIVATE", "maybe", "QUART_ODDS_ALERTS_ALLOW_PRIVATE: give true or false"),
        ("QUART_ODDS_ALERTS_RETRY_SECONDS", "0", "SECONDS: Input should be greater than or equal to 0.1"),
        ("QUART_ODDS_LOG_FORMAT", "xml", "QUART_ODDS_LOG_FORMAT: Input should be 'console' or 'json'"),
        ("QUART_ODDS_DATABASE_URL", "mysql://x", "QUART_ODDS_DATABASE_URL: give sqlite:///"),
        ("QUART_ODDS_BETPAWA_PROXY", "socks5://x", "QUART_ODDS_BETPAWA_PROXY: give a proxy as http://"),
        ("QUART_ODDS_BETPAWA_PROXY", "http://x:none", "give a proxy as http://"),
        ("QUART_ODDS_BETPAWA_URL", "https://x:none", "QUART_ODDS_BETPAWA_URL: Invalid URL: port can't be converted"),
        ("QUART_ODDS_BETPAWA_URL", "https://x:99999", "give scheme and host only"),
        ("QUART_ODDS_BETPAWA_URL", "https://x:0", "no server is at port 0"),
        ("QUART_ODDS_BETPAWA_URL", "https://[::1", "give scheme and host only"),
        ("QUART_ODDS_DATABASE_URL", "sqlite:///", "this does not name a file; give sqlite:///path/to/file.db"),
        ("QUART_ODDS_DATABASE_URL", "sqlite://", "this does not name a file"),
        ("QUART_ODDS_DATABASE_URL", "sqlite://odds.db", "this does not name a file"),
        ("QUART_ODDS_DATABASE_URL", "sqlite:///?mode=ro", "this does not name a file"),
        ("QUART_ODDS_DATABASE_URL", "sqlite:///.", "this does not name a file"),
        ("QUART_ODDS_DATABASE_URL", "sqlite:///..", "this does not name a file"),
        ("QUART_ODDS_ROOT_PATH", "odds", "QUART_ODDS_ROOT_PATH: give a path such as /odds, which begins with /"),
        ("QUART_ODDS_ROOT_PATH", "/", "leave it out to serve at /"),
        ("QUART_ODDS_ROOT_PATH", "/odds/", "does not end with it"),
        ("QUART_ODDS_ROOT_PATH", "//odds", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "/a//b", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "/a/../b", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "/.", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "/o%64ds", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "/odds?x", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "/\u0661", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "/odds\n", "give a path such as /odds"),
        ("QUART_ODDS_ROOT_PATH", "https://odds.example/odds", "give a path such as /odds"),
        ("QUART_ODDS_JWT_JWKS_URL", "http://login.example/keys", "QUART_ODDS_JWT_JWKS_URL: give https://host/path"),
        ("QUART_ODDS_JWT_ISSUER", "https://login.example/", "belong together: set all three"),
        ("QUART_ODDS_OPEN_TO_NETWORK", "yes", "QUART_ODDS_OPEN_TO_NETWORK: give true or false"),
        ("QUART_ODDS_ALLOWED_HOSTS", "*", "'*' would let any web page act as this server's own"),
        ("QUART_ODDS_ALLOWED_HOSTS", "https://odds.example", "is not a host name"),
        ("QUART_ODDS_ALLOWED_HOSTS", "odds.example:8000", "is not a host name"),
        ("QUART_ODDS_ALLOWED_HOSTS", "10.0.0.1", "is an address, which is always allowed"),
        ("QUART_ODDS_DATABASE_URL", "postgresql://u:p@host:port/odds", "the host or the port cannot be read"),
        ("QUART_ODDS_DATABASE_URL", "postgresql://host:65536/odds", "a port is from 1 to 65535"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "https://a.example/app", "'https://a.example/app' matches no origin; give"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "https://a.example?x=1", "matches no origin"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "https://user@a.example", "matches no origin"),
        (
            "QUART_ODDS_ALLOWED_ORIGINS",
            "https://b.example, a.example",
            "QUART_ODDS_ALLOWED_ORIGINS: 'a.example' matches no",
        ),
        ("QUART_ODDS_ALLOWED_ORIGINS", "a.example:8000", "matches no origin"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "wss://a.example", "matches no origin"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "https://a.example:port", "matches no origin"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "https://a.example https://b.example", "matches no origin"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "null", "matches no origin"),
        ("QUART_ODDS_ALLOWED_ORIGINS", "*", "'*' matches no origin"),
        ("QUART_ODDS_TRUSTED_PROXIES", "proxy.internal", "'proxy.internal' is neither an address nor a network"),
        ("QUART_ODDS_TRUSTED_PROXIES", "10.0.0.300", "neither an address nor a network"),
        ("QUART_ODDS_TRUSTED_PROXIES", "10.0.0.9:80", "neither an address nor a network"),
        ("QUART_ODDS_TRUSTED_PROXIES", "10.0.0.0/33", "neither an address nor a network"),
        ("QUART_ODDS_TRUSTED_PROXIES", "10.0.0.9/8", "'10.0.0.9/8' is an address in 10.0.0.0/8; give that network"),
    ],
)
def test_a_wrong_setting_is_named_with_what_is_allowed(name: str, value: str, said: str) -> None:
    """The error names the setting as the operator wrote it."""
    with pytest.raises(SettingsError) as caught:
        load_settings({name: value})
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://a.example/", "https://a.example"),
        ("HTTPS://A.Example:443", "https://a.example"),
        ("http://a.example:443", "http://a.example:443"),
        ("https://bücher.example", "https://xn--bcher-kva.example"),
        ("http://[::1]:3000", "http://[::1]:3000"),
        ("capacitor://localhost", "capacitor://localhost"),
    ],
)
def test_an_allowed_origin_is_kept_as_browsers_send_it(given: str, kept: str) -> None:
    """Origins lose a trailing slash, upper case and the scheme's default port."""
    assert load_settings({"QUART_ODDS_ALLOWED_ORIGINS": given}).allowed_origins == (kept,)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("10.0.0.9", "10.0.0.9/32"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("::ffff:10.0.0.9", "10.0.0.9/32"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("FD00::/8", "fd00::/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
    ],
)
def test_a_trusted_proxy_is_an_address_or_a_network(given: str, kept: str) -> None:
    """IPv4-mapped IPv6 becomes IPv4."""
    assert [str(each) for each in load_settings({"QUART_ODDS_TRUSTED_PROXIES": given}).trusted_proxies] == [kept]


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:///:memory:",
        "sqlite:////var/lib/odds.db",
        "postgresql://user:pa#s?s@host:5432/odds",
        "postgres:///odds?host=/run/postgresql",
        "postgresql+asyncpg://[::1]/odds",
    ],
)
def test_what_names_a_database_is_taken_as_it_is(url: str) -> None:
    """Passwords with unusual characters, sockets, drivers and in-memory databases are accepted."""
    assert load_settings({"QUART_ODDS_DATABASE_URL": url}).database_url == url


def test_all_that_is_wrong_is_said_at_once() -> None:
    """An operator sees all mistakes at the first start."""
    with pytest.raises(SettingsError) as caught:
        load_settings({"QUART_ODDS_X": "1", "QUART_ODDS_LOG_LEVEL": "loud", "QUART_ODDS_DECODE_WORKERS": "-1"})
    assert len(str(caught.value).splitlines()) == 3


def test_secrets_do_not_show_in_errors() -> None:
    """A password in a refused URL is not printed."""
    with pytest.raises(SettingsError) as caught:
        load_settings({"QUART_ODDS_DATABASE_URL": "mysql://user:hunter2@host/db"})
    assert "hunter2" not in str(caught.value)


def test_the_name_that_only_tests_read_is_let_through() -> None:
    """QUART_ODDS_RECORDED is the folder of recorded bodies, and not a setting of the server."""
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
    """Only a SQLite database in a file has a file."""
    assert sqlite_path(url) == path


def test_every_setting_is_documented() -> None:
    """docs/settings.md lists each setting with its default and description."""
    text = (Path(__file__).parents[1] / "docs" / "settings.md").read_text()
    for name, field in Settings.model_fields.items():
        default = "" if field.default in (None, ()) else field.default
        if isinstance(default, tuple):
            default = ",".join(default)
        assert f"| `{PREFIX}{name.upper()}` | {default} | {field.description} |" in text, name


def test_the_token_of_watch_stops_no_other_command() -> None:
    """It is in the environment of whoever uses both."""
    load_settings({"QUART_ODDS_TOKEN": "qo_1"})
