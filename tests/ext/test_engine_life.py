"""Connections as a whole: accepting and its limits, unlistening, draining, installs, the PROXY protocol."""

import contextlib
import gc
import os
import resource
import socket
import struct

import pytest
import trio
from rig import GET, OK, PLAIN, Peer, Rig, answering, backends, connect, loopback, quiet, rule, running, soon

from fastroute import snapshot
from fastroute.settings import Limits

pytestmark = pytest.mark.usefixtures("transport")

NOTHING = (0, 0, 0, 0, 0)


async def settle(rig: Rig) -> None:
    """Waits until no client is connected."""
    await soon(lambda: not sum(rig.engine.statistics()[:2]))


async def test_many_connections_at_once() -> None:
    async with backends(answering) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        async with trio.open_nursery() as nursery:

            async def one() -> None:
                client = await connect(rig.port)
                for _ in range(5):
                    await client.send(GET)
                    assert (await client.response())[2] == b"ok"
                await client.close()

            for _ in range(200):
                nursery.start_soon(one)
        await settle(rig)
        fixed = rig.counters.fixed()
        assert fixed["connections_accepted"] == 200
        assert (fixed["downstream_active"], fixed["downstream_idle"], fixed["upstream_active"]) == (0, 0, 0)
        assert fixed["upstream_idle"] == rig.engine.statistics().upstream_idle
        await soon(lambda: backend.open == fixed["upstream_idle"])
        assert rig.counters.request_counts(1) == {200: 1000}


@PLAIN
async def test_max_connections() -> None:
    """At the limit, no connection is accepted if all were used just now; a waiting client is served when another one
    disconnects."""
    limits = Limits(max_connections=3)
    async with backends(answering) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(5)]
        for client in clients:
            await client.send(GET)
        for client in clients[:3]:
            assert (await client.response())[0] == 200
        await quiet()
        assert rig.engine.statistics().downstream_idle == 3
        for i in (0, 1):
            await clients[i].close()
            assert (await clients[3 + i].response())[0] == 200


@PLAIN
async def test_no_descriptor_left() -> None:
    """Clients wait in the accept queue until descriptors are available; the engine does not spin, and no client is
    lost."""
    async with backends(answering) as [backend], running(rule("b"), log=True, held=True) as rig:
        rig.put("b", backend.port)
        early = await connect(rig.port)
        await early.send(GET)
        await early.response()
        waiting = socket.create_connection(("127.0.0.1", rig.port))
        rig.upstreams.update("b", [])
        rig.put("b", backend.port)
        rig.engine.wake()
        await quiet()
        second = socket.socket()
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        highest = max(int(fd) for fd in os.listdir("/proc/self/fd"))
        fillers: list[int] = []
        resource.setrlimit(resource.RLIMIT_NOFILE, (highest + 3, hard))
        try:
            while True:
                fillers.append(os.dup(0))
        except OSError:
            pass
        try:
            second.connect(("127.0.0.1", rig.port))
            second.send(GET)
            turns = rig.engine.statistics().turns
            for _ in range(7):
                await rig.passes(0.05)
            assert rig.engine.statistics().turns - turns < 30
            assert rig.engine.statistics().downstream_idle == 2
        finally:
            for fd in fillers:
                os.close(fd)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        await rig.passes(1)
        peer = Peer(trio.SocketStream(trio.socket.from_stdlib_socket(second)))
        assert (await peer.response())[0] == 200
        waiting.close()


async def test_two_sockets_of_one_address() -> None:
    """Several sockets serve one address and port, as after the sockets of a dead worker were passed on."""
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        sockets = []
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        for _ in range(2):
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(("127.0.0.1", port))
            listening.listen()
            rig.engine.listen(listening.detach(), loopback(port))
        rig.port = port
        rig.install(rule("b"))
        for _ in range(20):
            client = await connect(port)
            await client.send(GET)
            assert (await client.response())[0] == 200
            sockets.append(client)
        rig.engine.unlisten(loopback(port))
        await soon(lambda: rig.engine.statistics().listeners == 1)
        with pytest.raises(OSError, match="connect"):
            await connect(port)
        await sockets[0].send(GET)
        assert (await sockets[0].response())[0] == 200


async def test_a_listening_socket_shut_down_elsewhere() -> None:
    """Another owner of the socket may shut it down: the engine drops it and gets no more events for it."""
    async with running(rule("b")) as rig:
        with socket.socket() as shared:
            shared.bind(("127.0.0.1", 0))
            shared.listen()
            rig.engine.listen(os.dup(shared.fileno()), loopback(shared.getsockname()[1]))
            assert rig.engine.statistics().listeners == 2
            shared.shutdown(socket.SHUT_RDWR)
            await soon(lambda: rig.engine.statistics().listeners == 1)
            await quiet()
            turns = rig.engine.statistics().turns
            await quiet(0.1)
            assert rig.engine.statistics().turns - turns < 5


@PLAIN
async def test_listening_before_the_tables_know() -> None:
    """A socket whose listener is installed later responds with 404 until then, on the same connection."""
    async with backends(answering) as [backend], running() as rig:
        rig.put("b", backend.port)
        rig.port = rig.listen()
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == 404
        rig.install(rule("b"))
        await client.send(GET)
        assert (await client.response())[0] == 200


@PLAIN
async def test_no_tables_at_all() -> None:
    rig = Rig()
    rig.listen()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.turn_forever)
        client = await connect(rig.port)
        await client.send(GET)
        assert (await client.response())[0] == 404
        nursery.cancel_scope.cancel()
    rig.close()


@PLAIN
async def test_unlisten_serves_what_is_queued() -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        queued = []
        for _ in range(100):
            client = socket.create_connection(("127.0.0.1", rig.port))
            client.send(GET)
            queued.append(client)
        rig.engine.unlisten(loopback(rig.port))
        for client in queued:
            peer = Peer(trio.SocketStream(trio.socket.from_stdlib_socket(client)))
            assert (await peer.response())[0] == 200
        assert rig.engine.statistics().listeners == 0
        with pytest.raises(OSError, match="connect"):
            await connect(rig.port)


async def test_announced_drain() -> None:
    async with backends(answering) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        before = await connect(rig.port)
        await before.send(GET)
        assert "connection" not in (await before.response())[1]
        rig.engine.announce_drain()
        after = await connect(rig.port)
        for client in (before, after):
            await client.send(GET)
            assert (await client.response())[1]["connection"] == "close"
            assert await client.rest() == b""


@PLAIN
async def test_drain() -> None:
    """Queued connections are served, requests in flight are completed, idle connections stay open for one second, then
    all are closed."""
    go = trio.Event()

    async def slowly(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if b"/slow" in head:
                await go.wait()
            await peer.send(OK)

    async with backends(slowly) as [backend], running(rule("b"), held=True) as rig:
        rig.put("b", backend.port)
        idle, talking, slow = [await connect(rig.port) for _ in range(3)]
        for client in (idle, talking):
            await client.send(GET)
            assert (await client.response())[0] == 200
        await slow.send(b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n")
        await soon(lambda: rig.engine.statistics().exchanges == 1)
        queued = socket.create_connection(("127.0.0.1", rig.port))
        queued.send(GET)
        rig.engine.drain()
        await talking.send(GET)
        assert (await talking.response())[1]["connection"] == "close"
        peer = Peer(trio.SocketStream(trio.socket.from_stdlib_socket(queued)))
        assert (await peer.response())[1]["connection"] == "close"
        rest, took = await rig.timed(idle.rest, 0.05)
        assert rest == b""
        assert 0.99 < took < 1.5
        assert rig.engine.statistics().listeners == 0
        assert not rig.engine.statistics().drained
        go.set()
        assert (await slow.response())[0] == 200
        assert await slow.rest() == b""
        await rig.timed_until(lambda: rig.engine.statistics().drained, 0.1)
        assert rig.engine.statistics()[:5] == NOTHING


async def test_install_under_traffic() -> None:
    """A request that began with the old tables is completed with them; the next request uses the new tables."""
    go = trio.Event()

    async def slowly(peer: Peer) -> None:
        await peer.request()
        await go.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nold")

    async with backends(slowly, answering) as [old, new], running(rule("old")) as rig:
        rig.put("old", old.port)
        rig.put("new", new.port)
        client = await connect(rig.port)
        await client.send(GET + GET)
        await soon(lambda: old.connections == 1)
        for _ in range(50):
            rig.install(rule("new"))
        go.set()
        assert (await client.response())[2] == b"old"
        assert (await client.response())[2] == b"ok"


async def test_what_closing_cuts_does_not_look_whole() -> None:
    async def half(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")  # only the close ends this response
        await trio.sleep_forever()

    async with backends(half) as [backend], running(rule("b"), log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
        await client.until(b"half")
        rig.engine.close()
        with pytest.raises(trio.BrokenResourceError):
            await client.rest()
        assert [(line["status"], line["reason"]) for line in rig.lines()] == [(200, "drained")]


@pytest.mark.parametrize("log", [False, True])
async def test_closing_in_the_middle(log: bool) -> None:
    """`close` with connections in every state: nothing leaks, and nothing is accessed afterwards."""

    async def never(peer: Peer) -> None:
        while await peer.more():
            pass

    def open_files() -> int:
        gc.collect()  # the epoll and timer descriptors of an engine are open as long as the engine exists
        return len(os.listdir("/proc/self/fd"))

    async with backends(never, answering) as [stuck, fine]:
        before = open_files()
        clients = []
        async with running(rule("stuck"), rule("fine", name="1", path="/fine"), log=log) as rig:
            rig.put("stuck", stuck.port)
            rig.put("fine", fine.port)
            for request in (b"", b"GET", GET, b"GET /fine HTTP/1.1\r\nHost: a\r\n\r\n", b"\0"):
                clients.append(await connect(rig.port))
                await clients[-1].send(request)
            await quiet()
            rig.engine.close()
            assert rig.engine.statistics()[:5] == NOTHING
            rig.engine.close()
        for client in clients:
            await client.close()
        del rig
        await soon(lambda: not stuck.open and not fine.open and open_files() == before)


def v2(command: int, family: int, addresses: bytes) -> bytes:
    return b"\r\n\r\n\0\r\nQUIT\n" + bytes([0x20 | command, family]) + struct.pack("!H", len(addresses)) + addresses


V4 = socket.inet_aton("203.0.113.9") + socket.inet_aton("10.0.0.1") + struct.pack("!HH", 1234, 80)
V6 = socket.inet_pton(socket.AF_INET6, "2001:db8::9") * 2 + struct.pack("!HH", 1234, 80)


@pytest.mark.parametrize(
    ("preface", "client"),
    [
        (b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\r\n", "203.0.113.9"),
        (b"PROXY TCP6 2001:db8::9 ::1 1234 80\r\n", "2001:db8::9"),
        (b"PROXY UNKNOWN\r\n", "127.0.0.1"),
        (b"PROXY UNKNOWN ffff:: ffff:: 65535 65535\r\n", "127.0.0.1"),
        (v2(1, 0x11, V4), "203.0.113.9"),
        (v2(1, 0x21, V6), "2001:db8::9"),
        (v2(1, 0x11, V4 + b"\x04\0\x03abc"), "203.0.113.9"),
        (v2(0, 0, b""), "127.0.0.1"),
        (v2(1, 0, b"xyz"), "127.0.0.1"),
    ],
)
@pytest.mark.parametrize("cut", [0, 1])
@PLAIN
async def test_proxy_protocol(preface: bytes, client: str, cut: int) -> None:
    options = {"proxy_protocol": True, "trusted_proxies": ["127.0.0.0/8"], "log": True}
    async with backends(answering) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        peer = await connect(rig.port)
        data = preface + GET
        for i in range(0, len(data), cut or len(data)):
            await peer.send(data[i : i + (cut or len(data))])
            if cut:
                await trio.sleep(0.001)
        assert (await peer.response())[0] == 200
        await peer.send(GET)
        assert (await peer.response())[0] == 200
        assert [line["client"] for line in rig.lines()] == [client, client]


@pytest.mark.parametrize(
    "preface",
    [
        GET,
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80 9\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 01234 80\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 65536\r\n",
        b"PROXY TCP4 2001:db8::9 ::1 1234 80\r\n",
        b"PROXY TCP5 203.0.113.9 10.0.0.1 1234 80\r\n",
        b"PROXY TCP4 203.0.113.9 10.0.0.1 1234 80\n",
        b"PROXY UNKNOWNS\r\n",
        b"PROXY " + b"x" * 200,
        b"PROXYTCP4 203.0.113.9 10.0.0.1 1234 80\r\n",
        v2(2, 0x11, V4),
        v2(1, 0x31, V4),
        v2(1, 0x11, V4[:-1]),
        v2(1, 0x11, b"x" * 4000),
        b"\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c" + V4,
        b"\r\n\r\nGET",
    ],
)
@PLAIN
async def test_no_proxy_header_no_service(preface: bytes) -> None:
    async with running(rule("b"), proxy_protocol=True, trusted_proxies=["127.0.0.1/32"]) as rig:
        client = await connect(rig.port)
        await client.send(preface)
        with contextlib.suppress(trio.BrokenResourceError):
            assert await client.rest() == b""
        await settle(rig)


@PLAIN
async def test_proxy_protocol_from_strangers() -> None:
    async with running(rule("b"), proxy_protocol=True, trusted_proxies=["10.0.0.0/8"]) as rig:
        client = await connect(rig.port)
        with contextlib.suppress(trio.BrokenResourceError):
            assert await client.rest() == b""
        assert rig.engine.statistics().downstream_idle == 0


async def test_trusted_proxies() -> None:
    report: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            report.append((await peer.request())[0])
            await peer.send(OK)

    async with backends(script) as [backend], running(rule("b"), trusted_proxies=["127.0.0.1"], log=True) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(
            b"GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 6.6.6.6, 1.2.3.4\r\nX-Request-ID: abc\r\n"
            b"X-Forwarded-Proto: https\r\n\r\n"
        )
        assert (await client.response())[0] == 200
        assert b"X-Forwarded-For: 6.6.6.6, 1.2.3.4, 127.0.0.1\r\n".lower() in report[0].lower()
        assert b"x-forwarded-proto: https\r\n" in report[0].lower()
        [line] = rig.lines()
        assert (line["client"], line["request_id"]) == ("1.2.3.4", "abc")


@PLAIN
async def test_redirect_names_the_spec_port() -> None:
    redirect = rule(filters=[snapshot.Redirect(status=302, full_path="/there")])
    async with running(redirect) as rig:
        client = await connect(rig.port)
        await client.send(GET)
        status, fields, _ = await client.response()
        assert (status, fields["location"]) == (302, "http://a/there")


def test_what_cannot_be_used_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        Rig(trusted_proxies=["nonsense"])
    rig = Rig()
    with pytest.raises(OSError, match="non-socket"):
        rig.engine.listen(os.open("/dev/null", os.O_RDONLY), loopback(1))
    with pytest.raises(OSError, match="Invalid argument"):
        rig.engine.listen(socket.socket().detach(), loopback(1))
    with pytest.raises(KeyError):
        rig.engine.unlisten(loopback(2))
    rig.close()
