"""GRPCRoutes from their manifests to an HTTP/2 backend: unary calls and streams of messages in each direction."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
from graph.world import endpoint_slice, gateway, ref, route, service, world
from http2.client import Ask, client
from http2.server import Channel, spoken
from msgspec.structs import replace
from rig import Rig, backends, loopback, running, saying, soon

from fastroute.compiler.compile import compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.settings import GraphSettings
from fastroute.snapshot import Snapshot

CALL = [("content-type", "application/grpc"), ("te", "trailers")]
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/grpc\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\ngrpc-status: 0\r\n\r\n"


def message(text: bytes) -> bytes:
    """A message of gRPC, not compressed."""
    return bytes(1) + len(text).to_bytes(4, "big") + text


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def snapshot_of(*rules: dict[str, Any]) -> Snapshot:
    calls = route("calls", "infra", rules=list(rules), type_=GRPCRoute)
    pages = route("pages", "infra", ref("plain"))
    services = [service("echo", "infra"), service("plain", "infra")]
    slices = [endpoint_slice(name, "infra", name, "10.0.0.1") for name in ("echo", "plain")]
    resources = world(gateway(), calls, pages, *services, *slices)
    return compile_snapshot(build_graph(resources, GraphSettings())).snapshot


@asynccontextmanager
async def serving(script: Any, *rules: dict[str, Any]) -> AsyncIterator[Rig]:
    """A rig with the routes of `snapshot_of`; the backends are `script` and one that says "page"."""
    snapshot = snapshot_of(*(rules or ({"backendRefs": [{"name": "echo", "port": 80}]},)))
    page = saying(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\npage")
    async with backends(spoken(script), page) as [echo, plain], running(log=True) as rig:
        for id_, spoken_to in snapshot.backends.items():
            rig.upstreams.speak(id_, spoken_to)
            rig.put(id_, echo.port if "echo" in id_ else plain.port)
        listeners = [replace(one, place=loopback(rig.port)) for one in snapshot.listeners.values()]
        rig.install_all(listeners, *snapshot.rules.values())
        yield rig


async def outcome(ask: Ask) -> tuple[bytes, str]:
    """The content of the answer, and its status of gRPC."""
    _, fields, body = await ask.response()
    return body, {**fields, **dict(ask.trailers)}["grpc-status"]


async def echoing(peer: Channel) -> None:
    """Sends each message back at once, then OK."""
    await peer.head()
    await peer.send(HEAD)
    while size := int((await peer.until(b"\r\n")).strip(), 16):
        await peer.send(chunk((await peer.exactly(size + 2))[:-2]))
    await peer.send(END)


async def test_a_unary_call() -> None:
    async with serving(echoing) as rig, client(rig.port) as session:
        ask = await session.ask("POST", "/a.B/C", CALL, message(b"hello"))
        assert await outcome(ask) == (message(b"hello"), "0")
        await soon(lambda: len(rig.lines()) == 1)
        [line] = rig.lines()
        assert (line["route_kind"], line["backend"], line["grpc_status"]) == ("GRPCRoute", "infra/echo:80", 0)


async def test_messages_in_both_directions_take_turns() -> None:
    async with serving(echoing) as rig, client(rig.port) as session:
        ask = await session.ask("POST", "/a.B/C", CALL, end=False)
        sent = b""
        for number in range(20):
            sent += message(b"%d" % number)
            await ask.send(message(b"%d" % number))
            await session.until(lambda sent=sent: ask.body == sent)  # type: ignore[misc]
        assert not ask.ended
        await ask.send(message(b"end"), end=True)
        assert await outcome(ask) == (sent + message(b"end"), "0")


async def test_many_messages_of_a_client_and_of_a_server() -> None:
    many = message(b"x" * 1000) * 500

    async def summing(peer: Channel) -> None:
        _, body = await peer.request()
        await peer.send(HEAD + chunk(message(b"%d" % len(body))) + END)

    async def flooding(peer: Channel) -> None:
        await peer.request()
        await peer.send(HEAD)
        for _ in range(500):
            await peer.send(chunk(message(b"x" * 1000)))
        await peer.send(END)

    async with serving(summing) as rig, client(rig.port) as session:
        assert await outcome(await session.ask("POST", "/a.B/C", CALL, many)) == (message(b"%d" % len(many)), "0")
    async with serving(flooding) as rig, client(rig.port) as session:
        assert await outcome(await session.ask("POST", "/a.B/C", CALL, message(b""))) == (many, "0")


REFUSED = {"matches": [{"method": {"service": "a.B"}}], "backendRefs": [{"name": "none", "port": 80}]}


@pytest.mark.parametrize(("path", "status"), [("/a.B/C", "14"), ("/a.X/C", "12")])
async def test_what_its_backends_do_not_get(path: str, status: str) -> None:
    """An HTTPRoute for all requests is on the same listener: it gets what no GRPCRoute takes."""
    async with serving(echoing, REFUSED) as rig, client(rig.port) as session:
        ask = await session.ask("POST", path, CALL, message(b"hello"))
        if status == "14":
            assert await outcome(ask) == (b"", status)
        else:
            assert (await ask.response())[2] == b"page"
        other = await session.ask("POST", "/a.B/C", [("content-type", "text/plain")], b"x")
        assert (await other.response())[2] == b"page"


async def test_a_call_ends_with_its_client() -> None:
    ended = trio.Event()

    async def waiting(peer: Channel) -> None:
        await peer.head()
        await peer.send(HEAD)
        await peer.link.until(lambda: peer.cause is not None)
        ended.set()

    async with serving(waiting) as rig, client(rig.port) as session:
        ask = await session.ask("POST", "/a.B/C", CALL, end=False)
        assert await ask.answered() == 200
        await ask.cancel()
        with trio.fail_after(60):
            await ended.wait()
        await soon(lambda: len(rig.lines()) == 1)
        assert rig.lines()[0]["grpc_status"] is None
