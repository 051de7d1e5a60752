"""Hosts with addresses of their own on this machine: network namespaces, joined by two bridges in a further one.

The further namespace, the hub, is where the test itself runs during the block, and with it everything that it starts:
Redis, PostgreSQL, the bookmakers and the clients. So nothing of the machine's own network is touched. Each host has a
link for everything else and one for Redis alone, which a test may cut.
"""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import count
from pathlib import Path

import pytest

CLONE_NEWNET = 0x40000000
NAMESPACES = Path("/run/netns")
COMMAND_SECONDS = 10

HUB_ADDRESS = "10.77.0.1"
HUB_NETWORK = "10.77.0.0/24"
ENGINE_ADDRESS = "10.78.0.1"
"""Where Redis is: in the hub, on a bridge of its own."""

SUBNETS = {"front": "10.77.0", "engine": "10.78.0"}

_names = count(1)


class Cut(StrEnum):
    """How a host is cut from Redis. Nobody refuses or resets anything: what is sent does not arrive."""

    LINK = "link"
    """The cable is pulled."""
    REQUESTS = "requests"
    """What the host sends is lost."""
    ANSWERS = "answers"
    """What the host sends arrives, and what Redis sends is lost."""


@dataclass(frozen=True, slots=True)
class Host:
    """Where a process runs: its address, and what its command begins with."""

    address: str = "127.0.0.1"
    prefix: tuple[str, ...] = ()


LOOPBACK = Host()


@dataclass(frozen=True, slots=True)
class Network:
    """The hosts of processes, the address of what they share, and the address of Redis."""

    hosts: tuple[Host, ...] = (LOOPBACK,)
    address: str = "127.0.0.1"
    engine_address: str = "127.0.0.1"
    name: str = ""

    @contextlib.contextmanager
    def cut(self, host: Host, how: Cut) -> Iterator[None]:
        """Cut a host from Redis during the block."""
        number = self.hosts.index(host)
        hub, namespace = f"{self.name}-hub", f"{self.name}-{number}"
        if how is Cut.LINK:
            _ip("-n", hub, "link", "set", f"engine{number}", "down")
        else:
            at = hub if how is Cut.REQUESTS else namespace
            sender = f"{SUBNETS['engine']}.{10 + number}" if how is Cut.REQUESTS else self.engine_address
            _nft(at, f"add table ip cut{number}")
            _nft(at, f"add chain ip cut{number} arriving {{ type filter hook prerouting priority 0; }}")
            _nft(at, f"add rule ip cut{number} arriving ip saddr {sender} drop")
        try:
            yield
        finally:
            if how is Cut.LINK:
                _ip("-n", hub, "link", "set", f"engine{number}", "up")
            else:
                _nft(at, f"delete table ip cut{number}")


@contextlib.contextmanager
def network(hosts: int) -> Iterator[Network]:
    """Make a network of this many hosts, and be in its hub. Everything is removed with the block.

    Skips the test where the kernel does not let this user make network namespaces. A missing program is a skip too, and
    a failure in CI.
    """
    _program("ip")
    _program("nft")
    _remove_left_over()
    name = f"quart-odds-{os.getpid()}-{next(_names)}"
    hub = f"{name}-hub"
    try:
        _ip("netns", "add", hub)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"no network namespace can be made here: {error.stderr.strip()}")
    try:
        _ip("-n", hub, "link", "set", "lo", "up")
        for subnet, prefix in SUBNETS.items():
            _ip("-n", hub, "link", "add", subnet, "type", "bridge")
            _ip("-n", hub, "addr", "add", f"{prefix}.1/24", "dev", subnet)
            _ip("-n", hub, "link", "set", subnet, "up")
        made = tuple(_add_host(name, number) for number in range(hosts))
        with _inside(hub):
            yield Network(made, HUB_ADDRESS, ENGINE_ADDRESS, name)
    finally:
        for number in range(hosts):
            _remove(f"{name}-{number}")
        _remove(hub)


def _add_host(name: str, number: int) -> Host:
    hub, namespace = f"{name}-hub", f"{name}-{number}"
    _ip("netns", "add", namespace)
    _ip("-n", namespace, "link", "set", "lo", "up")
    for subnet, prefix in SUBNETS.items():
        port = f"{subnet}{number}"
        _ip("-n", hub, "link", "add", port, "type", "veth", "peer", "name", subnet, "netns", namespace)
        _ip("-n", hub, "link", "set", port, "master", subnet, "up")
        _ip("-n", namespace, "addr", "add", f"{prefix}.{10 + number}/24", "dev", subnet)
        _ip("-n", namespace, "link", "set", subnet, "up")
    return Host(f"{SUBNETS['front']}.{10 + number}", (_program("ip"), "netns", "exec", namespace))


@contextlib.contextmanager
def _inside(namespace: str) -> Iterator[None]:
    """Be in a namespace with this thread, its sockets, and the processes that it starts."""
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        _enter(NAMESPACES / namespace)
        try:
            yield
        finally:
            _enter(Path(f"/proc/self/fd/{before}"))
    finally:
        os.close(before)


def _enter(path: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if libc.setns(descriptor, CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), f"cannot enter {path}")
    finally:
        os.close(descriptor)


def _remove(namespace: str) -> None:
    """Remove a namespace, if it is there, with the processes that are left in it."""
    if (NAMESPACES / namespace).exists():
        for pid in _ip("netns", "pids", namespace).split():
            if int(pid) != os.getpid():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
        _ip("netns", "delete", namespace)


def _remove_left_over() -> None:
    """Remove the namespaces of test runs that were killed."""
    for path in NAMESPACES.glob("quart-odds-*"):
        found = re.fullmatch(r"quart-odds-(\d+)-.*", path.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            with contextlib.suppress(subprocess.CalledProcessError):  # another test process removes it, too
                _remove(path.name)


def _program(name: str) -> str:
    """Return the path of a program. Without it, the test is skipped, or fails in CI."""
    found = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(f"there is no {name} on this machine")
    return found


def _ip(*words: str) -> str:
    command = [_program("ip"), *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS, check=True).stdout


def _nft(namespace: str, command: str) -> None:
    _ip("netns", "exec", namespace, _program("nft"), command)
