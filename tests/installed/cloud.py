"""What a cloud does for a Service of type LoadBalancer: an address, and a TCP balancer that follows readiness.

It learns of ready endpoints by asking now and then, as balancers do that look at health: for up to PAUSE it sends new
connections to pods that are going. Connections that are open stay where they are.
"""

import asyncio
import contextlib
import itertools
import threading
import time

from cluster.api import Api, ApiError, Object
from cluster.relay import end_tasks

PAUSE = 1.0  # seconds between two looks at the endpoints
PIECE = 64 * 1024


class LoadBalancer:
    """Leads `address`, on each port of a Service, to the Service's ready pods in turn. In threads of its own."""

    def __init__(self, api: Api, namespace: str, name: str, address: str) -> None:
        self.address = address
        self.refused = 0  # connections for which there was no pod
        self.pods: tuple[str, ...] = ()
        self._api, self._namespace, self._name = api, namespace, name
        self._turn = itertools.count()
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
        """Says who is ready, until the end. An API server that is away changes nothing."""
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
        """The number of a pod's port with a name, as the Deployment says."""
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
            back, other = await asyncio.open_connection(pods[next(self._turn) % len(pods)], target)
            await asyncio.gather(_lead(reader, other), _lead(back, writer))
        except (OSError, asyncio.CancelledError):
            writer.transport.abort()  # the client sees what happened
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
    """Addresses of a Service's ready endpoints."""
    return sorted(
        address
        for one in api.list("EndpointSlice", namespace)
        if one["metadata"]["labels"]["kubernetes.io/service-name"] == service
        for endpoint in one["endpoints"] or ()
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    )
