"""CPU time, memory and CPU affinity of a process and its children, from /proc."""

import contextlib
import os
import time
from collections.abc import Iterable
from pathlib import Path

_TICK = os.sysconf("SC_CLK_TCK")
URGENCY = 10  # priority in SCHED_FIFO
_PAGE = os.sysconf("SC_PAGE_SIZE")


def tree(pid: int) -> list[int]:
    """A process and its descendants, parents first."""
    found = [pid]
    for parent in found:
        for task in _listed(Path(f"/proc/{parent}/task")):
            children = _read(f"/proc/{parent}/task/{task}/children")
            found += [int(child) for child in children.split()]
    return found


def cpu_seconds(pids: Iterable[int]) -> float:
    """User and system time of these processes (scheduler clock) and of their ended children (in ticks)."""
    return sum(_own_seconds(pid) + sum(map(int, _stat(pid)[13:15])) / _TICK for pid in pids)


def resident_bytes(pid: int) -> int:
    return int(_read(f"/proc/{pid}/statm").split()[1]) * _PAGE


def cores() -> list[int]:
    return sorted(os.sched_getaffinity(0))


def keep_on(pid: int, allowed: set[int]) -> None:
    """Pins every thread of a process, and threads started later, to these cores."""
    for task in _listed(Path(f"/proc/{pid}/task")):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(task), allowed)


def set_urgent(pid: int, urgent: bool) -> None:
    """Sets whether a process has priority over all others (SCHED_FIFO). Raises PermissionError."""
    policy = os.SCHED_FIFO if urgent else os.SCHED_OTHER
    for task in _listed(Path(f"/proc/{pid}/task")):
        os.sched_setscheduler(int(task), policy, os.sched_param(URGENCY if urgent else 0))


def _own_seconds(pid: int) -> float:
    """The CPU clock of the process, in ns resolution (clock_getcpuclockid(3), which Python does not provide)."""
    try:
        return time.clock_gettime(~pid << 3 | 2)
    except OSError:
        return 0.0


def _stat(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the state on; cutime and cstime are 13 and 14."""
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
    """Two cores: one for the proxy, one for load and backend. Raises RuntimeError if there is only one."""
    usable = cores()
    if len(usable) < 2:
        raise RuntimeError("these measurements need two cores: one for the proxy, one for the load")
    return usable[0], usable[1]
