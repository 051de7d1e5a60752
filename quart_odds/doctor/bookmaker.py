"""Check of a bookmaker: one request for its list of competitions, as a scrape sends it, through its proxy if any.

There is no retry, and no redirect is followed, so a bookmaker never gets more than this request.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from time import perf_counter
from types import SimpleNamespace

import aiohttp

from quart_odds.bookmakers.lists import RawList, read_root
from quart_odds.bookmakers.politeness import Pace, Throttle
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.requester import Requester
from quart_odds.bookmakers.transport import AiohttpTransport, Answer, Grow
from quart_odds.doctor.causes import Stage, advice_for, certificate_fault, stage_of
from quart_odds.doctor.clock import ClockReading, reading_of_header
from quart_odds.doctor.findings import Finding, failed, ok, warning
from quart_odds.domain.clock import utc_now
from quart_odds.domain.platforms import Platform
from quart_odds.domain.secrets import masked
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    MalformedBodyError,
    NotFoundError,
    RateLimitedError,
    ServerFaultError,
)
from quart_odds.settings import PREFIX, Settings

SLOW_SECONDS = 5.0
PROXY_REFUSES = 407

_ADVICE: Mapping[type[BookmakerError], str] = {
    BlockedError: "the bookmaker refuses this machine's address: use another one, such as a proxy in {proxy}",
    RateLimitedError: "wait, and send less (docs/bookmakers.md says how)",
    ServerFaultError: "nothing is wrong here: wait until the bookmaker has mended it",
    NotFoundError: "check {url}: this is not the address of its API, or the API has changed",
    MalformedBodyError: "check {url}: this is not the address of its API, or the API has changed",
}
"""What to do about an answer that is not as expected."""


class Probe:
    """A transport that remembers its answer, when it was asked for, and how far the connection had come."""

    def __init__(self, platform: Platform, settings: Settings) -> None:
        self.answer: Answer | None = None
        self.error: BaseException | None = None
        self.stage = Stage.TCP
        self.asked_at: datetime | None = None
        self.answered_at: datetime | None = None
        self._transport = AiohttpTransport(
            platform,
            proxy=settings.proxy(platform),
            max_body_bytes=settings.max_body_bytes,
            most_redirects=0,
            traces=[self._trace()],
        )

    def _trace(self) -> aiohttp.TraceConfig:
        trace = aiohttp.TraceConfig()

        def at(stage: Stage) -> Callable[..., object]:
            async def note(session: aiohttp.ClientSession, context: SimpleNamespace, told: object) -> None:
                self.stage = stage

            return note

        async def note_error(
            session: aiohttp.ClientSession, context: SimpleNamespace, told: aiohttp.TraceRequestExceptionParams
        ) -> None:
            self.error = told.exception

        trace.on_dns_resolvehost_start.append(at(Stage.DNS))  # type: ignore[arg-type]
        trace.on_dns_resolvehost_end.append(at(Stage.TCP))  # type: ignore[arg-type]
        trace.on_connection_create_end.append(at(Stage.ANSWER))  # type: ignore[arg-type]
        trace.on_request_exception.append(note_error)
        return trace

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        params: Mapping[str, str],
        body: bytes | None,
        timeout_seconds: float,
        grow: Grow,
    ) -> Answer:
        """See Transport."""
        self.asked_at = utc_now()
        self.answer = await self._transport.request(
            method, url, headers=headers, params=params, body=body, timeout_seconds=timeout_seconds, grow=grow
        )
        self.answered_at = utc_now()
        return self.answer

    async def aclose(self) -> None:
        """Close all connections."""
        await self._transport.aclose()

    def reading(self, source: str) -> ClockReading | None:
        """Return what the answer says about the clock, if there is one."""
        if self.answer is None or self.asked_at is None or self.answered_at is None:
            return None
        headers = self.answer.headers
        return reading_of_header(source, headers.get("date"), headers.get("age"), self.asked_at, self.answered_at)

    def failed_at(self) -> Stage:
        """Return the stage at which the connection failed."""
        if isinstance(self.error, aiohttp.ClientProxyConnectionError | aiohttp.ClientHttpProxyError):
            return Stage.PROXY
        return (stage_of(self.error) if self.error is not None else None) or self.stage


async def bookmaker(
    settings: Settings, platform: Platform, timeout_seconds: float, tell_clock: Callable[[ClockReading], object]
) -> Finding:
    """Return how a bookmaker answers one request. Its clock is told to `tell_clock`."""
    settings = settings.model_copy(
        update={
            "request_tries": 1,
            "request_timeout_seconds": min(timeout_seconds * 0.9, settings.request_timeout_seconds),
        }
    )
    site, probe = site_of(platform), Probe(platform, settings)
    requester = Requester(site, settings, probe, Throttle(lambda: Pace(1, 0.0, None)), None)
    began = perf_counter()
    try:
        answer = await requester.ask(site.root())
        took = perf_counter() - began
        encoding, where = answer.headers.get("content-encoding"), site.root().where
        listings, errors = read_root(RawList(platform, answer.content, encoding, where, None, settings.max_body_bytes))
        requester.release(answer.content)
    except BookmakerError as error:
        return _failed(platform, settings, probe, error, perf_counter() - began)
    finally:
        await probe.aclose()
        if (found := probe.reading(platform.display_name)) is not None:
            tell_clock(found)
    check = f"bookmaker.{platform}"
    by = " through its proxy" if settings.proxy(platform) else ""
    facts = {"stage": None, "http_status": answer.status, "seconds": round(took, 3), "lists": len(listings)}
    detail = f"{platform.display_name} answers as expected{by} in {took:.2f} s ({len(listings)} lists of events)"
    if errors or not listings:
        reason = masked(str(errors[0])) if errors else "its list of competitions is empty"
        return warning(check, f"{platform.display_name} answers, but {reason}", "look again later", **facts)
    if took > SLOW_SECONDS:
        return warning(check, detail, "a scrape will take long; is the proxy or the network slow?", **facts)
    return ok(check, detail, **facts)


def _failed(platform: Platform, settings: Settings, probe: Probe, error: BookmakerError, took: float) -> Finding:
    names = {"url": f"{PREFIX}{platform.upper()}_URL", "proxy": f"{PREFIX}{platform.upper()}_PROXY"}
    status = None if probe.answer is None else probe.answer.status
    by = " through its proxy" if settings.proxy(platform) else ""
    detail = f"{platform.display_name}{by}: {masked(error.reason)}"
    if probe.answer is None and not isinstance(error, MalformedBodyError):
        stage = probe.failed_at()
        fault = None if probe.error is None else certificate_fault(probe.error)
        if fault is not None:
            detail = f"{platform.display_name}{by}: its certificate is not accepted, {fault}"
        advice = advice_for(stage, names["proxy" if stage is Stage.PROXY else "url"])
    elif status == PROXY_REFUSES:
        stage, advice = Stage.PROXY, advice_for(Stage.PROXY, names["proxy"])
    else:
        stage = Stage.ANSWER
        advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), "try again").format(**names)
    facts = {
        "stage": stage.value,
        "error_type": error.error_type,
        "http_status": status,
        "seconds": round(took, 3),
    }
    return failed(f"bookmaker.{platform}", detail, advice, **facts)
