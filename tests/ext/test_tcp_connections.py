"""Connections of TCPRoutes over real sockets: bytes both ways, ends, refusals, tries, and weights."""

import random
import socket

import msgspec
import pytest
import trio
from passages import (
    counted,
    echoing,
    ended,
    gone,
    naming,
    passage,
    passing,
    pinged,
    reasons,
    silent,
    traffic,
    turned_away,
)
from rig import PATIENCE, Peer, accepted_from, backends, connect, free_port, quiet, soon

from fastroute import snapshot
from fastroute.settings import Limits

BACKEND = "apps/a:80/raw"
MUCH = 24_000_000  # more than the kernel buffers for two connections


def refused(reason: str) -> snapshot.WeightedBackend:
    return snapshot.WeightedBackend(weight=1, backend="apps/x:80/raw", status=500, reason=reason)


# --- bytes and ends


async def test_bytes_go_both_ways_until_both_sides_have_ended() -> None:
    async with backends(echoing) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        for number in range(20):
            await pinged(client, b"\0\xff ping %d\r\n\r\n" % number)
        await client.end_of_writing()
        assert await client.rest() == b""
        await gone(rig)
        [line] = rig.lines()
        size = sum(len(b"\0\xff ping %d\r\n\r\n" % n) for n in range(20))
        time, duration, waited = line.pop("time"), line.pop("duration_us"), line.pop("upstream_duration_us")
        assert time
        assert 0 < waited <= duration
        assert {name: value for name, value in line.items() if value is not None} == {
            "protocol": "TCP",
            "bytes_received": size,
            "bytes_sent": size,
            "upstream": f"127.0.0.1:{backend.port}",
            "gateway": "infra/gateway",
            "listener": "tcp",
            "route": "apps/any",
            "rule": "0",
            "backend": "apps/a:80",
            "client": "127.0.0.1",
            "route_kind": "TCPRoute",
            "upstream_protocol": "TCP",
            "tries": 1,
        }
        assert traffic(rig) == {"connections": 1, "received": size, "sent": size}
        assert rig.counters.used_requests() == []
        assert set(rig.counters.local_responses()) == {0}


@pytest.mark.parametrize(("idle", "later"), [(3600, True), (7200, False)])
async def test_the_socket_to_a_backend_gets_its_options_before_the_second_write(idle: float, later: bool) -> None:
    """Many connections have one write only. With a long idle timeout, the kernel looks whether the backend lives."""
    limits = Limits(tunnel_idle_timeout=idle)
    peers: list[Peer] = []

    async def keeping(peer: Peer) -> None:
        peers.append(peer)
        await echoing(peer)

    def options() -> tuple[bool, bool]:
        with accepted_from(peers[0]) as one:
            at_once = one.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
            return at_once, one.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE) == 1

    async with backends(keeping) as [backend], passing(passage(BACKEND), limits=limits) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await pinged(client)
        assert options() == (not later, not later)
        await pinged(client)
        assert options() == (True, not later)


async def test_a_backend_speaks_first() -> None:
    async with backends(naming(b"220 ready")) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        assert await client.rest() == b"220 ready"
        await client.close()
        await gone(rig)
        assert reasons(rig) == [None]


async def test_what_a_client_sends_at_once_arrives() -> None:
    """Also its end, which may be known before a backend is connected."""
    async with backends(echoing) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(b"at once")
        await client.end_of_writing()
        assert await client.rest() == b"at once"
        await gone(rig)
        assert reasons(rig) == [None]


async def test_a_client_that_has_ended_still_receives() -> None:
    async def answering_late(peer: Peer) -> None:
        asked = await peer.rest()
        for number in range(3):
            await peer.send(b"%s%d" % (asked, number))
            await quiet()

    async with backends(answering_late) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(b"x")
        await client.end_of_writing()
        assert await client.rest() == b"x0x1x2"


async def test_a_backend_that_has_ended_still_receives() -> None:
    got: list[bytes] = []

    async def ending(peer: Peer) -> None:
        await peer.send(b"bye")
        await peer.end_of_writing()
        got.append(await peer.rest())

    async with backends(ending) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        assert await client.rest() == b"bye"
        await client.send(b"one")
        await quiet()
        await client.send(b"two")
        await client.close()
        await soon(lambda: bool(got))
        assert got == [b"onetwo"]
        await gone(rig)
        assert reasons(rig) == [None]


async def test_a_reset_of_the_client_resets_the_backend() -> None:
    ends: list[str] = []

    async def noting(peer: Peer) -> None:
        await peer.exactly(1)
        ends.append(await ended(peer))

    async with backends(noting) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(b"x")
        await soon(lambda: traffic(rig).get("received") == 1)
        await client.reset()
        await soon(lambda: bool(ends))
        assert ends == ["reset"]
        await gone(rig)
        assert reasons(rig) == ["client_closed"]


async def test_a_reset_of_the_backend_resets_the_client() -> None:
    async def breaking(peer: Peer) -> None:
        await peer.exactly(1)
        await peer.reset()

    async with backends(breaking) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        await client.send(b"x")
        assert await ended(client) == "reset"
        await gone(rig)
        assert reasons(rig) == ["upstream_truncated"]


@pytest.mark.parametrize("slow", ["client", "backend"])
async def test_the_faster_side_waits(slow: str) -> None:
    release = trio.Event()
    sizes: list[int] = []

    async def size_of_rest(peer: Peer) -> int:
        size = 0
        with trio.fail_after(PATIENCE):
            while data := await peer.stream.receive_some(1 << 20):
                size += len(data)
        return size

    async def backend_side(peer: Peer) -> None:
        if slow == "client":
            with trio.fail_after(PATIENCE):
                await peer.stream.send_all(b"x" * MUCH)
            return
        await release.wait()
        sizes.append(await size_of_rest(peer))

    async with backends(backend_side) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        async with trio.open_nursery() as nursery:
            if slow == "backend":

                async def pour() -> None:
                    await client.send(b"x" * MUCH)
                    await client.end_of_writing()

                nursery.start_soon(pour)
            await quiet(0.05)
            passed = sum(traffic(rig).values()) - 1
            assert passed < MUCH
            assert rig.buffered() < 1_000_000
            release.set()
            if slow == "client":
                sizes.append(await size_of_rest(client))
        await soon(lambda: bool(sizes))
        assert sizes == [MUCH]


# --- no backend


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ([], "no_rule"),
        ([passage()], "no_backend_refs"),
        ([passage(snapshot.WeightedBackend(weight=0, backend=BACKEND))], "zero_weights"),
        ([passage(refused("reference_refused"))], "reference_refused"),
        ([passage(refused("backend_not_found"))], "backend_not_found"),
        ([passage("apps/none:80/raw")], "no_endpoint"),
    ],
)
async def test_without_a_backend_it_is_reset(rules: list[snapshot.Rule], reason: str) -> None:
    async with passing(*rules) as rig:
        assert await turned_away(rig.port) == "reset"
        await gone(rig)
        [line] = rig.lines()
        assert (line["protocol"], line["status"], line["reason"], line["listener"]) == ("TCP", None, reason, "tcp")
        assert line["route"] == ("apps/any" if rules else None)
        assert rig.local(reason) == 1
        slot = 10 if not rules else 2 if reason in ("no_backend_refs", "zero_weights") else 1
        assert counted(rig, slot) == {"connections": 1}


async def test_a_backend_that_gets_requests_gets_no_bytes() -> None:
    async with passing(passage(BACKEND)) as rig:
        rig.upstreams.speak(BACKEND, snapshot.Backend())
        rig.put(BACKEND, free_port())
        assert await turned_away(rig.port) == "reset"
        assert reasons(rig) == ["backend_invalid"]


async def test_a_client_that_leaves_while_a_backend_is_connected() -> None:
    with silent() as port:
        async with passing(passage(BACKEND), held=True) as rig:
            rig.put(BACKEND, port)
            client = await connect(rig.port)
            await soon(lambda: rig.engine.statistics().upstream_active == 1)
            await client.reset()
            await gone(rig)
            assert reasons(rig) == ["client_closed"]


# --- tries and health


async def test_other_endpoints_are_tried() -> None:
    async with backends(naming(b"here")) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, free_port(), backend.port)
        for _ in range(8):
            client = await connect(rig.port)
            assert await client.rest() == b"here"
            await client.close()
        await gone(rig)
        assert set(reasons(rig)) == {None}
        assert {line["upstream"] for line in rig.lines()} == {f"127.0.0.1:{backend.port}"}
        # It was refused once, and is avoided from then on.
        assert rig.counters.fixed()["retries_connect"] <= 1


async def test_three_endpoints_are_tried() -> None:
    async with passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, *(free_port() for _ in range(5)))
        assert await turned_away(rig.port) == "reset"
        await gone(rig)
        assert reasons(rig) == ["connect_failed"]
        assert rig.local("connect_failed") == 1
        assert rig.counters.fixed()["retries_connect"] == 2


async def test_a_silent_endpoint_costs_one_connect_timeout() -> None:
    with silent() as port:
        async with (
            backends(naming(b"here")) as [backend],
            passing(passage(BACKEND), limits=Limits(connect_timeout=1), held=True) as rig,
        ):
            rig.put(BACKEND, port)
            client = await connect(rig.port)
            await soon(lambda: rig.engine.statistics().upstream_active == 1)
            rig.put(BACKEND, port, backend.port)
            _, seconds = await rig.timed(client.rest)
            assert 0.9 < seconds < 1.2
            await client.close()
            await gone(rig)
            assert reasons(rig) == [None]


async def test_no_endpoint_answers_in_time() -> None:
    with silent() as port:
        async with passing(passage(BACKEND), limits=Limits(connect_timeout=1), held=True) as rig:
            rig.put(BACKEND, port)
            client = await connect(rig.port)
            how, seconds = await rig.timed(lambda: ended(client))
            assert how == "reset"
            assert 0.9 < seconds < 1.2
            assert reasons(rig) == ["connect_timeout"]


async def test_weights_are_exact() -> None:
    names = [b"a", b"b", b"c"]
    weights = [5, 3, 2]
    refs = [
        snapshot.WeightedBackend(weight=weight, backend=f"apps/{name.decode()}:80/raw")
        for name, weight in zip(names, weights, strict=True)
    ]
    rule = msgspec.structs.replace(passage(), backends=(*refs, refused("backend_not_found")))
    async with backends(*map(naming, names)) as started, passing(rule) as rig:
        for ref, backend in zip(refs, started, strict=True):
            rig.put(ref.backend, backend.port)
        seen: list[bytes] = []
        for _ in range(33):
            try:
                seen.append(await (await connect(rig.port)).rest())
            except (trio.BrokenResourceError, OSError):
                seen.append(b"-")
        for start in range(33 - 11):
            window = seen[start : start + 11]
            assert [window.count(name) for name in (*names, b"-")] == [*weights, 1]


# --- many


async def test_many_at_once() -> None:
    async with backends(echoing) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)

        async def one(number: int) -> None:
            client = await connect(rig.port)
            for size in (1, 100, 70_000):
                await pinged(client, bytes([number % 256]) * size)
            await client.end_of_writing()
            assert await client.rest() == b""

        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(one, number)
        await gone(rig)
        assert reasons(rig) == [None] * 100
        assert traffic(rig) == {"connections": 100, "received": 7_010_100, "sent": 7_010_100}


async def test_an_idle_connection_holds_no_buffer() -> None:
    async with backends(echoing) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        clients = [await connect(rig.port) for _ in range(20)]
        for client in clients:
            await pinged(client)
        await quiet()
        assert rig.buffered() == 0


# --- much


@pytest.mark.parametrize("portion", [1 << 20, 1_000])
async def test_much_arrives_unchanged_in_both_directions(portion: int) -> None:
    """Also with a receiver that takes little at a time, for which bytes wait in the engine."""
    size = 6_000_000 if portion > 1_000 else 1_500_000
    there, back = random.Random(1).randbytes(size), random.Random(2).randbytes(size)
    got: dict[str, bytes] = {}

    async def side(peer: Peer, name: str, data: bytes) -> None:
        async with trio.open_nursery() as nursery:

            async def pour() -> None:
                await peer.send(data)
                await peer.end_of_writing()

            nursery.start_soon(pour)
            parts = []
            with trio.fail_after(PATIENCE):
                while part := await peer.stream.receive_some(portion):
                    parts.append(part)
            got[name] = b"".join(parts)

    async def backend_side(peer: Peer) -> None:
        await side(peer, "there", back)

    async with backends(backend_side) as [backend], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        await side(await connect(rig.port), "back", there)
        await soon(lambda: len(got) == 2)
        assert got == {"there": there, "back": back}
        await gone(rig)
        assert traffic(rig) == {"connections": 1, "received": size, "sent": size}
        assert rig.buffered() == 0


@pytest.mark.parametrize("broken", ["client", "backend"])
async def test_a_side_that_breaks_while_much_is_sent(broken: str) -> None:
    """What was on its way to it is lost, and reaches no other connection."""

    async def pouring(peer: Peer) -> None:
        if broken == "client":
            await peer.stream.send_all(b"x" * MUCH)
        else:
            await peer.exactly(3_000_000)
            await peer.reset()

    async with backends(pouring, echoing) as [backend, other], passing(passage(BACKEND)) as rig:
        rig.put(BACKEND, backend.port)
        client = await connect(rig.port)
        if broken == "client":
            await client.exactly(3_000_000)
            await client.reset()
        else:
            with pytest.raises(trio.BrokenResourceError):
                await client.send(b"x" * MUCH)
        await gone(rig)
        assert rig.buffered() == 0
        rig.put(BACKEND, other.port)
        following = await connect(rig.port)
        await pinged(following, b"y" * 1_000_000)
