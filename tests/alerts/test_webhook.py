"""Webhooks: their signature, and where they do not go."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult

from quart_odds.alerts.webhook import WebhookSender, signed_headers
from quart_odds.errors import DeliveryError
from tests.alerts.making import SECRET, message, target
from tests.alerts.receiving import receiving
from tests.documents.blocks import blocks_of

DOCS = Path(__file__).parents[2] / "docs" / "alerts.md"


class FakeResolver(AbstractResolver):
    """Resolves every name to the same addresses."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses."""
        return [
            ResolveResult(
                hostname=host,
                host=each,
                port=port,
                family=socket.AF_INET6 if ":" in each else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for each in self.addresses
        ]

    async def close(self) -> None:
        """Nothing is open."""


def verify() -> Any:
    """Return the function that docs/alerts.md gives to those who receive webhooks."""
    (code,) = (block.code for block in blocks_of(DOCS) if block.language == "python")
    assert len([line for line in code.splitlines() if line]) <= 10
    names: dict[str, Any] = {}
    exec(code, names)
    return names["verify"]


async def test_a_webhook_verifies_as_the_docs_say() -> None:
    """The ten lines accept what arrives, and nothing else."""
    async with receiving(204) as receiver:
        await WebhookSender(allow_private=True).send(target(f"{receiver.url}/hook?a=b"), message())
    (request,) = receiver.requests
    assert (request.path, request.headers["Content-Type"]) == ("/hook", "application/json")
    body = orjson.loads(request.body)
    assert body == {
        "id": "k1",
        "type": "alert",
        "at": "2026-11-22T10:00:00.000Z",
        "title": "A price rose",
        "text": "1 is at 2.5",
        "data": {"odds": 2.5},
    }
    assert request.headers["Quart-Odds-Id"] == body["id"]
    verified = verify()
    assert verified(SECRET, request.headers, request.body)
    assert not verified("whsec_other", request.headers, request.body)
    assert not verified(SECRET, request.headers, request.body + b" ")
    later = {**request.headers, "Quart-Odds-Timestamp": str(int(request.headers["Quart-Odds-Timestamp"]) + 1)}
    assert not verified(SECRET, later, request.body)
    assert not verified(SECRET, signed_headers(SECRET, "k1", request.body, 1_000_000_000), request.body)


def test_the_key_is_the_same_at_each_attempt_and_the_timestamp_is_not() -> None:
    """A receiver drops what it has, and refuses what is old."""
    first, second = (signed_headers(SECRET, "k1", b"{}", now) for now in (1_000.9, 2_000.0))
    assert first["Quart-Odds-Id"] == second["Quart-Odds-Id"] == "k1"
    assert (first["Quart-Odds-Timestamp"], second["Quart-Odds-Timestamp"]) == ("1000", "2000")
    assert first["Quart-Odds-Signature"] != second["Quart-Odds-Signature"]


@pytest.mark.parametrize(
    ("status", "said"),
    [(500, "the answer is 500"), (404, "the answer is 404"), (302, "a redirect"), (307, "a redirect")],
)
async def test_everything_but_a_2xx_is_a_failure(status: int, said: str) -> None:
    """A redirect is not followed."""
    async with receiving(status) as receiver:
        with pytest.raises(DeliveryError, match=said):
            await WebhookSender(allow_private=True).send(target(f"{receiver.url}/hook"), message())
    assert [request.path for request in receiver.requests] == ["/hook"]


@pytest.mark.parametrize("host", ["127.0.0.1", "0x7f.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_this_machine_is_not_reached_under_any_name(host: str) -> None:
    """The reason names the address and the setting that allows it."""
    async with receiving() as receiver:
        url = receiver.url.replace("127.0.0.1", host)
        with pytest.raises(DeliveryError, match="is not on the public internet; QUART_ODDS_ALERTS_ALLOW_PRIVATE=true"):
            await WebhookSender(allow_private=False).send(target(url), message())
    assert receiver.requests == []


@pytest.mark.parametrize("host", ["127.1", "2130706433"])
async def test_numbers_that_are_no_addresses_are_not_connected_to(host: str) -> None:
    """The resolver of the system would take them for addresses of this machine."""
    async with receiving() as receiver:
        with pytest.raises(DeliveryError):
            await WebhookSender(allow_private=False).send(target(receiver.url.replace("127.0.0.1", host)), message())
    assert receiver.requests == []


@pytest.mark.parametrize("address", ["127.0.0.1", "169.254.169.254", "10.1.1.1", "fd00:ec2::254", "::ffff:10.0.0.1"])
async def test_a_name_with_one_private_address_is_refused(address: str) -> None:
    """Also if it has a public one: what is connected to was checked."""
    sender = WebhookSender(allow_private=False, make_resolver=lambda: FakeResolver("192.0.2.1", address))
    with pytest.raises(DeliveryError, match="is not on the public internet"):
        await sender.send(target("https://rebound.example/"), message())
    sender = WebhookSender(allow_private=False, make_resolver=lambda: FakeResolver("8.8.8.8", address))
    with pytest.raises(DeliveryError, match="is not on the public internet"):
        await sender.send(target("https://rebound.example/"), message())


async def test_the_connection_goes_to_the_address_that_was_resolved() -> None:
    """The name is not resolved again."""
    async with receiving() as receiver:
        sender = WebhookSender(allow_private=True, make_resolver=lambda: FakeResolver("127.0.0.1"))
        await sender.send(target(receiver.url.replace("127.0.0.1", "odds.example")), message())
    assert receiver.requests[0].headers["Host"].startswith("odds.example:")


async def test_a_receiver_that_is_not_there_and_one_that_does_not_answer() -> None:
    """The reason says which of the two."""
    with socket.socket() as unheard:
        unheard.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unheard.getsockname()[1]}/s3cret"
        with pytest.raises(DeliveryError, match="no connection") as caught:
            await WebhookSender(allow_private=True).send(target(url), message())
        assert "s3cret" not in str(caught.value)
        unheard.listen()
        with pytest.raises(DeliveryError, match=r"no answer within 0\.05 s"):
            await WebhookSender(allow_private=True, timeout_seconds=0.05).send(target(url), message())


async def test_a_receiver_that_talks_nonsense() -> None:
    """That is a failure like any other."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"\x00\xff nonsense\r\n\r\n")
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    with pytest.raises(DeliveryError, match="no answer"):
        await WebhookSender(allow_private=True).send(target(url), message())
    server.close()
    await server.wait_closed()
