"""Who sends a request, in words for records: also across processes."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, cast

import pytest

from quart_odds.cluster import CommandSender
from quart_odds.cluster.commands import Answer, Command
from quart_odds.routes.access.requester import REQUESTER
from quart_odds.routes.access.same_origin import FORWARDED
from tests.apps import RunningApp, running_app
from tests.tokens import HEADERS, add_token

NOWHERE = "http://127.0.0.1:9"
TOKEN = "token 000000000000"


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without data, and a token."""
    async with running_app(tmp_path, NOWHERE) as opened:
        await add_token(opened.parts.store)
        yield opened


async def clean_up(running: RunningApp, **options: Any) -> int:
    """Ask for a clean-up, and return the status of the answer."""
    return int((await running.client.post("/api/cleanup/execute", **options)).status_code)


async def test_a_request_of_this_machine_and_one_with_a_token_are_told_apart(running: RunningApp) -> None:
    """A token is named by its id, wherever it is used."""
    for options, words in (
        ({}, "this machine"),
        ({"headers": HEADERS}, TOKEN),
        ({"headers": HEADERS, "scope_base": {"client": ("192.0.2.9", 50_000)}}, TOKEN),
        ({"scope_base": {FORWARDED: "yes", REQUESTER: "token 1a"}}, "token 1a"),
    ):
        assert await clean_up(running, **options) == 200
        [newest], _ = await running.parts.store.clean_ups(limit=1)
        assert newest.requested_by == words


async def test_a_forwarded_request_says_who_has_sent_it(running: RunningApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process that writes has no connection to see it by."""
    sent: list[Command] = []

    class Sender:
        async def send(self, command: Command) -> Answer:
            sent.append(command)
            return Answer(303, (("Location", "/"),), b"")

        async def aclose(self) -> None:
            """Nothing is open."""

    monkeypatch.setattr("quart_odds.routes.access.forwarding.is_for_writer", always)
    running.parts.commands = cast(CommandSender, Sender())
    assert (await running.client.post("/schedule/pause", headers=HEADERS)).status_code == 303
    assert sent[0].marks == {FORWARDED: "yes", REQUESTER: TOKEN}
    running.parts.commands = None


async def always() -> bool:
    """Another process has to carry it out."""
    return True
