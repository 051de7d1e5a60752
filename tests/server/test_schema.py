"""The API as machines see it: `/openapi.json` describes what the server answers, whatever the request."""

import asyncio
import sys
from pathlib import Path

import pytest

from quart_odds.sandbox import SandboxOptions, sandbox_process
from tests.platforms import FIRST_THREE
from tests.server.serving import at, curl, served, token_command

NEVER_ENDING_OR_LEAVING = (
    r"^/api/(sse|scrape/stream|scrape/runs/\{scrape_run_id\}/progress|alerts/targets/\{target_id\}/test)"
)
"""Streams, whose requests tests/routes/test_odd_input.py makes, and what sends requests to targets of alerts."""

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_no_request_gets_a_server_error_or_an_answer_outside_its_schema(tmp_path: Path) -> None:
    """schemathesis sends all kinds of requests to every route of a server with the odds of a whole scrape.

    Some of them start runs, cancel them, and refresh events at the stand-ins.
    """
    async with (
        sandbox_process(SandboxOptions(events=20, move=0, bookmakers=FIRST_THREE)) as sandbox,
        served(tmp_path, at(sandbox.urls)) as server,
    ):
        published = await curl(server, "/api/scrape/stream")
        assert published[-1]["phase"] == "completed"
        token = await token_command(tmp_path, "create", "--name", "schemathesis", "--scope", "admin")
        process = await asyncio.create_subprocess_exec(
            str(Path(sys.executable).with_name("schemathesis")),
            "run",
            f"{server.url}/openapi.json",
            "--checks", CHECKS,
            # Without one it invents some, and is told to wait.
            "--header", f"Authorization: Bearer {token}",
            "--exclude-path-regex", NEVER_ENDING_OR_LEAVING,
            "--phases", "examples,coverage,fuzzing",
            "--max-examples", "8",
            "--generation-deterministic",
            "--no-color",
            cwd=tmp_path,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, output.decode()[-6000:]
