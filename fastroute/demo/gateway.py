"""A real `fastroute serve` as a process of its own, on free ports, over a folder: for the tour and the tests."""

import random
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import h11
import msgspec
import trio

from fastroute.demo.client import Client
from fastroute.demo.pods import free_ports
from fastroute.errors import FastrouteError

_READY_WITHIN = 15.0  # seconds
_GONE_WITHIN = 10.0


class Gateway(msgspec.Struct, frozen=True):
    """Where it listens: a listener's port `n` is `offset + n`."""

    address: str
    offset: int
    metrics: int
    process: trio.Process

    def port(self, listener: int = 80) -> int:
        return self.offset + listener

    def client(self, listener: int = 80) -> Client:
        return Client(self.address, self.port(listener))


@asynccontextmanager
async def running_gateway(
    manifests: Path, *options: str, listeners: Iterable[int] = (80,), address: str = "127.0.0.1"
) -> AsyncIterator[Gateway]:
    """Ready when entered; asked to drain, and waited for, when left. FastrouteError: it did not get ready."""
    offset = _free_offset(sorted(listeners))
    metrics = free_ports(1)[0]
    command = [sys.executable, "-m", "fastroute", "serve", "--manifests", str(manifests)]
    command += ["--bind", address, "--port-offset", str(offset), "--metrics", f"127.0.0.1:{metrics}"]
    process = await trio.lowlevel.open_process([*command, *options], stdin=subprocess.DEVNULL)
    gateway = Gateway(address, offset, metrics, process)
    try:
        await _wait_ready(gateway)
        yield gateway
    finally:
        with trio.CancelScope(shield=True):
            await _stop(process)


def _free_offset(listeners: list[int]) -> int:
    """An offset that puts every listener on a free port, below those that systems give out."""
    for _ in range(100):
        offset = random.randint(15_000, 30_000)  # noqa: S311  (nothing secret)
        if all(offset + port < 65536 and _is_free(offset + port) for port in listeners):
            return offset
    raise FastrouteError(f"found no free ports for listeners {listeners}; stop some other servers")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("", port))
        except OSError:
            return False
    return True


async def _wait_ready(gateway: Gateway) -> None:
    with trio.move_on_after(_READY_WITHIN):
        while gateway.process.poll() is None:
            try:
                async with Client("127.0.0.1", gateway.metrics) as client:
                    if (await client.ask("/readyz")).status == 200:
                        return
            except (OSError, trio.BrokenResourceError, h11.RemoteProtocolError):
                pass
            await trio.sleep(0.01)
        raise FastrouteError(f"the gateway ended by itself with exit code {gateway.process.returncode}")
    raise FastrouteError(f"the gateway was not ready after {_READY_WITHIN:g} s")


async def _stop(process: trio.Process) -> None:
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        with trio.move_on_after(_GONE_WITHIN):
            await process.wait()
    if process.poll() is None:
        process.kill()
        await process.wait()
