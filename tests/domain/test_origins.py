"""Hosts and origins: what browsers send is parsed exactly, and everything else is rejected."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from quart_odds.domain.origins import Host, Origin, parse_address, parse_host, parse_origin

NAMES = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]([a-z0-9-]{0,10}[a-z0-9])?){0,3}", fullmatch=True)
ADDRESSES = st.ip_addresses().map(lambda each: str(parse_address(str(each))))
PORTS = st.none() | st.integers(1, 65535)
ANYTHING = st.text(max_size=40) | st.text(alphabet="ab01.:[]@/-%# \t", max_size=20)


@given(NAMES | ADDRESSES, PORTS)
def test_a_host_is_read_as_it_was_written(name: str, port: int | None) -> None:
    """In any case; addresses are distinguished from names."""
    host = Host(name, port)
    assert parse_host(str(host)) == parse_host(str(host).upper()) == host
    assert host.is_address == (parse_address(name) is not None)


@given(st.sampled_from(["http", "https"]), NAMES | ADDRESSES, PORTS)
def test_an_origin_is_read_as_it_was_written(scheme: str, name: str, port: int | None) -> None:
    """With or without an explicit default port."""
    origin = Origin.of(scheme, Host(name, port))
    assert parse_origin(str(origin)) == parse_origin(f"{scheme}://{Host(name, origin.port)}") == origin
    assert parse_origin(str(origin).upper()) == origin


@given(ANYTHING)
def test_nothing_that_is_read_means_more_than_it_says(text: str) -> None:
    """No text raises an error, and an accepted text means the same host and port to other parsers."""
    host = parse_host(text)
    if host is not None:
        url = URL(f"http://{text}/")
        assert url.host is not None
        assert url.user is None
        assert (url.host.lower().removesuffix("."), url.explicit_port) == (
            host.name if ":" not in host.name else url.host,
            host.port,
        )
    origin = parse_origin(text)
    assert origin is None or parse_origin(str(origin)) == origin


@pytest.mark.parametrize(
    "text",
    [
        "",
        "null",
        "http:",
        "http://",
        "//localhost",
        "localhost",
        "http://[",
        "http://]",
        "http://[zz]",
        "http://[::1",
        "http://[::1]x",
        "http://[1.2.3.4]",
        "http://a[b",
        "http://a/",
        "http://a?b",
        "http://a#b",
        "http://u@a",
        "http://a:0",
        "http://a:65536",
        "http://a:99999999999999999999",
        "http://a:٣",
        "http://a..b",
        "http://.a",
        "http://ä",
        "http://a b",
        "http://a, http://b",
        "http://a\n",
        "1http://a",
        "http://[::1%25eth0]",
        "http://" + "a" * 300,
    ],
)
def test_what_no_browser_sends_is_no_origin(text: str) -> None:
    """A path, a user, a list, a malformed address, a foreign alphabet."""
    assert parse_origin(text) is None


def test_mapped_addresses_are_their_ipv4() -> None:
    """A socket bound to `[::]` reports IPv4 peers this way."""
    assert parse_host("[::ffff:10.0.0.9]:80") == Host("10.0.0.9", 80)
    assert str(parse_address("::ffff:127.0.0.1")) == "127.0.0.1"
