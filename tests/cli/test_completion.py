"""`quart-odds completion`: the scripts, and what a shell gets to choose from."""

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from quart_odds.cli import main
from quart_odds.domain.platforms import Platform
from tests.server.serving import environment

SLUGS = [each.value for each in Platform]


def completed(*words: str) -> list[str]:
    """Return what bash offers for the last of these words, with the script that the command prints."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash")
    line = shlex.join(["quart-odds", *words])
    script = (
        'eval "$(quart-odds completion bash)"\n'
        f"COMP_WORDS=({line})\nCOMP_CWORD={len(words)}\n"
        "_quart_odds_completion quart-odds\n"
        'printf "%s\\n" "${COMPREPLY[@]}"\n'
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        [bash, "--norc", "--noprofile", "-c", script],
        env=environment({}) | {"PATH": path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, ""), done
    return done.stdout.split()


def test_bash_completes_commands() -> None:
    """Those that begin with what was written."""
    assert completed("do") == ["doctor"]
    assert completed("alerts", "targets", "re") == ["remove"]


def test_bash_completes_bookmakers() -> None:
    """Each command's own options have them, alone or after a comma."""
    assert completed("scrape", "--platform", "") == SLUGS
    assert completed("export", "--bookmaker", "bet9") == ["bet9ja"]
    assert completed("sandbox", "--bookmakers", "betpawa,bet9") == ["betpawa,bet9ja"]


def test_bash_completes_kinds_and_settings() -> None:
    """Names of settings are completed with and without their prefix."""
    assert completed("export", "hi") == ["history"]
    assert completed("config", "--set", "drain") == ["DRAIN_SECONDS="]
    assert completed("config", "--set", "QUART_ODDS_DRAIN") == ["QUART_ODDS_DRAIN_SECONDS="]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_script_is_that_of_the_shell(shell: str) -> None:
    """If the shell is installed, it accepts the script."""
    done = CliRunner().invoke(main, ["completion", shell])
    assert done.exit_code == 0
    assert f"_QUART_ODDS_COMPLETE={shell}_complete" in done.stdout
    if (program := shutil.which(shell)) is not None:
        check = subprocess.run([program, "-n"], input=done.stdout, text=True, capture_output=True, timeout=30)
        assert (check.returncode, check.stderr) == (0, "")


def test_another_shell_is_refused_with_those_that_there_are() -> None:
    """The exit code is 2."""
    done = CliRunner().invoke(main, ["completion", "tcsh"])
    assert (done.exit_code, "'bash', 'zsh', 'fish'" in done.output) == (2, True)
