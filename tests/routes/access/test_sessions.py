"""Sessions of pages, played against: cookies, forgery of requests, fixation, and their ends."""

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from quart import Response

from quart_odds.access.credentials import Credentials
from quart_odds.access.tokens import AccessTokens
from quart_odds.domain.scopes import Scope
from tests.apps import RunningApp, running_app
from tests.tokens import TOKEN, add_token

NOWHERE = "http://127.0.0.1:9"
ELSEWHERE = ("192.0.2.9", 50_000)
PROXY = ("10.0.0.9", 50_000)
OURS = {"Origin": "http://localhost"}
COOKIE = re.compile(r"((?:__Host-)?quart_odds_session)=([0-9a-f]{64})")


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app that everybody needs a token for, with one that may start runs."""
    async with running_app(tmp_path, NOWHERE) as opened:
        await add_token(opened.parts.store, scope=Scope.RUN)
        yield opened


async def send(
    running: RunningApp, method: str, path: str, headers: dict[str, str] | None = None, **options: Any
) -> Response:
    """Return the response to a request of a browser on another machine. It keeps no cookies by itself."""
    running.client.cookie_jar = None
    scope = {"client": options.pop("peer", ELSEWHERE)}
    return await running.client.open(path, method=method, headers=headers or {}, scope_base=scope, **options)


async def log_in(running: RunningApp, headers: dict[str, str] | None = None, **options: Any) -> tuple[str, str]:
    """Log in. Return the header that sends the cookie back, and the token in the forms of its pages."""
    response = await send(running, "POST", "/login", {**OURS, **(headers or {})}, form={"token": TOKEN}, **options)
    assert response.status_code == 303
    found = COOKIE.search(response.headers["Set-Cookie"])
    assert found is not None
    cookie = f"{found[1]}={found[2]}"
    page = await send(running, "GET", "/", {**(headers or {}), "Cookie": cookie, "Accept": "text/html"}, **options)
    assert page.status_code == 200
    assert "private" in page.headers["Cache-Control"]
    text = await page.get_data(as_text=True)
    tokens = set(re.findall(r'name="csrf" value="([0-9a-f]{64})"', text))
    assert len(tokens) == 1
    (token,) = tokens
    assert f'<meta name="csrf-token" content="{token}">' in text
    assert found[2] not in text
    return cookie, token


async def test_a_cookie_is_for_browsers_alone(running: RunningApp) -> None:
    """Scripts cannot read it, and other sites send it with nothing but links."""
    response = await send(running, "POST", "/login", OURS, form={"token": TOKEN})
    set_cookie = response.headers["Set-Cookie"]
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= {each.strip() for each in set_cookie.split(";")}
    assert "Secure" not in set_cookie
    assert "Domain" not in set_cookie
    assert TOKEN not in str(response.headers)


async def test_over_tls_no_other_host_can_set_the_cookie(tmp_path: Path) -> None:
    """A trusted proxy says that it speaks TLS. Then only a cookie with the prefix counts."""
    settings = {"trusted_proxies": "10.0.0.9", "root_path": "/odds"}
    async with running_app(tmp_path, NOWHERE, **settings) as running:
        running.client.token = None
        tls = {"X-Forwarded-Proto": "https", "Origin": "https://localhost"}
        response = await send(running, "POST", "/odds/login", tls, form={"token": TOKEN, "next": "/runs"}, peer=PROXY)
        assert response.headers["Location"] == "/odds/runs"
        set_cookie = response.headers["Set-Cookie"]
        assert set_cookie.startswith("__Host-quart_odds_session=")
        assert {"Secure", "HttpOnly", "SameSite=Lax", "Path=/"} <= {each.strip() for each in set_cookie.split(";")}
        cookie, _ = await log_in(running, tls, peer=PROXY)
        unprefixed = cookie.removeprefix("__Host-")
        for sent, status in ((cookie, 200), (unprefixed, 401)):
            asked = await send(running, "GET", "/odds/api/settings", {**tls, "Cookie": sent}, peer=PROXY)
            assert asked.status_code == status
        other = {"X-Forwarded-Proto": "https", **OURS}
        response = await send(running, "POST", "/odds/login", other, form={"token": TOKEN})
        assert response.headers["Set-Cookie"].startswith("quart_odds_session=")
        assert "Path=/odds" in response.headers["Set-Cookie"]


async def test_a_session_reads_and_changes_what_its_token_may(running: RunningApp) -> None:
    """A form has the page's token in a field, and a script sends it in a header. A missing scope is named."""
    cookie, csrf = await log_in(running)
    browser = {"Cookie": cookie, **OURS}
    assert (await send(running, "GET", "/api/settings", browser)).status_code == 200
    paused = await send(running, "POST", "/schedule/pause", browser, form={"csrf": csrf})
    assert paused.status_code == 303
    resumed = await send(running, "POST", "/api/scheduler/resume", {**browser, "X-CSRF-Token": csrf})
    assert resumed.status_code == 200
    refused = await send(running, "PUT", "/api/settings", {**browser, "X-CSRF-Token": csrf})
    assert (refused.status_code, (await refused.get_json())["scope"]) == (403, "admin")


async def test_a_request_that_no_page_of_the_session_sent_changes_nothing(running: RunningApp) -> None:
    """Neither without the token, nor with a wrong one or one of another session, nor from another site."""
    cookie, csrf = await log_in(running)
    _, of_another = await log_in(running)
    assert of_another != csrf
    browser = {"Cookie": cookie, **OURS}
    for headers, form in (
        (browser, {}),
        (browser, {"csrf": ""}),
        (browser, {"csrf": of_another}),
        ({**browser, "X-CSRF-Token": of_another}, {"csrf": csrf}),
        ({**browser, "X-CSRF-Token": "é"}, {}),
        ({**browser, "Origin": "https://evil.example"}, {"csrf": csrf}),
        ({"Cookie": cookie}, {"csrf": csrf}),
        ({"Cookie": cookie, "Sec-Fetch-Site": "cross-site"}, {"csrf": csrf}),
    ):
        for path in ("/schedule/pause", "/runs", "/logout"):
            response = await send(running, "POST", path, headers, form=form)
            assert response.status_code == 403, (headers, form, path)
    assert not running.parts.scheduler.is_paused
    assert (await send(running, "GET", "/api/settings", browser)).status_code == 200


async def test_a_page_of_another_site_opens_no_live_connection_with_a_session(running: RunningApp) -> None:
    """Also not one that only reads: each holds a place."""
    cookie, _ = await log_in(running)
    for path in ("/api/sse", "/api/scrape/stream", "/api/scrape/runs/1/progress"):
        for foreign in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "same-site"}):
            response = await send(running, "GET", path, {"Cookie": cookie, **foreign})
            assert response.status_code == 403, (path, foreign)
    assert (await send(running, "HEAD", "/api/sse", {"Cookie": cookie, **OURS})).status_code == 200


async def test_a_session_that_was_planted_before_the_login_is_worth_nothing(running: RunningApp) -> None:
    """The login makes a new one, and ends the one that the browser had."""
    planted = "b" * 64
    headers = {**OURS, "Cookie": f"quart_odds_session={planted}"}
    response = await send(running, "POST", "/login", headers, form={"token": TOKEN})
    assert planted not in response.headers["Set-Cookie"]
    assert (await send(running, "GET", "/api/settings", headers)).status_code == 401
    first, _ = await log_in(running)
    await log_in(running, {"Cookie": first})
    assert (await send(running, "GET", "/api/settings", {"Cookie": first})).status_code == 401


async def test_a_logout_ends_the_session_and_not_only_the_cookie(running: RunningApp) -> None:
    """Whoever has copied the cookie has nothing."""
    cookie, csrf = await log_in(running)
    response = await send(running, "POST", "/logout", {"Cookie": cookie, **OURS}, form={"csrf": csrf})
    assert (response.status_code, response.headers["Location"]) == (303, "/login")
    assert "Max-Age=0" in response.headers["Set-Cookie"]
    assert (await send(running, "GET", "/api/settings", {"Cookie": cookie})).status_code == 401


async def test_a_session_ends_with_its_token(running: RunningApp) -> None:
    """In every process within seconds: this one knows nothing from before."""
    cookie, _ = await log_in(running)
    await AccessTokens(running.parts.store).revoke("0" * 12)
    running.parts.credentials = Credentials(running.parts.store)
    assert (await send(running, "GET", "/api/settings", {"Cookie": cookie})).status_code == 401
    page = await send(running, "GET", "/runs", {"Cookie": cookie, "Accept": "text/html"})
    assert page.headers["Location"] == "/login?next=/runs"


async def test_a_wrong_token_is_told_on_the_page(running: RunningApp) -> None:
    """With 401, and without a cookie. Another site cannot log a browser in."""
    response = await send(running, "POST", "/login", OURS, form={"token": "<b>x", "next": "/runs"})
    text = await response.get_data(as_text=True)
    assert response.status_code == 401
    assert "This is no token of this server." in text
    assert '<input type="hidden" name="next" value="/runs">' in text
    assert "<b>" not in text
    assert "Set-Cookie" not in response.headers
    foreign = await send(running, "POST", "/login", {"Origin": "https://evil.example"}, form={"token": TOKEN})
    assert foreign.status_code == 403


async def test_pages_of_sessions_are_nobody_elses(running: RunningApp) -> None:
    """Also the one that is rendered once and kept: its forms have the token of one session."""
    first, one = await log_in(running)
    second, other = await log_in(running)
    for cookie, own, foreign in ((first, one, other), (second, other, one), ("", "", one)):
        headers = {"Accept": "text/html"} | ({"Cookie": cookie} if cookie else {})
        options = {} if cookie else {"peer": ("127.0.0.1", 1)}
        text = await (await send(running, "GET", "/docs", headers, **options)).get_data(as_text=True)
        assert "POST" in text
        assert own in text
        assert foreign not in text
        assert ("Log out" in text) == bool(cookie)
