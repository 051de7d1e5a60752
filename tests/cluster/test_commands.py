"""Commands through a real Redis: carried out once or not at all, and answered with what became of them."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import orjson
import pytest
import redis
from quart import Quart, Response, request
from redis.asyncio.client import Pipeline
from redis.asyncio.connection import Connection
from structlog.testing import capture_logs

from quart_odds.cluster import CommandReceiver, CommandSender, RedisServer, commands
from quart_odds.cluster.commands import Command
from quart_odds.errors import WriterUnavailableError
from tests.redis_servers import TestRedis, running_redis

WRITER = "1:host:7:abc"
BODY = bytes(range(256))


class Writer:
    """An app that counts what it carries out, and its receiver."""

    def __init__(self, url: str) -> None:
        self.app = Quart("writer")
        self.address: str | None = WRITER
        self.carried_out: list[str] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()
        self.receiver = CommandReceiver(RedisServer(url), lambda: self.address, self.app)

        @self.app.route("/echo/<name>", methods=["GET", "POST", "PUT"])
        async def echo(name: str) -> Response:
            self.carried_out.append(name)
            await self.may_answer.wait()
            answer = orjson.dumps(
                {
                    "method": request.method,
                    "query": request.query_string.decode(),
                    "accept": request.headers["Accept"],
                    "body": list(await request.get_data(as_text=False)),
                    "mark": request.scope.get("mark"),
                }
            )
            return Response(answer, 207, {"Location": "/there", "X-Twice": "1"})


@pytest.fixture(scope="module")
def server() -> Iterator[TestRedis]:
    """Return a Redis server for the tests of this module."""
    with running_redis() as running:
        yield running


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[tuple[CommandSender, Writer]]:
    """Open a sender, and a writer that takes its commands."""
    writer = Writer(url)
    sender = CommandSender(RedisServer(url), lambda: writer.address)
    async with writer.app.test_app():
        writer.receiver.open()
        try:
            yield sender, writer
        finally:
            writer.may_answer.set()
            await writer.receiver.close()
            await sender.aclose()


def named(name: str) -> Command:
    """Return a command that the writer counts under this name."""
    return Command("POST", f"/echo/{name}", "a=1&b=%20x", (("accept", "text/html"),), BODY, {"mark": "set"})


def ids(server: TestRedis) -> list[bytes]:
    """Return the keys of the requests that wait."""
    with redis.Redis(port=server.port) as client:
        return sorted(client.keys("quart-odds:command:*"))


async def until_carried_out(writer: Writer, *names: str) -> None:
    """Return when the writer has begun to carry out these."""
    async with asyncio.timeout(10):
        while writer.carried_out != list(names):
            await asyncio.sleep(0.01)


async def test_a_request_and_its_answer_are_passed_on_whole(server: TestRedis) -> None:
    """Method, path, query, headers, body and marks reach the app; status, headers and body come back."""
    async with opened(server.url) as (sender, writer):
        answer = await sender.send(named("whole"))
        assert answer.status == 207
        assert ("location", "/there") in answer.headers
        assert orjson.loads(answer.body) == {
            "method": "POST", "query": "a=1&b=%20x", "accept": "text/html", "body": list(BODY), "mark": "set",
        }  # fmt: skip
        assert writer.carried_out == ["whole"]


async def test_commands_do_not_wait_for_each_other(server: TestRedis) -> None:
    """One that takes long does not hold up the next, and each sender gets the answer to its own."""
    async with opened(server.url) as (sender, writer):
        writer.may_answer.clear()
        sending = [asyncio.create_task(sender.send(named(name))) for name in ("a", "b", "c")]
        async with asyncio.timeout(10):
            while sorted(writer.carried_out) != ["a", "b", "c"]:
                await asyncio.sleep(0.01)
        writer.may_answer.set()
        assert [each.status for each in await asyncio.gather(*sending)] == [207] * 3


async def test_an_id_that_comes_twice_is_carried_out_once(server: TestRedis) -> None:
    """Neither the list nor the request itself can make the writer do it again."""
    async with opened(server.url) as (sender, writer):
        with redis.Redis(port=server.port) as client:
            packed = commands._packed_command(named("twice"))
            for _ in range(2):
                client.set("quart-odds:command:same", packed, px=5000)
                client.rpush(f"quart-odds:commands:{WRITER}", "same", "same")
                await until_carried_out(writer, "twice")
            assert (await sender.send(named("next"))).status == 207  # by now the list is empty
            assert writer.carried_out == ["twice", "next"]
            assert client.llen("quart-odds:answer:same") == 1
            assert 0 < client.pttl("quart-odds:answer:same") <= commands.KEPT_MS


async def test_a_request_that_no_writer_takes_is_withdrawn(server: TestRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender says that it was not carried out, and a writer that comes later does not carry it out."""
    monkeypatch.setattr(commands, "TAKE_SECONDS", 0.2)
    sender = CommandSender(RedisServer(server.url), lambda: WRITER)
    began = time.monotonic()
    with pytest.raises(WriterUnavailableError, match="was not carried out"):
        await sender.send(named("late"))
    assert time.monotonic() - began < 5
    await sender.aclose()
    assert ids(server) == []
    async with opened(server.url) as (other, writer):
        await other.send(named("next"))
        assert writer.carried_out == ["next"]


async def test_a_process_that_is_about_to_end_withdraws_what_no_writer_takes(server: TestRedis) -> None:
    """Its client is told at once to send it again, and gets no broken connection."""
    sender = CommandSender(RedisServer(server.url), lambda: WRITER)
    sending = asyncio.create_task(sender.send(named("late")))
    async with asyncio.timeout(10):
        while not ids(server):
            await asyncio.sleep(0.01)
    sender.hurry()
    with pytest.raises(WriterUnavailableError, match="was not carried out"):
        async with asyncio.timeout(commands.TAKE_SECONDS - 1):
            await sending
    await sender.aclose()


async def test_a_request_whose_deadline_has_passed_is_not_carried_out(
    server: TestRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sender is gone without withdrawing it, and Redis has dropped it."""
    monkeypatch.setattr(commands, "EXPIRY_MS", 100)
    sender = CommandSender(RedisServer(server.url), lambda: WRITER)
    sending = asyncio.create_task(sender.send(named("old")))
    with redis.Redis(port=server.port) as client:
        async with asyncio.timeout(10):
            while not client.llen(f"quart-odds:commands:{WRITER}"):
                await asyncio.sleep(0.01)
            sending.cancel()
            await asyncio.wait([sending])
            while ids(server):
                await asyncio.sleep(0.01)
    await sender.aclose()
    async with opened(server.url) as (other, writer):
        monkeypatch.setattr(commands, "EXPIRY_MS", 10_000)
        await other.send(named("next"))
        assert writer.carried_out == ["next"]


async def test_a_request_that_is_held_up_on_its_way_past_its_deadline_is_not_carried_out(
    server: TestRedis, monkeypatch: pytest.MonkeyPatch
) -> None:
    """TCP delivers it when a cut is over, long after the client has been answered."""
    monkeypatch.setattr(commands, "EXPIRY_MS", 200)
    monkeypatch.setattr(commands, "TAKE_SECONDS", 0.2)
    monkeypatch.setattr(commands, "CARRY_OUT_SECONDS", 0.4)
    execute = Pipeline.execute

    async def late(pipeline: Pipeline, *more: Any) -> Any:
        await asyncio.sleep(0.4)
        return await execute(pipeline, *more)

    async with opened(server.url) as (sender, writer):
        with monkeypatch.context() as patched:
            patched.setattr(Pipeline, "execute", late)
            with pytest.raises(WriterUnavailableError):
                await sender.send(named("late"))
        monkeypatch.undo()
        assert (await sender.send(named("next"))).status == 207
        assert writer.carried_out == ["next"]


async def test_a_sender_learns_that_the_writer_has_changed(server: TestRedis) -> None:
    """If the former writer had taken the request, nobody knows what became of it; otherwise nothing did."""
    async with opened(server.url) as (sender, writer):
        writer.may_answer.clear()
        sending = asyncio.create_task(sender.send(named("taken")))
        await until_carried_out(writer, "taken")
        writer.address = "2:other:8:def"
        with pytest.raises(WriterUnavailableError, match="has ended; whether the request was carried out is not known"):
            await sending
        await writer.receiver.close()
        sending = asyncio.create_task(sender.send(named("not taken")))
        async with asyncio.timeout(10):
            while not ids(server):
                await asyncio.sleep(0.01)
        writer.address = None
        with pytest.raises(WriterUnavailableError, match="has ended; the request was not carried out"):
            await sending
        with pytest.raises(WriterUnavailableError, match="no process writes"):
            await sender.send(named("nobody"))
        assert writer.carried_out == ["taken"]


async def test_a_process_lets_only_so_many_requests_wait(server: TestRedis, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused at once."""
    monkeypatch.setattr(commands, "MOST_WAITING", 2)
    async with opened(server.url) as (sender, writer):
        writer.may_answer.clear()
        sending = [asyncio.create_task(sender.send(named(name))) for name in ("a", "b")]
        await asyncio.sleep(0)
        with pytest.raises(WriterUnavailableError, match="2 requests wait"):
            await sender.send(named("c"))
        writer.may_answer.set()
        await asyncio.gather(*sending)


async def test_a_redis_that_goes_away_and_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """Senders learn that it is gone, and commands work again afterwards."""
    with running_redis() as own:
        async with opened(own.url) as (sender, writer):
            assert (await sender.send(named("before"))).status == 207
            writer.may_answer.clear()
            sending = asyncio.create_task(sender.send(named("during")))
            await until_carried_out(writer, "before", "during")
            own.kill()
            with pytest.raises(WriterUnavailableError, match="Redis does not answer"):
                await sending
            with pytest.raises(WriterUnavailableError):
                await sender.check()
            writer.may_answer.set()
            own.start()
            await sender.check()
            assert (await sender.send(named("after"))).status == 207
            assert writer.carried_out == ["before", "during", "after"]


@pytest.mark.parametrize("error", [TypeError("can't concat NoneType to bytes"), AttributeError("'NoneType' object")])
async def test_a_write_to_a_peer_that_has_closed_is_a_redis_that_does_not_answer(
    server: TestRedis, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Some versions of Python make asyncio raise these. The sender says so, and the receiver goes on."""

    async def broken(*_: object, **__: object) -> None:
        raise error

    async with opened(server.url) as (sender, writer):
        with monkeypatch.context() as patched, capture_logs() as lines:
            patched.setattr(Connection, "send_packed_command", broken)
            with pytest.raises(WriterUnavailableError, match="Redis does not answer"):
                await sender.send(named("broken"))
            with pytest.raises(WriterUnavailableError):
                await sender.check()
            async with asyncio.timeout(10):
                while "cluster.commands.no_redis" not in {line["event"] for line in lines}:
                    await asyncio.sleep(0.01)
        assert (await sender.send(named("after"))).status == 207
        assert writer.carried_out == ["after"]
