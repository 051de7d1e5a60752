"""What the doctor says about Redis servers."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from quart_odds.doctor import Finding, Status, engine
from tests.doctor.certificates import self_signed
from tests.redis_servers import TestRedis, running_redis

SECRET = "s3cret"


@pytest.fixture(scope="module")
def redis() -> Iterator[TestRedis]:
    """A Redis with a password."""
    with running_redis("--requirepass", SECRET, client_password=SECRET) as server:
        yield server


def at(server: TestRedis, password: str = SECRET) -> str:
    """Return the address of a server, with a password."""
    return f"redis://:{password}@127.0.0.1:{server.port}/0"


async def findings(url: str | None) -> dict[str, Finding]:
    """Return the findings by their names. None shows the password."""
    found = {each.check: each for each in await engine.engine(url)}
    assert SECRET not in repr(found)
    return found


async def test_none_is_needed_for_one_process() -> None:
    """It is no fault."""
    found = await findings(None)
    assert {name: each.status for name, each in found.items()} == {"engine": Status.OK}


async def test_a_redis_is_as_it_should_be(redis: TestRedis) -> None:
    """Version, role, eviction and persistence are told, and how fast it answers. No key is written."""
    found = await findings(at(redis))
    assert {each.status for each in found.values()} == {Status.OK}, found
    assert found.keys() == {"engine", "engine.version", "engine.role", "engine.eviction", "engine.persistence"}
    latency_ms = found["engine"].facts["latency_ms"]
    assert isinstance(latency_ms, float)
    assert 0 < latency_ms < 1000
    with redis.client() as client:
        assert client.dbsize() == 0


async def test_a_redis_that_throws_keys_away_is_a_warning(redis: TestRedis) -> None:
    """Only once there is a limit of memory."""
    with redis.client() as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        assert (await findings(at(redis)))["engine.eviction"].status is Status.OK
        client.config_set("maxmemory", "100mb")
        found = (await findings(at(redis)))["engine.eviction"]
        assert (found.status, found.facts["policy"]) == (Status.WARNING, "allkeys-lru")
        assert "noeviction" in str(found.advice)
        client.config_set("maxmemory-policy", "noeviction")
        assert (await findings(at(redis)))["engine.eviction"].status is Status.OK
        client.config_set("maxmemory", "1mb")
        assert "raise maxmemory" in str((await findings(at(redis)))["engine.eviction"].advice)
        client.config_set("maxmemory", "0")


async def test_a_replica_accepts_no_writes(redis: TestRedis) -> None:
    """It fails: the primary has to be named."""
    with redis.client() as client, socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        client.replicaof("127.0.0.1", nobody.getsockname()[1])
        try:
            assert (await findings(at(redis)))["engine.role"].status is Status.FAILED
        finally:
            client.replicaof("NO", "ONE")


@pytest.mark.parametrize(
    ("told", "check", "status"),
    [
        ({"redis_version": "6.0.16"}, "engine.version", Status.FAILED),
        ({"redis_version": "6.2.0"}, "engine.version", Status.OK),
        (
            {"redis_version": "7.2.4", "server_name": "valkey", "valkey_version": "8.1.0"},
            "engine.version",
            Status.OK,
        ),
        ({"rdb_last_bgsave_status": "err"}, "engine.persistence", Status.WARNING),
        ({"role": "master", "loading": 1}, "engine.role", Status.WARNING),
    ],
)
def test_what_a_redis_tells_is_judged(told: dict[str, object], check: str, status: Status) -> None:
    """Here what no server of this machine tells."""
    found = {each.check: each for each in engine._findings("redis://x", told, 1.0)}
    assert found[check].status is status


@pytest.mark.parametrize("password", ["wrong", ""])
async def test_a_wrong_password_is_told(password: str, redis: TestRedis) -> None:
    """It is not a server that is down."""
    found = (await findings(at(redis, password)))["engine"]
    assert (found.status, found.facts.get("stage")) == (Status.FAILED, "password"), found
    assert "password in QUART_ODDS_ENGINE_URL" in str(found.advice)


@pytest.mark.parametrize(("host", "stage"), [("nowhere.invalid", "dns"), ("127.0.0.1", "tcp")])
async def test_a_server_that_is_not_there_is_told(host: str, stage: str) -> None:
    """The stage says where to look."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        found = (await findings(f"redis://:{SECRET}@{host}:{taken.getsockname()[1]}"))["engine"]
    assert (found.status, found.facts["stage"]) == (Status.FAILED, stage), found


async def test_a_certificate_that_is_not_trusted_is_told(tmp_path: Path) -> None:
    """The stage is that of TLS, with what is wrong with the certificate."""
    certificate = self_signed(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = ["--tls-cert-file", str(certificate.path), "--tls-key-file", str(certificate.key)]
    files += ["--tls-ca-cert-file", str(certificate.path), "--tls-auth-clients", "no"]
    try:
        with running_redis("--tls-port", str(port), *files):
            found = (await findings(f"rediss://:{SECRET}@127.0.0.1:{port}"))["engine"]
    except RuntimeError:
        pytest.skip("this Redis was built without TLS")
    assert (found.status, found.facts["stage"]) == (Status.FAILED, "tls"), found
    assert "self" in found.detail
