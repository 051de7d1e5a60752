"""Settings, from `QUART_ODDS_…` in the environment. A wrong or unknown name stops the start with a sentence."""

import difflib
import os
from collections.abc import Mapping
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, PlainValidator, ValidationError, field_validator
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from yarl import URL

from quart_odds.domain.origins import parse_host
from quart_odds.domain.platforms import Platform
from quart_odds.errors import SettingsError

PREFIX = "QUART_ODDS_"
TEST_ONLY_NAMES = frozenset({"RECORDED", "BIN", "DOCS"})
"""Names that the tests read and the server leaves alone."""

MAPPED_BITS = 96
"""What stands before the IPv4 address in an IPv6 address that maps it."""

IPNetwork = IPv4Network | IPv6Network


WEB_SCHEMES = ("http", "https")


def _url(text: str, allowed: str) -> URL:
    """A URL with a host. Raises ValueError that says what is wrong, and what is allowed."""
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
    """Scheme and host, without a path: the clients add the sites' own paths."""
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
    """An origin in the form in which browsers send it. Apps have schemes of their own, such as `capacitor`."""
    allowed = f"{text!r} matches no origin; give scheme, host and port only, such as https://app.example.com"
    url = _url(text, allowed)
    if url.scheme in ("ws", "wss", "file") or not _is_origin_only(url):
        raise ValueError(allowed)
    return str(url.origin())


def _allowed_host(text: str) -> str:
    """A name of this server in the form of a `Host` header, without a port; `*.` before it stands for all below."""
    allowed = f"{text!r} is no name of a host; give such as odds.example.com, or *.example.com for all names below it"
    if text == "*":
        raise ValueError("'*' would let any web page act as this server's own; list the names")
    host = parse_host(text.removeprefix("*."))
    if host is None or host.port is not None:
        raise ValueError(allowed)
    if host.is_address:
        raise ValueError(f"{text!r} is an address, which is always allowed; list names only")
    return ("*." if text.startswith("*.") else "") + host.name


def _trusted_proxy(text: str) -> IPNetwork:
    """The network of an address or a network. What IPv6 says of IPv4 (`::ffff:10.0.0.1`) is IPv4."""
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
        return f"{text!r} is neither an address nor a network; give such as 10.0.0.9 or 10.0.0.0/8, and no name"
    return f"{text!r} is an address in {network}; give that network, or the address alone"


def _database_url(text: str) -> str:
    allowed = "give sqlite:///path/to/file.db or postgresql://user:password@host/database"
    scheme, _, rest = text.partition("://")
    match scheme.partition("+")[0]:
        case "sqlite":
            if not rest.startswith("/") or Path(rest[1:].partition("?")[0]).name in ("", ".."):
                raise ValueError(f"this names no file; {allowed}")
        case "postgresql" | "postgres":
            _check_server(text, allowed)
        case _:
            raise ValueError(allowed)
    return text


def _check_server(text: str, allowed: str) -> None:
    """Raises ValueError for a host or port that is none: the driver would end in a traceback. It shows no password."""
    # Imported here: the decoding processes import this module, and should stay small.
    from sqlalchemy import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        port = make_url(text).port
    except (ValueError, ArgumentError):
        raise ValueError(f"the host or the port cannot be read; {allowed}") from None
    if port is not None and not 0 < port < 65536:
        raise ValueError(f"a port is from 1 to 65535; {allowed}")


BookmakerURL = Annotated[str, AfterValidator(_bookmaker)]
ProxyURL = Annotated[str, AfterValidator(_proxy)]
AllowedOrigin = Annotated[str, AfterValidator(_allowed_origin)]
AllowedHost = Annotated[str, AfterValidator(_allowed_host)]
TrustedProxy = Annotated[IPNetwork, PlainValidator(_trusted_proxy)]


class Settings(BaseSettings):
    """All that can be set. Each field is `QUART_ODDS_` and its name in capitals; docs/settings.md lists them."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="forbid", frozen=True, hide_input_in_errors=True)

    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        "sqlite:///quart-odds.db", description="where odds and runs are kept: SQLite or PostgreSQL"
    )

    betpawa_url: BookmakerURL = Field("https://www.betpawa.ng", description="BetPawa's scheme and host")
    sportybet_url: BookmakerURL = Field("https://www.sportybet.com", description="SportyBet's scheme and host")
    bet9ja_url: BookmakerURL = Field("https://sports.bet9ja.com", description="Bet9ja's scheme and host")
    betpawa_proxy: ProxyURL | None = Field(None, description="outbound proxy for BetPawa")
    sportybet_proxy: ProxyURL | None = Field(None, description="outbound proxy for SportyBet")
    bet9ja_proxy: ProxyURL | None = Field(None, description="outbound proxy for Bet9ja")
    betpawa_concurrency: int = Field(50, ge=1, le=100, description="requests under way at BetPawa at once")
    sportybet_concurrency: int = Field(50, ge=1, le=100, description="requests under way at SportyBet at once")
    bet9ja_concurrency: int = Field(15, ge=1, le=50, description="requests under way at Bet9ja at once")
    betpawa_delay_ms: int = Field(0, ge=0, le=10_000, description="least time between two requests' starts at BetPawa")
    sportybet_delay_ms: int = Field(
        0, ge=0, le=10_000, description="least time between two requests' starts at SportyBet"
    )
    bet9ja_delay_ms: int = Field(0, ge=0, le=10_000, description="least time between two requests' starts at Bet9ja")

    request_timeout_seconds: float = Field(20, gt=0, le=300, description="longest wait for one answer of a bookmaker")
    request_tries: int = Field(3, ge=1, le=10, description="times a request is tried in all")
    retry_wait_seconds: float = Field(0.5, ge=0, le=60, description="first wait before a request is tried again")
    retry_wait_max_seconds: float = Field(10, ge=0, le=300, description="longest wait before a request is tried again")
    platform_deadline_seconds: float = Field(600, gt=0, le=7200, description="longest a run waits for one bookmaker")
    run_deadline_seconds: float = Field(900, gt=0, le=7200, description="longest a run may take")
    max_body_bytes: int = Field(16_000_000, ge=10_000, description="largest body of a bookmaker, decompressed")
    decode_workers: int = Field(1, ge=0, le=16, description="processes that decode bodies; 0 decodes in the loop")

    refresh_cooldown_seconds: float = Field(
        10, ge=0, le=3600, description="time between two refreshes of one event by hand"
    )

    scrape_interval_minutes: int = Field(0, ge=0, le=1440, description="time between scheduled scrapes; 0 is never")
    odds_retention_days: int = Field(30, ge=1, le=3650, description="how long changes of odds are kept")
    run_retention_days: int = Field(30, ge=1, le=3650, description="how long runs are kept")

    heartbeat_seconds: float = Field(15, gt=0, le=15, description="longest silence on an SSE stream")
    write_timeout_seconds: float = Field(10, gt=0, le=600, description="a client that takes nothing so long is cut")
    drain_seconds: float = Field(6, ge=0, le=600, description="longest wait at shutdown for a run under way")
    max_connections: int = Field(10_000, ge=0, description="live connections in all; 0 is no limit")
    max_connections_per_address: int = Field(
        100, ge=0, description="live connections of one address, loopback and trusted proxies apart; 0 is no limit"
    )
    trusted_proxies: Annotated[tuple[TrustedProxy, ...], NoDecode] = Field(
        (), description="addresses and networks (10.0.0.0/8) whose X-Forwarded-For is believed, by comma"
    )
    allowed_hosts: Annotated[tuple[AllowedHost, ...], NoDecode] = Field(
        (), description="names that the server is asked by, besides localhost and IP addresses, comma-separated"
    )
    allowed_origins: Annotated[tuple[AllowedOrigin, ...], NoDecode] = Field(
        (), description="origins, besides our own, whose pages may connect and start work, by comma"
    )

    log_format: Literal["console", "json"] = Field("console", description="how log lines look")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="the least that is logged")

    @field_validator("trusted_proxies", "allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Only what is passed in: `load_settings` reads the environment, so that a test's settings are its own."""
        return (init_settings,)

    def url(self, platform: Platform) -> str:
        """Scheme and host of a bookmaker."""
        return str(getattr(self, f"{platform}_url"))

    def proxy(self, platform: Platform) -> str | None:
        """The outbound proxy of a bookmaker, None for a direct connection."""
        proxy: str | None = getattr(self, f"{platform}_proxy")
        return proxy

    def concurrency(self, platform: Platform) -> int:
        """Requests under way at a bookmaker at once."""
        return int(getattr(self, f"{platform}_concurrency"))

    def delay_seconds(self, platform: Platform) -> float:
        """Least time between two requests' starts at a bookmaker."""
        return int(getattr(self, f"{platform}_delay_ms")) / 1000


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Settings from the environment and `overrides`, which win. Raises SettingsError naming all that is wrong."""
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
    """The file of a SQLite URL; None for a database in memory or one that is not SQLite."""
    scheme, _, rest = url.partition("://")
    path = rest.removeprefix("/").partition("?")[0]
    return Path(path) if scheme.startswith("sqlite") and path and path != ":memory:" else None
