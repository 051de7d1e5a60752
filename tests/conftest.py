"""What tests share: where recorded bodies are, and settings that reach nothing outside this machine."""

import os
import signal
from pathlib import Path

import pytest

pytest_plugins = ["tests.databases"]

RECORDED = Path(os.environ.get("QUART_ODDS_RECORDED") or Path(__file__).parents[2] / "shared" / "recorded")


@pytest.fixture(scope="session")
def recorded() -> Path:
    """The folder of bodies recorded from the real sites; tests that need it skip for a user who has none."""
    if not (RECORDED / "requests.json").is_file():
        pytest.skip(f"no recorded bodies at {RECORDED}; set QUART_ODDS_RECORDED to a folder that has a requests.json")
    return RECORDED


def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """One process more than there are cores: many tests wait for others' processes, such as a browser."""
    return (os.cpu_count() or 1) + 1


def pytest_configure() -> None:
    """Let tests interrupt commands: a shell's background jobs ignore SIGINT, and so would what they start."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
