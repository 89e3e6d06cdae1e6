"""Upgraded connections over real sockets: bytes in both directions, half-closes, limits, and failed upgrades."""

import pytest
import trio
from rig import OK, PATIENCE, Backend, Peer, Rig, answering, backends, connect, quiet, rule, running, soon

from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

ASK = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCH = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nX-A: 1\r\n\r\n"
BODY = 3_000_000
MUCH = 24_000_000  # more than the kernel buffers for two connections


async def echoing(peer: Peer) -> None:
    """Switches protocols, then returns everything it receives until the end, and closes."""
    await peer.head()
    await peer.send(SWITCH)
    while True:
        if peer.buffer:
            data, peer.buffer = peer.buffer, b""
            await peer.send(data)
        elif not await peer.more():
            return


async def switched(rig: Rig) -> Peer:
    client = await connect(rig.port)
    await client.send(ASK)
    head = await client.head()
    assert head.startswith(b"HTTP/1.1 101 ")
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" in head
    return client


async def pinged(client: Peer, data: bytes = b"ping") -> None:
    await client.send(data)
    assert await client.exactly(len(data)) == data


async def size_of_rest(peer: Peer) -> int:
    """The number of bytes until the peer closes its side; the bytes are discarded."""
    size = len(peer.buffer)
    with trio.fail_after(PATIENCE):
        while data := await peer.stream.receive_some(1 << 20):
            size += len(data)
    return size


async def gone(rig: Rig) -> None:
    """Waits until the engine has no exchange and no connection to a backend."""
    await soon(lambda: not rig.engine.statistics().exchanges and not rig.engine.statistics().upstream_active)


async def test_bytes_go_both_ways_until_both_have_ended() -> None:
    async with backends(echoing) as [backend], running(rule("apps/a:80"), log=True) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        for number in range(20):
            await pinged(client, b"\0\xff ping %d\r\n\r\n" % number)
        await client.end_of_writing()
        assert await client.rest() == b""
        await gone(rig)
        [line] = rig.lines()
        assert (line["status"], line["reason"], line["path"]) == (101, None, "/chat")
        assert line["bytes_received"] == len(ASK) + sum(len(b"\0\xff ping %d\r\n\r\n" % n) for n in range(20))
        assert line["upstream"] == f"127.0.0.1:{backend.port}"


async def test_a_request_goes_upstream_as_an_upgrade() -> None:
    seen: list[bytes] = []

    async def noting(peer: Peer) -> None:
        seen.append(await peer.head())
        await peer.send(SWITCH + b"at once")

    async with backends(noting) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(ASK)
        assert b"X-A: 1\r\n" in await client.head()
        assert await client.rest() == b"at once"
        assert seen[0].lower().count(b"connection: upgrade\r\nupgrade: websocket\r\n") == 1


async def test_what_came_behind_the_request_goes_through() -> None:
    async with backends(echoing) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(ASK + b"GET /x HTTP/1.1\r\n\r\n")
        await client.head()
        assert await client.exactly(19) == b"GET /x HTTP/1.1\r\n\r\n"
        await pinged(client)
        assert backend.connections == 1


@pytest.mark.parametrize("slow", ["client", "backend"])
async def test_the_faster_side_waits(slow: str) -> None:
    """Data is not buffered without limit in either direction: the faster sender has to wait."""
    release = trio.Event()

    async def pouring(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        if slow == "client":
            with trio.fail_after(PATIENCE):
                await peer.stream.send_all(b"x" * MUCH)
            return
        await release.wait()
        assert await size_of_rest(peer) == MUCH
        await peer.send(b"all")

    async with backends(pouring) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        async with trio.open_nursery() as nursery:
            if slow == "backend":

                async def send() -> None:
                    with trio.fail_after(PATIENCE):
                        await client.stream.send_all(b"x" * MUCH)
                    await client.end_of_writing()

                nursery.start_soon(send)
            await quiet(0.1)
            turns = rig.engine.statistics().turns
            await quiet(0.1)
            assert rig.engine.statistics().turns - turns < 50
            release.set()
            assert await size_of_rest(client) == (MUCH if slow == "client" else len(b"all"))


async def test_a_half_close_reaches_the_other_side_and_what_it_still_says_comes_back() -> None:
    async def summing(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        got = await peer.rest()
        await peer.send(b"%d" % len(got))

    async with backends(summing) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        await client.send(b"x" * BODY)
        await client.end_of_writing()
        assert await client.rest() == b"%d" % BODY
        await gone(rig)


async def test_a_backend_that_ends_first_still_hears_the_client() -> None:
    heard = trio.Event()

    async def ending(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH + b"bye")
        await peer.end_of_writing()
        assert await peer.rest() == b"and you"
        heard.set()

    async with backends(ending) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        assert await client.rest() == b"bye"
        await client.send(b"and you")
        await client.end_of_writing()
        with trio.fail_after(PATIENCE):
            await heard.wait()
        await gone(rig)


async def test_a_reset_of_the_backend_is_one_for_the_client() -> None:
    async def resetting(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await peer.until(b"now")
        await peer.reset()

    async with backends(resetting) as [backend], running(rule("apps/a:80"), log=True) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        await client.send(b"now")
        with pytest.raises(trio.BrokenResourceError):
            await client.rest()
        await gone(rig)
        assert [line["reason"] for line in rig.lines()] == ["upstream_truncated"]


async def test_a_client_that_goes_takes_the_upstream_along() -> None:
    async with backends(echoing) as [backend], running(rule("apps/a:80"), log=True) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        await pinged(client)
        await client.reset()
        await gone(rig)
        await soon(lambda: backend.open == 0)
        assert [(line["status"], line["reason"]) for line in rig.lines()] == [(101, "client_closed")]


async def test_silence_has_a_limit_and_time_has_none() -> None:
    limits = Limits(tunnel_idle_timeout=3, idle_timeout=1, body_idle_timeout=1)
    timed = rule("apps/a:80", request_timeout_ms=1000, backend_timeout_ms=1000)
    async with backends(echoing) as [backend], running(timed, limits=limits, log=True, held=True) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        for _ in range(8):
            await rig.passes(2)
            await pinged(client)
        rest, took = await rig.timed(client.rest, 0.1)
        assert rest == b""
        assert 2.9 < took < 4
        await gone(rig)
        assert [(line["status"], line["reason"]) for line in rig.lines()] == [(101, "tunnel_idle")]


async def test_a_half_closed_tunnel_that_says_nothing_ends_too() -> None:
    async def silent(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await trio.sleep_forever()

    limits = Limits(tunnel_idle_timeout=3)
    async with backends(silent) as [backend], running(rule("apps/a:80"), limits=limits, held=True) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        await client.end_of_writing()
        await rig.passes(2)
        assert rig.engine.statistics().exchanges == 1
        await rig.passes(1.1)
        await gone(rig)


async def test_it_lives_on_when_its_rule_and_endpoint_are_gone() -> None:
    async with backends(echoing, answering) as [old, new], running(rule("apps/a:80"), log=True) as rig:
        rig.put("apps/a:80", old.port)
        client = await switched(rig)
        for number in range(20):
            rig.install(rule("apps/b:80", name=str(number)))
            rig.put("apps/a:80")
            rig.put("apps/b:80", new.port)
            rig.engine.wake()
            await pinged(client)
        await client.end_of_writing()
        assert await client.rest() == b""
        await gone(rig)
        assert rig.lines()[0]["backend"] == "apps/a:80"


async def test_a_drain_waits_for_it() -> None:
    async with backends(echoing) as [backend], running(rule("apps/a:80"), held=True) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        rig.engine.drain()
        await rig.passes(5)
        await pinged(client)
        assert not rig.engine.statistics().drained
        await client.end_of_writing()
        assert await client.rest() == b""
        await client.close()
        await soon(lambda: rig.engine.statistics().drained)


# --- requests that do not upgrade, or not yet


async def test_a_backend_may_decline() -> None:
    refusal = b"HTTP/1.1 426 Upgrade Required\r\nConnection: upgrade\r\nUpgrade: other\r\nContent-Length: 2\r\n\r\nno"

    async def declining(peer: Peer) -> None:
        await peer.request()
        await peer.send(refusal)
        await answering(peer)

    async with backends(declining) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(ASK + ASK)
        status, fields, body = await client.response()
        assert (status, fields["upgrade"], body) == (426, "other", b"no")
        assert (await client.response())[0] == 200
        assert backend.connections == 1


@pytest.mark.parametrize(
    "head",
    [
        ASK.replace(b"Upgrade: websocket", b"Upgrade: h2c"),
        ASK.replace(b"Upgrade: websocket", b"Upgrade: websocket, h2c/1.0"),
        ASK.replace(b"Upgrade: websocket", b"Upgrade: "),
        ASK.replace(b"keep-alive, Upgrade", b"keep-alive"),
        ASK.replace(b"Upgrade: websocket", b"A: b"),
    ],
    ids=["h2c", "h2c among others", "an empty value", "not nominated", "no protocol"],
)
async def test_what_is_not_forwarded_as_an_upgrade(head: bytes) -> None:
    seen: list[bytes] = []

    async def noting(peer: Peer) -> None:
        while True:
            seen.append(await peer.head())
            await peer.send(OK)

    async with backends(noting) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(head)
        assert (await client.response())[0] == 200
        assert b"upgrade" not in seen[0].lower()


async def test_a_switch_that_nobody_asked_for_is_refused() -> None:
    async def switching(peer: Peer) -> None:
        await peer.request()
        await peer.send(SWITCH)

    async with backends(switching) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        assert (await client.response())[0] == 502


async def test_a_request_with_a_body_is_read_whole_before_the_switch() -> None:
    got: list[bytes] = []

    async def reading(peer: Peer) -> None:
        got.append((await peer.request())[1])
        await peer.send(SWITCH)
        await peer.send(await peer.exactly(4))

    async with backends(reading) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(ASK.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + b"hel")
        await quiet()
        await client.send(b"loping")
        await client.head()
        assert await client.rest() == b"ping"
        assert got == [b"hello"]


async def test_a_switch_in_the_middle_of_the_request_is_refused() -> None:
    async def hasty(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        await trio.sleep_forever()

    async with backends(hasty) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(ASK.replace(b"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\n") + b"hel")
        assert (await client.response())[0] == 502


async def test_many_at_once_that_end_in_every_way() -> None:
    """With sanitizers: nothing is accessed after it was freed."""

    async def one(rig: Rig, number: int) -> None:
        client = await switched(rig)
        for _ in range(number % 5):
            await pinged(client, b"x" * (1 << number % 18))
        if number % 3 == 0:
            await client.end_of_writing()
            await client.rest()
        elif number % 3 == 1:
            await client.reset()
        else:
            await client.send(b"x" * 100_000)
            await client.close()

    async def some(rig: Rig, backend: Backend) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(60):
                nursery.start_soon(one, rig, number)
        assert backend.connections == 60

    async with backends(echoing) as [backend], running(rule("apps/a:80"), log=True) as rig:
        rig.put("apps/a:80", backend.port)
        await some(rig, backend)
        await gone(rig)
        assert [line["status"] for line in rig.lines()] == [101] * 60


@pytest.mark.parametrize("who", ["client", "backend"])
async def test_a_reset_behind_an_end_ends_the_tunnel(who: str) -> None:
    leave = trio.Event()

    async def ending(peer: Peer) -> None:
        await peer.head()
        await peer.send(SWITCH)
        if who == "backend":
            await peer.end_of_writing()
            await leave.wait()
            await peer.reset()
        else:
            assert await peer.rest() == b""
            leave.set()
            await trio.sleep_forever()

    async with backends(ending) as [backend], running(rule("apps/a:80")) as rig:
        rig.put("apps/a:80", backend.port)
        client = await switched(rig)
        if who == "backend":
            assert await client.rest() == b""
            leave.set()
        else:
            await client.end_of_writing()
            await leave.wait()
            await client.reset()
        await gone(rig)
