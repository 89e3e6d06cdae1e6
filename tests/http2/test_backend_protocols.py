"""Backends whose protocol changes: nothing is sent over a connection of the old one."""

import random
from collections.abc import Callable

import pytest
import trio
from http2.server import Channel, spoken
from http2.test_backends import asked
from rig import GET, OK, Peer, Rig, answering, backends, connect, quiet, rule, running, soon
from securebackend import either, like

from fastroute import snapshot

PREFACE = b"PRI "  # no method of HTTP/1.1


def speaking(protocol: str, name: str = "") -> snapshot.Backend:
    return snapshot.Backend(protocol=protocol, tls=like(name) if name else None)


class Either:
    """A backend that answers in the protocol that its peer speaks."""

    def __init__(self, note: Callable[[str, bytes], None] = lambda protocol, head: None) -> None:
        self.note = note  # called with the protocol and the head of each request
        self.spoken: list[str] = []  # on each connection

    async def __call__(self, peer: Peer) -> None:
        number = len(self.spoken)
        self.spoken.append("nothing")
        while len(peer.buffer) < len(PREFACE):
            if not await peer.more():
                return
        protocol = self.spoken[number] = "h2" if peer.buffer.startswith(PREFACE) else "h1"

        async def answer(one: Peer) -> None:
            head, _ = await one.request()
            self.note(protocol, head)
            await one.send(OK)

        while protocol == "h1":
            await answer(peer)
        await spoken(answer)(peer)


@pytest.mark.parametrize(("old", "new"), [("h2", "h1"), ("h1", "h2"), ("h2", "h2")])
@pytest.mark.parametrize("still", [True, False], ids=["same address", "another address"])
async def test_nothing_is_sent_on_a_connection_that_was_requested_with_the_old_key(
    old: str, new: str, still: bool
) -> None:
    """The clock advances with each look at it, so each turn of the engine handles only one event."""
    rig = Rig()
    rig.listen()
    rig.install(rule("a"))
    rig.engine.hold_clock(0.002)
    rig.upstreams.speak("a", speaking(old, "x"))
    asked, elsewhere = Either(), Either()
    async with backends(either(asked), either(elsewhere)) as [backend, other], trio.open_nursery() as nursery:
        rig.put("a", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET /a HTTP/1.1\r\nHost: a\r\n\r\n")
        while rig.engine.statistics().upstream_active < 1:
            rig.engine.turn()
            await trio.lowlevel.checkpoint()
        rig.upstreams.speak("a", speaking(new, "y"))
        if not still:
            rig.put("a", other.port)
        rig.engine.wake()
        nursery.start_soon(rig.turn_forever)
        assert (await client.response())[0] == 200
        await soon(lambda: backend.connections == (2 if still else 1) and backend.open == (1 if still else 0))
        assert asked.spoken[0] == "nothing"
        assert (asked.spoken[1:] if still else elsewhere.spoken) == [new]
        nursery.cancel_scope.cancel()
    rig.close()


@pytest.mark.parametrize("kinds", [[("h1", ""), ("h2", "")], [("h1", ""), ("h2", ""), ("h2", "x")]])
async def test_edits_under_load_send_nothing_over_a_connection_of_another_protocol(
    kinds: list[tuple[str, str]],
) -> None:
    """Two backends with one address. At each edit one of them gets another protocol, and its rule another epoch,
    between two turns. A request was decided in its epoch and may be sent later, but always with a protocol that its
    backend has had since then."""
    drawn = random.Random(5)
    epochs: dict[str, list[str]] = {"a": [], "b": []}  # the protocol of each epoch
    heard: list[tuple[str, str, int, int]] = []  # protocol, backend, epoch of the request, newest epoch
    answered: list[int] = []
    edits = 40

    def note(protocol: str, head: bytes) -> None:
        name, epoch = head.decode().lower().split("x-epoch: ")[1].split("\r\n")[0].split("-")
        heard.append((protocol, name, int(epoch), len(epochs[name]) - 1))

    def over() -> bool:
        return sum(map(len, epochs.values())) == edits

    def edit(rig: Rig, name: str) -> None:
        protocol, tls = drawn.choice(kinds)
        epochs[name].append(protocol)
        rig.upstreams.speak(name, speaking(protocol, tls))
        rig.install(*(stamped(one, number, len(epochs[one]) - 1) for number, one in enumerate("ab")))
        rig.engine.wake()

    async with backends(either(Either(note))) as [backend], running() as rig:
        for name in "ab":
            rig.put(name, backend.port)
            edit(rig, name)
        async with trio.open_nursery() as nursery:
            for path in ("a", "b") * 4:
                nursery.start_soon(loading, rig, path, answered, over)
            while not over():
                seen = len(answered)
                await soon(lambda seen=seen: len(answered) > seen + 20)  # type: ignore[misc]
                edit(rig, drawn.choice("ab"))
        assert set(answered) == {200}
        assert len(heard) == len(answered)
        assert {protocol for protocol, *_ in heard} == {"h1", "h2"}
        for protocol, name, epoch, newest in heard:
            assert protocol in epochs[name][epoch : newest + 1]
        await quiet()
        assert backend.open == rig.engine.statistics().upstream_idle
        rig.put("a")
        rig.put("b")
        rig.engine.wake()
        await soon(lambda: backend.open == 0)


def stamped(name: str, number: int, epoch: int) -> snapshot.Rule:
    """The rule adds the epoch, so it is that of the tables with which the request was decided."""
    stamp = snapshot.HeaderValue("X-Epoch", f"{name}-{epoch}")
    modifier = snapshot.HeaderModifier(direction="request", set=(stamp,))
    return rule(name, name=str(number), path=f"/{name}", filters=[modifier])


async def loading(rig: Rig, path: str, answered: list[int], over: Callable[[], bool]) -> None:
    """Requests of a client, with and without a body."""
    client = await connect(rig.port)
    methods = [b"GET /%s HTTP/1.1\r\nHost: a\r\n\r\n", b"POST /%s HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"]
    while not over():
        await client.send(random.choice(methods) % path.encode())
        answered.append((await client.response())[0])


async def test_a_changed_protocol_uses_a_new_connection() -> None:
    async with (
        backends(spoken(answering), answering) as [new, old],
        running(rule("b")) as rig,
    ):
        rig.put("b", old.port)
        peer = await asked(rig)
        assert (await peer.response())[0] == 200
        rig.upstreams.speak("b", speaking("h2"))
        rig.put("b", new.port)
        await peer.send(GET)
        assert (await peer.response())[0] == 200
        rig.upstreams.speak("b", speaking("h1"))
        rig.put("b", old.port)
        await peer.send(GET)
        assert (await peer.response())[0] == 200
        assert (new.connections, old.connections) in {(1, 1), (1, 2)}
        await soon(lambda: new.open == 0)


async def test_a_request_is_repeated_in_the_protocol_that_its_backend_has_then() -> None:
    """Its body came in chunks, and the next try needs its content and its trailers."""
    tries: list[tuple[bytes, list[tuple[str, str]]]] = []

    async def script(peer: Peer) -> None:
        _, body = await peer.request()
        if isinstance(peer, Channel):
            tries.append((body, list(peer.trailers)))
            await peer.send(OK)
            return
        tries.append((body, []))
        rig.upstreams.speak("b", speaking("h2"))
        await peer.send(b"HTTP/1.1 503 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    async def first_http1(peer: Peer) -> None:
        await (spoken(script) if tries else script)(peer)

    retry = snapshot.Retry(codes=(503,), attempts=1, backoff_ms=1)
    async with backends(first_http1) as [backend], running(rule("b", retry=retry)) as rig:
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        await peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n")
        await peer.send(b"3;ext=1\r\nabc\r\n2\r\nde\r\n0\r\nX-Sum: 9\r\n\r\n")
        assert (await peer.response())[0] == 200
    assert tries == [(b"abcde", []), (b"abcde", [("x-sum", "9")])]
