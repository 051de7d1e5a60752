"""The entry of the command line, beside packages that add bookmakers."""

import os
import subprocess
import sys
from pathlib import Path

import pytest


def install(folder: Path, code: str) -> None:
    """Make a folder look like one in which a package is installed that adds a bookmaker."""
    metadata = folder / "broken_bets-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-bets\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[quart_odds.bookmakers]\nbrokenbets = broken_bets\n")
    (folder / "broken_bets.py").write_text(code)


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("import no_such_module", "it cannot be loaded: ModuleNotFoundError("),
        (
            "from types import SimpleNamespace\nBOOKMAKER = 3\nSITE = SimpleNamespace(platform='x')",
            "BOOKMAKER has to be",
        ),
    ],
)
def test_a_package_that_cannot_be_used_ends_every_command_with_a_sentence(tmp_path: Path, code: str, said: str) -> None:
    """It names the package, and there is no traceback."""
    install(tmp_path, code)
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    command = [sys.executable, "-m", "quart_odds", "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: the bookmaker 'brokenbets' of the package broken-bets (broken_bets): ")
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
