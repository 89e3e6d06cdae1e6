"""`python -m bench.slow [MODE...]`: what slow clients cost another client, with slowhttptest.

slowhttptest opens 1,000 connections and keeps them busy as slowly as it can:

    headers  sends a request head, one field every 5 s (Slowloris)
    body     sends a request body, a few bytes every 2 s (R-U-Dead-Yet), to a backend that reads it before it answers
    read     requests 1 MiB three times, announces a receive window of 10 to 20 bytes and reads 5 bytes a second

Meanwhile another client sends 300 requests a second at fixed times (pace.c). Spells with and without the attack
alternate; the figures are medians over the spells, and the ratio of p99 is the median over the rounds of one spell
each. A mode takes at most 80 s: if the machine is slow, it has fewer rounds, at least three. The worker, the backend
and the client have priority over all other processes (SCHED_FIFO, as root), and the worker has a core of its own. So
the figures show what the attack costs the worker, not what slowhttptest costs the machine.

The limits: p99 at most twice that of the quiet spell, no failed request, resident memory of the worker at most the
default of --max-buffered more than before. Exit code 1 if one is exceeded.
"""

import argparse
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import msgspec

from bench.load import Latency, open_loop
from bench.manifests import write_manifests
from bench.peers import Running, Setup, backend_command, free_port, running
from bench.process import keep_on, proxy_and_load_core, resident_bytes, set_urgent, tree
from bench.served import Served, serving
from fastroute.settings import Limits
from fastroute.text import Table, write_page

CONNECTIONS = 1_000  # below --max-connections-per-client, together with the measured client
OPENED = 500  # connections per second
RATE = 300  # requests of the measured client per second
CLIENT = 16  # its connections
SPELL = 3.0  # seconds
MODE = 80.0  # seconds after which a mode begins no further round
ROUNDS_LEAST = 3
WITHIN = 20.0  # seconds until the connections are open, and until they are gone
ATTACK = 60  # seconds; it is ended after its spell
RATIO = 2.0
MODES = {
    "headers": ("-H", "-i", "5"),
    "body": ("-B", "-i", "2", "-s", "8192"),
    "read": ("-X", "-n", "1", "-w", "10", "-y", "20", "-z", "5", "-k", "3"),
}
PATHS = {"headers": "/route-0/x", "body": "/route-0/upload", "read": "/route-0/mebibyte"}
_ESTABLISHED = "01"


class Spell(msgspec.Struct, frozen=True):
    latency: Latency
    held: tuple[int, ...]  # connections of slowhttptest, sampled
    memory: int  # bytes: the largest resident memory of the worker
    files: int  # the largest number of its descriptors


class Watch(threading.Thread):
    """Samples a spell until `stop`."""

    def __init__(self, served: Served) -> None:
        super().__init__()
        self._port, self._worker = served.port, served.worker
        self._ended = threading.Event()
        self.held: list[int] = []
        self.memory = self.files = 0

    def run(self) -> None:
        while not self._ended.wait(0.5):
            self.held.append(max(0, connected(self._port) - CLIENT))
            self.memory = max(self.memory, resident_bytes(self._worker))
            self.files = max(self.files, len(os.listdir(f"/proc/{self._worker}/fd")))

    def stop(self) -> None:
        self._ended.set()
        self.join()


def connected(port: int) -> int:
    """The number of connections of clients with this port of 127.0.0.1."""
    local = f"0100007F:{port:04X}"
    lines = map(str.split, Path("/proc/net/tcp").read_text().splitlines()[1:])  # it may list a connection twice
    return len({fields[2] for fields in lines if fields[1] == local and fields[3] == _ESTABLISHED})


def spell(served: Served, core: int) -> Spell:
    watch = Watch(served)
    watch.start()
    try:
        proxy = Running("fastroute", served.port, served.process)
        found = open_loop(proxy, "/route-0/x", core, seconds=SPELL, rate=RATE, connections=CLIENT, urgent=True)
    finally:
        watch.stop()
    return Spell(found, tuple(watch.held), watch.memory, watch.files)


@contextmanager
def attacking(mode: str, port: int, core: int) -> Iterator[None]:
    """The connections are open on entry, and gone on exit."""
    words = [
        "-c",
        str(CONNECTIONS),
        "-r",
        str(OPENED),
        "-l",
        str(ATTACK),
        "-u",
        f"http://127.0.0.1:{port}{PATHS[mode]}",
    ]
    command = ["taskset", "-c", str(core), "slowhttptest", *MODES[mode], *words]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        _wait(lambda: connected(port) >= CONNECTIONS * 0.98, "slowhttptest did not open its connections")
        yield
    finally:
        process.terminate()
        process.wait(10)
        _wait(lambda: connected(port) == 0, "the connections did not end")


def _wait(reached: Callable[[], bool], trouble: str) -> None:
    deadline = time.monotonic() + WITHIN
    while not reached():
        if time.monotonic() > deadline:
            raise RuntimeError(f"{trouble} within {WITHIN:g} s")
        time.sleep(0.05)


class Result(msgspec.Struct, frozen=True):
    mode: str
    memory: int  # bytes: resident memory of the worker before the first attack
    quiet: list[Spell]
    attacked: list[Spell]

    @property
    def ratio(self) -> float:
        """Of the 99th percentiles; the median of the rounds, so that a slow time of the machine affects both."""
        pairs = zip(self.attacked, self.quiet, strict=True)
        return median(attacked.latency.p99 / quiet.latency.p99 for attacked, quiet in pairs)

    @property
    def most_memory(self) -> int:
        return max(each.memory for each in self.attacked)

    @property
    def failures(self) -> int:
        return sum(each.latency.failures for each in (*self.quiet, *self.attacked))

    @property
    def is_met(self) -> bool:
        return self.ratio <= RATIO and not self.failures and self.most_memory - self.memory <= Limits().max_buffered


def _p50(spells: list[Spell]) -> float:
    return median(each.latency.p50 for each in spells)


def _p99(spells: list[Spell]) -> float:
    return median(each.latency.p99 for each in spells)


def measure(mode: str, served: Served, core: int, rounds: int) -> Result:
    memory = resident_bytes(served.worker)
    quiet, attacked = [], []
    begun = time.monotonic()
    for round_ in range(-1, rounds):
        if round_ >= ROUNDS_LEAST and (time.monotonic() - begun) * (1 + 1 / (round_ + 1)) > MODE:
            break
        row = [spell(served, core)]
        with attacking(mode, served.port, core):
            row.append(spell(served, core))
        if round_ >= 0:  # the first round warms up
            quiet.append(row[0])
            attacked.append(row[1])
    return Result(mode, memory, quiet, attacked)


# --- the report


def row(result: Result) -> tuple[str, ...]:
    quiet, attacked = result.quiet, result.attacked
    held = [count for each in attacked for count in each.held]
    return (
        result.mode,
        f"{min(held)}-{max(held)}",
        f"{_p50(quiet):.2f}, {_p99(quiet):.2f}",
        f"{_p50(attacked):.2f}, {_p99(attacked):.2f}",
        f"{result.ratio:.2f}",
        f"{result.memory / 2**20:.0f}, {result.most_memory / 2**20:.0f}",
        str(max(each.files for each in attacked)),
        str(result.failures),
        "met" if result.is_met else "EXCEEDED",
    )


HEADINGS = (
    "MODE",
    "HELD",
    "QUIET P50, P99 MS",
    "ATTACK P50, P99 MS",
    "P99 RATIO",
    "RSS MIB",
    "FILES",
    "FAILED",
    "LIMITS",
)


def require_slowhttptest() -> None:
    """Installs it with apt (as root) if it is missing."""
    if shutil.which("slowhttptest") is None and os.geteuid() == 0 and shutil.which("apt-get"):
        subprocess.run(["apt-get", "update", "-qq"], check=False)
        subprocess.run(["apt-get", "install", "-y", "-qq", "--no-install-recommends", "slowhttptest"], check=False)
    if shutil.which("slowhttptest") is None:
        raise RuntimeError("slowhttptest is missing: sudo apt-get update && sudo apt-get install -y slowhttptest")


def _prepare(served: Served, backend: Running, core: int) -> None:
    for pid in tree(served.process.pid):
        keep_on(pid, {core})
    for pid in (served.worker, *tree(backend.process.pid)):
        set_urgent(pid, True)


def main() -> int:
    words = argparse.ArgumentParser(prog="python -m bench.slow", description=__doc__)
    words.formatter_class = argparse.RawDescriptionHelpFormatter
    words.add_argument("modes", nargs="*", choices=[[], *MODES], help="default: all")
    words.add_argument("--rounds", type=int, default=5)
    chosen = words.parse_args()
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    require_slowhttptest()
    core, load_core = proxy_and_load_core()
    with tempfile.TemporaryDirectory(prefix="fastroute-bench-") as name:
        folder = Path(name)
        backend = Setup(free_port(), 0, 0, folder / "backend")
        backend.folder.mkdir()
        write_manifests(folder / "manifests", 1, backend.port)
        with (
            running("backend", backend_command(backend), backend.port, load_core) as nginx,
            serving(folder / "manifests") as served,
        ):
            _prepare(served, nginx, core)
            results = [measure(mode, served, load_core, chosen.rounds) for mode in chosen.modes or MODES]
    write_page([Table(HEADINGS, tuple(map(row, results)))])
    return 0 if all(each.is_met for each in results) else 1


if __name__ == "__main__":
    sys.exit(main())
