"""Memory limit for undecoded bodies: large ones are held one at a time, small ones as they arrive."""

import asyncio

import pytest
from aiohttp import web

from quart_odds.bookmakers import RawBody, open_client
from quart_odds.bookmakers.room import SMALL_BYTES
from quart_odds.domain.platforms import Platform
from quart_odds.errors import BookmakerError, MalformedBodyError, ServerFaultError
from tests.bookmakers.fake_site import serving, settings_for
from tests.bookmakers.wire import asked, dumps

LARGE = b"{" + b" " * (2 * SMALL_BYTES)
EVENT = asked(Platform.BETPAWA, "501")


async def test_large_bodies_are_held_one_at_a_time() -> None:
    """Reading of the next large body resumes when the previous one is released. Small bodies never wait."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=b"{}" if request.path.endswith("small") else LARGE)

    async with serving(answer) as site:
        client = open_client(Platform.BETPAWA, settings_for(site.url, request_timeout_seconds=60))
        try:
            left = [asyncio.create_task(client.fetch(EVENT)) for _ in range(5)]
            small = await asyncio.gather(*(client.fetch(asked(Platform.BETPAWA, "small")) for _ in range(10)))
            assert {raw.content for raw in small} == {b"{}"}
            while left:
                done, pending = await asyncio.wait(left, timeout=30, return_when=asyncio.FIRST_COMPLETED)
                assert len(done) == 1
                # The other large bodies get the chance to finish, but must not.
                await client.fetch(asked(Platform.BETPAWA, "small"))
                assert not any(task.done() for task in pending)
                [task] = done
                assert task.result().content == LARGE
                client.release(task.result())
                left = list(pending)
        finally:
            await client.aclose()


@pytest.mark.parametrize(("status", "kind"), [(500, ServerFaultError), (418, MalformedBodyError)])
async def test_a_large_answer_that_is_no_body_leaves_its_room(status: int, kind: type[BookmakerError]) -> None:
    """Whatever was wrong with the answer, the next one finds room."""

    async def answer(request: web.Request) -> web.Response:
        return web.Response(body=LARGE, status=200 if request.path.endswith("good") else status)

    async with serving(answer) as site:
        client = open_client(Platform.BETPAWA, settings_for(site.url, request_tries=2, request_timeout_seconds=30))
        try:
            for _ in range(3):
                with pytest.raises(kind):
                    await client.fetch(EVENT)
            good: RawBody = await client.fetch(asked(Platform.BETPAWA, "good"))
            assert good.content == LARGE
        finally:
            await client.aclose()


async def test_a_large_body_that_is_given_up_leaves_its_room() -> None:
    """While it is being read, or while it waits for that."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if request.path.endswith("good"):
            return web.Response(body=LARGE)
        response = web.StreamResponse(headers={"content-length": str(4 * len(LARGE))})
        await response.prepare(request)
        await response.write(LARGE)
        await asyncio.sleep(60)
        return response

    async with serving(answer) as site:
        client = open_client(Platform.BETPAWA, settings_for(site.url, request_timeout_seconds=30))
        try:
            tasks = [asyncio.create_task(client.fetch(EVENT)) for _ in range(3)]
            while site.under_way < 3:
                await asyncio.sleep(0.01)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            good = await client.fetch(asked(Platform.BETPAWA, "good"))
            assert good.content == LARGE
        finally:
            await client.aclose()


async def test_large_lists_are_held_one_at_a_time_and_leave_their_room() -> None:
    """A root and fifty pages, all of them large."""

    async def answer(request: web.Request) -> web.Response:
        if "categories" in request.path:
            competitions = [{"competition": {"id": str(each), "name": "League"}} for each in range(50)]
            found = {"withRegions": [{"regions": [{"region": {"name": "Country"}, "competitions": competitions}]}]}
            return web.Response(body=dumps(found) + b" " * (2 * SMALL_BYTES))
        return web.Response(body=b'{"responses": []}' + b" " * (2 * SMALL_BYTES))

    async with serving(answer) as site:
        client = open_client(Platform.BETPAWA, settings_for(site.url, request_timeout_seconds=60))
        try:
            async with asyncio.timeout(60):
                assert [listed async for listed in client.discover()] == []
            assert client.discovery_errors == []
        finally:
            await client.aclose()
