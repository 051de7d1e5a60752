"""The Python client of Quart Odds: streams that survive lost connections, live copies of odds, and the HTTP API.

`quart_odds_client.sync` has the same without asyncio.
"""

from importlib.metadata import version

from quart_odds_client.client import Client
from quart_odds_client.errors import (
    AccessError,
    AddressError,
    ApiError,
    ClientError,
    ConflictError,
    ConnectionRefused,
    InvalidRequestError,
    MissingPandasError,
    NotFoundError,
    Problem,
    ProtocolError,
    ServerFaultError,
    ServerUnreachableError,
    TokenError,
    TooSoonError,
)
from quart_odds_client.messages import (
    Alert,
    AnyMessage,
    ConnectionAck,
    EventChange,
    Gap,
    OddsChange,
    OddsImage,
    OddsUpdate,
    OpportunityChange,
    ScrapeProgress,
    ServerNotice,
    UnknownMessage,
)
from quart_odds_client.odds_copy import BestPrice, Bookmaker, Event, Market, OddsCopy, Price
from quart_odds_client.options import OddsFilter, Options, StateChange
from quart_odds_client.resources import (
    EventDetail,
    EventHistory,
    ListedEvent,
    Opportunities,
    Opportunity,
    Run,
    StartedRun,
)
from quart_odds_client.stream import Stream, connect
from quart_odds_client.watch import OddsWatch, watch_odds

__version__ = version("quart-odds-client")

__all__ = [
    "AccessError",
    "AddressError",
    "Alert",
    "AnyMessage",
    "ApiError",
    "BestPrice",
    "Bookmaker",
    "Client",
    "ClientError",
    "ConflictError",
    "ConnectionAck",
    "ConnectionRefused",
    "Event",
    "EventChange",
    "EventDetail",
    "EventHistory",
    "Gap",
    "InvalidRequestError",
    "ListedEvent",
    "Market",
    "MissingPandasError",
    "NotFoundError",
    "OddsChange",
    "OddsCopy",
    "OddsFilter",
    "OddsImage",
    "OddsUpdate",
    "OddsWatch",
    "Opportunities",
    "Opportunity",
    "OpportunityChange",
    "Options",
    "Price",
    "Problem",
    "ProtocolError",
    "Run",
    "ScrapeProgress",
    "ServerFaultError",
    "ServerNotice",
    "ServerUnreachableError",
    "StartedRun",
    "StateChange",
    "Stream",
    "TokenError",
    "TooSoonError",
    "UnknownMessage",
    "__version__",
    "connect",
    "watch_odds",
]
