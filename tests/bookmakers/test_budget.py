"""The request budget, tested with a controlled clock."""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from functools import partial

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from quart_odds.bookmakers.budget import (
    COOL_DOWN_SECONDS,
    FIRST_ANSWERS,
    LEAST_SHARE,
    METERED_SECONDS,
    RECOVERY_SECONDS,
    Budget,
    RequestMeter,
)
from quart_odds.bookmakers.client_pool import ClientPool
from quart_odds.bookmakers.politeness import Pace, Priority, Throttle
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.requester import Requester
from quart_odds.bookmakers.room import SMALL_BYTES
from quart_odds.bookmakers.site import Request
from quart_odds.bookmakers.transport import Answer, Grow
from quart_odds.domain.platforms import Platform
from quart_odds.errors import (
    BlockedError,
    BookmakerError,
    NotFoundError,
    RateLimitedError,
    ServerFaultError,
    UnreachableError,
)
from tests.apps import running_sandbox
from tests.bookmakers.clients import EVENT, always, good
from tests.bookmakers.fake_site import serving, settings_for
from tests.bookmakers.ticking import Clock
from tests.bookmakers.wire import asked


def send_all(budget: Budget) -> int:
    """Send as many requests as the budget admits now."""
    sent = 0
    while budget.wait_seconds() == 0:
        budget.take()
        sent += 1
    return sent


def answer(budget: Budget, clock: Clock, *seconds: float, kind: str = "") -> None:
    """Let these response times arrive, five in a second."""
    for each in seconds:
        clock.now += 0.2
        budget.answered(each, kind)


@pytest.mark.parametrize(("rate", "burst", "in_ten_seconds"), [(5, 5, 50), (2.5, 2, 25), (0.5, 1, 5), (100, 100, 1000)])
def test_it_admits_one_seconds_worth_at_once_and_then_the_rate(rate: float, burst: int, in_ten_seconds: int) -> None:
    """However long it was not used. One request is always possible."""
    clock = Clock()
    budget = Budget(rate, clock)
    clock.now += 1000
    assert send_all(budget) == burst
    sent = 0
    for _ in range(100):
        clock.now += 0.1
        sent += send_all(budget)
    assert abs(sent - in_ten_seconds) <= 1


@pytest.mark.parametrize("rate", [0, -1, math.nan])
def test_a_rate_that_lets_nothing_through_is_refused(rate: float) -> None:
    """Also when it is changed; the budget then stays as it was."""
    with pytest.raises(ValueError, match="lets no request through"):
        Budget(rate, Clock())
    budget = Budget(5, Clock())
    with pytest.raises(ValueError, match="lets no request through"):
        budget.configure(rate)
    assert budget.configured == 5


STEPS = st.one_of(
    st.floats(0, 30).map(lambda seconds: ("wait", seconds)),
    st.sampled_from([("send", 0.0), ("refused", 0.0), ("slow", 0.0)]),
    st.floats(0.01, 100).map(lambda rate: ("configure", rate)),
)


@hypothesis_settings(deadline=None)
@given(st.floats(5e-324, 100), st.lists(STEPS, max_size=60))
def test_no_period_has_more_requests_than_the_rate_and_one_burst(rate: float, steps: list[tuple[str, float]]) -> None:
    """Whatever happens in between. The rate stays between a sixteenth of the configured rate and that."""
    clock = Clock()
    budget = Budget(rate, clock)
    most = rate
    sent: list[float] = []
    for step, value in [*steps, ("send", 0.0)]:
        match step:
            case "wait":
                clock.now += value
            case "send":
                sent += [clock.now] * send_all(budget)
            case "refused":
                budget.refused()
            case "slow":
                budget.answered(20.0)
            case "configure":
                budget.configure(value)
                most = max(most, value)
        assert budget.configured * LEAST_SHARE <= budget.rate <= budget.configured
        assert (budget.reason is None) == (budget.rate == budget.configured) or budget.configured < 1e-300
        assert budget.wait_seconds() >= 0
    # How far the requests are ahead of the rate: from any one to any later one that grows by a burst at most.
    least = math.inf
    for number, at in enumerate(sent):
        ahead = number - most * (at - 100)
        least = min(least, ahead)
        assert ahead - least + 1 <= max(1.0, most) + 1e-3


def test_a_burst_of_refusals_halves_once() -> None:
    """After the cool-down the next refusal halves again, down to a sixteenth."""
    clock = Clock()
    budget = Budget(8, clock)
    for _ in range(20):
        budget.refused()
    assert (budget.rate, budget.configured, budget.reason, budget.halved_at) == (4, 8, "refused", 100.0)
    assert send_all(budget) == 4
    for rate in (2, 1, 0.5, 0.5):
        clock.now += COOL_DOWN_SECONDS - 0.1
        budget.refused()
        clock.now += 0.1
        budget.refused()
        assert budget.rate == rate


def test_it_recovers_slowly_and_only_without_refusals() -> None:
    """Five per cent of the configured rate for every ten seconds; it forgets the reason at the end, not the time."""
    clock = Clock()
    budget = Budget(10, clock)
    budget.refused()
    clock.now += RECOVERY_SECONDS - 1
    budget.refused()
    clock.now += RECOVERY_SECONDS - 1
    assert budget.rate == 5
    clock.now += 1
    assert budget.rate == pytest.approx(5.5)
    clock.now += 8 * RECOVERY_SECONDS
    assert budget.rate == pytest.approx(9.5)
    assert budget.reason
    clock.now += 1000
    assert (budget.rate, budget.last_reason, budget.halved_at) == (10, "refused", 100.0)
    assert budget.reason is None


def test_tokens_come_at_the_rate_of_their_time() -> None:
    """A long silence during the recovery is not paid at the rate at its end."""
    clock = Clock()
    budget = Budget(0.08, clock)
    budget.refused()
    budget.take()
    clock.now += 2 * RECOVERY_SECONDS
    # 10 s at 0.04, and 10 s at 0.044 requests per second.
    assert budget.wait_seconds() == pytest.approx((1 - 0.84) / 0.048)


def test_a_change_of_the_rate_keeps_the_share_and_gives_nothing_away() -> None:
    """A halved budget stays halved, and no tokens appear."""
    clock = Clock()
    budget = Budget(4, clock)
    budget.refused()
    assert send_all(budget) == 2
    budget.configure(40)
    assert (budget.rate, send_all(budget)) == (20, 0)
    clock.now += 1
    budget.configure(2)
    assert (budget.rate, send_all(budget)) == (1, 1)


def test_one_slow_answer_does_nothing() -> None:
    """Nor do a few that are not in a row, however slow they are."""
    clock = Clock()
    budget = Budget(8, clock)
    answer(budget, clock, *[0.3] * 50)
    for _ in range(5):
        answer(budget, clock, 20.0, *[0.3] * 15)
    assert (budget.rate, budget.reason) == (8, None)


def test_a_lasting_slow_down_halves_once_in_each_cool_down() -> None:
    """It begins to recover when the response times are as usual again."""
    clock = Clock()
    budget = Budget(8, clock)
    answer(budget, clock, *[0.3] * 50)
    answer(budget, clock, *[2.0] * 10)
    assert (budget.rate, budget.reason) == (4, "slow")
    answer(budget, clock, *[2.0] * 35)
    assert budget.rate == 4
    answer(budget, clock, *[2.0] * 20)
    assert budget.rate == 2
    answer(budget, clock, *[0.3] * 100)
    assert budget.rate > 2


def test_what_is_usual_becomes_the_measure_again() -> None:
    """A bookmaker that stays slower than it was is not held at a sixteenth for ever."""
    clock = Clock()
    budget = Budget(5, clock)
    answer(budget, clock, *[0.3] * 50)
    answer(budget, clock, *[1.5] * 3000)
    assert (budget.rate, budget.last_reason) == (5, "slow")


def test_fast_answers_are_never_slow() -> None:
    """Five times the usual time is still fast below half a second."""
    clock = Clock()
    budget = Budget(5, clock)
    answer(budget, clock, *[0.05] * 50, *[0.4] * 100)
    assert budget.reason is None


def test_kinds_of_requests_are_compared_apart() -> None:
    """A row of large lists after a row of events is no slow-down."""
    clock = Clock()
    budget = Budget(5, clock)
    for _ in range(5):
        answer(budget, clock, *[0.2] * 30, kind="event")
        answer(budget, clock, *[2.0] * 30, kind="list")
    assert budget.reason is None
    answer(budget, clock, *[2.0] * 10, kind="event")
    assert budget.reason == "slow"


def test_the_first_answers_tell_what_is_usual() -> None:
    """The very first ones include connecting."""
    clock = Clock()
    budget = Budget(5, clock)
    answer(budget, clock, 3.0, *[0.6] * (FIRST_ANSWERS - 1))
    answer(budget, clock, *[0.6] * 20)
    assert budget.reason is None


def test_requests_are_metered_over_ten_seconds() -> None:
    """The total stays, the rate follows."""
    clock = Clock()
    meter = RequestMeter(clock)
    for _ in range(30):
        meter.count()
    assert (meter.total, meter.per_second) == (30, 3)
    clock.now += METERED_SECONDS
    assert (meter.total, meter.per_second) == (30, 0)


async def test_discoveries_stay_within_the_budget() -> None:
    """All of its requests, as the bookmakers count them; and it uses the budget that it has."""
    clock = Clock()
    with running_sandbox("--events", "40") as sandbox:
        settings = settings_for(sandbox.url, sweep_interval_seconds=5, betpawa_requests_per_second=0.5)
        async with ClientPool(
            lambda: settings, make_throttle=partial(Throttle, clock=clock, sleep=clock.sleep)
        ) as pool:
            for platform in (Platform.BETPAWA, Platform.BET9JA):
                began = clock.now
                async with pool.client(platform, Priority.SWEEP) as client:
                    for _ in range(8):
                        async for _ in client.discover():
                            pass
                seconds = clock.now - began
                requests = sandbox.state()["bookmakers"][platform]["requests"]
                rate = settings.requests_per_second(platform)
                assert requests >= 16
                assert (requests - max(1, rate)) / rate == pytest.approx(max(seconds, 0), abs=1 / rate)
                budget = next(each for each in pool.budgets() if each.platform is platform)
                assert (budget.requests_total, budget.budget_per_second, budget.reason) == (requests, rate, None)


@pytest.mark.parametrize("status", [429, 401, 403, 202, 405, 200])
async def test_what_counts_as_a_refusal_halves_the_budget(status: int) -> None:
    """A status, or a page where JSON was due. Other errors and good answers do not."""

    def refuse() -> web.Response:
        return web.Response(status=status, text="<html>")

    def fault(status: int) -> Callable[[], web.Response]:
        return lambda: web.Response(status=status, text="{}")

    async with serving(always(good)) as site:
        settings = settings_for(site.url, sweep_interval_seconds=5, betpawa_requests_per_second=40, request_tries=1)
        async with ClientPool(lambda: settings) as pool, pool.client(Platform.BETPAWA) as client:
            for make in (good, fault(404), fault(500)):
                site.handler = always(make)
                with contextlib.suppress(NotFoundError, ServerFaultError):
                    await client.fetch(EVENT)
            assert pool.budgets()[0].budget_per_second == 40
            site.handler = always(refuse)
            with capture_logs() as logs, pytest.raises((BlockedError, RateLimitedError)):
                await client.fetch(EVENT)
            [halved] = [each for each in logs if each["event"] == "bookmaker.budget_halved"]
            assert (halved["platform"], halved["reason"]) == ("betpawa", "refused")
            assert (halved["requests_per_second"], halved["configured"]) == (20, 40)
            [betpawa, sportybet, *_] = pool.budgets()
            assert (betpawa.budget_per_second, betpawa.reason, betpawa.requests_total) == (20, "refused", 4)
            assert (sportybet.budget_per_second, sportybet.reason, sportybet.requests_total) == (5, None, 0)


class SlowTransport:
    """Takes as long as a test wants, on its clock, and then returns a body that counts as large."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.seconds = 0.2
        self.error: BookmakerError | None = None
        self._count = 0

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
        """Return a body when there is room for it, or raise the error that a test has set."""
        self.clock.now += self.seconds
        if self.error is not None:
            raise self.error
        await grow(SMALL_BYTES + 1)
        self._count += 1
        return Answer(200, {}, b"{%d}" % self._count)

    async def aclose(self) -> None:
        """Do nothing."""


def requester_for(clock: Clock) -> tuple[Requester, SlowTransport, Throttle]:
    """Return a requester with a budget of 8 requests per second, on this clock."""
    throttle = Throttle(lambda: Pace(10, 0, 8), clock=clock, sleep=clock.sleep)
    transport = SlowTransport(clock)
    settings = settings_for("http://127.0.0.1:9", request_tries=1)
    return Requester(site_of(Platform.BETPAWA), settings, transport, throttle, None), transport, throttle


async def test_growing_response_times_halve_the_budget() -> None:
    """They are measured where the request is sent. No answer in time is a slow one."""
    clock = Clock()
    requester, transport, throttle = requester_for(clock)
    assert throttle.budget is not None
    for seconds, error in ((2.0, None), (5.0, UnreachableError(Platform.BETPAWA, "no answer within 5 s"))):
        transport.seconds, transport.error = 0.2, None
        for _ in range(FIRST_ANSWERS + 200):
            requester.release((await requester.ask(Request("/", ""))).content)
        assert throttle.budget.rate == 8
        transport.seconds, transport.error = seconds, error
        for _ in range(8):
            with contextlib.suppress(UnreachableError):
                requester.release((await requester.ask(Request("/", ""))).content)
        assert (throttle.budget.rate < 8, throttle.budget.reason) == (True, "slow")
        clock.now += 1000


async def test_a_refused_connection_tells_nothing_about_response_times() -> None:
    """It fails at once, or after some time."""
    clock = Clock()
    requester, transport, throttle = requester_for(clock)
    for _ in range(FIRST_ANSWERS):
        requester.release((await requester.ask(Request("/", ""))).content)
    transport.seconds, transport.error = 3.0, UnreachableError(Platform.BETPAWA, "no connection")
    for _ in range(20):
        with pytest.raises(UnreachableError):
            await requester.ask(Request("/", ""))
    assert throttle.budget is not None
    assert throttle.budget.last_reason is None


async def test_our_own_waits_for_room_are_not_the_bookmakers() -> None:
    """A large body waits until the previous one is decoded, which may take long."""
    clock = Clock()
    requester, _, throttle = requester_for(clock)
    held = (await requester.ask(Request("/", ""))).content
    for number in range(30):
        task = asyncio.create_task(requester.ask(Request("/", "")))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not task.done()
        clock.now += 4 if number > FIRST_ANSWERS else 0
        requester.release(held)
        held = (await task).content
    assert throttle.budget is not None
    assert throttle.budget.last_reason is None


@pytest.mark.parametrize("platform", Platform)
def test_an_event_is_another_kind_of_request_than_a_list(platform: Platform) -> None:
    """At each bookmaker."""
    site = site_of(platform)
    assert (site.event(asked(platform, "501")).kind, site.root().kind) == ("event", "list")


def test_a_budget_tells_how_many_requests_it_has_allowed() -> None:
    """At the rates that it had: the configured one, the halved one, and that of a recovery. Nobody has to send them."""
    clock = Clock()
    budget = Budget(4, clock)
    clock.now += 100
    assert budget.allowed == 400
    budget.refused()
    clock.now += RECOVERY_SECONDS
    assert budget.allowed == 400 + 2 * RECOVERY_SECONDS
    clock.now += RECOVERY_SECONDS
    assert math.isclose(budget.allowed, 400 + (2 + 2.2) * RECOVERY_SECONDS)
