"""CPU time and memory of this process and its children, as Linux counts them."""

import os
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGESIZE")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU seconds and peak resident memory of a set of processes so far."""

    cpu_seconds: float
    peak_mb: float


def children(pid: int) -> list[int]:
    """Return the living child processes of this process."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        found += [int(each) for each in task.read_text().split()]
    return found


def family(pid: int, *, without: frozenset[int] = frozenset()) -> list[int]:
    """Return a process and all its descendants, except those in `without` and their descendants."""
    if pid in without:
        return []
    return [pid, *(each for child in children(pid) for each in family(child, without=without))]


def usage(pids: list[int]) -> Usage:
    """Return the combined usage of these processes."""
    cpu = peak = 0.0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        cpu += (int(fields[11]) + int(fields[12])) / TICKS
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                peak += int(line.split()[1]) / 1024
    return Usage(cpu, peak)


def precise_cpu_seconds(pid: int) -> float:
    """Return the CPU time of a process's living threads, as the scheduler counts it: in nanoseconds, not in ticks."""
    found = 0.0
    for each in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        found += int(each.read_text().split()[0]) / 1e9
    return found


def resident_bytes(pids: list[int]) -> int:
    """Return the resident memory of these processes together."""
    pages = sum(int(Path(f"/proc/{each}/statm").read_text().split()[1]) for each in pids)
    return pages * PAGE_BYTES


def slab_kb() -> int:
    """Return the memory that the kernel keeps in its slabs, among other things for sockets: of all processes."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Slab:"))
