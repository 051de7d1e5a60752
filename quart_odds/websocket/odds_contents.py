"""The entries of the topic `odds`: what each keeps, whom it concerns, and how it becomes JSON.

Each keeps what it needs in values that nobody modifies, so it can be rendered long after the cache went on.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Literal

import orjson

from quart_odds.broadcast.content import Subject
from quart_odds.domain.catalogue import MAIN_NUMBERS
from quart_odds.domain.platforms import Platform
from quart_odds.odds.deltas import Delta, first_rows, market_bits, newest_source_time, selected, shown_row
from quart_odds.odds.event import CachedEvent
from quart_odds.odds.event_odds import EventOdds
from quart_odds.odds.offers import has_prices_of
from quart_odds.odds.views import event_fields, image_event, listed_bookmaker
from quart_odds.websocket.messages import event_change_message, odds_change_message, odds_image_message
from quart_odds.websocket.odds_marks import Kind, make_mark
from quart_odds.websocket.odds_view import OddsView

WhatChanged = Literal["new", "kickoff", "gone", "back", "changed", "removed"]

_OBJECT_BYTES = 500
_BOOKMAKER_BYTES = 400


class OddsContent(ABC):
    """An entry of the topic `odds`. `at` is the time of the message, `subjects` what filters may name it by."""

    __slots__ = ("at", "event_id", "sportradar_id", "subjects")

    def __init__(self, at: datetime, event_id: int, sportradar_id: str | None, subjects: Collection[Subject]) -> None:
        self.at = at
        self.event_id = event_id
        self.sportradar_id = sportradar_id
        self.subjects = subjects

    @property
    @abstractmethod
    def name(self) -> str:
        """The type of the message."""

    @property
    @abstractmethod
    def mark(self) -> int:
        """What is remembered of it when it is no longer in the log, see `odds_marks`."""

    @property
    @abstractmethod
    def size_bytes(self) -> int:
        """About how much memory it takes."""

    @abstractmethod
    def concerns(self, view: OddsView) -> bool:
        """Return whether the message has something to say to those with this view."""

    def render(self, view: Hashable) -> bytes:
        """Return the JSON of the message as an OddsView shows it."""
        assert isinstance(view, OddsView)
        return orjson.dumps(self.message(view))

    @abstractmethod
    def message(self, view: OddsView) -> dict[str, object]:
        """Return the message as a view shows it."""


class PricesChanged(OddsContent):
    """Prices of an event changed at one bookmaker, which had the event before."""

    __slots__ = ("_delta", "_platform")

    def __init__(
        self, at: datetime, event: CachedEvent, subjects: Collection[Subject], platform: Platform, delta: Delta
    ) -> None:
        super().__init__(at, event.id, event.sportradar_id, subjects)
        self._platform = platform
        self._delta = delta

    @property
    def name(self) -> str:
        """The type of the message."""
        return "odds_change"

    @property
    def mark(self) -> int:
        """Names the bookmaker, and whether there are main markets."""
        has_main = bool(self._delta.market_bits & market_bits(MAIN_NUMBERS))
        return make_mark(Kind.PRICES, self._platform, has_main=has_main)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return self._delta.size_bytes

    def concerns(self, view: OddsView) -> bool:
        """Return whether the view shows any of the changes."""
        if view.platforms is not None and self._platform not in view.platforms:
            return False
        if view.markets is not None and not self._delta.market_bits & market_bits(view.markets):
            return False
        return view.min_move <= 0 or any(True for _ in selected(self._delta.rows(), view.markets, view.min_move))

    def message(self, view: OddsView) -> dict[str, object]:
        """Return an `odds_change`."""
        delta = self._delta
        rows = list(selected(delta.rows(), view.markets, view.min_move))
        return odds_change_message(
            [shown_row(row, delta.promotions) for row in rows],
            event_id=self.event_id,
            sportradar_id=self.sportradar_id,
            source=self._platform,
            seen_at=delta.seen_at,
            source_changed_at=newest_source_time(delta.times, rows),
            at=self.at,
        )


class FirstPrices(OddsContent):
    """All prices of an event that is new at a bookmaker, as they are now."""

    __slots__ = ("_event_odds", "_has_main")

    def __init__(self, at: datetime, event: CachedEvent, subjects: Collection[Subject], event_odds: EventOdds) -> None:
        super().__init__(at, event.id, event.sportradar_id, subjects)
        # The copy would have to decompress its prices again.
        self._has_main = has_prices_of(event_odds, MAIN_NUMBERS)
        self._event_odds = replace(event_odds)

    @property
    def name(self) -> str:
        """The type of the message."""
        return "odds_change"

    @property
    def mark(self) -> int:
        """Names the bookmaker, and whether there are main markets."""
        return make_mark(Kind.FIRST, self._event_odds.header.platform, has_main=self._has_main)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return _OBJECT_BYTES + _BOOKMAKER_BYTES + self._event_odds.packed_bytes

    def concerns(self, view: OddsView) -> bool:
        """Return whether the view shows any of the prices."""
        if view.platforms is not None and self._event_odds.header.platform not in view.platforms:
            return False
        return view.markets is None or has_prices_of(self._event_odds, view.markets)

    def message(self, view: OddsView) -> dict[str, object]:
        """Return an `odds_change`."""
        event_odds = self._event_odds
        rows = list(first_rows(event_odds, view.markets))
        return odds_change_message(
            [shown_row(row, event_odds.promotions) for row in rows],
            event_id=self.event_id,
            sportradar_id=self.sportradar_id,
            source=event_odds.header.platform,
            seen_at=event_odds.fetched_at,
            source_changed_at=newest_source_time(event_odds.source_times, rows),
            at=self.at,
        )


class EventChanged(OddsContent):
    """Something happened to an event itself. `event` is a copy that nobody modifies, None if the event was removed.

    It has no prices, unless an EventState of the same change has the same copy.
    """

    __slots__ = ("_change", "_event", "_source")

    def __init__(
        self,
        at: datetime,
        change: WhatChanged,
        event_id: int,
        event: CachedEvent | None,
        subjects: Collection[Subject],
        source: Platform | None,
    ) -> None:
        super().__init__(at, event_id, None if event is None else event.sportradar_id, subjects)
        self._change = change
        self._event = event
        self._source = source

    @property
    def name(self) -> str:
        """The type of the message."""
        return "event_change"

    @property
    def mark(self) -> int:
        """Says that it concerns everyone."""
        return make_mark(Kind.EVENT)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return _OBJECT_BYTES + (0 if self._event is None else _BOOKMAKER_BYTES * len(self._event.odds))

    def concerns(self, view: OddsView) -> bool:
        """Return True. An event is the same event to those who see only some of its bookmakers."""
        return True

    def message(self, view: OddsView) -> dict[str, object]:
        """Return an `event_change`."""
        event = self._event
        shown = [] if event is None else event.odds.items()
        return event_change_message(
            self._change,
            event_id=self.event_id,
            sportradar_id=self.sportradar_id,
            source=self._source,
            event=None if event is None else event_fields(event),
            bookmakers=[
                listed_bookmaker(event, event_odds)
                for platform, event_odds in shown
                if event is not None and (view.platforms is None or platform in view.platforms)
            ],
            at=self.at,
        )


class EventState(OddsContent):
    """The whole state of an event, for those who keep a copy.

    `event` is a copy that nobody modifies.
    """

    __slots__ = ("_event",)

    def __init__(self, at: datetime, event: CachedEvent, subjects: Collection[Subject]) -> None:
        super().__init__(at, event.id, event.sportradar_id, subjects)
        self._event = event

    @property
    def name(self) -> str:
        """The type of the message."""
        return "odds_image"

    @property
    def mark(self) -> int:
        """Says that it is for those who keep a copy."""
        return make_mark(Kind.STATE)

    @property
    def size_bytes(self) -> int:
        """About how much memory it takes."""
        return _OBJECT_BYTES + sum(_BOOKMAKER_BYTES + each.packed_bytes for each in self._event.odds.values())

    def concerns(self, view: OddsView) -> bool:
        """Return whether those with this view keep a copy."""
        return view.has_images

    def message(self, view: OddsView) -> dict[str, object]:
        """Return an `odds_image`."""
        event = image_event(self._event, markets=view.markets, platforms=view.platforms)
        return odds_image_message([event], is_final=True, scope="changed", at=self.at)


@lru_cache(maxsize=16_384)
def subjects_of(event_id: int, competition_ids: Collection[int]) -> tuple[Subject, ...]:
    """Return the subjects of a message about an event in these competitions. Messages about one event share them."""
    return (("event", event_id), *(("tournament", each) for each in dict.fromkeys(competition_ids)))
