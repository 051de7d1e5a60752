"""What a site is: its requests, and what its lists come to. Each bookmaker's module has one."""

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from quart_odds.domain.odds import EventHeader, ListedEvent, MappedEvent
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError

_NUMBER = re.compile(r"[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class EventPage:
    """The pages that a site has of its events, for people: `prefix`, followed by the bookmaker's id of the event."""

    prefix: str

    def url(self, external_id: str) -> str | None:
        """Return the address of an event's page; None for an id that is not a number, as the site's own ids are."""
        return self.prefix + external_id if _NUMBER.fullmatch(external_id) else None


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a site. `where` describes its purpose in errors; `body` is JSON.

    Response times of requests of one `kind` are compared with each other.
    """

    path: str
    where: str
    query: Mapping[str, str] = field(default_factory=dict)
    method: str = "GET"
    body: object = None
    kind: Literal["list", "event"] = "list"


@dataclass(frozen=True, slots=True)
class Listing:
    """One page of a list of events: its request, the competitions it covers, and the number of events before it.

    A list without `competition_ids` covers all competitions, or a part of them that is not known beforehand.

    `name` is for people, `list_name` is unique among the lists of its kind. `expected` is the number of events
    according to the site's own tree. `before` holds the ids of the previous page, in order. Without a list that
    `is_required` nothing else can be read.
    """

    request: Request
    competition_ids: tuple[str, ...]
    name: str
    list_name: str
    skip: int = 0
    expected: int | None = None
    before: tuple[str, ...] = ()
    is_required: bool = False


Listings = tuple[Sequence[Listing], Sequence[BookmakerError]]
"""The first page of each list of events, and the errors of other competitions."""


@dataclass(frozen=True, slots=True)
class Page:
    """The events of a page, the errors of other events or of the page, and the next page of the same list.

    Only in a `WholeList`: `ids` are those of all entries, including the ones that are left out or invalid, and `total`
    is the number of events that the site says the whole list has, None if it says nothing.
    """

    events: Sequence[ListedEvent]
    errors: Sequence[BookmakerError] = ()
    following: Listing | None = None
    ids: frozenset[str] = frozenset()
    total: int | None = None


@dataclass(frozen=True, slots=True)
class WholeList:
    """A list of all upcoming events. `page` returns one of its pages, from 1 on, which can be read in any order.

    `page_size` is the number of events that a page is asked for. It may have fewer and still not be the last one.
    """

    page_size: int
    page: Callable[[int], Listing]


class Site(Protocol):
    """The requests and JSON of a bookmaker. Parsing raises BookmakerError if a body is invalid as a whole."""

    platform: Platform
    headers: Mapping[str, str]
    hosts: Collection[str]
    """The bookmaker's own hosts, between which redirects are followed."""
    whole_list: WholeList | None
    """The list that a sweep reads. If there is none, a sweep reads the lists of the tree."""
    event_page: EventPage | None
    """Where people see an event; None if its address cannot be known from its id."""

    def root(self) -> Request:
        """Return the request for the list of competitions."""
        ...

    def listings(self, plain: bytes) -> Listings:
        """Parse the root's body into the first pages of all lists. They are complete if there are no errors."""
        ...

    def read_listing(self, plain: bytes, listing: Listing) -> Page:
        """Parse the events of a page. They are complete if there are no errors."""
        ...

    def event(self, header: EventHeader) -> Request:
        """Return the request for one event with all its prices."""
        ...

    def parse_event(self, plain: bytes, asked: EventHeader) -> MappedEvent:
        """Parse an event and its prices. Raises BookmakerError naming the event and the field."""
        ...

    def read_header(self, plain: bytes, where: str) -> EventHeader | None:
        """Parse the header of an event's body. Returns None for a list or another body.

        Raises BookmakerError naming the field.
        """
        ...
