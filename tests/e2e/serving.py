"""Manifests of two teams behind one Gateway, as files, and a real `fastroute serve` that reads them."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trio
from load import PATIENCE, Backend, until

from fastroute.demo.client import Client
from fastroute.demo.pods import free_ports

# Any process runs the fastroute that this test imports, whatever its working directory.
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{namespace: infra, name: edge}}
spec:
  gatewayClassName: fastroute
  listeners:
    - {{name: proxy, port: 80, protocol: HTTP, allowedRoutes: {{namespaces: {allowed}}}}}
"""
SELECTED = "{from: Selector, selector: {matchLabels: {shared: 'yes'}}}"
NAMESPACE = """
apiVersion: v1
kind: Namespace
metadata: {{name: apples, labels: {labels}}}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: apples, name: fruits}}
spec:
  parentRefs: [{{namespace: infra, name: edge}}]
  rules:
    - matches: [{{path: {{type: PathPrefix, value: {path}}}}}]
      backendRefs:
        - {{namespace: bananas, name: bananas, port: 80, weight: 70}}
        - {{name: apples, port: 80, weight: 30}}
"""
GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{namespace: bananas, name: fruits}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: {namespace}}}]
  to: [{{group: "", kind: Service, name: {service}}}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{namespace: {name}, name: {name}}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: {name}, name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


class World:
    """The files; each is replaced atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, file: str, template: str, **values: object) -> None:
        path = self.folder / f".{file}"
        path.write_text(template.format(**values))
        path.rename(self.folder / f"{file}.yaml")

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.yaml").unlink()

    def grant(self, name: str = "grant") -> None:
        """Writes a grant: routes of apples may refer to bananas' Service."""
        self.write(name, GRANT, namespace="apples", service="bananas")

    def fill(self, *backends: Backend) -> None:
        """Writes all files: /fruits is split 70:30 between bananas and apples, and the grant exists."""
        self.write("gateway", GATEWAY, allowed=SELECTED)
        self.write("namespace", NAMESPACE, labels="{shared: 'yes'}")
        self.write("route", ROUTE, path="/fruits")
        self.grant()
        for backend in backends:
            self.write(backend.name, SERVICE, name=backend.name, port=backend.port)


class Serving(NamedTuple):
    """The running gateway and its environment, for use by a test."""

    process: trio.Process
    port: int
    metrics_port: int
    health_port: int
    admin_port: int
    world: World
    backends: dict[str, Backend]

    @property
    def pid(self) -> int:
        return self.process.pid

    def workers(self) -> list[int]:
        """The process IDs of the running workers."""
        tasks = Path(f"/proc/{self.pid}/task").glob("*/children")
        return sorted(int(pid) for task in tasks for pid in task.read_text().split())

    async def metrics(self) -> dict[str, float]:
        """The value of every sample by its name and labels. They were read after the call: a page is kept for 1 s."""
        asked = time.time()
        async with Client("127.0.0.1", self.metrics_port) as client:
            while True:
                text = (await client.ask("/metrics")).body.decode()
                samples = [line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#")]
                found = {name: float(value) for name, value in samples}
                if found["fastroute_metrics_collected_timestamp_seconds"] >= asked:
                    return found
                await trio.sleep(0.02)

    def asked(self) -> int:
        """The number of requests that reached the backends."""
        return sum(backend.requests for backend in self.backends.values())

    async def drains(self) -> None:
        """Waits until /readyz reports that it drains."""
        with trio.fail_after(PATIENCE):
            while await self.health("/readyz") != 503:  # noqa: ASYNC110
                await trio.sleep(0.005)

    async def health(self, path: str) -> int:
        async with Client("127.0.0.1", self.health_port) as client:
            return (await client.ask(path)).status

    @asynccontextmanager
    async def applied(self) -> AsyncIterator[None]:
        """Waits, after the body, until every worker serves the change made in it."""
        before = (await self.metrics())["fastroute_config_version"]
        yield
        with trio.fail_after(PATIENCE):
            while (await self.metrics())["fastroute_config_version"] == before:  # noqa: ASYNC110
                await trio.sleep(0.005)


def is_running(pid: int) -> bool:
    """Whether a process exists and is not a zombie; otherwise its files and sockets are closed."""
    try:
        with open(f"/proc/{pid}/stat") as stat:
            return stat.read().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


async def killed(pid: int) -> tuple[float, float]:
    """Kills a process; returns when it was killed and when it had ended, which may take time on a busy machine."""
    told = trio.current_time()
    os.kill(pid, signal.SIGKILL)
    await until(lambda: not is_running(pid))
    return told, trio.current_time()


async def replaced(served: "Serving", deaths: int, workers: int = 2) -> float:
    """Waits until the main process has replaced `deaths` workers and all serve; returns the time."""
    with trio.fail_after(PATIENCE):
        while True:
            samples = await served.metrics()
            versions = [value for name, value in samples.items() if name.startswith("fastroute_worker_config_version")]
            if samples["fastroute_worker_restarts_total"] == deaths and len(versions) == workers and min(versions) > 0:
                return trio.current_time()
            await trio.sleep(0.02)


@asynccontextmanager
async def serving(
    folder: Path, *options: str, workers: int = 2, delay: float = 0.0, **process_options: Any
) -> AsyncIterator[Serving]:
    """Starts two backends, bananas and apples, and a gateway; drains the gateway at the end."""
    backends = {name: Backend(name, delay) for name in ("bananas", "apples")}
    world = World(folder)
    port, metrics, health, admin = free_ports(4)
    command = [sys.executable, "-m", "fastroute", "serve", "--manifests", str(folder), "--workers", str(workers)]
    command += ["--port-offset", str(port - 80), "--metrics", f"127.0.0.1:{metrics}"]
    command += ["--health", f"127.0.0.1:{health}", "--admin", f"127.0.0.1:{admin}", "--log-level", "error", *options]
    async with trio.open_nursery() as nursery:
        for backend in backends.values():
            await nursery.start(backend.serve)
        world.fill(*backends.values())
        process = await trio.lowlevel.open_process(command, env=ENVIRONMENT, **process_options)
        served = Serving(process, port, metrics, health, admin, world, backends)
        try:
            with trio.fail_after(PATIENCE):
                await _ready(served)
            yield served
        finally:
            await _stopped(process)
        nursery.cancel_scope.cancel()


async def _ready(served: Serving) -> None:
    while True:
        try:
            if await served.health("/readyz") == 200:
                return
        except OSError:
            assert served.process.poll() is None
        await trio.sleep(0.01)


async def _stopped(process: trio.Process) -> None:
    with trio.CancelScope(shield=True):
        if process.poll() is None:
            process.terminate()
            with trio.move_on_after(20):
                await process.wait()
        process.kill()
        await process.wait()
