"""Redirects are followed only between hosts of the bookmaker, and only a few in a row."""

import pytest
from aiohttp import web
from yarl import URL

from quart_odds.bookmakers import decode
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.transport import AiohttpTransport
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    MalformedBodyError,
)
from tests.bookmakers.clients import EVENT, good, opened
from tests.bookmakers.fake_site import serving, settings_for


async def test_a_redirect_loop_ends() -> None:
    """A few redirects are followed. The failure is not retried."""

    async def again(request: web.Request) -> web.Response:
        return web.Response(status=302, headers={"location": f"{request.path}0"})

    async with serving(again) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        with pytest.raises(MalformedBodyError, match="redirects"):
            await client.fetch(EVENT)
    assert len(site.requests) <= 5
    assert client.requests == 1


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/latest/meta-data",
        "http://127.0.0.1:1/",
        "http://localhost:{port}/",
        "https://127.0.0.1:{port}/",
        "//evil.example/",
        "http://u:p@127.0.0.1:{port}/",
        "file:///etc/passwd",
        "gopher://127.0.0.1:{port}/",
        "http://[",
        "http://127.0.0.1:99999/",
        "",
        None,
    ],
)
async def test_a_redirect_elsewhere_is_not_followed(location: str | None) -> None:
    """Another host, port or scheme, a private address, or no location. The error does not reveal the target."""

    async def elsewhere(request: web.Request) -> web.Response:
        port = request.url.port
        headers = {} if location is None else {"location": location.format(port=port)}
        return web.Response(status=302, headers=headers, body=b"what was found there")

    async with serving(elsewhere) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        with pytest.raises(MalformedBodyError) as caught:
            await client.fetch(EVENT)
    assert caught.value.reason == "a redirect to another site"
    assert len(site.requests) == 1


async def test_a_redirect_on_the_same_host_is_followed() -> None:
    """The redirect gives a path or a full URL."""

    async def there(request: web.Request) -> web.Response:
        if request.path == "/there":
            return good()
        location = "/there" if len(site.requests) == 1 else f"{site.url}/there"
        return web.Response(status=307, headers={"location": location})

    async with serving(there) as site, opened(Platform.BETPAWA, settings_for(site.url)) as client:
        for _ in range(2):
            assert decode(await client.fetch(EVENT)).header.external_id == "501"


@pytest.mark.parametrize(
    ("start", "location", "is_followed"),
    [
        ("https://www.betpawa.ng/a", "https://betpawa.ng/b", True),
        ("https://www.betpawa.ng/a", "https://www.sportybet.com/b", False),
        ("https://www.betpawa.ng/a", "http://www.betpawa.ng/b", False),
        ("https://www.betpawa.ng/a", "https://betpawa.ng:8443/b", False),
        ("http://stand-in.example/a", "http://betpawa.ng/b", False),
    ],
)
def test_a_bookmaker_may_lead_to_hosts_of_its_own(start: str, location: str, is_followed: bool) -> None:
    """Only to its declared hosts, with the same scheme and port."""
    hosts = site_of(Platform.BETPAWA).hosts
    transport = AiohttpTransport(Platform.BETPAWA, proxy=None, max_body_bytes=1000, hosts=hosts)
    if is_followed:
        assert str(transport._target(URL(start), location)) == location
    else:
        with pytest.raises(MalformedBodyError):
            transport._target(URL(start), location)
