"""Refreshing single events: the result at each bookmaker, and events that are withdrawn."""

import asyncio
from datetime import UTC, datetime

import pytest
from aiohttp import web

from quart_odds.bookmakers import ClientPool, RawBody
from quart_odds.bookmakers.politeness import MOST_REFUSALS_IN_A_ROW
from quart_odds.domain.odds import EventHeader, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BlockedError, DecoderError, NotFoundError, TooSoonError
from quart_odds.scraping import refresh
from quart_odds.scraping.refresh import EventRefresher
from tests.bookmakers.fake_site import serving, settings_for
from tests.platforms import FIRST_THREE
from tests.scraping.fakes import Bookmakers, FakeDecoder, RecordingSink, header

BETPAWA, SPORTYBET, BET9JA, *_ = Platform
HEADERS = [header(each, 1) for each in FIRST_THREE]


async def test_what_each_bookmaker_gave_is_reported_and_recorded() -> None:
    """One has odds; one no longer has the event and one is in play, so these two are withdrawn at once."""
    makers, decoder, sink = Bookmakers(), FakeDecoder(), RecordingSink()
    makers[SPORTYBET].fetch_error = lambda _: NotFoundError(SPORTYBET, "gone")
    decoder.is_in_play = lambda raw: raw.platform is BET9JA
    results = await EventRefresher(makers.open, decoder, sink, cooldown_seconds=0).refresh(HEADERS)
    assert [(each.platform, each.markets, each.error) for each in results] == [
        (BETPAWA, 1, None),
        (SPORTYBET, None, "the bookmaker does not list it any more"),
        (BET9JA, None, "the match has begun: its prices in play are left out"),
    ]
    assert [mapped.header.platform for mapped in sink.recorded] == [BETPAWA]
    assert sink.withdrawn == [(SPORTYBET, "1"), (BET9JA, "1")]
    assert sink.confirmations == 1


async def test_a_refreshed_event_has_the_time_of_its_answer() -> None:
    """Lists that are recorded while it is decoded may have later prices."""
    arrived = datetime(2026, 11, 22, 10, tzinfo=UTC)
    makers, sink = Bookmakers(), RecordingSink()
    makers[BETPAWA].fetched_at = arrived
    await EventRefresher(makers.open, FakeDecoder(), sink, cooldown_seconds=0).refresh(HEADERS[:1])
    assert sink.times == [arrived]


async def test_a_refusal_counts_and_a_good_body_ends_the_row() -> None:
    """It is a refusal whether the status code or only the body shows it."""
    makers, decoder, sink = Bookmakers(), FakeDecoder(), RecordingSink()
    refresher = EventRefresher(makers.open, decoder, sink, cooldown_seconds=0)
    makers[BETPAWA].fetch_error = lambda _: BlockedError(BETPAWA, "refused (403)")
    await refresher.refresh(HEADERS[:1])
    makers[BETPAWA].fetch_error = lambda _: None
    decoder.error = lambda _: BlockedError(BETPAWA, "an HTML page where JSON was due")
    await refresher.refresh(HEADERS[:1])
    assert makers[BETPAWA].refusals_in_a_row == 2
    decoder.error = lambda _: None
    await refresher.refresh(HEADERS[:1])
    assert makers[BETPAWA].refusals_in_a_row == 0


async def test_an_event_is_not_fetched_again_at_once() -> None:
    """Callers during the fetch share its results; callers within the cooldown learn how long to wait."""
    now = 1000.0
    makers, sink = Bookmakers(), RecordingSink()
    refresher = EventRefresher(makers.open, FakeDecoder(), sink, cooldown_seconds=10, clock=lambda: now)
    together = await asyncio.gather(*(refresher.refresh(HEADERS) for _ in range(5)))
    assert all(each == together[0] for each in together)
    assert len(sink.recorded) == 3
    for again in (HEADERS, HEADERS[:1], HEADERS[1:]):
        with pytest.raises(TooSoonError, match="ask again in 10 s") as caught:
            await refresher.refresh(again)
        assert caught.value.retry_after_seconds == 10
    await refresher.refresh([header(each, 2) for each in FIRST_THREE])
    now += 10
    await refresher.refresh(HEADERS)
    assert len(sink.recorded) == 9


@pytest.mark.parametrize("cooldown_seconds", [0, 10])
@pytest.mark.parametrize("again", [HEADERS, HEADERS[:1], HEADERS[1:]], ids=["found by one more", "by one", "by others"])
async def test_an_event_whose_bookmakers_change_meanwhile_is_not_fetched_twice(
    again: list[EventHeader], cooldown_seconds: float
) -> None:
    """During the fetch, a run may match it with more or fewer bookmakers' events: it is still the same event."""
    makers, sink = Bookmakers(), RecordingSink()
    refresher = EventRefresher(makers.open, FakeDecoder(), sink, cooldown_seconds=cooldown_seconds)
    under_way = asyncio.create_task(refresher.refresh(HEADERS[:2]))
    await asyncio.sleep(0)
    with pytest.raises(TooSoonError, match="being fetched") as caught:
        await refresher.refresh(again)
    assert caught.value.retry_after_seconds >= 1
    await refresher.refresh([header(each, 2) for each in FIRST_THREE])
    await under_way
    assert sorted(each.header.external_id for each in sink.recorded) == ["1", "1", "2", "2", "2"]
    assert not refresher._fetched_now


async def test_what_is_remembered_of_refreshes_is_bounded() -> None:
    """An event is forgotten once it may be fetched again."""
    now = 1000.0
    makers = Bookmakers()
    refresher = EventRefresher(makers.open, FakeDecoder(), RecordingSink(), cooldown_seconds=10, clock=lambda: now)
    for number in range(50):
        now += 1
        await refresher.refresh([header(BETPAWA, number)])
    assert len(refresher._done_at) <= 10


async def test_processes_that_cannot_decode_are_said_to_be_the_trouble() -> None:
    """The result says so; neither the bookmaker nor the request is at fault."""

    class NoProcess(FakeDecoder):
        async def decode(self, raw: RawBody) -> MappedEvent:
            raise DecoderError("a decoding process cannot be started: no memory")

    [result] = await EventRefresher(Bookmakers().open, NoProcess(), RecordingSink(), cooldown_seconds=0).refresh(
        HEADERS[:1]
    )
    assert result.error == "a decoding process cannot be started: no memory"


async def test_many_refreshes_keep_to_the_pace_and_say_when_their_turn_did_not_come(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The bookmaker never sees too many simultaneous requests, even though it works on after a client has left."""
    monkeypatch.setattr(refresh, "REFRESH_SECONDS", 0.5)

    async def slowly(request: web.Request) -> web.Response:
        await asyncio.sleep(0.1)
        return web.json_response({"id": "1"})

    async with serving(slowly) as site:
        settings = settings_for(site.url, betpawa_concurrency=3, request_tries=1)
        async with ClientPool(lambda: settings) as pool:
            refresher = EventRefresher(pool.client, FakeDecoder(), RecordingSink(), cooldown_seconds=0)
            found = await asyncio.gather(*(refresher.refresh([header(BETPAWA, number)]) for number in range(200)))
        assert site.most_under_way == 3
        assert len(site.requests) < 30
    errors = [result.error for (result,) in found]
    assert errors.count(None) >= 6
    assert errors.count("no turn among the requests to this bookmaker within 0.5 s") >= 150


async def test_a_bookmaker_that_refuses_is_left_alone_by_refreshes_too() -> None:
    """After a number of refusals in a row, the other requests are not sent, and the results say so."""

    async def refuse(request: web.Request) -> web.Response:
        return web.Response(status=403)

    async with serving(refuse) as site:
        settings = settings_for(site.url, betpawa_concurrency=1)
        async with ClientPool(lambda: settings) as pool:
            refresher = EventRefresher(pool.client, FakeDecoder(), RecordingSink(), cooldown_seconds=0)
            found = await asyncio.gather(*(refresher.refresh([header(BETPAWA, number)]) for number in range(60)))
        assert len(site.requests) <= MOST_REFUSALS_IN_A_ROW + 1
    errors = [str(result.error) for (result,) in found]
    assert sum("left alone for a while after 20 refusals in a row" in error for error in errors) >= 39
