"""The supervisor of several workers: processes that end, restarts in turn, and stops, with workers that start fast."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs
from structlog.typing import EventDict

from quart_odds.errors import SettingsError, WorkersError
from quart_odds.server import workers as module
from quart_odds.server.channel import Lines, WorkerPlace, line_of
from quart_odds.server.sockets import listen, listen_for_workers
from quart_odds.server.worker_process import WorkerProcess
from quart_odds.server.workers import Supervisor, check_workers
from quart_odds.settings import load_settings

PATIENCE_SECONDS = 20
PROGRAM = Path(__file__).with_name("bare_worker.py")


@dataclass
class Supervised:
    """A supervisor in this process, and what it does."""

    supervisor: Supervisor
    work: asyncio.Task[int]
    port: int
    behaviour: Path
    lines: list[EventDict]
    addresses: list[str] = field(default_factory=list)

    def of(self, event: str) -> list[EventDict]:
        """Return the log lines of an event."""
        return [each for each in self.lines if each["event"] == event]

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait for a condition while the supervisor runs."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                assert not self.work.done(), self.lines
                await asyncio.sleep(0.005)

    async def until_ready(self, starts: int) -> None:
        """Wait until so many workers have become ready since the beginning."""
        await self.until(lambda: len(self.of("worker.ready")) == starts)

    async def watched(self, *, turns: int) -> None:
        """Wait until the supervisor has looked after its workers so many times."""
        for _ in range(turns):
            await asyncio.sleep(module.WATCH_SECONDS)
        assert not self.work.done(), self.lines

    async def ask(self) -> tuple[int, int]:
        """Connect, and return the number and the process id of the worker that answers."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
            try:
                number, pid = (await reader.readline()).split()
            finally:
                writer.close()
        return int(number), int(pid)

    def pid(self, number: int) -> int:
        """Return the process id of the newest worker with this number."""
        return int([each["pid"] for each in self.of("worker.started") if each["worker"] == number][-1])

    async def end(self) -> int:
        """Wait for the end, and return the exit code."""
        async with asyncio.timeout(PATIENCE_SECONDS):
            return await self.work


@asynccontextmanager
async def supervised(folder: Path, workers: int, behaviour: str = "serve") -> AsyncIterator[Supervised]:
    """Run a supervisor."""
    path = folder / "behaviour"
    path.write_text(behaviour)
    sockets = listen_for_workers("127.0.0.1:0", 10, workers)
    addresses: list[str] = []
    with capture_logs() as lines:
        supervisor = Supervisor(
            sockets,
            [sys.executable, "-I", str(PROGRAM), str(path)],
            os.environ,
            drain_seconds=0.5,
            on_ready=addresses.append,
        )
        work = asyncio.create_task(supervisor.run())
        try:
            yield Supervised(supervisor, work, sockets[0].getsockname()[1], path, lines, addresses)
        finally:
            if not work.done():
                supervisor.stop()
            async with asyncio.timeout(PATIENCE_SECONDS):
                await asyncio.wait([work])
            for sock in sockets:
                sock.close()


@pytest.fixture
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.01)


async def asking(running: Supervised, done: asyncio.Event) -> list[int]:
    """Connect again and again until `done`, and return which workers answered. An error fails the test.

    Without a pause it would use up the ports of this machine. Each connection then has the one that was freed last, and
    its port decides which worker gets it.
    """
    answers = []
    while not done.is_set():
        answers.append((await running.ask())[0])
        await asyncio.sleep(0.002)
    return answers


async def test_connections_are_shared_evenly(tmp_path: Path) -> None:
    """Of 800 connections, each of four workers gets about 200, and the address is announced once."""
    async with supervised(tmp_path, 4) as running:
        await running.until_ready(4)
        shares = Counter([(await running.ask())[0] for _ in range(800)])
        assert shares.keys() == {1, 2, 3, 4}
        # The standard deviation is 12.
        assert min(shares.values()) > 120, shares
        assert running.addresses == [f"http://127.0.0.1:{running.port}"]


async def test_another_worker_answers_for_one_that_is_dead_until_it_is_replaced(tmp_path: Path) -> None:
    """While a new process needs time to start, every connection is answered. Open connections at others stay open."""
    async with supervised(tmp_path, 2) as running:
        await running.until_ready(2)
        readers: list[tuple[int, tuple[asyncio.StreamReader, asyncio.StreamWriter]]] = []
        while {each for each, _ in readers} != {1, 2}:
            reader, writer = await asyncio.open_connection("127.0.0.1", running.port)
            readers.append((int((await reader.readline()).split()[0]), (reader, writer)))
        running.behaviour.write_text("wait")
        killed = running.pid(1)
        os.kill(killed, signal.SIGKILL)
        await running.until(lambda: running.pid(1) != killed)
        assert {(await running.ask())[0] for _ in range(50)} == {2}
        [ended] = running.of("worker.ended")
        assert (ended["worker"], ended["reason"], ended["log_level"]) == (1, "ended by SIGKILL", "error")
        running.behaviour.write_text("serve")
        await running.until_ready(3)
        assert {(await running.ask())[0] for _ in range(50)} == {1, 2}
        for number, (reader, writer) in readers:
            assert reader.at_eof() == (number == 1)
            writer.close()


async def test_a_connection_in_the_queue_of_a_dead_worker_is_answered(tmp_path: Path) -> None:
    """A worker that is stopped accepts nothing. When it is killed, nobody in its queue is refused or reset."""
    async with supervised(tmp_path, 2) as running:
        await running.until_ready(2)
        os.kill(running.pid(1), signal.SIGSTOP)
        waiting = [asyncio.create_task(running.ask()) for _ in range(60)]
        async with asyncio.timeout(PATIENCE_SECONDS):
            while sum(each.done() for each in waiting) < 10:
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        assert not all(each.done() for each in waiting), "none was for the first worker"
        os.kill(running.pid(1), signal.SIGKILL)
        assert len(await asyncio.gather(*waiting)) == 60


async def test_a_restart_replaces_one_worker_after_the_other_and_refuses_nobody(tmp_path: Path) -> None:
    """Each old one is told to stop once its new one is ready. Requests during a restart lead to one more."""
    async with supervised(tmp_path, 2) as running:
        await running.until_ready(2)
        done = asyncio.Event()
        clients = [asyncio.create_task(asking(running, done)) for _ in range(4)]
        before = [running.pid(1), running.pid(2)]
        running.supervisor.restart()
        await running.until(lambda: len(running.of("worker.started")) == 3)
        for _ in range(3):
            running.supervisor.restart()
        await running.until(lambda: len(running.of("workers.restarted")) == 2)
        done.set()
        answers = [each for answered in await asyncio.gather(*clients) for each in answered]
        assert len(answers) > 20
        assert not set(before) & {running.pid(1), running.pid(2)}
        order = [(each["event"], each["worker"]) for each in running.lines if "worker" in each][4:]
        once = [(event, number) for number in (1, 2) for event in ("worker.started", "worker.ready")]
        assert order == once + once
        assert {(await running.ask())[1] for _ in range(50)} == {running.pid(1), running.pid(2)}
        assert len(running.of("workers.restarting")) == 2


async def test_a_new_worker_that_cannot_start_leaves_the_old_ones_running(tmp_path: Path) -> None:
    """The log says why, and another restart works once the reason is gone."""
    async with supervised(tmp_path, 2) as running:
        await running.until_ready(2)
        before = {running.pid(1), running.pid(2)}
        running.behaviour.write_text("fail")
        running.supervisor.restart()
        await running.until(lambda: bool(running.of("workers.restart_given_up")))
        [line] = running.of("workers.restart_given_up")
        assert line["reason"] == "the behaviour is to fail (exit code 1)"
        assert {(await running.ask())[1] for _ in range(50)} == before
        running.behaviour.write_text("serve")
        running.supervisor.restart()
        await running.until(lambda: bool(running.of("workers.restarted")))
        assert not before & {(await running.ask())[1] for _ in range(50)}


async def test_a_new_worker_that_does_not_become_ready_leaves_the_old_one_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is killed after a time, and the log says so."""
    async with supervised(tmp_path, 1) as running:
        await running.until_ready(1)
        before = running.pid(1)
        monkeypatch.setattr(module, "READY_SECONDS", 0.3)
        running.behaviour.write_text("wait")
        running.supervisor.restart()
        await running.until(lambda: bool(running.of("workers.restart_given_up")))
        assert "not ready within 0.3 s" in running.of("workers.restart_given_up")[0]["reason"]
        assert await running.ask() == (1, before)


async def test_a_worker_that_dies_while_it_is_being_replaced_leaves_one_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its replacement by the restart becomes ready while another process is being started for it. That one ends."""
    start = WorkerProcess.start
    started: list[WorkerProcess] = []
    let_go = asyncio.Event()

    async def start_slowly(*arguments: Any) -> WorkerProcess:
        started.append(await start(*arguments))
        await let_go.wait()
        return started[-1]

    async with supervised(tmp_path, 1) as running:
        await running.until_ready(1)
        running.behaviour.write_text("wait")
        running.supervisor.restart()
        await running.until(lambda: len(running.of("worker.started")) == 2)
        replacement = running.pid(1)
        monkeypatch.setattr(WorkerProcess, "start", start_slowly)
        os.kill(running.of("worker.started")[0]["pid"], signal.SIGKILL)
        await running.until(lambda: bool(started))
        running.behaviour.write_text("serve")
        await running.until(lambda: bool(running.of("workers.restarted")))
        let_go.set()
        await running.until(lambda: started[0].has_ended)
        assert await running.ask() == (1, replacement)


@pytest.mark.usefixtures("_quickly")
async def test_workers_that_cannot_start_end_the_supervisor_with_the_reason(tmp_path: Path) -> None:
    """Only the first one tries, a few times, and longer apart each time."""
    async with supervised(tmp_path, 3, "fail") as running:
        with pytest.raises(WorkersError, match=r"worker 1 .* 4 times in a row: the behaviour is to fail"):
            await running.end()
        assert [each["worker"] for each in running.of("worker.started")] == [1, 1, 1, 1]
        assert [each["next_start_in_seconds"] for each in running.of("worker.not_started")] == [0.01, 0.02, 0.04]
        assert running.addresses == []


@pytest.mark.usefixtures("_quickly")
async def test_a_worker_that_cannot_start_again_does_not_end_those_that_run(tmp_path: Path) -> None:
    """It is tried again, while another one serves all connections, until it starts."""
    async with supervised(tmp_path, 2) as running:
        await running.until_ready(2)
        running.behaviour.write_text("fail")
        os.kill(running.pid(2), signal.SIGKILL)
        await running.until(lambda: len(running.of("worker.not_started")) > module.FAILED_STARTS)
        assert {(await running.ask())[0] for _ in range(30)} == {1}
        running.behaviour.write_text("serve")
        await running.until_ready(3)
        assert {(await running.ask())[0] for _ in range(50)} == {1, 2}


async def test_a_worker_that_dies_again_and_again_waits_longer_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wait has a limit, and a worker that has lived long enough does not wait."""
    monkeypatch.setattr(module, "FIRST_DELAY_SECONDS", 0.01)
    monkeypatch.setattr(module, "MOST_DELAY_SECONDS", 0.04)
    async with supervised(tmp_path, 1, "die") as running:
        await running.until(lambda: len(running.of("worker.ended")) >= 5)
        waits = [each["next_start_in_seconds"] for each in running.of("worker.ended")]
        assert waits[:5] == [0.01, 0.02, 0.04, 0.04, 0.04]
        assert running.of("worker.ended")[0]["reason"] == "exit code 3"
        monkeypatch.setattr(module, "STABLE_SECONDS", 0.0)
        await running.until(lambda: running.of("worker.ended")[-1]["next_start_in_seconds"] == 0)
        assert len(running.addresses) == 1


@pytest.fixture
def _watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "WATCH_SECONDS", 0.05)
    monkeypatch.setattr(module, "HUNG_SECONDS", 1.0)


@pytest.mark.usefixtures("_watched_closely", "_quickly")
async def test_a_worker_that_hangs_is_killed_and_replaced(tmp_path: Path) -> None:
    """One log line says why. Connections that waited for it are answered."""
    async with supervised(tmp_path, 2, "report") as running:
        await running.until_ready(2)
        hung, other = running.pid(1), running.pid(2)
        os.kill(hung, signal.SIGSTOP)
        waiting = [asyncio.create_task(running.ask()) for _ in range(30)]
        await running.until_ready(3)
        answers = await asyncio.gather(*waiting)
        assert {pid for _, pid in answers} <= {other, running.pid(1)}
        assert running.pid(2) == other
        assert not is_alive(hung)
        [line] = [each for each in running.lines if each["log_level"] == "error"]
        assert (line["event"], line["worker"], line["pid"]) == ("worker.ended", 1, hung)
        assert line["reason"] == "it has not reported for 1 s (ended by SIGKILL)"


@pytest.mark.usefixtures("_watched_closely")
async def test_a_machine_that_was_suspended_costs_no_worker(tmp_path: Path) -> None:
    """The supervisor stops as well then, and counts only the time in which it runs."""
    async with supervised(tmp_path, 2, "report") as running:
        await running.until_ready(2)
        pids = [running.pid(1), running.pid(2)]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        time.sleep(3)
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
        await running.watched(turns=25)
        assert [running.pid(1), running.pid(2)] == pids
        assert all(is_alive(pid) for pid in pids)


@pytest.mark.usefixtures("_watched_closely")
async def test_a_worker_of_a_version_without_reports_is_left_alone(tmp_path: Path) -> None:
    """A rolling restart may bring an older version back."""
    async with supervised(tmp_path, 1, "serve") as running:
        await running.until_ready(1)
        await running.watched(turns=25)
        assert await running.ask() == (1, running.of("worker.started")[0]["pid"])


async def test_a_stop_ends_all_workers(tmp_path: Path) -> None:
    """The exit code is 0."""
    async with supervised(tmp_path, 3) as running:
        await running.until_ready(3)
        pids = [running.pid(number) for number in (1, 2, 3)]
        running.supervisor.stop()
        assert await running.end() == 0
        assert not any(is_alive(pid) for pid in pids)


async def test_a_stop_ends_workers_that_are_starting(tmp_path: Path) -> None:
    """They serve nobody, so they need not become ready first."""
    async with supervised(tmp_path, 2, "wait") as running:
        await running.until(lambda: bool(running.of("worker.started")))
        running.supervisor.stop()
        assert await running.end() == 0
        assert not is_alive(running.pid(1))


async def test_a_worker_that_does_not_stop_is_killed_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log names it, and the exit code is 1."""
    monkeypatch.setattr(module, "STOP_SECONDS", 0.1)
    async with supervised(tmp_path, 1, "stay") as running:
        await running.until_ready(1)
        running.supervisor.stop()
        assert await running.end() == 1
        assert running.of("worker.killed")[0]["worker"] == 1
        assert not is_alive(running.pid(1))


async def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    """The exit code is that of a process which the signal ended."""
    async with supervised(tmp_path, 2, "stay") as running:
        await running.until_ready(2)
        running.supervisor.stop(signal.SIGINT)
        await asyncio.sleep(0.01)
        running.supervisor.stop(signal.SIGINT)
        assert await running.end() == 128 + signal.SIGINT
        assert not running.of("worker.killed")
        assert not is_alive(running.pid(1))


def is_alive(pid: int) -> bool:
    """Whether a process exists. Its parent has waited for it if not."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


def test_a_second_server_cannot_share_the_address_by_mistake() -> None:
    """With SO_REUSEPORT alone it would get half of the connections."""
    sockets = listen_for_workers("127.0.0.1:0", 10, 2)
    bind = f"127.0.0.1:{sockets[0].getsockname()[1]}"
    try:
        for open_second in (lambda: listen(bind, 10), lambda: listen_for_workers(bind, 10, 2)):
            with pytest.raises(SettingsError, match="choose another address or port"):
                open_second()
    finally:
        for sock in sockets:
            sock.close()


def test_several_workers_need_a_common_log_and_database() -> None:
    """The error says what to set. One worker needs neither."""
    check_workers(1, load_settings({}))
    check_workers(2, load_settings({}, engine_url="redis://127.0.0.1/0"))
    with pytest.raises(SettingsError, match=r"--workers 2 needs QUART_ODDS_ENGINE_URL: .*redis://"):
        check_workers(2, load_settings({}))
    with pytest.raises(SettingsError, match="a database that all workers share"):
        check_workers(2, load_settings({}, engine_url="redis://127.0.0.1/0", database_url="sqlite:///:memory:"))


def test_a_place_is_passed_as_text() -> None:
    """Anything else is refused."""
    place = WorkerPlace(2, 7, (5, 6))
    assert WorkerPlace.of_text(str(place)) == place
    for text in ("", "1", "1:2", "3:7:5,6", "0:7:5", "1:x:5", "1:2:3:4"):
        with pytest.raises(ValueError):
            WorkerPlace.of_text(text)


def test_messages_are_put_together_from_any_parts() -> None:
    """However the bytes arrive, each line is one message. A line that is none is refused."""
    data = line_of({"accept": [1, 2]}) + line_of({"stop": True})
    for size in (1, 3, len(data)):
        lines = Lines()
        parts = [data[at : at + size] for at in range(0, len(data), size)]
        assert [message for part in parts for message in lines.feed(part)] == [{"accept": [1, 2]}, {"stop": True}]
    with pytest.raises(ValueError):
        list(Lines().feed(b"[1]\n"))
