"""Connections of TCPRoutes and TLSRoutes, from manifests over real sockets: bytes that are passed on as they are, bytes
that are encrypted again, grants, and the PROXY protocol. (The golden pairs have weights and hostnames.)"""

import contextlib
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from certificates import authority, certificate, trusting

from fastroute.demo.gateway import Gateway, running_gateway
from fastroute.resources.gateway import GROUP
from fastroute.resources.proxy_protocol import ANNOTATION

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")  # of a PROXY header of version 2
TCP_PORTS = {"plain": 5001, "announced": 5002, "secured": 5003, "refused": 5004}  # by the Service behind them
PASSED_PORT, ENDED_PORT = 443, 8443
NAME = "a.example.com"
OWN = certificate("ended.example.com")


def made(kind: str, namespace: str, name: str, spec: Any = None, **more: Any) -> dict[str, Any]:
    versions = {"Service": "v1", "Secret": "v1", "ConfigMap": "v1", "EndpointSlice": "discovery.k8s.io/v1"}
    metadata = {"namespace": namespace, "name": name, **more.pop("metadata", {})}
    body = {} if spec is None else {"spec": spec}
    return {"apiVersion": versions.get(kind, f"{GROUP}/v1"), "kind": kind, "metadata": metadata, **body, **more}


def route(kind: str, service: str, section: str, **more: Any) -> dict[str, Any]:
    backend = {"name": service, "namespace": "other" if service == "refused" else "apps", "port": 80}
    parents = [{"name": "edge", "sectionName": section}]
    return made(
        kind, "infra", f"{section}-{service}", {"parentRefs": parents, "rules": [{"backendRefs": [backend]}], **more}
    )


def world(ports: dict[str, int]) -> list[dict[str, Any]]:
    """`ports`: of the backend of each Service. `secured` speaks TLS, and a policy says so."""
    passed = {"name": "passed", "port": PASSED_PORT, "protocol": "TLS", "tls": {"mode": "Passthrough"}}
    ended = {"name": "ended", "port": ENDED_PORT, "protocol": "TLS", "tls": {"certificateRefs": [{"name": "own"}]}}
    raw = [{"name": name, "port": port, "protocol": "TCP"} for name, port in TCP_PORTS.items()]
    grants = [{"group": GROUP, "kind": kind, "namespace": "infra"} for kind in ("TCPRoute", "TLSRoute")]
    verified = {"hostname": NAME, "caCertificateRefs": [{"group": "", "kind": "ConfigMap", "name": "ca"}]}
    policy = {"targetRefs": [{"group": "", "kind": "Service", "name": "secured"}], "validation": verified}
    objects = [
        made("Gateway", "infra", "edge", {"gatewayClassName": "fastroute", "listeners": [passed, ended, *raw]}),
        *(route("TCPRoute", name, name) for name in TCP_PORTS),
        route("TLSRoute", "secured", "passed", hostnames=[NAME]),
        route("TLSRoute", "secured", "ended", hostnames=["ended.example.com"]),
        made("ReferenceGrant", "apps", "g", {"from": grants, "to": [{"group": "", "kind": "Service"}]}),
        made("BackendTLSPolicy", "apps", "p", policy),
        made("ConfigMap", "apps", "ca", data={"ca.crt": authority().pem}),
        made(
            "Secret",
            "infra",
            "own",
            type="kubernetes.io/tls",
            stringData={"tls.crt": OWN.chain.decode(), "tls.key": OWN.key.decode()},
        ),
    ]
    for name, port in ports.items():
        annotations = {ANNOTATION: "v2"} if name == "announced" else {}
        label = {"labels": {"kubernetes.io/service-name": name}}
        place = {"addressType": "IPv4", "ports": [{"port": port}], "endpoints": [{"addresses": ["127.0.0.1"]}]}
        objects += [
            made("Service", "apps", name, {"ports": [{"port": 80}]}, metadata={"annotations": annotations}),
            made("EndpointSlice", "apps", name, metadata=label, **place),
        ]
    return objects


@pytest.fixture(scope="module")
def context(tmp_path_factory: pytest.TempPathFactory) -> ssl.SSLContext:
    """Of the backend that speaks TLS."""
    shown = certificate(NAME)
    file = tmp_path_factory.mktemp("backend") / "pair.pem"
    file.write_bytes(shown.chain + shown.key)
    made_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made_context.load_cert_chain(file)
    return made_context


async def greet(stream: trio.abc.HalfCloseableStream | trio.SSLStream[trio.SocketStream]) -> None:
    """Speaks first; then says what came first, in hexadecimal, so that a PROXY header can be seen."""
    await stream.send_all(b"hello\n")
    got = bytes(await stream.receive_some(4096))
    await stream.send_all(got.hex().encode() + b"\n")
    with contextlib.suppress(trio.BrokenResourceError):  # a client of TLS may end without close_notify
        await stream.receive_some(1)
    await trio.aclose_forcefully(stream)


@asynccontextmanager
async def backends(context: ssl.SSLContext) -> AsyncIterator[dict[str, int]]:
    async def greet_secretly(stream: trio.SocketStream) -> None:
        await greet(trio.SSLStream(stream, context, server_side=True))

    async with trio.open_nursery() as nursery:
        ports = {}
        for name, handler in (("plain", greet), ("announced", greet), ("secured", greet_secretly)):
            [listening] = await trio.open_tcp_listeners(0, host="127.0.0.1")
            nursery.start_soon(trio.serve_listeners, handler, [listening])
            ports[name] = listening.socket.getsockname()[1]
        yield ports
        nursery.cancel_scope.cancel()


def serving(ports: dict[str, int], folder: Path) -> AbstractContextManager[Gateway]:
    text = "\n---\n".join(json.dumps(one) for one in world(ports))
    (folder / "world.yaml").write_text(text)
    listeners = (*TCP_PORTS.values(), PASSED_PORT, ENDED_PORT)
    return running_gateway(folder, "--workers", "1", "--log-level", "error", listeners=listeners)


async def answers(gateway: Gateway, port: int, tls: ssl.SSLContext | None = None, name: str = NAME) -> list[bytes]:
    """What the backend says first, and what it got."""
    stream: Any = await trio.open_tcp_stream(gateway.address, gateway.port(port))
    if tls is not None:
        stream = trio.SSLStream(stream, tls, server_hostname=name, https_compatible=True)
    async with stream:
        said = bytes(await stream.receive_some(100))
        await stream.send_all(b"ping")
        while said.count(b"\n") < 2:
            said += bytes(await stream.receive_some(4096)) or b"\n\n"
    hello, got, _ = said.split(b"\n")
    return [hello, bytes.fromhex(got.decode())]


async def test_bytes_reach_the_backend(context: ssl.SSLContext, tmp_path: Path) -> None:
    with trio.fail_after(60):
        async with backends(context) as ports:
            with serving(ports, tmp_path) as gateway:
                assert await answers(gateway, TCP_PORTS["plain"]) == [b"hello", b"ping"]
                assert await answers(gateway, TCP_PORTS["secured"]) == [b"hello", b"ping"], "the gateway encrypts"
                assert await answers(gateway, PASSED_PORT, trusting()) == [b"hello", b"ping"], "the client does"
                name = "ended.example.com"
                assert await answers(gateway, ENDED_PORT, trusting(), name) == [b"hello", b"ping"], "both do"
                hello, got = await answers(gateway, TCP_PORTS["announced"])
                assert (hello, got[:12]) == (b"hello", SIGNATURE)
                with pytest.raises((trio.BrokenResourceError, OSError)):  # also while it connects
                    await answers(gateway, TCP_PORTS["refused"])
