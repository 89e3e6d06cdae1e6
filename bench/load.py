"""Load from the other core: wrk for the maximum throughput, pace (pace.c, pace2.c) for a fixed rate.

A closed loop measures the cost of a request. Only an open loop, which sends on schedule and not after a response,
measures how long requests take.
"""

import re
import subprocess
from enum import Enum

import msgspec

from bench.compiled import HERE, compiled
from bench.peers import Running
from bench.process import URGENCY


class Load(msgspec.Struct, frozen=True):
    """The result of one load."""

    requests: int
    failures: int
    seconds: float
    cpu: float  # seconds of CPU time of the proxy's process tree
    repeats: int = 0  # loads before this one that hung

    @property
    def cpu_us(self) -> float:
        """Microseconds of CPU for one request."""
        return self.cpu / max(self.requests, 1) * 1e6

    @property
    def cpu_per_gib(self) -> float:
        """Seconds of CPU per GiB, if every request or response body is 1 MiB."""
        return self.cpu / max(self.requests, 1) * 1024

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


class Latency(msgspec.Struct, frozen=True):
    """Milliseconds from the time a request was due to the end of its response."""

    p50: float
    p99: float
    answered: int
    failures: int


_COUNT = re.compile(r"(\d+) requests in ([\d.]+)(m?s|m), [\d.]+[KMG]?B read")
_ERRORS = re.compile(
    r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)|Non-2xx or 3xx responses: (\d+)"
)
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0}


class Style(Enum):
    """How wrk sends its requests."""

    KEEP_ALIVE = ()
    FRESH = ("-H", "Connection: close")  # a new connection for each request
    UPLOAD = ("-s", str(HERE / "upload.lua"))  # a body of 1 MiB in each request


def closed_loop(
    proxy: Running,
    path: str,
    core: int,
    *,
    seconds: int,
    connections: int,
    style: Style = Style.KEEP_ALIVE,
    scheme: str = "http",
) -> Load:
    """Runs wrk with one thread."""
    command = ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "5s"]
    before = proxy.cpu()
    said = subprocess.run(
        [*command, *style.value, f"{scheme}://127.0.0.1:{proxy.port}{path}"], capture_output=True, text=True, check=True
    ).stdout
    cpu = proxy.cpu() - before
    count = _COUNT.search(said)
    if count is None:
        raise RuntimeError(f"the output of wrk cannot be parsed:\n{said}")
    failures = sum(int(number) for found in _ERRORS.findall(said) for number in found if number)
    return Load(requests=int(count[1]), failures=failures, seconds=float(count[2]) * _SECONDS[count[3]], cpu=cpu)


def open_loop(
    proxy: Running,
    path: str,
    core: int,
    *,
    seconds: float,
    rate: int,
    connections: int,
    urgent: bool = False,
    program: str = "pace",
) -> Latency:
    """`rate` requests per second over `connections`, for `seconds`. `urgent`: with priority over a proxy on the same
    core. `program`: pace, or pace2 for HTTP/2."""
    command = ["chrt", "-f", str(URGENCY)] if urgent else []
    command += [
        "taskset",
        "-c",
        str(core),
        compiled(program),
        str(proxy.port),
        path,
        str(rate),
        str(connections),
        str(seconds),
    ]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return msgspec.json.decode(said, type=Latency)
