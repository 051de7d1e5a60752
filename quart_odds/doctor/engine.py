"""Checks of Redis, by commands that only read."""

import contextlib
import importlib.util
from collections.abc import Iterator, Mapping
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

from quart_odds.cluster import open_redis
from quart_odds.doctor.causes import advice_for, certificate_fault, is_timeout, stage_of
from quart_odds.doctor.findings import Finding, failed, ok, warning
from quart_odds.domain.secrets import masked

if TYPE_CHECKING:
    from redis.asyncio import Redis

SETTING = "QUART_ODDS_ENGINE_URL"
OLDEST = (6, 2)
PINGS = 5
SLOW_MS = 20.0
"""Each message waits for Redis once on its way to a listener."""
FULL_SHARE = 0.9


async def engine(url: str | None) -> list[Finding]:
    """Return what was found about the Redis of a URL. None is none, which one process does not need."""
    if url is None:
        return [ok("engine", f"{SETTING} is not set: one process serves, and needs no Redis", is_set=False)]
    if importlib.util.find_spec("redis") is None:
        return [failed("engine", f"{SETTING} needs the extra redis", "pip install 'quart-odds[redis]'")]
    from redis.exceptions import RedisError

    shown = masked(url)
    client: Redis | None = None
    try:
        client = open_redis(url, most=1)
        latency_ms = await _latency_ms(client)
        told: Mapping[str, Any] = await client.info()
    except (RedisError, OSError, TimeoutError, ValueError) as error:
        return [_unreachable(shown, error)]
    finally:
        if client is not None:
            with contextlib.suppress(RedisError, OSError):
                await client.aclose()
    return list(_findings(shown, told, latency_ms))


async def _latency_ms(client: "Redis") -> float:
    times = []
    for _ in range(PINGS):
        began = perf_counter()
        await client.ping()
        times.append(perf_counter() - began)
    return median(times) * 1000


def _unreachable(shown: str, error: Exception) -> Finding:
    from redis.exceptions import AuthenticationError, NoPermissionError

    words = masked(str(error) or type(error).__name__).splitlines()[0]
    if isinstance(error, AuthenticationError):
        return failed("engine", f"{shown}: {words}", f"check the user and the password in {SETTING}", stage="password")
    if isinstance(error, NoPermissionError):
        return failed("engine", f"{shown}: {words}", "let this user run all commands that are used (ACL SETUSER)")
    stage = stage_of(error)
    if stage is None and is_timeout(error):
        words = f"no answer ({words})"
    fault = certificate_fault(error)
    detail = f"{shown}: {words} ({fault})" if fault and fault not in words else f"{shown}: {words}"
    return failed("engine", detail, advice_for(stage, SETTING), stage=None if stage is None else stage.value)


def _findings(shown: str, told: Mapping[str, Any], latency_ms: float) -> Iterator[Finding]:
    detail, facts = f"{shown} answers in {latency_ms:.1f} ms", {"is_set": True, "latency_ms": round(latency_ms, 2)}
    if latency_ms > SLOW_MS:
        yield warning("engine", detail, "use a Redis that is nearer, or less busy", **facts)
    else:
        yield ok("engine", detail, **facts)
    yield _version(told)
    yield _role(told)
    yield _eviction(told)
    yield _persistence(told)


def _version(told: Mapping[str, Any]) -> Finding:
    name = "Valkey" if told.get("server_name") == "valkey" else "Redis"
    version = str(told.get("valkey_version") or told.get("redis_version", ""))
    # Valkey tells the version of Redis that it is compatible with, too.
    parts = tuple(int(part) for part in str(told.get("redis_version", "")).split(".")[:2] if part.isdecimal())
    if parts < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return failed("engine.version", f"{name} {version}", f"use Redis {oldest} or later, or Valkey", version=version)
    return ok("engine.version", f"{name} {version}", version=version)


def _role(told: Mapping[str, Any]) -> Finding:
    role = str(told.get("role", ""))
    if role == "slave":
        return failed("engine.role", "a replica, which accepts no writes", f"name the primary in {SETTING}", role=role)
    if told.get("loading"):
        return warning("engine.role", "it loads its data, and answers nothing else until then", "wait", role=role)
    return ok("engine.role", "a primary, which accepts writes", role=role)


def _eviction(told: Mapping[str, Any]) -> Finding:
    check, policy = "engine.eviction", str(told.get("maxmemory_policy", ""))
    most, used = int(told.get("maxmemory", 0)), int(told.get("used_memory", 0))
    facts = {"policy": policy, "maxmemory_bytes": most, "used_bytes": used}
    if most == 0:
        return ok(check, f"no limit of memory, so nothing is evicted; {used / 1e6:.0f} MB in use", **facts)
    detail = f"{policy}, {used / 1e6:.0f} of {most / 1e6:.0f} MB in use"
    if policy != "noeviction":
        advice = "set maxmemory-policy to noeviction: Redis would throw away parts of the log"
        return warning(check, detail, advice, **facts)
    if used > FULL_SHARE * most:
        return warning(check, detail, "raise maxmemory: a Redis that is full accepts no writes", **facts)
    return ok(check, detail, **facts)


def _persistence(told: Mapping[str, Any]) -> Finding:
    check = "engine.persistence"
    keeps = "on" if told.get("aof_enabled") else "off"
    facts = {"append_only": bool(told.get("aof_enabled"))}
    broken = [name for name in ("rdb_last_bgsave_status", "aof_last_write_status") if told.get(name, "ok") != "ok"]
    if broken:
        detail = f"the last save failed ({', '.join(broken)}), after which Redis may refuse writes"
        return warning(check, detail, "free space on its disk, or turn persistence off: none is needed", **facts)
    return ok(check, f"append-only file {keeps}; none is needed, since the database keeps everything", **facts)
