"""The systemd unit, the Dockerfile and the compose file: what they name is there, and what they run works."""

import asyncio
import configparser
import json
import re
import shlex
import shutil
import subprocess
import sys
import time
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from quart_odds.cli import main
from quart_odds.cli.serve import serve_command
from quart_odds.errors import SettingsError
from quart_odds.settings import PREFIX, Settings, load_settings
from tests.deploy.proxies import SHIPPED, free_port, program
from tests.redis_servers import redis_binary
from tests.server.serving import served

ROOT = SHIPPED.parents[1]
UNIT = SHIPPED / "quart-odds.service"
PROGRAM = "/opt/quart-odds/bin/quart-odds"
STOP_SPARE_SECONDS = 4
"""What docs/deploy.md adds to the drain."""
MOST_EXPOSED = 20
"""What systemd may find exposed, in tenths, from 0 to 100."""


def test_the_unit_is_right_and_hardened(tmp_path: Path) -> None:
    """systemd accepts it as it is, and as the template for several processes of docs/deploy.md."""
    installed = tmp_path / "quart-odds"
    installed.write_text("#!/bin/sh\n")
    installed.chmod(0o755)
    text = UNIT.read_text().replace(PROGRAM, str(installed))
    assert str(installed) in text
    for name, content in (("quart-odds.service", text), ("quart-odds@.service", text.replace(":8000", ":%i"))):
        path = tmp_path / name
        path.write_text(content)
        shown = str(path).replace("@.", "@8000.")
        done = analyze("verify", "--man=no", shown)
        assert (done.returncode, done.stdout + done.stderr) == (0, ""), name
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(tmp_path / "quart-odds.service"))
    assert done.returncode == 0, done.stdout[-300:]


def analyze(*words: str) -> "subprocess.CompletedProcess[str]":
    """Run systemd-analyze, which needs no running systemd."""
    command = [program("systemd-analyze"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=30)


def test_the_unit_runs_the_server_with_settings_that_there_are() -> None:
    """It leaves a drain the time that it needs."""
    unit = configparser.RawConfigParser(strict=False)
    unit.optionxform = str  # type: ignore[assignment, method-assign]
    unit.read(UNIT)
    service = unit["Service"]
    command, name, *words = shlex.split(service["ExecStart"])
    assert (command, name) == (PROGRAM, "serve")
    whole = main.make_context("quart-odds", ["serve"])
    assert serve_command.make_context("serve", words, parent=whole).params["bind"] == "127.0.0.1:8000"
    settings = load_settings(dict(each.split("=", 1) for each in shlex.split(service["Environment"])))
    assert settings.log_format == "json"
    assert int(service["TimeoutStopSec"]) > settings.drain_seconds + STOP_SPARE_SECONDS


def instructions(text: str) -> list[tuple[str, str]]:
    """Return the instructions of a Dockerfile with their arguments."""
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined.splitlines() if line)]


def dockerfile() -> list[tuple[str, str]]:
    """Return the instructions of the shipped Dockerfile."""
    return instructions((SHIPPED / "Dockerfile").read_text())


def only(name: str) -> str:
    """Return the arguments of the one instruction of this name in the Dockerfile."""
    [found] = [rest for each, rest in dockerfile() if each == name]
    return found


def test_the_image_is_built_from_what_the_ignore_file_lets_in(tmp_path: Path) -> None:
    """The context that Docker gets has all that the wheel needs, and all that the Dockerfile copies."""
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    context = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    copied = [word for name, rest in dockerfile() if name == "COPY" and "--from" not in rest for word in rest.split()]
    assert {word for word in copied if word != "./"} == set(context)
    for name in context:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, tmp_path / name)
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path / "dist")]
    done = subprocess.run([*build, str(tmp_path)], capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stdout + done.stderr


async def test_the_image_runs_a_server_that_its_health_check_finds(tmp_path: Path) -> None:
    """The command answers the health check and ends with SIGTERM. Then the health check fails."""
    assert [rest for name, rest in dockerfile() if name == "USER"] == ["quart-odds"]
    assert only("STOPSIGNAL") == "SIGTERM"
    named = dict(re.findall(rf"{PREFIX}(\w+)=(\S+)", only("ENV")))
    command = json.loads(only("CMD"))
    assert command[0] == "quart-odds"
    local = [word.replace("0.0.0.0:8000", "127.0.0.1:0") for word in command[1:]]
    assert local != command[1:]
    settings = {name.lower(): value for name, value in named.items()}
    async with served(tmp_path, settings, [sys.executable, "-m", "quart_odds", *local]) as server:
        assert await health_check(server.port) == 0
        await server.stop()
        assert await health_check(server.port) != 0


async def health_check(port: int) -> int:
    """Run the health check of the Dockerfile for another port, and return its exit code."""
    words = json.loads(only("HEALTHCHECK").partition("CMD ")[2])
    assert words[0] == "python"
    command = [sys.executable, *(word.replace(":8000/", f":{port}/") for word in words[1:])]
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.DEVNULL)
    async with asyncio.timeout(30):
        return await process.wait()


def compose(given: dict[str, str]) -> dict[str, Any]:
    """Return the compose file with variables replaced as Docker does. Raises KeyError for a required one."""

    def value(found: "re.Match[str]") -> str:
        name, operator, rest = found.groups()
        if given.get(name):
            return given[name]
        if operator == ":-":
            return str(rest)
        raise KeyError(name)

    def filled(part: Any) -> Any:
        if isinstance(part, dict):
            return {name: filled(each) for name, each in part.items()}
        if isinstance(part, list):
            return [filled(each) for each in part]
        return re.sub(r"\$\{(\w+)(:[-?])([^}]*)\}", value, part) if isinstance(part, str) else part

    loaded: dict[str, Any] = filled(yaml.safe_load((SHIPPED / "compose.yaml").read_text()))
    return loaded


GIVEN = {"POSTGRES_PASSWORD": "secret", "REDIS_PASSWORD": "hidden", "QUART_ODDS_ALLOWED_HOSTS": "odds.example.com"}


def test_the_servers_of_the_compose_file_have_settings_that_there_are() -> None:
    """They use the database and the Redis beside them, trust the network's gateway, and have time for a drain."""
    loaded = compose(GIVEN)
    database = loaded["services"]["database"]["environment"]
    [network] = loaded["networks"]["default"]["ipam"]["config"]
    assert ip_address(network["gateway"]) in ip_network(network["subnet"])
    servers = {name: each for name, each in loaded["services"].items() if name.startswith("server")}
    assert len(servers) == 2
    for server in servers.values():
        settings = load_settings(server["environment"])
        user, password, name = (database[f"POSTGRES_{each}"] for each in ("USER", "PASSWORD", "DB"))
        assert settings.database_url == f"postgresql://{user}:{password}@database/{name}"
        assert settings.engine_url == "redis://:hidden@log:6379/0"
        assert [str(each) for each in settings.trusted_proxies] == [f"{network['gateway']}/32"]
        assert settings.allowed_hosts == ("odds.example.com",)
        assert int(server["stop_grace_period"].rstrip("s")) > settings.drain_seconds + STOP_SPARE_SECONDS
        assert set(server["depends_on"]) <= set(loaded["services"])
        assert all("healthcheck" in loaded["services"][each] for each in server["depends_on"])
        context = (SHIPPED / server["build"]["context"]).resolve()
        assert context == ROOT
        assert (context / server["build"]["dockerfile"]).is_file()
    volumes = {each.partition(":")[0] for each in loaded["services"]["database"]["volumes"]}
    assert volumes == set(loaded["volumes"])


def test_the_redis_of_the_compose_file_answers_its_health_check_and_nobody_without_the_password(tmp_path: Path) -> None:
    """Its command and its health check run here, on another port."""
    redis = compose(GIVEN)["services"]["log"]
    assert "ports" not in redis
    [kind, client, *words] = redis["healthcheck"]["test"]
    assert (kind, redis["command"][0]) == ("CMD", "redis-server")
    port = str(free_port())
    ask = [program(client), "-h", "127.0.0.1", "-p", port, *words]
    command = [redis_binary(), *redis["command"][1:], "--port", port, "--bind", "127.0.0.1"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 20
            while (said := ping(ask, redis["environment"])) != "PONG":
                assert time.monotonic() < end, said
                time.sleep(0.05)
            assert "NOAUTH" in ping(ask, {})
        finally:
            process.terminate()
    assert list(tmp_path.iterdir()) == []


def ping(command: list[str], environment: dict[str, str]) -> str:
    """Run a health check of Redis, and return what it says."""
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=10)
    return (done.stdout + done.stderr).strip()


def test_the_compose_file_publishes_to_the_proxies_of_this_machine_alone() -> None:
    """Each port is on loopback, and the configurations of the proxies name the same."""
    services = compose(GIVEN)["services"].values()
    published = [port.rpartition(":")[0] for each in services for port in each.get("ports", [])]
    assert published == ["127.0.0.1:8000", "127.0.0.1:8001"]
    for name in ("nginx.conf", "nginx-sub-path.conf", "Caddyfile", "Caddyfile-sub-path"):
        lines = [line for line in (SHIPPED / name).read_text().splitlines() if not line.lstrip().startswith("#")]
        named = re.findall(r"127\.0\.0\.1:\d+", "\n".join(lines))
        # nginx has one list for requests that may be sent again, and one for others.
        assert named == published * (2 if name.startswith("nginx") else 1), name


@pytest.mark.parametrize("name", GIVEN)
def test_the_compose_file_does_not_start_without_what_nobody_can_guess(name: str) -> None:
    """Passwords and host names have no default."""
    with pytest.raises(KeyError, match=name):
        compose({each: value for each, value in GIVEN.items() if each != name})


def test_every_setting_named_in_the_files_is_there() -> None:
    """Comments of the configurations included. A name that is none stops the server."""
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    for path in SHIPPED.iterdir():
        assert set(re.findall(rf"{PREFIX}[A-Z_]+", path.read_text())) <= known, path.name
    with pytest.raises(SettingsError):
        load_settings({f"{PREFIX}NONSENSE": "x"})


def test_a_silent_stream_outlasts_the_read_timeouts_of_the_proxies() -> None:
    """The server may be silent for the heartbeat's interval. A whole block may be late once."""
    silence = load_settings({}).heartbeat_seconds
    for name in ("nginx.conf", "nginx-sub-path.conf", "Caddyfile", "Caddyfile-sub-path"):
        [seconds] = re.findall(r"read_timeout (\d+)s", (SHIPPED / name).read_text())
        assert int(seconds) > 2 * silence, name


def test_both_configurations_of_a_proxy_pass_on_the_same() -> None:
    """What is below a path is passed on as what has a host of its own."""
    own, below = ((SHIPPED / name).read_text() for name in ("nginx.conf", "nginx-sub-path.conf"))
    pattern = r"(?m)^ *((?:proxy_|gzip|allow|deny|client_max|server 1|keepalive|least_conn|map)[^\n]*)$"
    assert sorted(re.findall(pattern, own)) == sorted(re.findall(pattern, below))
    own, below = ((SHIPPED / name).read_text() for name in ("Caddyfile", "Caddyfile-sub-path"))
    pattern = r"(?m)^\t+((?!#|redir|handle)[a-z@][^\n]*)$"
    assert re.findall(pattern, own) == re.findall(pattern, below)
