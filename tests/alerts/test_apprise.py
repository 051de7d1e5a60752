"""Apprise in a process of its own, and what that process cannot do."""

import json
import subprocess
import sys

import orjson
import pytest

from quart_odds.alerts import apprise_sender
from quart_odds.alerts.apprise_sender import AppriseSender
from quart_odds.alerts.values import TargetKind
from quart_odds.errors import AlertInputError, DeliveryError
from tests.alerts.making import message, target
from tests.alerts.receiving import receiving

ATTEMPTS = """
import json, os, socket, subprocess, sys
from quart_odds.alerts.apprise_process import Guard
allow_private, path = sys.argv[1] == "yes", sys.argv[2]
there = socket.create_server(("127.0.0.1", 0))
port = there.getsockname()[1]
guard = Guard(allow_private=allow_private)
guard.close_off()
def sent(): socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", port))
attempts = {
    "address": lambda: socket.socket().connect(("127.0.0.1", port)),
    "quietly": lambda: socket.socket().connect_ex(("127.0.0.1", port)),
    "name": lambda: socket.create_connection(("localhost", port)),
    "unresolved": lambda: socket.socket().connect(("localhost", port)),
    "udp": sent,
    "unix": lambda: socket.socket(socket.AF_UNIX).connect(path),
    "popen": lambda: subprocess.run(["true"]),
    "system": lambda: os.system("true"),
    "fork": os.fork,
}
reasons = {}
for name, attempt in attempts.items():
    try:
        attempt()
        reasons[name] = None
    except PermissionError as error:
        reasons[name] = str(error)
print(json.dumps(reasons))
"""


def attempted(allow_private: bool, path: str) -> dict[str, str | None]:
    """Return why each attempt was refused in a guarded process, None for those that were not."""
    command = [sys.executable, "-c", ATTEMPTS, "yes" if allow_private else "no", path]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    reasons: dict[str, str | None] = json.loads(done.stdout)
    return reasons


@pytest.mark.parametrize("allow_private", [False, True])
def test_nothing_leaves_the_process_unseen(allow_private: bool, tmp_path: object) -> None:
    """Neither by the C functions below the libraries, nor through another program or a Unix socket."""
    reasons = attempted(allow_private, f"{tmp_path}/nothing")
    own = {name: reasons.pop(name) for name in ("address", "quietly", "name", "udp")}
    for reason in own.values():
        assert reason is None if allow_private else "127.0.0.1 is not on the public internet" in str(reason)
    assert all(reasons.values()), reasons
    assert "only connections over TCP and UDP" in str(reasons["unix"])
    assert "no other program is started" in str(reasons["popen"])


async def test_a_message_arrives_through_apprise() -> None:
    """Its JSON service has title and text."""
    async with receiving() as receiver:
        url = f"{receiver.url.replace('http', 'json')}/hook"
        await AppriseSender(allow_private=True).send(target(url, TargetKind.APPRISE), message())
    (request,) = receiver.requests
    body = orjson.loads(request.body)
    assert (request.path, body["title"], body["message"]) == ("/hook", "A price rose", "1 is at 2.5")


async def test_redirects_of_services_are_not_followed() -> None:
    """The status is the reason. Nothing of the URL is in it."""
    async with receiving(302, 302) as receiver:
        url = f"{receiver.url.replace('http', 'json')}/s3cret"
        with pytest.raises(DeliveryError, match=r"^the service answered 302$"):
            await AppriseSender(allow_private=True).send(target(url, TargetKind.APPRISE), message())
    assert {request.path for request in receiver.requests} == {"/s3cret"}


async def test_apprise_reaches_no_private_address() -> None:
    """The reason names the address and the setting."""
    async with receiving() as receiver:
        url = receiver.url.replace("http", "json").replace("127.0.0.1", "localhost")
        with pytest.raises(DeliveryError, match="not on the public internet; QUART_ODDS_ALERTS_ALLOW_PRIVATE=true"):
            await AppriseSender(allow_private=False).send(target(url, TargetKind.APPRISE), message())
    assert receiver.requests == []


async def test_a_url_that_apprise_cannot_read_is_refused_at_once() -> None:
    """It is read when the target is added, without sending anything."""
    with pytest.raises(AlertInputError, match="url: Apprise cannot read this URL"):
        await AppriseSender(allow_private=False).check("tgram://s3cret")


async def test_an_attempt_of_apprise_has_a_time_limit() -> None:
    """The process is killed, and the reason says so."""
    with pytest.raises(DeliveryError, match=r"not done within 0\.01 s"):
        await AppriseSender(allow_private=False, timeout_seconds=0.01).send(
            target("json://192.0.2.1", TargetKind.APPRISE), message()
        )


async def test_a_target_of_an_apprise_that_was_removed_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deliveries wait until Apprise is there again."""
    monkeypatch.setattr(apprise_sender, "is_apprise_installed", lambda: False)
    with pytest.raises(DeliveryError, match=r"quart-odds\[alerts\]"):
        await AppriseSender(allow_private=False).send(target("json://x.example", TargetKind.APPRISE), message())
