"""No command shows a password: not with a URL that is wrong in any way, and not with one whose server is wrong."""

import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner

from quart_odds.cli import main
from quart_odds.domain.platforms import Platform
from quart_odds.settings import PREFIX, Settings, read_settings
from tests.cli.commands import commands
from tests.server.serving import environment

SECRET = "s3cret-w0rd"

WRONG = {
    "database_url": [
        f"postgresql://user:{SECRET}@host:port/odds",
        f"postgresql://user:{SECRET}@host:99999/odds",
        f"postgresql://user:{SECRET} more@host/odds",
        f"postgresql:/user:{SECRET}@host/odds",
        f"postgres//user:{SECRET}@host/odds",
        f"mysql://user:{SECRET}@host/odds",
        f"user:{SECRET}@host/odds",
        f"postgresql://user:{SECRET}@[::1/odds",
        f"sqlite://user:{SECRET}@host",
    ],
    "engine_url": [
        f"redis://:{SECRET}@host:port",
        f"redis://:{SECRET}@host:99999",
        f"redis:/:{SECRET}@host",
        f"http://user:{SECRET}@host",
        f"redis+sentinel://user:{SECRET}@host",
        f"redis+sentinel://user:{SECRET}@host,/name",
        f"redis://:{SECRET}@[::1",
        f"redis://user:{SECRET}@\u2100.example",
        f"redis://user:{SECRET} more@host",
        f"{SECRET}@host",
    ],
    "betpawa_proxy": [
        f"socks5://user:{SECRET}@host:1",
        f"http://user:{SECRET}@host:port",
        f"http://user:{SECRET}@host:99999",
        f"http:/user:{SECRET}@host:1",
        f"http://user:{SECRET}@",
        f"http://user:{SECRET}@[::1",
        f"user:{SECRET}@host:1",
    ],
    "betpawa_url": [f"https://user:{SECRET}@host", f"https://user:{SECRET}@host:port", f"https:/user:{SECRET}@host"],
    "jwt_jwks_url": [f"ftp://user:{SECRET}@host", f"http://user:{SECRET}@host/keys", f"https://user:{SECRET}@host:x"],
    "otel_endpoint": [f"https://user:{SECRET}@host", f"http://user:{SECRET}@host:x", f"http:/user:{SECRET}@host"],
    "allowed_origins": [f"https://user:{SECRET}@host", f"https:/user:{SECRET}@host", f"user:{SECRET}@host"],
    "allowed_hosts": [f"https://user:{SECRET}@host"],
    "trusted_proxies": [f"http://user:{SECRET}@10.0.0.1"],
}
"""Values that no setting takes."""

ARGUMENTS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("record",): ("recording",),
    ("coverage",): (".",),
    ("completion",): ("bash",),
    ("doctor",): ("--timeout", "1"),
    ("scrape",): ("--platform", "betpawa"),
    ("alerts", "targets", "add"): ("mine", "https://odds.example.com"),
    ("alerts", "targets", "remove"): ("1",),
    ("alerts", "targets", "test"): ("1",),
    ("alerts", "rules", "add"): ("mine", '{"kind": "run"}'),
    ("alerts", "rules", "remove"): ("1",),
    ("token", "create"): ("--name", "mine", "--scope", "read"),
    ("token", "revoke"): ("1",),
    ("schema",): ("openapi",),
}
"""What commands need besides their names."""

COMMANDS = [(*words, *ARGUMENTS.get(words, ())) for words, _ in commands(with_groups=False)]
LASTING = {"mcp", "sandbox", "serve", "watch"}
"""Commands that go on until they are stopped, if their settings are right."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Run in an empty folder, without the settings of the developer's environment."""
    for name in environment({}).keys() ^ os.environ.keys():
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said_by(words: tuple[str, ...], settings: Mapping[str, str]) -> tuple[int, str]:
    """Run a command, and return its exit code and all that it said."""
    done = CliRunner().invoke(main, words, env={f"{PREFIX}{name.upper()}": value for name, value in settings.items()})
    return done.exit_code, done.output


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] not in LASTING - {"serve"}], ids=" ".join)
def test_no_command_shows_the_password_of_a_wrong_url(words: tuple[str, ...]) -> None:
    """Whatever is wrong with it. The setting is named where it matters to the command."""
    for name, values in WRONG.items():
        for value in values:
            code, said = said_by(words, {name: value})
            assert SECRET not in said, (value, said)
            if words[0] in ("serve", "scrape", "record", "export", "migrate", "config", "doctor", "alerts", "token"):
                assert (code, f"{PREFIX}{name.upper()}" in said) == (2, True), (value, said)


@pytest.mark.parametrize("field", Settings.model_fields)
def test_no_setting_shows_the_password_of_a_url(field: str) -> None:
    """Also one that takes no URLs: it may be put in the wrong place."""
    for url in (f"https://user:{SECRET}@host/x", f"redis://:{SECRET}@", f"a, https://user:{SECRET}@host:port"):
        _, problems = read_settings({f"{PREFIX}{field.upper()}": url})
        assert SECRET not in " ".join(map(str, problems)), url


@pytest.fixture
def dead_port() -> Iterator[int]:
    """A port that nobody listens on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize("words", [words for words in COMMANDS if words[0] not in LASTING - {"serve"}], ids=" ".join)
def test_no_command_shows_the_password_of_a_server_that_is_down(words: tuple[str, ...], dead_port: int) -> None:
    """In no message, log line or traceback."""
    nowhere = {f"{each}_url": f"http://127.0.0.1:{dead_port}" for each in Platform}
    settings = nowhere | {"request_tries": "1", "decode_workers": "0"}
    database = {"database_url": f"postgresql://user:{SECRET}@127.0.0.1:{dead_port}/odds"}
    _, said = said_by(words, settings | database)
    assert SECRET not in said
    if words[0] == "serve":
        return
    others = {
        "engine_url": f"redis://user:{SECRET}@127.0.0.1:{dead_port}",
        "betpawa_proxy": f"http://user:{SECRET}@127.0.0.1:{dead_port}",
    }
    _, said = said_by(words, settings | others)
    assert SECRET not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    "words",
    [
        ("watch", f"ftp://user:{SECRET}@host"),
        ("watch", f"http://user:{SECRET}@host:port"),
        ("watch", f"http://user:{SECRET}@127.0.0.1:9"),
        ("export", f"postgresql://user:{SECRET}@host/odds"),
        ("export", "--bookmaker", f"https://user:{SECRET}@host"),
        ("scrape", "--platform", f"https://user:{SECRET}@host"),
        ("serve", "--bind", f"http://user:{SECRET}@host"),
        ("serve", "--bind", f"http://user:{SECRET}@host:80"),
        ("sandbox", "--faults", f"https://user:{SECRET}@host"),
        ("alerts", "targets", "add", "mine", f"dbus://user:{SECRET}@host"),
        (f"https://user:{SECRET}@host",),
    ],
    ids=lambda words: " ".join(words[:-1]),
)
def test_no_command_line_is_repeated_with_a_password(words: tuple[str, ...]) -> None:
    """What is wrong is said all the same."""
    code, said = said_by(words, {})
    assert code in (1, 2)
    assert "Error: " in said
    assert SECRET not in said


def test_an_unexpected_error_has_a_traceback_without_passwords(monkeypatch: pytest.MonkeyPatch) -> None:
    """The exit code is 1."""

    def fail(*_: object) -> None:
        raise RuntimeError(f"cannot connect to postgresql://user:{SECRET}@host/odds")

    monkeypatch.setattr("quart_odds.cli.config.setting_values", fail)
    code, said = said_by(("config",), {})
    assert code == 1
    assert "RuntimeError: cannot connect to postgresql://***@host/odds" in said
    assert SECRET not in said
