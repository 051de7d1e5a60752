"""`quart-odds schema` prints what a server serves, without a database."""

import subprocess
from pathlib import Path

import orjson
import pytest

from tests.apps import running_app
from tests.cli.test_cli import COMMAND
from tests.server.serving import environment

NOWHERE = "http://127.0.0.1:9"


@pytest.mark.parametrize(("kind", "path"), [("openapi", "/openapi.json"), ("asyncapi", "/asyncapi.json")])
@pytest.mark.parametrize("root_path", ["", "/odds"])
async def test_the_printed_document_is_the_served_one(tmp_path: Path, kind: str, path: str, root_path: str) -> None:
    """Below a root path too. Nothing is created in the folder, and nothing is logged."""
    folder = tmp_path / "empty"
    folder.mkdir()
    done = subprocess.run(
        [*COMMAND, "schema", kind],
        cwd=folder,
        env=environment({"root_path": root_path or None}),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(folder.iterdir()) == []
    async with running_app(tmp_path, NOWHERE, root_path=root_path) as running:
        assert orjson.loads(done.stdout) == await running.get(f"{root_path}{path}")


def test_another_kind_is_refused(tmp_path: Path) -> None:
    """The message names those that there are."""
    done = subprocess.run([*COMMAND, "schema", "wsdl"], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "'openapi', 'asyncapi'" in done.stderr
