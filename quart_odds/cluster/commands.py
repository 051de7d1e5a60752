"""Commands: requests that only the writer can carry out, passed on to it through Redis, whole.

A process that gets such a request stores it under a key of its own, with an expiry, and appends its id to the list of
the current writer and term (RPUSH). The writer takes an id (BLPOP) and then the request (GETDEL), dispatches it to its
own app as if it had been received there, and appends the answer to a list of this request, which expires as well.

GETDEL and DEL decide: either the writer gets a request, or the sender withdraws it, or it expires. So a request is
carried out at most once, never after its deadline, and the sender knows which of these happened.
"""

import asyncio
import secrets
import time
from base64 import b64decode, b64encode
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson
import structlog

from quart_odds.broadcast.engines.clients import end_tasks, words_of
from quart_odds.cluster.connection import ANSWER_SECONDS, RedisServer
from quart_odds.errors import WriterUnavailableError

BLOCK_SECONDS = 1
"""How long one BLPOP waits. Between two, both sides look whether the writer is still the same."""

TAKE_SECONDS = 5.0
"""How long a request waits for the writer to take it. Then the sender withdraws it."""

EXPIRY_MS = 10_000
"""The deadline of a request whose sender is gone: after that, Redis no longer has it."""

CARRY_OUT_SECONDS = 120.0
"""How long carrying out a request may take: more than a refresh at a slow bookmaker."""

KEPT_MS = 60_000
"""How long Redis keeps an answer that nobody takes, and the list of a writer that is gone."""

MOST_WAITING = 32
"""How many requests of one process may wait for answers, and how many the writer carries out, at a time."""

MAX_ANSWER_BYTES = 4_000_000
REMEMBERED = 10_000
"""How many ids of requests the writer remembers."""

PAUSES_SECONDS = (0.1, 0.5, 1.0, 2.0)
"""Waits before further attempts to deliver an answer."""

PREFIX = "quart-odds"
CLOSE_SECONDS = 0.5

NOT_CARRIED_OUT = "the request was not carried out: send it again"
NOT_KNOWN = "whether the request was carried out is not known: look before you send it again"

log = structlog.get_logger(__name__)

App = Callable[..., Awaitable[None]]
"""An ASGI app."""

Address = Callable[[], str | None]
"""Returns the term and the name of a writer in one string, or None if there is none."""


@dataclass(frozen=True, slots=True)
class Command:
    """A request to pass on. `marks` are added to the ASGI scope at the writer, where no client can set them."""

    method: str
    path: str
    query: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    marks: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Answer:
    """The writer's response."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


class CommandSender:
    """Passes requests on to the writer. `writer` returns the address of the current one, as far as it is known here."""

    def __init__(self, server: RedisServer, writer: Address) -> None:
        self._redis = server.connect(answer_seconds=BLOCK_SECONDS + ANSWER_SECONDS, most=2 * MOST_WAITING)
        self._writer = writer
        self._waiting = 0
        self._take_seconds = TAKE_SECONDS

    def hurry(self) -> None:
        """Withdraw requests that the writer does not take at once, because this process is about to end."""
        self._take_seconds = 0.0

    async def send(self, command: Command) -> Answer:
        """Return the writer's answer. Raises WriterUnavailableError, which says whether it was carried out."""
        if self._waiting >= MOST_WAITING:
            raise WriterUnavailableError(f"{MOST_WAITING} requests wait for the writer; {NOT_CARRIED_OUT}")
        address = self._writer()
        if address is None:
            raise WriterUnavailableError(f"no process writes to the database now; {NOT_CARRIED_OUT}")
        self._waiting += 1
        try:
            return await self._send(secrets.token_hex(16), address, command)
        except _redis_errors() as error:
            log.warning("cluster.command.failed", path=command.path, reason=words_of(error))
            raise WriterUnavailableError(f"Redis does not answer; {NOT_KNOWN}") from error
        finally:
            self._waiting -= 1

    async def check(self) -> None:
        """Raise WriterUnavailableError if Redis does not answer."""
        try:
            await self._redis.ping()
        except _redis_errors() as error:
            raise WriterUnavailableError("Redis does not answer") from error

    async def aclose(self) -> None:
        """Close the connections."""
        await self._redis.aclose()

    async def _send(self, command_id: str, address: str, command: Command) -> Answer:
        # By the clock of Redis: what is held up on its way, such as by a cut, must not get its time anew on arrival.
        seconds, microseconds = await self._redis.time()
        deadline_ms = 1000 * seconds + microseconds // 1000 + EXPIRY_MS
        async with self._redis.pipeline(transaction=True) as transaction:
            transaction.set(_request_key(command_id), _packed_command(command), pxat=deadline_ms, nx=True)
            transaction.rpush(_list_key(address), command_id)
            transaction.pexpire(_list_key(address), KEPT_MS)
            await transaction.execute()
        began = time.monotonic()
        is_taken = False
        while True:
            found = await self._redis.blpop([_answer_key(command_id)], timeout=BLOCK_SECONDS)
            if found is not None:
                return _unpacked_answer(_bytes(found[1]))
            waited = time.monotonic() - began
            is_changed = self._writer() != address
            if is_changed or waited >= CARRY_OUT_SECONDS or (not is_taken and waited >= self._take_seconds):
                if not is_taken and await self._redis.delete(_request_key(command_id)):
                    reason = "the writer has ended" if is_changed else "the writer does not answer"
                    raise WriterUnavailableError(f"{reason}; {NOT_CARRIED_OUT}")
                is_taken = True
                if is_changed or waited >= CARRY_OUT_SECONDS:
                    return await self._last_look(command_id, is_changed=is_changed)

    async def _last_look(self, command_id: str, *, is_changed: bool) -> Answer:
        packed = await self._redis.lpop(_answer_key(command_id))
        if isinstance(packed, bytes | str):
            return _unpacked_answer(_bytes(packed))
        reason = "the writer has ended" if is_changed else f"no answer within {CARRY_OUT_SECONDS:g} s"
        raise WriterUnavailableError(f"{reason}; {NOT_KNOWN}")


class CommandReceiver:
    """Carries out requests that other processes pass on, while this process is the writer.

    `address` returns this process's own address while it writes, and None while it does not. `app` is its ASGI app.
    """

    def __init__(self, server: RedisServer, address: Address, app: App) -> None:
        self._redis = server.connect(answer_seconds=BLOCK_SECONDS + ANSWER_SECONDS, most=1)
        self._answers = server.connect(most=MOST_WAITING)
        self._address = address
        self._app = app
        self._room = asyncio.Semaphore(MOST_WAITING)
        self._taken: dict[str, None] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Start to take requests."""
        self._task = asyncio.create_task(self._take_for_ever(), name="cluster-commands")

    async def close(self) -> None:
        """Take no more requests, give those under way CLOSE_SECONDS to end, and close the connections."""
        await end_tasks(self._task)
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=CLOSE_SECONDS)
            await end_tasks(*late)
        await asyncio.gather(self._redis.aclose(), self._answers.aclose())

    async def _take_for_ever(self) -> None:
        has_failed = False
        while True:
            address = self._address()
            if address is None:
                await asyncio.sleep(BLOCK_SECONDS / 5)
                continue
            await self._room.acquire()
            taken: tuple[str, bytes] | None = None
            try:
                taken = await self._take(address)
                has_failed = False
            except _redis_errors() as error:
                if not has_failed:
                    log.warning("cluster.commands.no_redis", reason=words_of(error))
                has_failed = True
                await asyncio.sleep(BLOCK_SECONDS / 2)
            finally:
                if taken is None:
                    self._room.release()
            if taken is not None:
                task = asyncio.create_task(self._carry_out(*taken), name=f"command-{taken[0]}")
                self._tasks.add(task)
                task.add_done_callback(self._done)

    async def _take(self, address: str) -> tuple[str, bytes] | None:
        """Return the id of the next request and the request, or None if there is none now."""
        found = await self._redis.blpop([_list_key(address)], timeout=BLOCK_SECONDS)
        if found is None:
            return None
        command_id = _bytes(found[1]).decode()
        packed = await self._redis.getdel(_request_key(command_id))
        if packed is None:
            return None  # it was withdrawn, or its deadline has passed
        if command_id in self._taken:
            return None
        self._taken[command_id] = None
        if len(self._taken) > REMEMBERED:
            del self._taken[next(iter(self._taken))]
        return command_id, _bytes(packed)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("cluster.command.broke", exc_info=error)

    async def _carry_out(self, command_id: str, packed: bytes) -> None:
        command = _unpacked_command(packed)
        async with asyncio.timeout(CARRY_OUT_SECONDS):
            answer = await dispatched(self._app, command)
        log.debug("cluster.command.carried_out", method=command.method, path=command.path, status=answer.status)
        for pause in (*PAUSES_SECONDS, None):
            try:
                async with self._answers.pipeline(transaction=True) as transaction:
                    transaction.rpush(_answer_key(command_id), _packed_answer(answer))
                    transaction.pexpire(_answer_key(command_id), KEPT_MS)
                    await transaction.execute()
                return
            except _redis_errors() as error:
                if pause is None:
                    log.warning("cluster.command.answer_lost", path=command.path, reason=words_of(error))
                    return
                await asyncio.sleep(pause)


async def dispatched(app: App, command: Command) -> Answer:
    """Return the answer of an ASGI app of this process to a request. Raises ValueError for one that is too long."""
    headers = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in command.headers]
    if command.body:
        headers.append((b"content-length", str(len(command.body)).encode()))
    scope: dict[str, Any] = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": command.method,
        "scheme": "http",
        "path": command.path,
        "raw_path": command.path.encode(),
        "query_string": command.query.encode("latin-1"),
        "root_path": "",
        "headers": headers,
        "client": None,
        "server": None,
        "extensions": {},
        **command.marks,
    }
    requests = [{"type": "http.request", "body": command.body, "more_body": False}]
    over = asyncio.Event()
    status = 500
    answered: list[tuple[str, str]] = []
    body = bytearray()

    async def receive() -> dict[str, Any]:
        if requests:
            return requests.pop()
        await over.wait()
        return {"type": "http.disconnect"}

    async def send(message: Mapping[str, Any]) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]
            answered.extend(_text(message.get("headers", ())))
        elif message["type"] == "http.response.body":
            body.extend(message.get("body", b""))
            if len(body) > MAX_ANSWER_BYTES:
                raise ValueError(f"the answer to {command.path} is longer than {MAX_ANSWER_BYTES} bytes")

    try:
        await app(scope, receive, send)
    finally:
        over.set()
    return Answer(status, tuple(answered), bytes(body))


def _text(headers: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """Return the headers that mean the same on another connection."""
    own = {"content-length", "transfer-encoding", "connection", "keep-alive", "date", "server"}
    texts = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in headers]
    return [(name, value) for name, value in texts if name not in own]


def _bytes(value: bytes | str) -> bytes:
    """Return what Redis sent: text only if the URL asks for it (`decode_responses`)."""
    return value.encode() if isinstance(value, str) else value


def _list_key(address: str) -> str:
    return f"{PREFIX}:commands:{address}"


def _request_key(command_id: str) -> str:
    return f"{PREFIX}:command:{command_id}"


def _answer_key(command_id: str) -> str:
    return f"{PREFIX}:answer:{command_id}"


def _packed_command(command: Command) -> bytes:
    return orjson.dumps(
        {
            "method": command.method,
            "path": command.path,
            "query": command.query,
            "headers": command.headers,
            "body": b64encode(command.body).decode(),
            "marks": dict(command.marks),
        }
    )


def _unpacked_command(packed: bytes) -> Command:
    found = orjson.loads(packed)
    headers = tuple((name, value) for name, value in found["headers"])
    return Command(found["method"], found["path"], found["query"], headers, b64decode(found["body"]), found["marks"])


def _packed_answer(answer: Answer) -> bytes:
    return orjson.dumps({"status": answer.status, "headers": answer.headers, "body": b64encode(answer.body).decode()})


def _unpacked_answer(packed: bytes) -> Answer:
    found = orjson.loads(packed)
    headers = tuple((name, value) for name, value in found["headers"])
    return Answer(found["status"], headers, b64decode(found["body"]))


def _redis_errors() -> tuple[type[Exception], ...]:
    from redis.exceptions import RedisError

    # redis-py raises more than its own errors when a peer has closed: TypeError, AttributeError.
    return RedisError, OSError, TimeoutError, TypeError, AttributeError
