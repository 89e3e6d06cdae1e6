"""The fastroute that is measured: one worker on 127.0.0.1, watching the cluster with the permissions of its chart."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cluster.account import LEASE
from cluster.gateway import METRICS, is_ready, scraped
from cluster.process import Program
from cluster.programs import ROOT

from bench.process import cpu_seconds, resident_bytes, tree

_WRITES = re.compile(r"^fastroute_status_writes_total(?:{[^}]*})? (\S+)$", re.MULTILINE)
QUIET = 1.0  # seconds without a status write after which all statuses are written


class Gateway:
    def __init__(self, program: Program, ready_after: float, observed: Path) -> None:
        self._program = program
        self._observed = observed
        self.ready_after = ready_after  # seconds from its start to /readyz

    @property
    def process(self) -> subprocess.Popen[bytes]:
        return self._program.popen

    @property
    def main(self) -> int:
        """The pid of the main process."""
        return self._program.pid

    @property
    def worker(self) -> int:
        return next(pid for pid in tree(self.main) if b"fastroute.worker" in _command_line(pid))

    def cpu(self) -> float:
        """Seconds of CPU that all its processes have used so far."""
        return cpu_seconds(tree(self.main))

    def memory(self) -> tuple[int, int]:
        """The resident bytes of the main process and of the worker."""
        return resident_bytes(self.main), resident_bytes(self.worker)

    def writes(self) -> float:
        """The number of status writes so far."""
        return sum(map(float, _WRITES.findall(scraped())))

    def propagation(self, namespace: str) -> list[float]:
        """The seconds from the arrival of each change of this namespace until it was served, so far (observed.py)."""
        pairs = (line.split() for line in self._observed.read_text().splitlines())
        return [float(seconds) for name, seconds in pairs if name == namespace]

    def settle(self) -> None:
        """Waits until no status was written for QUIET seconds."""
        before, since = self.writes(), time.monotonic()
        while time.monotonic() - since < QUIET:
            time.sleep(QUIET / 4)
            if (now := self.writes()) != before:
                before, since = now, time.monotonic()


def _command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


@contextmanager
def serving(kubeconfig: Path, log: Path) -> Iterator[Gateway]:
    """Runs fastroute; it is ready on entry and is ended on exit."""
    observed = log.with_suffix(".observed")
    observed.write_text("")
    words = [sys.executable, "-m", "bench.kubernetes.observed", str(observed)]
    words += ["serve", "--kubernetes", "--kubeconfig", str(kubeconfig)]
    words += ["--bind", "127.0.0.1", "--workers", "1", "--metrics", METRICS, "--health", "off", "--status-lease", LEASE]
    begin = time.monotonic()
    program = Program([*words, "--log-level", "warning"], log, {"PYTHONPATH": str(ROOT)})
    try:
        program.wait_for(is_ready, 60)
        yield Gateway(program, time.monotonic() - begin, observed)
    finally:
        program.end(10)
