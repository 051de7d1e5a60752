"""Values that messages and the API have in common: events, bookmakers, markets and prices."""

from pydantic import AwareDatetime, BaseModel, ConfigDict


class Shape(BaseModel):
    """A value from the wire. Further fields are kept in `model_extra`."""

    model_config = ConfigDict(extra="allow", frozen=True)


class EventFields(Shape):
    """A match."""

    id: int
    sportradar_id: str | None = None
    name: str = ""
    home_team: str
    away_team: str
    kickoff: AwareDatetime
    tournament_id: int | None = None
    tournament_name: str = ""
    tournament_country: str = ""
    sport_name: str = ""
    created_at: AwareDatetime | None = None
    changed_at: AwareDatetime | None = None


class ListedBookmaker(Shape):
    """A bookmaker's entry for an event, without prices.

    `reversed`: it names home and away the other way round. `late`: its prices were fetched after the kick-off.
    """

    bookmaker_slug: str
    bookmaker_name: str = ""
    external_event_id: str | None = None
    event_url: str | None = None
    has_odds: bool = False
    snapshot_time: AwareDatetime | None = None
    available: bool = True
    unavailable_since: AwareDatetime | None = None
    reversed: bool = False
    late: bool = False


class Outcome(Shape):
    """An outcome of a market at one bookmaker, with its price."""

    name: str
    odds: float
    is_active: bool
    available: bool = True
    promotion: str | None = None
    probability: float | None = None
    refund_probability: float | None = None
    changed_at: AwareDatetime | None = None
    last_seen_at: AwareDatetime | None = None


class MarketEntry(Shape):
    """A market and line at one bookmaker. With a `promotion` it has only prices of that promotion."""

    betpawa_market_id: str
    betpawa_market_name: str = ""
    line: float | None = None
    promotion: str | None = None
    outcomes: tuple[Outcome, ...]
    margin: float | None = None
    market_groups: tuple[str, ...] = ()
    available: bool = True
    unavailable_since: AwareDatetime | None = None
    last_seen_at: AwareDatetime | None = None
    source_changed_at: AwareDatetime | None = None


class BookmakerMarkets(Shape):
    """The markets of an event at one bookmaker."""

    bookmaker_slug: str
    bookmaker_name: str = ""
    event_url: str | None = None
    snapshot_time: AwareDatetime | None = None
    available: bool = True
    unavailable_since: AwareDatetime | None = None
    reversed: bool = False
    late: bool = False
    markets: tuple[MarketEntry, ...]


class ImageEvent(EventFields):
    """An event with the prices that a filter selects."""

    bookmakers: tuple[ListedBookmaker, ...]
    markets_by_bookmaker: tuple[BookmakerMarkets, ...]
