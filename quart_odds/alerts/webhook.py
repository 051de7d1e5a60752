"""Webhooks: a signed POST of JSON. docs/alerts.md is the contract, and has ten lines of Python that verify it."""

import asyncio
import hashlib
import hmac
import socket
import time
from collections.abc import Callable, Mapping

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from quart_odds.alerts.addresses import is_public, refused
from quart_odds.alerts.values import Message, Target
from quart_odds.domain.origins import parse_address
from quart_odds.errors import DeliveryError

TIMEOUT_SECONDS = 10.0
"""How long an attempt may take, from the resolution of the name to the status of the answer."""

ID_HEADER = "Quart-Odds-Id"
TIMESTAMP_HEADER = "Quart-Odds-Timestamp"
SIGNATURE_HEADER = "Quart-Odds-Signature"

REDIRECTS = range(300, 400)


def signature(secret: str, timestamp: str, body: bytes) -> str:
    """Return the value of the signature header: HMAC-SHA256 of `timestamp.body`, in hexadecimal, after `v1=`."""
    return "v1=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


def signed_headers(secret: str, key: str, body: bytes, now: float) -> Mapping[str, str]:
    """Return the headers of an attempt at `now`, in epoch seconds. The timestamp is that of the attempt."""
    timestamp = str(int(now))
    return {
        "Content-Type": "application/json",
        "User-Agent": "quart-odds",
        ID_HEADER: key,
        TIMESTAMP_HEADER: timestamp,
        SIGNATURE_HEADER: signature(secret, timestamp, body),
    }


class CheckedResolver(AbstractResolver):
    """Resolves a name to the addresses that are connected to, and refuses it if one of them is not public."""

    def __init__(self, resolver: AbstractResolver, *, allow_private: bool) -> None:
        self._resolver = resolver
        self._allow_private = allow_private

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses of a name. Raises DeliveryError if one of them is refused, and OSError."""
        found = await self._resolver.resolve(host, port, family)
        for each in found:
            check_address(each["host"], allow_private=self._allow_private)
        return found

    async def close(self) -> None:
        """Close the resolver that is asked."""
        await self._resolver.close()


def check_address(address: str, *, allow_private: bool) -> None:
    """Raise DeliveryError if this address must not be connected to."""
    if not allow_private and not is_public(address):
        raise DeliveryError(refused(address))


class WebhookSender:
    """Sends messages to webhooks, one connection for each. Redirects are not followed, and answers are not read."""

    def __init__(
        self,
        *,
        allow_private: bool,
        timeout_seconds: float = TIMEOUT_SECONDS,
        make_resolver: Callable[[], AbstractResolver] = aiohttp.ThreadedResolver,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._allow_private = allow_private
        self._timeout = aiohttp.ClientTimeout(total=timeout_seconds)
        self._make_resolver = make_resolver
        self._now = now

    async def send(self, target: Target, message: Message) -> None:
        """Make one attempt. Raises DeliveryError if the answer is not a 2xx, or if there is none."""
        assert target.secret is not None, "webhooks are created with a secret"
        body = message.body()
        headers = signed_headers(target.secret, message.key, body, self._now())
        url = URL(target.url)
        if url.host is not None and parse_address(url.host) is not None:
            check_address(url.host, allow_private=self._allow_private)  # aiohttp resolves names only
        try:
            status = await self._post(url, body, headers)
        except TimeoutError:
            raise DeliveryError(f"no answer within {self._timeout.total:g} s") from None
        except aiohttp.ClientConnectorDNSError:
            raise DeliveryError("the host name cannot be resolved") from None
        except aiohttp.ClientConnectorCertificateError:
            raise DeliveryError("the certificate of the server is not valid") from None
        except aiohttp.ClientConnectorError as error:
            raise DeliveryError(f"no connection: {error.os_error.strerror or type(error.os_error).__name__}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise DeliveryError(f"no answer: {type(error).__name__}") from None
        if status in REDIRECTS:
            raise DeliveryError(f"the answer is a redirect ({status}), which is not followed")
        if not 200 <= status < 300:
            raise DeliveryError(f"the answer is {status}")

    async def _post(self, url: URL, body: bytes, headers: Mapping[str, str]) -> int:
        resolver = CheckedResolver(self._make_resolver(), allow_private=self._allow_private)
        async with (
            aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(resolver=resolver, force_close=True, use_dns_cache=False),
                cookie_jar=aiohttp.DummyCookieJar(loop=asyncio.get_running_loop()),
                timeout=self._timeout,
                auto_decompress=False,
            ) as session,
            session.post(url, data=body, headers=headers, allow_redirects=False) as answer,
        ):
            return answer.status
