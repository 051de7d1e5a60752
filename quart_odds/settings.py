"""Settings from `QUART_ODDS_…` environment variables. An unknown name or a wrong value is an error at startup."""

import difflib
import os
import re
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    field_validator,
)
from yarl import URL

from quart_odds.domain.origins import parse_host
from quart_odds.domain.platforms import Platform
from quart_odds.errors import SettingsError

PREFIX = "QUART_ODDS_"
TEST_ONLY_NAMES = frozenset({"RECORDED", "BIN", "DOCS"})
"""Names that only the tests read. The server ignores them."""

MAPPED_BITS = 96
"""Length of the prefix before the IPv4 address in an IPv4-mapped IPv6 address."""

IPNetwork = IPv4Network | IPv6Network

SEGMENT = re.compile("[A-Za-z0-9._~-]+")
"""A part of a path that nobody has to encode."""

WEB_SCHEMES = ("http", "https")


def _url(text: str, allowed: str) -> URL:
    """Return a URL that has a host. Raises ValueError with what is wrong and what is allowed."""
    try:
        url = URL(text)
    except ValueError as error:
        raise ValueError(f"{error}; {allowed}") from None
    if not url.absolute or not url.host or any(letter.isspace() for letter in text):
        raise ValueError(allowed)
    if url.explicit_port == 0:
        raise ValueError(f"no server is at port 0; {allowed}")
    return url


def _is_origin_only(url: URL) -> bool:
    return url.path in ("", "/") and not url.query_string and not url.fragment and url.user is None


def _bookmaker(text: str) -> str:
    """Return scheme and host without a path: the clients add the paths of the sites."""
    allowed = "give scheme and host only, such as https://www.example.com"
    url = _url(text, allowed)
    if url.scheme not in WEB_SCHEMES or not _is_origin_only(url):
        raise ValueError(allowed)
    return str(url.origin())


def _proxy(text: str) -> str:
    allowed = "give a proxy as http://[user:password@]host:port"
    if _url(text, allowed).scheme not in WEB_SCHEMES:
        raise ValueError(allowed)
    return text


def _allowed_origin(text: str) -> str:
    """Return an origin in the form that browsers send. Apps may have custom schemes, such as `capacitor`."""
    allowed = f"{text!r} matches no origin; give scheme, host and port only, such as https://app.example.com"
    url = _url(text, allowed)
    if url.scheme in ("ws", "wss", "file") or not _is_origin_only(url):
        raise ValueError(allowed)
    return str(url.origin())


def _allowed_host(text: str) -> str:
    """Return a host name as in a `Host` header, without a port. A leading `*.` matches all subdomains."""
    allowed = f"{text!r} is not a host name; use for example odds.example.com, or *.example.com for all subdomains"
    if text == "*":
        raise ValueError("'*' would let any web page act as this server's own; list the names")
    host = parse_host(text.removeprefix("*."))
    if host is None or host.port is not None:
        raise ValueError(allowed)
    if host.is_address:
        raise ValueError(f"{text!r} is an address, which is always allowed; list names only")
    return ("*." if text.startswith("*.") else "") + host.name


def _trusted_proxy(text: str) -> IPNetwork:
    """Return the network of an address or a network. IPv4-mapped IPv6 (`::ffff:10.0.0.1`) becomes IPv4."""
    try:
        network = ip_network(text)
    except ValueError:
        raise ValueError(_why_no_network(text)) from None
    mapped = network.network_address.ipv4_mapped if isinstance(network, IPv6Network) else None
    if mapped is None or network.prefixlen < MAPPED_BITS:
        return network
    return IPv4Network((mapped, network.prefixlen - MAPPED_BITS))


def _why_no_network(text: str) -> str:
    try:
        network = ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is neither an address nor a network; use for example 10.0.0.9 or 10.0.0.0/8, not a name"
    return f"{text!r} is an address in {network}; give that network, or the address alone"


def _database_url(text: str) -> str:
    allowed = "give sqlite:///path/to/file.db or postgresql://user:password@host/database"
    scheme, _, rest = text.partition("://")
    match scheme.partition("+")[0]:
        case "sqlite":
            if not rest.startswith("/") or Path(rest[1:].partition("?")[0]).name in ("", ".."):
                raise ValueError(f"this does not name a file; {allowed}")
        case "postgresql" | "postgres":
            _check_server(text, allowed)
        case _:
            raise ValueError(allowed)
    return text


def _check_server(text: str, allowed: str) -> None:
    """Raise ValueError for an invalid host or port, for which the driver would fail with a traceback.

    The error shows no password.
    """
    # Imported here: decoding processes import this module and should stay small.
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        port = make_url(text).port
    except (ValueError, ArgumentError):
        raise ValueError(f"the host or the port cannot be read; {allowed}") from None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"a port is from 1 to 65535; {allowed}")


ENGINE_SCHEMES = ("redis", "rediss", "unix", "redis+sentinel", "rediss+sentinel")
ENGINE_FORMS = (
    "redis://[:password@]host:port/0, rediss:// for TLS, unix:///path/to/socket, or "
    "redis+sentinel://host:port,host:port/name-of-the-master"
)


def _engine_url(text: str) -> str:
    """Check the address of Redis. The error shows no password."""
    allowed = f"give {ENGINE_FORMS}, or leave it out for one process"
    scheme, separator, rest = text.partition("://")
    if scheme not in ENGINE_SCHEMES or not separator or not rest or any(letter.isspace() for letter in text):
        raise ValueError(allowed)
    if scheme == "unix":
        if not rest.startswith("/"):
            raise ValueError(allowed)
    elif "+" in scheme:
        hosts, _, name = rest.rpartition("@")[2].partition("/")
        if not name or not all(hosts.split(",")):
            raise ValueError(allowed)
        for host in hosts.split(","):
            _url(f"redis://{host}", allowed)
    else:
        _url(text, allowed)
    return text


def _root_path(text: str) -> str:
    """Return a path that begins with `/` and does not end with it, of unreserved characters; or an empty one."""
    segments = text.split("/")[1:]
    is_path = text.startswith("/") and all(SEGMENT.fullmatch(each) and each.strip(".") for each in segments)
    if text and not is_path:
        raise ValueError(
            "give a path such as /odds, which begins with / and does not end with it, of letters, digits and -._~; "
            "leave it out to serve at /"
        )
    return text


def _sweep_interval(seconds: int) -> int:
    if seconds == 1:
        raise ValueError("give 0, which turns sweeps off, or 2 to 3600 seconds")
    return seconds


def _true_or_false(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("give true or false")
    return value


BookmakerURL = Annotated[str, AfterValidator(_bookmaker)]
ProxyURL = Annotated[str, AfterValidator(_proxy)]
AllowedOrigin = Annotated[str, AfterValidator(_allowed_origin)]
AllowedHost = Annotated[str, AfterValidator(_allowed_host)]
RootPath = Annotated[str, AfterValidator(_root_path)]
TrustedProxy = Annotated[IPNetwork, PlainValidator(_trusted_proxy)]
SweepInterval = Annotated[
    int, Field(ge=0, le=3600, json_schema_extra={"not": {"const": 1}}), AfterValidator(_sweep_interval)
]
"""Seconds between two sweeps: 0 (off), or 2 to 3600."""


class Settings(BaseModel):
    """All settings. `load_settings` reads a field from `QUART_ODDS_` plus its name in capitals; see docs/settings.md.

    A plain model: the environment is read in one place, which also names unknown settings and suggests known ones.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        "sqlite:///quart-odds.db", description="where odds and runs are stored: SQLite or PostgreSQL"
    )

    engine_url: Annotated[str, AfterValidator(_engine_url)] | None = Field(
        None, description="Redis or Valkey, which carries the log between processes; leave it out for one process"
    )

    betpawa_url: BookmakerURL = Field("https://www.betpawa.ng", description="BetPawa's scheme and host")
    sportybet_url: BookmakerURL = Field("https://www.sportybet.com", description="SportyBet's scheme and host")
    bet9ja_url: BookmakerURL = Field("https://sports.bet9ja.com", description="Bet9ja's scheme and host")
    betpawa_proxy: ProxyURL | None = Field(None, description="outbound proxy for BetPawa")
    sportybet_proxy: ProxyURL | None = Field(None, description="outbound proxy for SportyBet")
    bet9ja_proxy: ProxyURL | None = Field(None, description="outbound proxy for Bet9ja")
    betpawa_concurrency: int = Field(50, ge=1, le=100, description="maximum concurrent requests to BetPawa")
    sportybet_concurrency: int = Field(50, ge=1, le=100, description="maximum concurrent requests to SportyBet")
    bet9ja_concurrency: int = Field(15, ge=1, le=50, description="maximum concurrent requests to Bet9ja")
    betpawa_delay_ms: int = Field(
        0, ge=0, le=10_000, description="minimum time between the starts of two requests to BetPawa"
    )
    sportybet_delay_ms: int = Field(
        0, ge=0, le=10_000, description="minimum time between the starts of two requests to SportyBet"
    )
    bet9ja_delay_ms: int = Field(
        0, ge=0, le=10_000, description="minimum time between the starts of two requests to Bet9ja"
    )
    betpawa_requests_per_second: float = Field(
        5, gt=0, le=100, description="maximum average requests per second to BetPawa while sweeps are on"
    )
    sportybet_requests_per_second: float = Field(
        5, gt=0, le=100, description="maximum average requests per second to SportyBet while sweeps are on"
    )
    bet9ja_requests_per_second: float = Field(
        5, gt=0, le=100, description="maximum average requests per second to Bet9ja while sweeps are on"
    )

    request_timeout_seconds: float = Field(
        20, gt=0, le=300, description="timeout for a whole response from a bookmaker"
    )
    request_tries: int = Field(3, ge=1, le=10, description="maximum attempts per request, the first included")
    retry_wait_seconds: float = Field(0.5, ge=0, le=60, description="wait before the first retry of a request")
    retry_wait_max_seconds: float = Field(10, ge=0, le=300, description="maximum wait before a retry")
    platform_deadline_seconds: float = Field(
        600, gt=0, le=7200, description="maximum time that a run waits for one bookmaker"
    )
    run_deadline_seconds: float = Field(900, gt=0, le=7200, description="maximum duration of a run")
    max_body_bytes: int = Field(
        16_000_000, ge=10_000, description="maximum size of a bookmaker's response body, decompressed"
    )
    decode_workers: int = Field(1, ge=0, le=16, description="processes that decode bodies; 0 decodes in the event loop")

    refresh_cooldown_seconds: float = Field(
        10, ge=0, le=3600, description="minimum time between two manual refreshes of one event"
    )

    scrape_interval_minutes: int = Field(
        0, ge=0, le=1440, description="time between scheduled scrapes; 0 disables the schedule"
    )
    sweep_interval_seconds: SweepInterval = Field(
        0,
        description="time between sweeps, which read the bookmakers' lists, and fetch the most urgent events in what "
        "is left of the budget; at least 2, 0 turns them off",
    )
    max_detail_age_minutes: int = Field(
        30,
        ge=1,
        le=1440,
        description="no event's full odds get older than this while sweeps are on, as far as the budget allows",
    )
    stale_after_seconds: int = Field(
        300, ge=10, le=86_400, description="prices older than this are marked on the odds page"
    )
    odds_retention_days: int = Field(30, ge=1, le=3650, description="how long odds changes are kept")
    run_retention_days: int = Field(30, ge=1, le=3650, description="how long runs are kept")

    alerts_allow_private: Annotated[bool, BeforeValidator(_true_or_false)] = Field(
        False, description="allow targets of alerts at addresses that are not on the public internet"
    )
    alerts_retry_seconds: float = Field(
        5, ge=0.1, le=3600, description="wait before the first retry of a delivery; it doubles each time, up to an hour"
    )

    heartbeat_seconds: float = Field(15, gt=0, le=15, description="maximum silence on an SSE stream")
    write_timeout_seconds: float = Field(
        10, gt=0, le=600, description="a client that reads nothing for this long is disconnected"
    )
    drain_seconds: float = Field(
        6, ge=0, le=600, description="maximum wait for an active run and for requests in progress at shutdown"
    )
    max_connections: int = Field(10_000, ge=0, description="maximum live connections in total; 0 means no limit")
    max_connections_per_address: int = Field(
        100, ge=0, description="live connections per address, except loopback and trusted proxies; 0 means no limit"
    )
    root_path: RootPath = Field(
        "", description="path below which a proxy serves all pages and the API, such as /odds; empty for none"
    )
    trusted_proxies: tuple[TrustedProxy, ...] = Field(
        (), description="addresses and networks (10.0.0.0/8) whose X-Forwarded-For is trusted, comma-separated"
    )
    allowed_hosts: tuple[AllowedHost, ...] = Field(
        (), description="host names of the server, besides localhost and IP addresses, comma-separated"
    )
    allowed_origins: tuple[AllowedOrigin, ...] = Field(
        (), description="other origins whose pages may connect and start work, comma-separated"
    )

    log_format: Literal["console", "json"] = Field("console", description="format of log lines: console or json")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="minimum log level: debug, info, warning or error"
    )

    @field_validator("trusted_proxies", "allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    def url(self, platform: Platform) -> str:
        """Return scheme and host of a bookmaker."""
        return str(getattr(self, f"{platform}_url"))

    def proxy(self, platform: Platform) -> str | None:
        """Return the outbound proxy for a bookmaker, or None for a direct connection."""
        proxy: str | None = getattr(self, f"{platform}_proxy")
        return proxy

    def concurrency(self, platform: Platform) -> int:
        """Return the maximum number of concurrent requests to a bookmaker."""
        return int(getattr(self, f"{platform}_concurrency"))

    def delay_seconds(self, platform: Platform) -> float:
        """Return the minimum time between the starts of two requests to a bookmaker."""
        return int(getattr(self, f"{platform}_delay_ms")) / 1000

    def requests_per_second(self, platform: Platform) -> float:
        """Return the maximum average rate of requests to a bookmaker while sweeps are on."""
        return float(getattr(self, f"{platform}_requests_per_second"))


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Load settings from the environment; `overrides` win. Raises SettingsError that names every problem."""
    environ = os.environ if environ is None else environ
    given = {name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)}
    known = {name.upper() for name in Settings.model_fields}
    problems = [_unknown(name, known) for name in given if name not in known | TEST_ONLY_NAMES]
    values: dict[str, Any] = {name.lower(): value for name, value in given.items() if name in known}
    try:
        settings = Settings(**(values | overrides))
    except ValidationError as error:
        problems += [
            f"{PREFIX}{str(fault['loc'][0]).upper()}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise SettingsError("\n".join(problems)) from None
    if problems:
        raise SettingsError("\n".join(problems))
    return settings


def _unknown(name: str, known: set[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {PREFIX}{close[0]}?" if close else "; docs/settings.md lists those that there are"
    return f"{PREFIX}{name} is no setting{hint}"


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, or None for an in-memory database or another engine."""
    scheme, _, rest = url.partition("://")
    path = rest.removeprefix("/").partition("?")[0]
    return Path(path) if scheme.startswith("sqlite") and path and path != ":memory:" else None
