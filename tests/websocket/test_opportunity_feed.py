"""What happens to opportunities, told to those who name the topic."""

from collections.abc import Mapping
from typing import Any

import orjson

from quart_odds.broadcast import DEFAULT_TOPICS, OPPORTUNITIES, BroadcastRegistry
from quart_odds.broadcast.framing import FRAME
from quart_odds.domain.platforms import Platform
from quart_odds.odds import OddsCache
from quart_odds.odds.opportunities import OpportunityEngine
from quart_odds.routes.api.schemas.live import OpportunityChange
from quart_odds.websocket import gap_notice
from quart_odds.websocket.opportunity_feed import OpportunityFeed
from tests.broadcast.listeners import RecordingSink, read_messages
from tests.odds.making import NOW, STALE_AFTER, header, key, mapped

OVER, UNDER = key("over_under_ft", "Over", 2.5), key("over_under_ft", "Under", 2.5)
YES, NO = key("btts_ft", "Yes"), key("btts_ft", "No")


class Published:
    """An engine whose opportunities are published, unless another process does so."""

    def __init__(self) -> None:
        self.is_publisher = True
        self.cache = OddsCache()
        self.registry = BroadcastRegistry(gap_notice=gap_notice)
        self.engine = OpportunityEngine(self.cache, STALE_AFTER, clock=lambda: NOW)
        self.engine.on_told = OpportunityFeed(self.registry, lambda: self.is_publisher)

    def offer(self, platform: Platform, odds: Mapping[int, float]) -> None:
        """Record a bookmaker's odds, and search them."""
        self.engine.note(self.cache.apply(mapped(header(platform), odds), NOW))
        self.engine.current()

    def messages(self) -> list[dict[str, Any]]:
        """Return the data of each message on the log."""
        log = self.registry.log
        return [orjson.loads(entry.payload)["data"] for entry in log.read(log.first_seq, log.next_seq)]


async def test_listeners_learn_what_appears_changes_and_is_gone() -> None:
    """Each message says which opportunity it is about, and the last one also that its prices are not there."""
    published = Published()
    published.offer(Platform.BETPAWA, {OVER: 2.1, UNDER: 1.75})
    published.offer(Platform.SPORTYBET, {OVER: 1.75, UNDER: 2.1})
    published.offer(Platform.SPORTYBET, {OVER: 1.75, UNDER: 2.12})
    published.offer(Platform.SPORTYBET, {OVER: 1.75})
    told = [each for each in published.messages() if each["kind"] == "arbitrage"]
    for each in told:
        OpportunityChange.model_validate_json(orjson.dumps(each))
    assert [each["change"] for each in told] == ["appeared", "changed", "gone"]
    assert [each["margin"] for each in told] == [5.0, 5.5, 5.5]
    assert [each["opportunity"] is None for each in told] == [False, False, True]
    places = [{"name": "Over", "line": 2.5}, {"name": "Under", "line": 2.5}]
    assert all((each["event_id"], each["market_id"], each["outcomes"]) == (1, "5000", places) for each in told)
    published.registry.close()


async def test_what_is_listed_apart_and_what_another_process_publishes_is_not_told() -> None:
    """A price beyond belief is no news, and of several processes with one log, one tells."""
    published = Published()
    published.offer(Platform.BETPAWA, {OVER: 2.9, UNDER: 1.75})
    published.offer(Platform.SPORTYBET, {OVER: 1.75, UNDER: 2.9})
    published.is_publisher = False
    published.offer(Platform.BETPAWA, {YES: 2.1, NO: 1.75})
    published.offer(Platform.SPORTYBET, {YES: 1.75, NO: 2.1})
    assert published.messages() == []
    assert [track.opportunity.reasons for track in published.engine.current()] != []
    published.registry.close()


async def test_only_those_who_name_the_topic_receive_it() -> None:
    """It is not one of the topics of a listener who names none."""
    published = Published()
    sinks = [RecordingSink(), RecordingSink()]
    for sink, topics in zip(sinks, (DEFAULT_TOPICS, {OPPORTUNITIES}), strict=True):
        published.registry.connect(sink, FRAME, topics=topics)
    published.offer(Platform.BETPAWA, {OVER: 2.1, UNDER: 1.75})
    published.offer(Platform.SPORTYBET, {OVER: 1.75, UNDER: 2.1})
    published.registry.flusher.flush()
    told = [[each.event for each in read_messages(sink.received, FRAME)] for sink in sinks]
    assert told == [[], ["opportunity", "opportunity"]]
    published.registry.close()
