"""Conditional requests: which `If-None-Match` is answered 304, wherever an answer has an ETag."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from quart_odds.routes.pages.shell import asset_path
from tests.apps import RunningApp, running_app

PATHS = ("/api/events", "/api/events/countries", "/openapi.json", asset_path("live.js"))


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[RunningApp]:
    """An app without bookmakers."""
    async with running_app(tmp_path, "http://127.0.0.1:9") as opened:
        yield opened


@pytest.mark.parametrize(
    ("form", "is_known"),
    [
        ('"{}"', True),
        ('W/"{}"', True),
        ('"other", "{}"', True),
        ('"other",W/"{}","another"', True),
        ("*", True),
        ('"{}1"', False),
        ('"1{}"', False),
        ('W/"{}1"', False),
        ('"other {}"', False),
        ('"{}-gzip"', False),
        ('""', False),
        ("", False),
    ],
)
async def test_answer_is_sent_again_unless_the_client_has_it(form: str, is_known: bool, running: RunningApp) -> None:
    """Tags are compared whole and weakly, in lists too; `*` stands for any."""
    for path in PATHS:
        first = await running.client.get(path)
        tag = first.headers["ETag"]
        assert tag[0] == tag[-1] == '"'
        again = await running.client.get(path, headers={"If-None-Match": form.replace("{}", tag.strip('"'))})
        assert again.headers["ETag"] == tag
        expected = (304, b"") if is_known else (200, await first.get_data())
        assert (again.status_code, await again.get_data()) == expected, path


async def test_each_encoding_has_a_tag_of_its_own(running: RunningApp) -> None:
    """A client that has the plain answer does not have the compressed one."""
    gzip = {"Accept-Encoding": "gzip"}
    plain, zipped = await running.client.get("/openapi.json"), await running.client.get("/openapi.json", headers=gzip)
    tags = plain.headers["ETag"], zipped.headers["ETag"]
    assert tags[1] == f'"{tags[0].strip(chr(34))}-gzip"'
    for headers, had, status in ((gzip, tags[0], 200), (gzip, tags[1], 304), ({}, tags[1], 200), ({}, tags[0], 304)):
        answer = await running.client.get("/openapi.json", headers={**headers, "If-None-Match": had})
        assert answer.status_code == status, (headers, had)
