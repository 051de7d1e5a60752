"""Which targets there may be, and what is shown of them."""

import pytest

from quart_odds.alerts import targets
from quart_odds.alerts.targets import APPRISE_SCHEMES, checked_name, checked_url, shown
from quart_odds.alerts.values import TargetKind
from quart_odds.errors import AlertInputError

WEBHOOK, APPRISE = TargetKind


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        (WEBHOOK, "https://odds.example/hook?token=x"),
        (WEBHOOK, "http://192.168.1.9:8080"),
        (WEBHOOK, "HTTPS://[2606:4700::1111]/"),
        (APPRISE, "jsons://odds.example/hook"),
        (APPRISE, "mailtos://user:password@example.com"),
        (APPRISE, "NTFY://topic"),
        (APPRISE, "tgram://123456789:abcdefg_hijklmnop/12315544/"),
    ],
)
def test_targets_that_are_accepted(kind: TargetKind, url: str) -> None:
    """They are kept as they are."""
    assert checked_url(kind, url) == url


@pytest.mark.parametrize(
    ("kind", "url", "said"),
    [
        (WEBHOOK, "ftp://odds.example", "a webhook is https://host"),
        (WEBHOOK, "odds.example/hook", "a webhook is https://host"),
        (WEBHOOK, "https://", "a webhook is https://host"),
        (WEBHOOK, "https://odds.example:0/", "a webhook is https://host"),
        (WEBHOOK, "https://odds.example:99999/", "a webhook is https://host"),
        (WEBHOOK, "https://[::1/", "a webhook is https://host"),
        (WEBHOOK, "https://odds.example\\evil.example/", "a webhook is https://host"),
        (WEBHOOK, "https://user:hunter2@odds.example/", "leave out user and password"),
        (WEBHOOK, "https://odds.example/a b", "without spaces"),
        (WEBHOOK, "https://odds.example/\n", "without spaces"),
        (WEBHOOK, "https://odds.example/" + "x" * 2000, "at most 2000 characters"),
        (APPRISE, "syslog://", "syslog is no service that alerts are sent to; there are"),
        (APPRISE, "dbus://", "dbus is no service"),
        (APPRISE, "windows://", "windows is no service"),
        (APPRISE, "rsyslog://host", "rsyslog is no service"),
        (APPRISE, "file:///etc/passwd", "file is no service"),
        (APPRISE, "exec://rm", "exec is no service"),
        (APPRISE, "https://hooks.slack.com/services/T1/B1/c", "https is no service"),
        (APPRISE, "nonsense", "a URL without a scheme is no service"),
        (APPRISE, "json://a.example, syslog://", "without spaces"),
        (APPRISE, "discord://id/token?template=/etc/passwd", "leave out the argument template"),
        (APPRISE, "jsons://a.example?%74emplate=x&REDIRECT=yes", "leave out the argument redirect, template"),
        (APPRISE, "mailto://u:p@a.example?pgp=yes&attach=x", "leave out the argument attach, pgp"),
    ],
)
def test_targets_that_are_refused(kind: TargetKind, url: str, said: str) -> None:
    """The error says what is allowed, and repeats nothing that may be a secret."""
    with pytest.raises(AlertInputError) as caught:
        checked_url(kind, url)
    assert caught.value.field == "url"
    assert said in caught.value.reason
    assert "hunter2" not in str(caught.value)


def test_nothing_that_reaches_this_machine_is_allowed() -> None:
    """No scheme of a desktop, a log, a file or another program is on the list."""
    local = "dbus kde qt glib gio gnome windows macosx syslog rsyslog file exec growl blink1 shell cmd local"
    assert not APPRISE_SCHEMES & set(local.split())


def test_what_is_missing_without_apprise_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error says how to install it. Webhooks need no Apprise."""
    monkeypatch.setattr(targets, "find_spec", lambda _: None)
    with pytest.raises(AlertInputError, match=r"pip install 'quart-odds\[alerts\]'"):
        checked_url(APPRISE, "jsons://odds.example")
    assert checked_url(WEBHOOK, "https://odds.example")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://odds.example", "https://odds.example"),
        ("https://odds.example:8443/", "https://odds.example:8443"),
        ("https://odds.example/hook/s3cret", "https://odds.example/***"),
        ("https://odds.example?s3cret", "https://odds.example/***"),
        ("http://[fd00::1]:80/s3cret", "http://[fd00::1]:80/***"),
        ("jsons://user:s3cret@odds.example/x", "jsons://odds.example/***"),
        ("json://localhost:9000", "json://localhost:9000"),
        ("json://user:s3/cret@odds.example", "json://***"),
        ("json://us.er:s3/cret@odds.example", "json://***"),
        ("json://user:s3#cret@odds.example", "json://***"),
        ("gotify://s3cret", "gotify://***"),
        ("ntfy://s3cret-topic", "ntfy://***"),
        ("discord://1234/s3cret", "discord://***"),
        ("tgram://1234:s3cret/5", "tgram://***"),
        ("mailto://me:s3cret@example.com", "mailto://***"),
    ],
)
def test_no_secret_is_shown(url: str, expected: str) -> None:
    """What is shown is the scheme, and the host where that is surely one."""
    assert shown(url) == expected


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 101])
def test_names_that_are_refused(name: str) -> None:
    """A name is a line that people can read."""
    with pytest.raises(AlertInputError, match="name: give a name of 1 to 100"):
        checked_name(name)
