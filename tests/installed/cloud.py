"""Does what a cloud does for a Service of type LoadBalancer: an address, and a TCP load balancer that uses readiness.

It polls the ready endpoints, as load balancers do with health checks: for up to PAUSE it sends new connections to pods
that are terminating. Open connections stay with their pod.
"""

import asyncio
import contextlib
import itertools
import threading
import time

from cluster.api import Api, ApiError, Object
from cluster.relay import end_tasks

PAUSE = 1.0  # seconds between polls of the endpoints
PIECE = 64 * 1024


class LoadBalancer:
    """Forwards connections from each Service port at `address` to the ready pods in turn. Runs in its own threads."""

    def __init__(self, api: Api, namespace: str, name: str, address: str) -> None:
        self.address = address
        self.refused = 0  # connections for which there was no ready pod
        self.pods: tuple[str, ...] = ()
        self._api, self._namespace, self._name = api, namespace, name
        self._numbers = itertools.count()
        self._loop = asyncio.new_event_loop()
        self._ended = threading.Event()
        self._threads = [threading.Thread(target=run, daemon=True) for run in (self._follow, self._serve)]

    def __enter__(self) -> "LoadBalancer":
        self._service = self._api.get("Service", self._namespace, self._name)
        for thread in self._threads:
            thread.start()
        ingress: Object = {"status": {"loadBalancer": {"ingress": [{"ip": self.address}]}}}
        self._api.patch("Service", self._namespace, self._name, ingress, "/status")
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._loop.call_soon_threadsafe(self._loop.stop)
        for thread in self._threads:
            thread.join(10)

    def _follow(self) -> None:
        """Polls the ready pods until the end. If the API server is unavailable, the list stays unchanged."""
        while not self._ended.wait(0.0 if not self.pods else PAUSE):
            with contextlib.suppress(ApiError, OSError):
                self.pods = tuple(ready_pods(self._api, self._namespace, self._name))
            if not self.pods:
                time.sleep(0.1)

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        for port in self._service["spec"]["ports"]:
            self._loop.run_until_complete(self._listen(port["port"], self._target(port["targetPort"])))
        self._loop.run_forever()
        end_tasks(self._loop)

    async def _listen(self, port: int, target: int) -> None:
        async def connection(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await self._connection(reader, writer, target)

        await asyncio.start_server(connection, self.address, port, backlog=1024)

    def _target(self, name: str) -> int:
        """The number of a pod's named port, from the Deployment."""
        deployment = self._api.get("Deployment", self._namespace, self._name)
        ports = deployment["spec"]["template"]["spec"]["containers"][0]["ports"]
        return next(port["containerPort"] for port in ports if port["name"] == name)

    async def _connection(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, target: int) -> None:
        pods = self.pods
        if not pods:
            self.refused += 1
            writer.transport.abort()
            return
        other: asyncio.StreamWriter | None = None
        try:
            back, other = await asyncio.open_connection(pods[next(self._numbers) % len(pods)], target)
            await asyncio.gather(_lead(reader, other), _lead(back, writer))
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()  # the client sees the failure too
        finally:
            for one in filter(None, (writer, other)):
                one.close()


async def _lead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while piece := await reader.read(PIECE):
        writer.write(piece)
        await writer.drain()
    with contextlib.suppress(OSError):
        writer.write_eof()


def ready_pods(api: Api, namespace: str, service: str) -> list[str]:
    """The addresses of a Service's ready endpoints."""
    return sorted(
        address
        for one in api.list("EndpointSlice", namespace)
        if one["metadata"]["labels"]["kubernetes.io/service-name"] == service
        for endpoint in one["endpoints"] or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    )
