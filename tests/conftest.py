"""Shared by all tests: the recorded bodies, and settings that reach nothing outside this machine."""

import logging
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import settings

from quart_odds import garbage
from tests.traffic import WATCH

pytest_plugins = ["tests.databases", "tests.export.preparing"]

RECORDED = Path(os.environ.get("QUART_ODDS_RECORDED") or Path(__file__).parents[2] / "shared" / "recorded")


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of bodies recorded from the real sites. Tests that need it are skipped if there is none."""
    if not (RECORDED / "requests.json").is_file():
        pytest.skip(f"no recorded bodies at {RECORDED}; set QUART_ODDS_RECORDED to a folder that has a requests.json")
    return RECORDED


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """Undo a test's configuration of logging: a later test in the same process would miss lines below its level."""
    root = logging.getLogger()
    config, level, handlers = structlog.get_config(), root.level, root.handlers[:]
    yield
    structlog.configure(**config)
    root.setLevel(level)
    root.handlers[:] = handlers


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Begin to collect what the documents of the API do not describe."""
    WATCH.begin(is_odd=item.get_closest_marker("odd_input") is not None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Fail a test whose traffic the documents do not describe."""
    yield
    WATCH.check()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown() -> Iterator[None]:
    """Also check what is sent while fixtures end."""
    yield
    WATCH.check()


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Use one process more than there are cores: many tests wait for other processes, such as a browser."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run long tests first. At the end, the other processes would wait for them."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


def pytest_configure(config: pytest.Config) -> None:
    """Let tests interrupt commands: background jobs of a shell ignore SIGINT, and their child processes would too.

    Property tests try fewer examples than by default, except in `make endurance`. Tracebacks in log lines are plain:
    with colours and source code they take a tenth of the time of all tests in this process. Collecting garbage as often
    as Python does by itself takes another tenth, because the tests and their libraries are so many objects.
    """
    garbage.begin()
    plain = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*structlog.get_config()["processors"][:-1], plain])
    if config.getoption("markexpr", "") != "endurance":
        settings.register_profile("ordinary", settings.default, max_examples=40)
        settings.load_profile("ordinary")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
