"""All checks together: side by side, in time, and in order."""

import asyncio
import importlib.util
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from quart_odds.doctor import Examination, Finding, Status, examination
from quart_odds.doctor.examination import in_thread
from quart_odds.doctor.extras import extras
from quart_odds.doctor.findings import failed, ok, warning
from quart_odds.domain.platforms import Platform
from quart_odds.settings import Settings, load_settings

BETPAWA, SPORTYBET, *_ = Platform


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with two bookmakers and a database that is not there yet."""
    return load_settings({}, database_url=f"sqlite:///{tmp_path / 'odds.db'}", bookmakers=(BETPAWA, SPORTYBET))


async def test_checks_run_side_by_side_and_are_told_in_order(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Here each bookmaker waits for the other one. What is under way is told meanwhile."""
    waiting = asyncio.Barrier(2)
    seen: list[Sequence[str]] = []

    async def slow(_: Settings, platform: Platform, *__: object) -> Finding:
        await waiting.wait()
        return ok(f"bookmaker.{platform}", "fine")

    monkeypatch.setattr(examination, "bookmaker", slow)
    done = await Examination(settings, "127.0.0.1:0", 5.0, lambda names: seen.append(tuple(names))).findings()
    names = [each.check for each in done]
    assert names[:1] == ["database"]
    assert names.index("bookmaker.betpawa") < names.index("bookmaker.sportybet") < names.index("port")
    assert names[-2:] == ["clock", "extras"]
    most = max(seen, key=len)
    assert {"bookmaker.betpawa", "bookmaker.sportybet"} <= set(most)
    assert seen[-1] == ()


async def test_a_check_that_takes_too_long_fails_alone(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are told all the same."""

    async def slow(*_: object) -> Finding:
        await asyncio.Event().wait()
        raise AssertionError

    monkeypatch.setattr(examination, "bookmaker", slow)
    done = {each.check: each for each in await Examination(settings, "127.0.0.1:0", 0.2).findings()}
    assert done["bookmaker.betpawa"].status is Status.FAILED
    assert "not finished within 0.2 s" in done["bookmaker.betpawa"].detail
    assert done["port"].status is Status.OK


def test_the_exit_code_is_that_of_the_worst() -> None:
    """A warning is no failure."""
    assert Examination.exit_code([ok("a", "b"), warning("a", "b", "c")]) == 0
    assert Examination.exit_code([ok("a", "b"), failed("a", "b", "c")]) == 1


def test_a_file_system_that_hangs_holds_up_no_end() -> None:
    """The thread that waits for it ends with the process."""
    release = threading.Event()

    async def hang() -> None:
        async with asyncio.timeout(0.1):
            await in_thread(release.wait)

    began = time.monotonic()
    with pytest.raises(TimeoutError):
        asyncio.run(hang())
    assert time.monotonic() - began < 10
    assert [each.daemon for each in threading.enumerate() if each.name == "doctor"] == [True]
    release.set()


async def test_errors_of_a_thread_are_raised() -> None:
    """As if there were none."""

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await in_thread(fail)
    assert await in_thread(lambda: 3) == 3


@pytest.mark.parametrize(
    ("given", "apprise_targets", "missing"),
    [
        ({}, 0, []),
        ({"engine_url": "redis://h", "database_url": "postgresql://h/odds"}, 2, ["postgres", "redis", "alerts"]),
        ({"engine_url": "redis://h"}, 0, ["redis"]),
        ({"jwt_issuer": "x", "jwt_audience": "y", "jwt_jwks_url": "https://h/keys"}, 0, ["jwt"]),
        ({"otel_endpoint": "http://h:4318"}, 0, ["otel"]),
    ],
)
def test_extras_that_settings_need_are_missed(
    given: dict[str, str], apprise_targets: int, missing: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the command that installs them. What is not needed is no fault."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    first, *others = extras(load_settings({}, **given), apprise_targets)
    assert first.status is Status.OK
    assert [each.check for each in others] == [f"extras.{each}" for each in missing]
    assert all("pip install 'quart-odds[" in str(each.advice) for each in others)


def test_extras_that_are_installed_are_listed() -> None:
    """Those of the tests are."""
    [found] = extras(load_settings({}, engine_url="redis://h"), 1)
    assert found.detail == "installed: postgres, redis, alerts, export, jwt, otel"
