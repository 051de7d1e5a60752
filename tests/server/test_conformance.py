"""Frames on both lanes of the launcher: each case of the table has the outcome that RFC 6455 requires."""

import asyncio
from collections.abc import Iterator

import pytest

from tests.server.conformance import CASES, Outcome, outcome
from tests.server.harness import Served, served

AT_ONCE = 8


@pytest.fixture(params=["fast", "standard"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The application under the launcher, on one of the lanes."""
    options = ("--standard-lane",) if request.param == "standard" else ()
    with served(tmp_path_factory.mktemp("server"), *options) as server:
        yield server


async def test_frames_are_judged_as_the_standard_says(server: Served) -> None:
    """Run all cases, several at a time, each on a new connection. If the server closes it, the server also ends it."""
    room = asyncio.Semaphore(AT_ONCE)
    wrong: dict[str, Outcome] = {}

    async def judge(number: int) -> None:
        case = CASES[number]
        async with room:
            found = await outcome(server.port, case)
        if found not in case.right:
            wrong[case.name] = found

    async with asyncio.TaskGroup() as group:
        for number in range(len(CASES)):
            group.create_task(judge(number))
    assert wrong == {}
    await server.until(listening=0, places=0)
