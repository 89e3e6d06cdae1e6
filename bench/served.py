"""A `fastroute serve` that is measured through its worker process and its metrics."""

import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from bench.peers import free_port
from bench.process import tree

_READY_WITHIN = 60.0  # seconds
_COLLECTED = "fastroute_metrics_collected_timestamp_seconds"
_SAMPLE = re.compile(r"^(\w+)(?:\{([^}]*)\})? (\S+)$", re.MULTILINE)


class Served(msgspec.Struct):
    process: subprocess.Popen[bytes]
    port: int
    metrics_port: int
    ready_after: float  # seconds from its start until it reported that it is ready

    @property
    def worker(self) -> int:
        """The pid of its only worker: the last process of the tree that runs the worker module."""
        return next(pid for pid in tree(self.process.pid) if b"fastroute.worker" in _command_line(pid))

    def metrics(self, *names: str) -> list[float]:
        """For each name the sum of its series, from one scrape."""
        samples = _SAMPLE.findall(self.scrape())
        return [sum(float(value) for found, _, value in samples if found == name) for name in names]

    def buckets(self, name: str) -> dict[float, float]:
        """The cumulative counts of a histogram without labels, by the upper edge of the bucket in seconds."""
        samples = _SAMPLE.findall(self.scrape())
        return {
            float(re.sub(r'.*le="([^"]+)".*', r"\1", labels)): float(n) for found, labels, n in samples if found == name
        }

    def scrape(self) -> str:
        """The page of /metrics with values that were read after this call: a page is kept for a second."""
        asked = time.time()
        while True:
            text = self.read("/metrics").decode()
            samples = _SAMPLE.findall(text)
            if any(float(n) >= asked for found, _, n in samples if found == _COLLECTED):
                return text
            time.sleep(0.05)

    def read(self, path: str) -> bytes:
        asking = HTTPConnection("127.0.0.1", self.metrics_port, timeout=5)
        try:
            asking.request("GET", path)
            return asking.getresponse().read()
        finally:
            asking.close()


@contextmanager
def serving(manifests: Path) -> Iterator[Served]:
    """Runs one worker with `manifests`; it is ready on entry."""
    port, metrics = free_port(), free_port()
    options = ["--workers", "1", "--port-offset", str(port - 80), "--metrics", f"127.0.0.1:{metrics}"]
    options += ["--health", "off"]
    command = [sys.executable, "-P", "-m", "fastroute", "serve", "--manifests", str(manifests), *options]
    begin = time.monotonic()
    process = subprocess.Popen([*command, "--log-level", "error"], stdin=subprocess.DEVNULL)
    served = Served(process, port, metrics, 0.0)
    try:
        while not _is_ready(served):
            if process.poll() is not None or time.monotonic() - begin > _READY_WITHIN:
                raise RuntimeError("fastroute did not become ready")
            time.sleep(0.005)
        served.ready_after = time.monotonic() - begin
        yield served
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(served: Served) -> bool:
    asking = HTTPConnection("127.0.0.1", served.metrics_port, timeout=5)
    try:
        asking.request("GET", "/readyz")
        return asking.getresponse().status == 200
    except (OSError, HTTPException):  # a connection to a local port that is not bound yet may reach itself
        return False
    finally:
        asking.close()


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""
