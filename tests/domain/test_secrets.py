"""Passwords are masked in displayed text, whatever characters they contain and wherever the URL occurs."""

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.domain.secrets import masked

PASSWORDS = st.text(
    st.characters(min_codepoint=33, max_codepoint=0x2FF, exclude_characters="'\"<>"), min_size=6, max_size=20
)
AROUND = st.sampled_from(
    ["{}", "cannot connect to {}: refused", "ClientError: {}, again", "a='{}' b=2", "[{}]", '"{}"']
)
SECRET_NAMES = ["password", "PASSWORD", "p%61ssword", "sslpassword", "token", "access_token", "api_key", "key", "pwd"]


@given(PASSWORDS, AROUND, st.booleans())
def test_no_password_of_a_url_is_shown(password: str, around: str, is_quoted: bool) -> None:
    """Whether quoted or raw, and with @, /, : and # in it."""
    written = quote(password, safe="") if is_quoted else password
    for scheme in ("http", "postgresql", "postgresql+asyncpg", "socks5"):
        text = masked(around.format(f"{scheme}://someone:{written}@host.example:5432/odds?mode=rw"))
        assert f":{written}@" not in text
        assert "someone" not in text
        assert "host.example" in text


@given(PASSWORDS, AROUND, st.sampled_from(SECRET_NAMES))
def test_no_password_of_an_argument_is_shown(password: str, around: str, name: str) -> None:
    """Under any usual name, in any case, and percent-encoded."""
    written = quote(password, safe="")
    text = masked(around.format(f"postgresql://host.example/odds?mode=rw&{name}={written}&user=someone"))
    assert f"={written}" not in text
    assert "someone" not in text
    assert "mode=rw" in text


@given(st.text(max_size=60))
def test_masking_is_done_once(text: str) -> None:
    """Masking masked text changes nothing, and no text raises an error."""
    assert masked(masked(text)) == masked(text)


@pytest.mark.parametrize(
    "text",
    [
        "no connection to 127.0.0.1:5432, Connection refused",
        "https://www.example.com/path?a=1&b=2",
        "Arsenal - Chelsea: 3 of 4 events",
        "sqlite:////var/lib/odds.db",
    ],
)
def test_what_holds_no_secret_stays(text: str) -> None:
    """Operators need the rest of the text."""
    assert masked(text) == text


def test_what_drivers_write_is_masked() -> None:
    """Passwords outside URLs are masked as well."""
    assert masked("dsn: user=odds password=s3cret host=db") == "dsn: user=odds password=*** host=db"
    assert masked("{'password': 's3cret'}") == "{'password': ***}"
