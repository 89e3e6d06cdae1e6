"""The certificate of a Gateway for backends, from manifests: two Gateways in front of one backend, under edits."""

import base64
import json
import ssl
from collections import Counter
from pathlib import Path

import pytest
import trio
from certificates import certificate
from e2e.serving import Serving, World, serving
from e2e.test_backend_tls import GOOD, PEM, demand, trust
from load import PATIENCE, PIECE
from securebackend import showing

from fastroute.demo.client import Client
from fastroute.demo.pods import free_ports
from fastroute.snapshot import Certificate

GATEWAY = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {{namespace: infra, name: {name}}}
spec:
  gatewayClassName: fastroute
  tls: {{backend: {backend}}}
  listeners:
    - {{name: proxy, port: {port}, protocol: HTTP, allowedRoutes: {{namespaces: {{from: All}}}}}}
"""
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: apples, name: {name}}}
spec:
  parentRefs: [{{namespace: infra, name: {name}}}]
  rules:
    - matches: [{{path: {{value: /{name}}}}}]
      backendRefs: [{{name: shared, port: 443}}]
"""
SHARED = """
apiVersion: v1
kind: Service
metadata: {{namespace: apples, name: shared}}
spec: {{ports: [{{name: https, port: 443}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: apples, name: shared, labels: {{kubernetes.io/service-name: shared}}}}
addressType: IPv4
ports: [{{name: https, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""
SECRET = """
apiVersion: v1
kind: Secret
type: kubernetes.io/tls
metadata: {{namespace: infra, name: {name}}}
data: {{tls.crt: {chain}, tls.key: {key}}}
"""
NAMES = ("one", "two")


class Demanding:
    """Answers clients with a certificate of our CA only, unless `optional`; remembers who requested which path."""

    def __init__(self, *, optional: bool = False) -> None:
        self.context = showing(clients=True)
        if optional:
            self.context.verify_mode = ssl.CERT_OPTIONAL
        self.port = 0
        self.seen: Counter[tuple[str, str]] = Counter()  # path, and a name of the client

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_ssl_over_tcp_listeners(0, self.context, host="127.0.0.1", https_compatible=True)
        self.port = listeners[0].transport_listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        data = b""
        try:
            await stream.do_handshake()
            shown = stream.getpeercert()
            client = shown["subjectAltName"][0][1] if shown else "nobody"
            while piece := await stream.receive_some(PIECE):
                data += piece
                while (end := data.find(b"\r\n\r\n")) >= 0:
                    self.seen[data.split(b" ", 2)[1].decode(), client] += 1
                    data = data[end + 4 :]
                    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (OSError, trio.BrokenResourceError):
            return


def keep(world: World, name: str, shown: Certificate) -> None:
    chain, key = (base64.b64encode(part).decode() for part in (shown.chain, shown.key))
    world.write(f"secret-{name}", SECRET, name=name, chain=chain, key=key)


def put(world: World, name: str, port: int, secret: str | None) -> None:
    backend = {"clientCertificateRef": {"name": secret}} if secret else {}
    world.write(f"gateway-{name}", GATEWAY, name=name, port=port, backend=json.dumps(backend))
    world.write(name, ROUTE, name=name)


async def ask(port: int, name: str) -> int:
    async with Client("127.0.0.1", port) as client:
        return (await client.ask(f"/{name}")).status


async def begin(served: Serving, backend: Demanding) -> dict[str, int]:
    """Gateways one and two, each with a certificate of its name. Returns their ports."""
    world = served.world
    world.write("shared", SHARED, port=backend.port)
    trust(world, "ours", PEM)
    demand(world, "shared", GOOD)
    found: set[int] = set()
    while len(found) < len(NAMES):
        found |= {port for port in free_ports(2) if port > offset(served)}
    ports = dict(zip(NAMES, found, strict=False))
    for name, port in ports.items():
        keep(world, name, certificate(f"{name}-0"))
        put(world, name, port - offset(served), name)
    with trio.fail_after(PATIENCE):
        for name, port in ports.items():
            while await answered(port, name) != 200:  # noqa: ASYNC110  (files may be read one after the other)
                await trio.sleep(0.02)
    return ports


def offset(served: Serving) -> int:
    return served.port - 80


async def answered(port: int, name: str) -> int:
    try:
        return await ask(port, name)
    except OSError:
        return 0


@pytest.mark.parametrize("workers", [1, 2])
async def test_each_gateway_shows_its_own_certificate(tmp_path: Path, workers: int) -> None:
    """While Secrets and references change, no connection carries a request of another Gateway."""
    backend = Demanding()
    stop = trio.Event()
    statuses: Counter[int] = Counter()

    async def visit(port: int, name: str) -> None:
        async with Client("127.0.0.1", port) as client:
            while not stop.is_set():
                statuses[(await client.ask(f"/{name}")).status] += 1

    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        async with serving(tmp_path, workers=workers) as served:
            ports = await begin(served, backend)
            async with trio.open_nursery() as visits:
                for name in NAMES * 2:
                    visits.start_soon(visit, ports[name], name)
                for number in range(1, 4):
                    for name in NAMES:
                        async with served.applied():
                            keep(served.world, name, certificate(f"{name}-{number}"))
                        before = backend.seen[f"/{name}", f"{name}-{number}"]
                        assert await ask(ports[name], name) == 200
                        assert backend.seen[f"/{name}", f"{name}-{number}"] > before
                stop.set()
        nursery.cancel_scope.cancel()
    assert set(statuses) == {200}
    assert {(path, client.partition("-")[0]) for path, client in backend.seen} == {("/one", "one"), ("/two", "two")}
    assert {client for _, client in backend.seen} == {f"{name}-{number}" for name in NAMES for number in range(4)}


async def test_without_a_usable_certificate_none_is_shown(tmp_path: Path) -> None:
    """A backend that insists on one refuses the connection: 502. The other Gateway is not affected."""
    backend, lenient = Demanding(), Demanding(optional=True)
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        await nursery.start(lenient.serve)
        async with serving(tmp_path) as served:
            ports = await begin(served, backend)
            async with served.applied():
                served.world.remove("secret-one")
            assert [await ask(ports[name], name) for name in NAMES] == [502, 200]
            async with served.applied():
                served.world.write("shared", SHARED, port=lenient.port)
            assert [await ask(ports[name], name) for name in NAMES] == [200, 200]
            async with served.applied():
                keep(served.world, "one", certificate("one-again"))
            assert await ask(ports["one"], "one") == 200
            async with served.applied():
                put(served.world, "two", ports["two"] - offset(served), None)
            assert await ask(ports["two"], "two") == 200
        nursery.cancel_scope.cancel()
    assert set(lenient.seen) == {("/one", "nobody"), ("/two", "two-0"), ("/one", "one-again"), ("/two", "nobody")}
