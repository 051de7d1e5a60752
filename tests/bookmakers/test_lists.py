"""Lists are parsed outside the event loop, up to limits that no real bookmaker reaches."""

import gzip
import os
from typing import Any

import pytest

from quart_odds.bookmakers import Decoder, lists
from quart_odds.bookmakers.lists import RawList, read_page, read_root
from quart_odds.bookmakers.registry import site_of
from quart_odds.bookmakers.site import Listings
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, ListLimitError, MalformedBodyError
from tests.bookmakers.more_wire import betking_day, msport_page
from tests.bookmakers.wire import BET9JA_SPORTS, BETPAWA_CATEGORIES, BETPAWA_V4, SPORTYBET_TREE, dumps

ROOTS = {
    Platform.BETPAWA: BETPAWA_CATEGORIES,
    Platform.SPORTYBET: SPORTYBET_TREE,
    Platform.BET9JA: BET9JA_SPORTS,
    Platform.MSPORT: msport_page([70000001]),
    Platform.BETKING: betking_day([]),
}


def root_of(platform: Platform, body: Any = None) -> RawList:
    """Return a root as received."""
    plain = dumps(ROOTS[platform] if body is None else body)
    return RawList(platform, gzip.compress(plain), "gzip", "the list")


def categories(ids: list[str]) -> Any:
    """Build BetPawa's root with these competitions."""
    competitions = [{"competition": {"id": each, "name": "League"}} for each in ids]
    return {"withRegions": [{"regions": [{"region": {"name": "Country"}, "competitions": competitions}]}]}


def page(events: list[Any]) -> RawList:
    """Build a page of BetPawa's list."""
    [listing], _ = site_of(Platform.BETPAWA).listings(dumps(categories(["1"])))
    plain = dumps({"responses": [{"responses": events}]})
    return RawList(Platform.BETPAWA, plain, None, listing.request.where, listing)


def shown(listings: Listings) -> tuple[list[Any], list[tuple[str, str]]]:
    """Return comparable values, because errors with the same content are not equal."""
    found, errors = listings
    return list(found), [(type(each).__name__, str(each)) for each in errors]


@pytest.mark.parametrize("workers", [0, 1])
async def test_lists_are_the_same_wherever_they_are_read(workers: int) -> None:
    """In the event loop or in a process, for each bookmaker, including errors."""
    decoder = Decoder(workers)
    try:
        for platform in Platform:
            raw = root_of(platform)
            assert shown(await decoder.read_root(raw)) == shown(read_root(raw))
            with pytest.raises(MalformedBodyError):
                await decoder.read_root(RawList(platform, b"{", None, "the list"))
        raw = page([BETPAWA_V4, {"id": 5}])
        there, here = await decoder.read_page(raw), read_page(raw)
        assert (there.events, there.following) == (here.events, None)
        assert [str(error) for error in there.errors] == [str(error) for error in here.errors]
        [listed] = there.events
        assert listed.odds is not None
        assert len(listed.odds.prices) > 10
    finally:
        await decoder.aclose()


def process_of(raw: RawList) -> Listings:
    """Replaces `read_root`. Returns the id of its process."""
    raise MalformedBodyError(raw.platform, f"process {os.getpid()}")


async def test_lists_are_read_in_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a decoding process, the event loop parses nothing."""
    monkeypatch.setattr(lists, "read_root", process_of)
    decoder = Decoder(1)
    try:
        with pytest.raises(MalformedBodyError, match=r"process \d+") as caught:
            await decoder.read_root(root_of(Platform.BETPAWA))
        assert caught.value.reason != f"process {os.getpid()}"
    finally:
        await decoder.aclose()


def test_a_root_of_too_many_lists_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error has the number of lists and marks them as incomplete."""
    monkeypatch.setattr(lists, "MAX_LISTINGS", 3)
    found, errors = read_root(root_of(Platform.BETPAWA, categories([str(number) for number in range(50)])))
    assert len(found) == 3
    assert [(type(each), str(each)) for each in errors] == [
        (ListLimitError, "BetPawa at the list: 5 lists of events, more than 3")
    ]
    assert errors[0].error_type == "list_limit"


def test_a_page_of_too_many_events_is_read_up_to_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """No next page is requested."""
    monkeypatch.setattr(lists, "MAX_PAGE_EVENTS", 20)
    read = read_page(page([{**BETPAWA_V4, "id": str(number)} for number in range(100)]))
    assert [listed.header.external_id for listed in read.events] == [str(number) for number in range(20)]
    assert [type(each) for each in read.errors] == [ListLimitError]
    assert read.following is None


def test_of_many_faults_the_first_are_reported_and_the_others_counted() -> None:
    """A list full of errors uses no more memory than one with a few."""
    read = read_page(page([{"id": ""}] * 5000))
    assert read.events == []
    assert len(read.errors) == lists.MAX_ERRORS + 1
    assert read.errors[-1].reason == "4900 more faults"


def test_an_id_of_a_competition_that_is_no_id_is_left_out() -> None:
    """The id would end up in requests and error messages. The other competitions are kept."""
    found, errors = read_root(root_of(Platform.SPORTYBET, with_tournament("x" * 30_000)))
    assert [listing.competition_ids for listing in found] == [("sr:tournament:1",)]
    assert [each.reason for each in errors] == ["an invalid id"]


def with_tournament(external_id: str) -> Any:
    """Build SportyBet's root with a valid tournament and another one."""
    tournaments = [{"id": "sr:tournament:1", "name": "Good"}, {"id": external_id, "name": "Bad"}]
    sport = {"id": "sr:sport:1", "categories": [{"name": "Country", "tournaments": tournaments}]}
    return {"bizCode": 10000, "data": {"sportList": [sport]}}


def test_a_list_is_opened_within_its_bound() -> None:
    """As for an event's body."""
    raw = RawList(Platform.BET9JA, gzip.compress(bytes(1_000_000)), "gzip", "the list", max_bytes=10_000)
    with pytest.raises(BookmakerError, match="more than 10000 bytes"):
        read_root(raw)
