"""The addresses of events at the bookmakers' own sites."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from quart_odds.bookmakers.registry import event_url, site_of
from quart_odds.domain.platforms import Platform


@pytest.mark.parametrize(
    ("platform", "external_id", "url"),
    [
        (Platform.BETPAWA, "33289995", "https://www.betpawa.ng/event/33289995"),
        (Platform.BET9JA, "769895636", "https://sports.bet9ja.com/event/769895636"),
        (Platform.SPORTYBET, "sr:match:68995116", None),
    ],
)
def test_an_event_has_an_address_where_its_id_is_enough(platform: Platform, external_id: str, url: str | None) -> None:
    """SportyBet's addresses contain names, so none is made."""
    assert event_url(platform, external_id) == url


@pytest.mark.parametrize(
    "external_id",
    [
        "",
        " 1",
        "1\n",
        "1/../x",
        "1?a=b",
        "1#",
        "../x",
        "//evil.example",
        "٣٣",
        "1e5",
        "-1",
        "%2e",
        "javascript:1",
        "9" * 19,
    ],
)
@pytest.mark.parametrize("platform", Platform)
def test_other_ids_have_no_address(platform: Platform, external_id: str) -> None:
    """An id is text from outside. Only numbers, as the sites use them, are put into an address."""
    assert event_url(platform, external_id) is None


@given(st.sampled_from(list(Platform)), st.text())
def test_an_address_is_at_a_host_of_the_bookmaker(platform: Platform, external_id: str) -> None:
    """Whatever the id is, the address leads nowhere else."""
    url = event_url(platform, external_id)
    if url is not None:
        scheme, _, host, *path = url.split("/")
        assert (scheme, host in site_of(platform).hosts) == ("https:", True)
        assert path == ["event", external_id]
