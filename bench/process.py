"""What the kernel knows of a process and its children: CPU time, memory, where it may run. All from /proc."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
URGENCY = 10  # of SCHED_FIFO
_PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """A process and everything below it, parents first."""
    found = [pid]
    for parent in found:
        for task in _listed(Path(f"/proc/{parent}/task")):
            children = _read(f"/proc/{parent}/task/{task}/children")
            found += [int(child) for child in children.split()]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes: theirs by the scheduler's clock, of their ended children in ticks."""
    return sum(_own_seconds(pid) + sum(map(int, _stat(pid)[13:15])) / _TICK for pid in pids)


def resident_bytes(pid: int) -> int:
    return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def keep_on(pid: int, allowed: set[int]) -> None:
    """Every thread of a process, and those it starts later: on these cores."""
    for task in _listed(Path(f"/proc/{pid}/task")):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task), allowed)


def set_urgent(pid: int, urgent: bool) -> None:
    """Whether a process runs as soon as it can, before all that are not urgent (SCHED_FIFO). PermissionError."""
    policy = os.SCHED_FIFO if urgent else os.SCHED_OTHER
    for task in _listed(Path(f"/proc/{pid}/task")):
        os.sched_setscheduler(int(task), policy, os.sched_param(URGENCY if urgent else 0))


def _own_seconds(pid: int) -> float:
    """By the process's CPU clock, to the nanosecond (clock_getcpuclockid(3); Python has no name for it)."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def _stat(pid: int) -> list[str]:
    """Fields of /proc/PID/stat from the state on: cutime and cstime are 13 and 14."""
    return _read(f"/proc/{pid}/stat").rpartition(")")[2].split() or ["0"] * 20


def _listed(folder: Path) -> list[str]:
    try:
        return os.listdir(folder)
    except FileNotFoundError:
        return []


def _read(path: str) -> str:
    try:
        return Path(path).read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def proxy_and_load_core() -> tuple[int, int]:
    """Two cores: one for the proxy, the other for load and backend. RuntimeError when there is only one."""
    usable = cores()
    if len(usable) < 2:
        raise RuntimeError("these measurements want two cores: one for the proxy, one for the load")
    return usable[0], usable[1]
