"""The time of an answer: it is taken where the answer arrives, and goes with its odds."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from quart_odds.bookmakers import Decoder, open_client
from quart_odds.domain.platforms import Platform
from tests.bookmakers.fake_site import settings_for
from tests.bookmakers.stand_in import StandIn

START = datetime(2026, 11, 22, 10, tzinfo=UTC)


def seconds() -> Iterator[datetime]:
    """Yield one moment after the other, a second apart."""
    at = START
    while True:
        yield at
        at += timedelta(seconds=1)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize("platform", Platform)
async def test_odds_have_the_time_at_which_their_answer_arrived(platform: Platform, workers: int) -> None:
    """All odds of a page have the same time, and a body has its own, whichever process decodes it."""
    site, clock, decoder = StandIn(platform), seconds(), Decoder(workers)
    settings = settings_for("http://bookmaker.invalid")
    client = open_client(platform, settings, transport=site, decoder=decoder, now=lambda: next(clock))
    try:
        found = [each async for each in client.sweep()]
        answers = len(site.asked)
        times = {each.odds.fetched_at for each in found if each.odds is not None}
        assert {each.fetched_at for each in found} >= times
        assert None not in times
        assert times <= {START + timedelta(seconds=number) for number in range(answers)}
        raw = await client.fetch(found[0].header)
        assert raw.fetched_at == START + timedelta(seconds=answers)
        assert (await decoder.decode(raw)).fetched_at == raw.fetched_at
        client.release(raw)
    finally:
        await client.aclose()
        await decoder.aclose()
