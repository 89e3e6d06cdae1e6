"""TLS to backends from manifests: what verifies and what does not; one address behind two policies, under edits."""

import json
import ssl
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import trio
from certificates import authority
from e2e.serving import Serving, World, serving
from load import PATIENCE, PIECE
from securebackend import dns, issued, showing, uri

from fastroute.demo.client import Client

ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: apples, name: {name}}}
spec:
  parentRefs: [{{namespace: infra, name: edge}}]
  rules:
    - matches: [{{path: {{value: /{name}}}}}]
      backendRefs: [{{name: {name}, port: 443}}]
---
apiVersion: v1
kind: Service
metadata: {{namespace: apples, name: {name}}}
spec: {{ports: [{{name: https, port: 443, appProtocol: {protocol}}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: apples, name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{name: https, port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""
POLICY = """
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {{namespace: apples, name: {name}}}
spec:
  targetRefs: [{{group: "", kind: Service, name: {name}, sectionName: https}}]
  validation: {validation}
"""
CONFIG_MAP = """
apiVersion: v1
kind: ConfigMap
metadata: {{namespace: apples, name: {name}}}
data: {{ca.crt: {pem}}}
"""
OURS = {"caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ours"}]}
GOOD = {"hostname": "a.example.com", **OURS}
PEM, OTHER_PEM = authority().pem, issued(common="another CA", own=True).chain.decode()
INVALID = (502, "upstream_certificate_invalid")
SYSTEM = {"wellKnownCACertificates": "System"}
CASES: dict[str, tuple[dict[str, Any] | None, tuple[int, str | None]]] = {
    "good": (GOOD, (200, None)),
    "othername": ({**GOOD, "hostname": "b.example.com"}, INVALID),
    "otherca": ({**GOOD, "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "others"}]}, INVALID),
    "system": ({"hostname": "a.example.com", **SYSTEM}, INVALID),
    "uri": ({"hostname": "b.example.com", **OURS, "subjectAltNames": [{"type": "URI", "uri": "a://one"}]}, (200, None)),
    "otheruri": ({**GOOD, "subjectAltNames": [{"type": "URI", "uri": "a://two"}]}, INVALID),
    "san": ({**GOOD, "subjectAltNames": [{"type": "Hostname", "hostname": "*.example.com"}]}, (200, None)),
    "othersan": ({**GOOD, "subjectAltNames": [{"type": "Hostname", "hostname": "*.example.org"}]}, INVALID),
    "noca": (
        {**GOOD, "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "missing"}]},
        (500, "backend_tls_policy"),
    ),
    "plain": (GOOD, (502, "upstream_tls_failed")),
    "none": (None, (500, "backend_invalid")),
}


class SecureBackend:
    """Answers over TLS only; remembers with which server name each path was requested."""

    def __init__(self) -> None:
        self.context = showing(issued(dns("a.example.com"), *map(dns, NAMES), uri("a://one")))
        self.context.sni_callback = self._note
        self.port = 0
        self.names: dict[int, str] = {}  # by id of the TLS object
        self.seen: Counter[tuple[str, str]] = Counter()  # path and server name

    def _note(self, tls: ssl.SSLObject | ssl.SSLSocket, name: str | None, context: ssl.SSLContext) -> None:
        self.names[id(tls)] = name or ""

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_ssl_over_tcp_listeners(0, self.context, host="127.0.0.1", https_compatible=True)
        self.port = listeners[0].transport_listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        data = b""
        try:
            await stream.do_handshake()
            name = self.names[id(stream._ssl_object)]  # type: ignore[attr-defined]
            while piece := await stream.receive_some(PIECE):
                data += piece
                while (end := data.find(b"\r\n\r\n")) >= 0:
                    self.seen[data.split(b" ", 2)[1].decode(), name] += 1
                    data = data[end + 4 :]
                    await stream.send_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
        except (OSError, trio.BrokenResourceError):
            return


class PlainBackend:
    """Answers 400 to whatever is not an HTTP request, as servers without TLS do; remembers what it got."""

    def __init__(self) -> None:
        self.port = 0
        self.got: list[bytes] = []

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.SocketStream) -> None:
        self.got.append(bytes(await stream.receive_some(PIECE)))
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")


NAMES = ("a1.example.com", "a2.example.com", "b1.example.com", "b2.example.com")


def put(world: World, name: str, backend_port: int, validation: dict[str, Any] | None) -> None:
    world.write(name, ROUTE, name=name, port=backend_port, protocol="HTTPS")
    if validation is not None:
        demand(world, name, validation)


def demand(world: World, name: str, validation: dict[str, Any]) -> None:
    world.write(f"policy-{name}", POLICY, name=name, validation=json.dumps(validation))


def trust(world: World, name: str, pem: str) -> None:
    world.write(f"config-{name}", CONFIG_MAP, name=name, pem=json.dumps(pem))


async def ask(served: Serving, name: str) -> tuple[int, str]:
    async with Client("127.0.0.1", served.port) as client:
        answer = await client.ask(f"/{name}")
        return answer.status, answer.body.decode()


async def test_what_a_policy_demands_is_verified(tmp_path: Path) -> None:
    """Whatever fails is answered by the gateway, with its reason in the log and the metrics; nothing is sent."""
    log = tmp_path / "log"
    folder = tmp_path / "manifests"
    folder.mkdir()
    backend, plain = SecureBackend(), PlainBackend()
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        await nursery.start(plain.serve)
        async with serving(folder, "--access-log", str(log)) as served:
            world = served.world
            trust(world, "ours", PEM)
            trust(world, "others", OTHER_PEM)
            async with served.applied():
                for name, (validation, _) in CASES.items():
                    put(world, name, plain.port if name == "plain" else backend.port, validation)
            with trio.fail_after(PATIENCE):
                while (await ask(served, "none"))[0] == 404:  # noqa: ASYNC110  (files may be read one after the other)
                    await trio.sleep(0.02)
            for name, (_, (status, reason)) in CASES.items():
                got, body = await ask(served, name)
                assert (name, got) == (name, status)
                assert reason is None or reason in body
            metrics = await served.metrics()
            for reason in ("upstream_certificate_invalid", "upstream_tls_failed", "backend_tls_policy"):
                assert metrics[f'fastroute_local_responses_total{{reason="{reason}"}}'] == sum(
                    expected == reason for _, (_, expected) in CASES.values()
                )
            await _mend(served)
        nursery.cancel_scope.cancel()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    reasons = {line["path"].strip("/"): (line["status"], line["reason"]) for line in lines if line["status"] != 404}
    assert {**reasons, "noca": CASES["noca"][1]} == {name: expected for name, (_, expected) in CASES.items()}
    assert {path for path, _ in backend.seen} == {"/good", "/uri", "/san", "/noca"}
    assert plain.got
    assert all(got.startswith(b"\x16\x03") for got in plain.got)  # a ClientHello


async def _mend(served: Serving) -> None:
    """A ConfigMap that appears is used, and not any more once it is gone."""
    async with served.applied():
        trust(served.world, "missing", PEM)
    assert (await ask(served, "noca"))[0] == 200
    async with served.applied():
        served.world.remove("config-missing")
    assert (await ask(served, "noca"))[0] == 500


@pytest.mark.parametrize("workers", [1, 2])
async def test_one_address_behind_two_policies(tmp_path: Path, workers: int) -> None:
    """Under edits, no connection that was verified for one policy carries a request for another, and none is sent in
    cleartext (the backend would not answer it)."""
    backend = SecureBackend()
    stop = trio.Event()
    answers: Counter[tuple[str, int]] = Counter()

    async def visit(served: Serving, name: str) -> None:
        async with Client("127.0.0.1", served.port) as client:
            while not stop.is_set():
                answers[name, (await client.ask(f"/{name}")).status] += 1
                await trio.sleep(0.005)  # hundreds of requests during each edit suffice

    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        async with serving(tmp_path, workers=workers) as served:
            world = served.world
            trust(world, "ours", PEM)
            for name in "ab":
                put(world, name, backend.port, {"hostname": f"{name}1.example.com", **OURS})
            with trio.fail_after(PATIENCE):
                while {(await ask(served, name))[0] for name in "ab"} != {200}:  # noqa: ASYNC110
                    await trio.sleep(0.02)
            async with trio.open_nursery() as visits:
                for name in "abab":
                    visits.start_soon(visit, served, name)
                for number in range(6):
                    async with served.applied():
                        demand(world, "ab"[number % 2], {"hostname": f"{'ab'[number % 2]}2.example.com", **OURS})
                    async with served.applied():
                        demand(world, "ab"[number % 2], {"hostname": f"{'ab'[number % 2]}1.example.com", **OURS})
                    async with served.applied():
                        world.remove("config-ours")
                    async with served.applied():
                        trust(world, "ours", PEM)
                stop.set()
        nursery.cancel_scope.cancel()
    assert {status for _, status in answers} <= {200, 500}
    assert all(answers[name, 200] and answers[name, 500] for name in "ab")
    assert set(backend.seen) == {(f"/{name[0]}", name) for name in NAMES}


class SecureWebSockets:
    """Over TLS: accepts an Upgrade to WebSocket, and then sends back what it gets."""

    def __init__(self) -> None:
        self.context = showing(issued(dns("a.example.com")))
        self.port = 0

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        listeners = await trio.open_ssl_over_tcp_listeners(0, self.context, host="127.0.0.1", https_compatible=True)
        self.port = listeners[0].transport_listener.socket.getsockname()[1]
        task_status.started()
        await trio.serve_listeners(self._connection, listeners)

    async def _connection(self, stream: trio.SSLStream[trio.SocketStream]) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += await stream.receive_some(1)
        assert b"upgrade: websocket" in head.lower()
        await stream.send_all(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        while piece := await stream.receive_some(PIECE):
            await stream.send_all(piece)


@pytest.mark.parametrize("protocol", ["kubernetes.io/wss", "kubernetes.io/ws"])
async def test_websockets_go_over_tls_to_a_port_with_a_policy(tmp_path: Path, protocol: str) -> None:
    backend = SecureWebSockets()
    async with trio.open_nursery() as nursery:
        await nursery.start(backend.serve)
        async with serving(tmp_path) as served:
            async with served.applied():
                trust(served.world, "ours", PEM)
                served.world.write("chat", ROUTE, name="chat", port=backend.port, protocol=protocol)
                demand(served.world, "chat", GOOD)
            with trio.fail_after(PATIENCE):
                while await _greeted(served.port) != b"hello":  # noqa: ASYNC110 (files may be read one after the other)
                    await trio.sleep(0.02)
        nursery.cancel_scope.cancel()


async def _greeted(port: int) -> bytes:
    """What comes back through a WebSocket; empty if it is not accepted."""
    stream = await trio.open_tcp_stream("127.0.0.1", port)
    async with stream:
        await stream.send_all(b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            if not (byte := await stream.receive_some(1)):
                return b""
            head += byte
        if not head.startswith(b"HTTP/1.1 101"):
            return b""
        await stream.send_all(b"hello")
        return bytes(await stream.receive_some(5))
