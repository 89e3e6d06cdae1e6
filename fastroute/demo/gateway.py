"""A real `fastroute serve` process on free ports that serves a folder, for the tour and the tests."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import msgspec

from fastroute.demo.client import Client
from fastroute.demo.pods import free_ports, is_free
from fastroute.errors import FastrouteError

_READY_WITHIN = 60.0  # seconds
_GONE_WITHIN = 10.0


class Gateway(msgspec.Struct, frozen=True):
    """The addresses of the process: listener port `n` is bound at `offset + n`."""

    address: str
    offset: int
    metrics: int
    process: subprocess.Popen[bytes]

    def port(self, listener: int = 80) -> int:
        return self.offset + listener

    def client(self, listener: int = 80, server_name: str | None = None) -> Client:
        """`server_name`: for an HTTPS listener."""
        return Client(self.address, self.port(listener), server_name)


@contextmanager
def running_gateway(manifests: Path, *options: str, listeners: Iterable[int] = (80,)) -> Iterator[Gateway]:
    """Yields when the gateway is ready; on exit, sends SIGTERM and waits. FastrouteError: it did not become ready."""
    offset = _free_offset(sorted(listeners))
    metrics, admin = free_ports(2)
    command = [sys.executable, "-P", "-m", "fastroute", "serve", "--manifests", str(manifests)]
    command += ["--port-offset", str(offset), "--metrics", f"127.0.0.1:{metrics}", "--health", "off"]
    command += ["--admin", f"127.0.0.1:{admin}", *options]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("FASTROUTE_")}
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment)  # noqa: S603  (our own command)
    try:
        _wait_ready(process, metrics)
        yield Gateway("127.0.0.1", offset, metrics, process)
    finally:
        _stop(process)


def _free_offset(listeners: list[int]) -> int:
    """An offset that puts every listener on a free port below the ephemeral port range."""
    for _ in range(100):
        offset = random.randint(14_000, 23_000)  # noqa: S311  (nothing secret)
        if all(offset + port < 65536 and is_free(offset + port) for port in listeners):
            return offset
    raise FastrouteError(f"found no free ports for listeners {listeners}; stop some other servers")


def _wait_ready(process: subprocess.Popen[bytes], metrics: int) -> None:
    deadline = time.monotonic() + _READY_WITHIN
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise FastrouteError(f"the gateway exited with code {process.returncode}")
        if _is_ready(metrics):
            return
        time.sleep(0.01)
    raise FastrouteError(f"the gateway was not ready after {_READY_WITHIN:g} s")


def _is_ready(metrics: int) -> bool:
    asking = HTTPConnection("127.0.0.1", metrics, timeout=1)
    try:
        asking.request("GET", "/readyz")
        return asking.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        asking.close()


def _stop(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        process.wait(_GONE_WITHIN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
