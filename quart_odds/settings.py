"""Settings from `QUART_ODDS_…` environment variables. An unknown name or a wrong value is an error at startup."""

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    create_model,
    field_validator,
)

from quart_odds.addresses import (
    IPNetwork,
    allowed_host,
    allowed_origin,
    checked_root_path,
    key_set_url,
    origin_of_site,
    proxy_url,
    trusted_proxy,
    url_with_host,
)
from quart_odds.domain.bookmakers import Bookmaker, installed
from quart_odds.domain.platforms import Platform
from quart_odds.errors import SettingsError

PREFIX = "QUART_ODDS_"
TEST_ONLY_NAMES = frozenset({"RECORDED", "BIN", "DOCS"})
"""Names that only the tests read. The server ignores them."""
CLIENT_NAMES = frozenset({"TOKEN"})
"""Names that commands read which speak with a server. The server ignores them."""


def _database_url(text: str) -> str:
    allowed = "give sqlite:///path/to/file.db or postgresql://user:password@host/database"
    scheme, _, rest = text.partition("://")
    match scheme.partition("+")[0]:
        case "sqlite":
            if not rest.startswith("/") or Path(rest[1:].partition("?")[0]).name in ("", ".."):
                raise ValueError(f"this does not name a file; {allowed}")
        case "postgresql" | "postgres":
            if any(letter.isspace() for letter in text):
                raise ValueError(f"write %20 for a space; {allowed}")
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
            url_with_host(f"redis://{host}", allowed)
    else:
        url_with_host(text, allowed)
    return text


def _otel_endpoint(text: str) -> str:
    """Check the address of a collector. The error does not show it."""
    allowed = "give http:// or https:// with the host and the port of a collector, such as http://127.0.0.1:4318"
    url = url_with_host(text, allowed)
    if url.scheme not in ("http", "https") or url.query_string or url.fragment or url.user is not None:
        raise ValueError(allowed)
    return text


def _sweep_interval(seconds: int) -> int:
    if seconds == 1:
        raise ValueError("give 0, which turns sweeps off, or 2 to 3600 seconds")
    return seconds


def _each_once(platforms: tuple[Platform, ...]) -> tuple[Platform, ...]:
    if len(set(platforms)) < len(platforms):
        raise ValueError("name each bookmaker once")
    return tuple(each for each in Platform if each in platforms)


def _true_or_false(value: object) -> object:
    if isinstance(value, str) and value not in ("true", "false"):
        raise ValueError("give true or false")
    return value


BookmakerURL = Annotated[str, AfterValidator(origin_of_site)]
ProxyURL = Annotated[str, AfterValidator(proxy_url)]
AllowedOrigin = Annotated[str, AfterValidator(allowed_origin)]
AllowedHost = Annotated[str, AfterValidator(allowed_host)]
RootPath = Annotated[str, AfterValidator(checked_root_path)]
TrustedProxy = Annotated[IPNetwork, PlainValidator(trusted_proxy)]
SweepInterval = Annotated[
    int, Field(ge=0, le=3600, json_schema_extra={"not": {"const": 1}}), AfterValidator(_sweep_interval)
]
"""Seconds between two sweeps: 0 (off), or 2 to 3600."""


class CommonSettings(BaseModel):
    """The settings besides those of each bookmaker."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True, defer_build=True)

    database_url: Annotated[str, AfterValidator(_database_url)] = Field(
        "sqlite:///quart-odds.db", description="where odds and runs are stored: SQLite or PostgreSQL"
    )

    engine_url: Annotated[str, AfterValidator(_engine_url)] | None = Field(
        None, description="Redis or Valkey, which carries the log between processes; leave it out for one process"
    )

    bookmakers: Annotated[tuple[Platform, ...], Field(min_length=1), AfterValidator(_each_once)] = Field(
        tuple(Platform.of(slug) for slug, each in installed().items() if each.bookmaker.is_enabled),
        description="the bookmakers that a run scrapes unless it names others, comma-separated",
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
    ping_seconds: float = Field(25, gt=0, le=55, description="silence after which the server pings a WebSocket")
    pong_seconds: float = Field(20, gt=0, le=600, description="how long a WebSocket has to answer a ping")
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

    open_to_network: Annotated[bool, BeforeValidator(_true_or_false)] = Field(
        False, description="let everybody read without a token; what changes something needs one all the same"
    )
    jwt_issuer: str | None = Field(
        None, min_length=1, description="issuer of JWTs that are accepted as tokens, as in their claim iss"
    )
    jwt_audience: str | None = Field(None, min_length=1, description="what the claim aud of these JWTs has to name")
    jwt_jwks_url: Annotated[str, AfterValidator(key_set_url)] | None = Field(
        None, description="where the issuer's public keys are, as a JWK set"
    )
    otel_endpoint: Annotated[str, AfterValidator(_otel_endpoint)] | None = Field(
        None, description="collector that gets spans of runs by OTLP over HTTP; leave it out for none"
    )

    log_format: Literal["console", "json"] = Field("console", description="format of log lines: console or json")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="minimum log level: debug, info, warning or error"
    )

    @field_validator("bookmakers", "trusted_proxies", "allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @property
    def may_be_behind_proxy(self) -> bool:
        """Whether a setting says that requests come through a proxy, so that a peer on this machine proves nothing."""
        named = [name for name in self.allowed_hosts if name != "localhost"]
        return bool(self.trusted_proxies or named or self.root_path)

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


def _of_bookmaker(bookmaker: Bookmaker) -> dict[str, Any]:
    """Return the settings of a bookmaker: type and field by name."""
    slug, name, concurrency = bookmaker.slug, bookmaker.name, bookmaker.concurrency
    return {
        f"{slug}_url": (BookmakerURL, Field(bookmaker.url, description=f"{name}'s scheme and host")),
        f"{slug}_proxy": (ProxyURL | None, Field(None, description=f"outbound proxy for {name}")),
        f"{slug}_concurrency": (
            int,
            Field(concurrency.default, ge=1, le=concurrency.most, description=f"maximum concurrent requests to {name}"),
        ),
        f"{slug}_delay_ms": (
            int,
            Field(0, ge=0, le=10_000, description=f"minimum time between the starts of two requests to {name}"),
        ),
        f"{slug}_requests_per_second": (
            float,
            Field(5, gt=0, le=100, description=f"maximum average requests per second to {name} while sweeps are on"),
        ),
    }


if TYPE_CHECKING:

    class Settings(CommonSettings):
        """All settings."""

else:
    Settings = create_model(
        "Settings",
        __base__=CommonSettings,
        __module__=__name__,
        __doc__="""All settings. `load_settings` reads a field from `QUART_ODDS_` plus its name in capitals.

        See docs/settings.md. A plain model: the environment is read in one place, which also names unknown settings and
        suggests known ones. Each installed bookmaker has five, which begin with its slug.
        """,
        **{name: field for each in installed().values() for name, field in _of_bookmaker(each.bookmaker).items()},
    )


@dataclass(frozen=True, slots=True)
class SettingProblem:
    """What is wrong with a setting. `name` is that of its variable, and `reason` contains no password."""

    name: str
    reason: str
    is_unknown: bool = False

    def __str__(self) -> str:
        return f"{self.name} {self.reason}" if self.is_unknown else f"{self.name}: {self.reason}"


def load_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> Settings:
    """Load settings from the environment; `overrides` win. Raises SettingsError that names every problem."""
    settings, problems = read_settings(environ, **overrides)
    if problems:
        raise SettingsError("\n".join(map(str, problems)))
    return settings


def read_settings(environ: Mapping[str, str] | None = None, **overrides: Any) -> tuple[Settings, list[SettingProblem]]:
    """Read settings as `load_settings` does, and return every problem. A setting that is wrong has its default."""
    environ = os.environ if environ is None else environ
    given = {name.removeprefix(PREFIX): value for name, value in environ.items() if name.startswith(PREFIX)}
    known = {name.upper() for name in Settings.model_fields}
    problems = [_unknown(name, known) for name in given if name not in known | TEST_ONLY_NAMES | CLIENT_NAMES]
    values: dict[str, Any] = {name.lower(): value for name, value in given.items() if name in known} | overrides
    while True:
        try:
            settings = Settings(**values)
            break
        except ValidationError as error:
            faults = [(str((fault["loc"] or ("",))[0]), fault["msg"]) for fault in error.errors()]
        problems += [
            SettingProblem(PREFIX + name.upper(), reason.removeprefix("Value error, ")) for name, reason in faults
        ]
        right = {name: value for name, value in values.items() if name not in dict(faults)}
        if len(right) == len(values):
            settings = Settings.model_validate({})  # the values do not go together
            break
        values = right
    given_of_issuer = [settings.jwt_issuer, settings.jwt_audience, settings.jwt_jwks_url]
    if not problems and None in given_of_issuer and any(given_of_issuer):
        others = f"{PREFIX}JWT_AUDIENCE and {PREFIX}JWT_JWKS_URL"
        problems.append(SettingProblem(f"{PREFIX}JWT_ISSUER", f"this, {others} belong together: set all three"))
    return settings, problems


def _unknown(name: str, known: set[str]) -> SettingProblem:
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {PREFIX}{close[0]}?" if close else "; docs/settings.md lists those that there are"
    return SettingProblem(PREFIX + name, f"is no setting{hint}", is_unknown=True)


def sqlite_path(url: str) -> Path | None:
    """Return the file of a SQLite URL, or None for an in-memory database or another engine."""
    scheme, _, rest = url.partition("://")
    path = rest.removeprefix("/").partition("?")[0]
    return Path(path) if scheme.startswith("sqlite") and path and path != ":memory:" else None
