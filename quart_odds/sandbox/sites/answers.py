"""The interface between the server and a stand-in bookmaker: requests, answers, and the source of events."""

from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import orjson

from quart_odds.domain.platforms import Platform

JSON = "application/json"
HTML = "text/html"

REFUSAL = (
    b"<HTML><HEAD>\n<TITLE>Access Denied</TITLE>\n</HEAD><BODY>\n<H1>Access Denied</H1>\n \n"
    b"You don't have permission to access this address on this server.<P>\n"
    b"Reference&#32;&#35;18&#46;5a9dbc11&#46;1790000000&#46;0badcafe\n</BODY>\n</HTML>\n"
)
"""What the CDNs in front of Bet9ja and BetKing send instead of JSON."""


@dataclass(frozen=True, slots=True)
class Ask:
    """A request. Header names are in lower case.

    `shift` is by how many events a list has moved up since its first page was read: 1 if one before this page is gone.
    `is_stuck` is whether the cursor of a list repeats before its end.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    shift: int = 0
    is_stuck: bool = False


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer that is written on demand. Equal `key` and `version` mean equal bytes, which are cached."""

    write: Callable[[], bytes]
    status: int = 200
    content_type: str = JSON
    key: Hashable | None = None
    version: Hashable = None
    headers: Mapping[str, str] = field(default_factory=dict)


def json_answer(value: object, status: int = 200) -> Answer:
    """Build an answer from a small value."""
    return Answer(lambda: orjson.dumps(value), status)


def refused() -> Answer:
    """Build a 403 with the CDN's page."""
    return Answer(lambda: REFUSAL, 403, HTML)


def not_found() -> Answer:
    """Build the 404 of a site that does not know something."""
    return json_answer({"status": 404, "error": "NOT_FOUND"}, 404)


@dataclass(frozen=True, slots=True)
class ListedCompetition:
    """A competition and its country, with a bookmaker's ids."""

    id: str
    name: str
    country_id: str
    country: str


Markets = frozenset[str] | None
"""The bookmaker's ids of the markets requested for a list, None for the site's default."""


@dataclass(frozen=True, slots=True)
class ListedEvent:
    """An event in a bookmaker's list. `write` returns its object for a list; `version` changes when that does.

    `kickoff` is needed by lists of a day only.
    """

    competition: ListedCompetition
    external_id: str
    write: Callable[[Markets], Mapping[str, object] | orjson.Fragment]
    version: Callable[[], Hashable]
    kickoff: datetime | None = None


class Shelf(Protocol):
    """The source of a bookmaker's events: generated or recorded."""

    def listed(self) -> Sequence[ListedEvent]:
        """Return the events before their kick-off, in the bookmaker's order."""
        ...

    def detail(self, ask: Ask, external_id: str) -> Answer | None:
        """Return the body of an event, or None if there is no such event."""
        ...

    def untouched_detail(self, external_id: str) -> Answer | None:
        """Return the body of an event without counting as a request, because requests make generated prices move."""
        ...

    def ids_of(self, external_id: str) -> tuple[str, ...]:
        """Return the bookmaker's own id of an event, and its SportRadar id if it has one."""
        ...

    @property
    def first_event(self) -> str | None:
        """The bookmaker's id of the event affected by faults that affect a single event."""
        ...


class Site(Protocol):
    """A bookmaker's interface to its events. Has no I/O and knows nothing about servers."""

    platform: Platform
    shelf: Shelf

    def event_of(self, ask: Ask) -> str | None:
        """Return the bookmaker's id of the requested event, or None for a list."""
        ...

    def page_of(self, ask: Ask) -> int | None:
        """Return the number of the requested page of a list, from 1. None if the request is for no such page.

        Of the lists that have no pages, that of the first event's competition counts as 2, and others as 1.
        """
        ...

    def refuse(self, ask: Ask) -> Answer | None:
        """Return the answer to a request that the real site would refuse, or None if it would accept it."""
        ...

    def answer(self, ask: Ask) -> Answer:
        """Answer a request that is not refused."""
        ...


def page_of_competition(shelf: Shelf, competitions: Collection[str]) -> int:
    """Return the number of a list without pages, see `Site.page_of`: 2 if it has the first event's competition."""
    first = shelf.first_event
    of_first = (event.competition.id for event in shelf.listed() if event.external_id == first)
    return 2 if next(of_first, None) in competitions else 1
