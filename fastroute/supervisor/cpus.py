"""How many CPUs this process may use: its affinity, and its cgroup's quota."""

import math
import os
from pathlib import Path

_CGROUPS = Path("/sys/fs/cgroup")
_OWN = Path("/proc/self/cgroup")


def usable_cpus() -> int:
    """At least 1. A quota is rounded down, except that 0.5 CPUs count as 1: more workers would only wait for each
    other."""
    quota = min(_quotas(_OWN, _CGROUPS), default=math.inf)
    return max(1, int(min(len(os.sched_getaffinity(0)), quota)))


def _quotas(own: Path, root: Path) -> list[float]:
    """The quotas, in CPUs, of this process's cgroup and its ancestors (cgroups(7), version 2 and 1)."""
    try:
        lines = own.read_text().splitlines()
    except OSError:
        return []
    found: list[float] = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            found += [_v2(folder) for folder in _upwards(root, path)]
        elif "cpu" in controllers.split(","):
            found += [_v1(folder) for folder in _upwards(root / controllers, path)]
    return found


def _upwards(root: Path, path: str) -> list[Path]:
    folder = root / path.lstrip("/")
    return [folder, *(parent for parent in folder.parents if parent.is_relative_to(root))]


def _v2(folder: Path) -> float:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):  # no such file, or "max"
        return math.inf


def _v1(folder: Path) -> float:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
    except (OSError, ValueError):
        return math.inf
    return quota / period if quota > 0 else math.inf
