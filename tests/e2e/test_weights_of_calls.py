"""Calls of gRPC while the weights of their backends change: none fails, and none gets to a backend with weight 0."""

from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import cycle
from pathlib import Path
from typing import NamedTuple

import hpack
import pytest
import trio
from e2e.serving import GATEWAY, SERVICE, Serving, World, serving
from peer import PATIENCE

CALLS = 10_000
CHANGES = 8  # at least, and one each second
CONNECTIONS, STREAMS = 4, 8
NAMES = ("one", "two", "three")
WEIGHTS = ((1, 0, 0), (1, 3, 0), (0, 1, 0), (0, 1, 1), (0, 0, 5), (2, 0, 1))
AT_MOST = 300  # seconds for all calls; each round of calls, and each change, has PATIENCE
MESSAGE = b"\0\0\0\0\0"
CALL, TE = ("content-type", "application/grpc"), ("te", "trailers")
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
ENDS, ACK, WHOLE = 1, 1, 4  # flags
ROUTE = """
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {{namespace: infra, name: calls}}
spec:
  parentRefs: [{{namespace: infra, name: edge}}]
  rules:
    - backendRefs:
        - {{namespace: one, name: one, port: 80, weight: {one}}}
        - {{namespace: two, name: two, port: 80, weight: {two}}}
        - {{namespace: three, name: three, port: 80, weight: {three}}}
"""
GRANT = """
apiVersion: gateway.networking.k8s.io/v1beta1
kind: ReferenceGrant
metadata: {{namespace: {name}, name: calls}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: GRPCRoute, namespace: infra}}]
  to: [{{group: "", kind: Service}}]
"""


class Answer(NamedTuple):
    """The times at which a call began and ended, and who answered it; or what was wrong with it."""

    begun: float
    ended: float
    source: str


class Period(NamedTuple):
    """The weights that were written at `since`, and served by all workers from `served` on."""

    since: float
    served: float
    sources: frozenset[str]


class Link:
    """A connection of HTTP/2 whose peer sends small frames: it answers SETTINGS and PING, and has large windows."""

    def __init__(self, stream: trio.SocketStream, opening: bytes = b"") -> None:
        self.stream = stream
        self.unsent = opening + frame(SETTINGS) + frame(WINDOW_UPDATE, payload=(1 << 30).to_bytes(4, "big"))
        self.decoder = hpack.Decoder()

    async def flush(self) -> None:
        data, self.unsent = self.unsent, b""
        await self.stream.send_all(data)

    async def frames(self) -> AsyncIterator[tuple[int, int, int, bytes]]:
        """Type, flags, stream and content of each frame of a stream. Sends what was added after each read."""
        buffer = b""
        await self.flush()
        async for data in self.stream:
            buffer = (buffer + data).removeprefix(PREFACE)
            while len(buffer) >= 9 and len(buffer) >= (size := 9 + int.from_bytes(buffer[:3], "big")):
                kind, flags, id, payload = buffer[3], buffer[4], int.from_bytes(buffer[5:9], "big"), buffer[9:size]
                buffer = buffer[size:]
                if kind in (SETTINGS, PING) and not flags & ACK:
                    self.unsent += frame(kind, ACK, payload=payload if kind == PING else b"")
                elif id:
                    yield kind, flags, id, payload
            if self.unsent:
                await self.flush()


def frame(kind: int, flags: int = 0, stream: int = 0, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def block(*fields: tuple[str, str]) -> bytes:
    """Fields without the tables of HPACK."""
    words = (word.encode() for field in fields for word in field)
    return b"".join((b"\0" if at % 2 == 0 else b"") + bytes([len(word)]) + word for at, word in enumerate(words))


HEAD = block((":status", "200"), CALL)
REQUEST = block((":method", "POST"), (":scheme", "http"), (":path", "/a.B/C"), (":authority", "a"), CALL, TE)


async def answer(stream: trio.SocketStream, name: str) -> None:
    """A connection of a server of gRPC, which answers each call with its name."""
    link = Link(stream)
    trailers = block(("grpc-status", "0"), ("x-source", name))
    async for kind, flags, id, _ in link.frames():
        if kind in (DATA, HEADERS) and flags & ENDS:
            link.unsent += frame(HEADERS, WHOLE, id, HEAD) + frame(DATA, 0, id, MESSAGE)
            link.unsent += frame(HEADERS, WHOLE | ENDS, id, trailers)


async def serve(name: str, task_status: trio.TaskStatus[int]) -> None:
    async with trio.open_nursery() as nursery:

        async def connection(stream: trio.SocketStream) -> None:
            with suppress(trio.BrokenResourceError):
                await answer(stream, name)

        listeners = await nursery.start(trio.serve_tcp, connection, 0)
        task_status.started(listeners[0].socket.getsockname()[1])


async def calls(link: Link) -> AsyncIterator[list[Answer]]:
    """Makes STREAMS calls at a time, and waits for all of them."""
    frames = link.frames()
    for start in range(1, 1 << 30, 2 * STREAMS):
        begun = trio.current_time()
        said: dict[int, list[tuple[str, str]]] = {start + 2 * at: [] for at in range(STREAMS)}
        for id in said:
            link.unsent += frame(HEADERS, WHOLE, id, REQUEST) + frame(DATA, ENDS, id, MESSAGE)
        with trio.fail_after(PATIENCE):
            await link.flush()
            found = [Answer(begun, *ended) async for ended in ends(link, frames, said)]
        assert len(found) == STREAMS, "the connection ended"
        yield found


async def ends(
    link: Link, frames: AsyncIterator[tuple[int, int, int, bytes]], said: dict[int, list[tuple[str, str]]]
) -> AsyncIterator[tuple[float, str]]:
    """The time at which each call ended, and who answered it. `said` collects what the calls got."""
    left = set(said)
    async for kind, flags, id, payload in frames:
        if kind == HEADERS:
            said[id] += link.decoder.decode(payload)
        elif kind != WINDOW_UPDATE:
            said[id].append((str(kind), payload.hex()))
        if (flags & ENDS and kind in (DATA, HEADERS)) or kind == RST_STREAM:
            yield trio.current_time(), source_of(said[id])
            left.discard(id)
            if not left:
                return


def source_of(said: list[tuple[str, str]]) -> str:
    """Who answered a call; all that was said if it failed."""
    got = dict(said)
    fine = got.get(":status") == "200" and got.get(str(DATA)) == MESSAGE.hex() and got.get("grpc-status") == "0"
    return got["x-source"] if fine else str(said)


def put(world: World, weights: tuple[int, ...]) -> None:
    world.write("calls", ROUTE, **dict(zip(NAMES, weights, strict=True)))


def weighted(weights: tuple[int, ...]) -> frozenset[str]:
    return frozenset(name for name, weight in zip(NAMES, weights, strict=True) if weight)


class Calls:
    """The calls of one run, and the weights that were served."""

    def __init__(self, first: Period) -> None:
        self.answers: list[Answer] = []
        self.periods = [first]

    async def make(self, port: int) -> None:
        """Calls on one connection until there were enough of them, and enough changes."""
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            async for found in calls(Link(stream, PREFACE)):
                self.answers += found
                if len(self.answers) >= CALLS and len(self.periods) > CHANGES:
                    break

    async def change(self, served: Serving) -> None:
        """New weights each second."""
        for weights in cycle((*WEIGHTS[1:], WEIGHTS[0])):
            since = trio.current_time()
            async with served.applied():
                self.periods.append(Period(since, float("inf"), weighted(weights)))
                put(served.world, weights)
            self.periods[-1] = self.periods[-1]._replace(served=trio.current_time())
            await trio.sleep(max(0, since + 1 - trio.current_time()))

    def allowed(self, one: Answer) -> set[str]:
        """The backends that had a weight at some time of the call. Old weights may be served until the new ones are."""
        ends = [later.served for later in self.periods[1:]] + [float("inf")]
        return {
            source
            for period, end in zip(self.periods, ends, strict=True)
            if period.since <= one.ended and one.begun <= end
            for source in period.sources
        }


@pytest.mark.timeout(AT_MOST)
async def test_no_call_fails_or_gets_to_another_backend(tmp_path: Path) -> None:
    async with trio.open_nursery() as nursery, serving(tmp_path) as served:
        for name in NAMES:
            served.world.write(name, SERVICE, name=name, port=await nursery.start(serve, name))
            served.world.write(f"grant-{name}", GRANT, name=name)
        served.world.write("gateway", GATEWAY, allowed="{from: All}")
        put(served.world, WEIGHTS[0])
        with trio.fail_after(PATIENCE):
            await until_served(served.port)
        run = Calls(Period(0, trio.current_time(), weighted(WEIGHTS[0])))
        nursery.start_soon(run.change, served)
        async with trio.open_nursery() as clients:
            for _ in range(CONNECTIONS):
                clients.start_soon(run.make, served.port)
        nursery.cancel_scope.cancel()
    assert [one for one in run.answers if one.source not in run.allowed(one)] == []
    assert len(run.answers) >= CALLS
    assert {one.source for one in run.answers} == set(NAMES)


async def until_served(port: int) -> None:
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        async for found in calls(Link(stream, PREFACE)):
            if {one.source for one in found} <= set(NAMES):
                break
            await trio.sleep(0.02)
