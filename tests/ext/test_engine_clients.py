"""How many connections a client address may have, on real sockets; the table of addresses compared with a model."""

from collections import Counter

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from peer import Peer
from rig import GET, PLAIN, Rig, answering, backends, connect, quiet, rule, running, soon

from fastroute.ext.reactor.clients import ClientTable
from fastroute.settings import Limits

LIMITS = Limits(max_connections_per_client=3)
ADDRESSES = st.sampled_from(
    [f"10.0.{i % 4}.{i}" for i in range(80)]
    + [f"2001:db8:0:{i:x}::{i % 3}" for i in range(40)]
    + ["2001:db8::1", "2001:db8::2", "::", "0.0.0.0"]
)


def client_of(address: str) -> str:
    """What counts as one client: an IPv4 address, or a /64."""
    from ipaddress import ip_address

    return str(int(ip_address(address)) >> 64) + "/64" if ":" in address else address


@given(st.lists(st.tuples(ADDRESSES, st.booleans()), max_size=400), st.integers(1, 3), st.integers(0, 2**64 - 1))
def test_the_table_is_that_of_the_model(events: list[tuple[str, bool]], most: int, seed: int) -> None:
    table, model = ClientTable(seed), Counter[str]()
    for address, enters in events:
        client = client_of(address)
        if enters:
            entered = table.enter(address, most)
            assert entered is (model[client] < most)
            model[client] += entered
        elif model[client]:
            table.leave(address)
            model[client] -= 1
        assert table.used == len(+model)
    for client in (+model).elements():
        table.leave(next(address for address, _ in events if client_of(address) == client))
    assert table.used == 0


def test_the_table_shrinks_to_the_connections_that_exist() -> None:
    """100,000 addresses, one after the other."""
    table = ClientTable(1)
    for number in range(100_000):
        address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
        assert table.enter(address, 1)
        assert not table.enter(address, 1)
        table.leave(address)
    assert table.used == 0


@pytest.mark.parametrize(("room", "sizes"), [(0, 7), (2_000, 1)])
def test_a_table_with_room_never_grows(room: int, sizes: int) -> None:
    """2,000 addresses: without room, the table has seven sizes one after the other."""
    table, seen = ClientTable(1, room), set()
    for number in range(2_000):
        assert table.enter(f"10.0.{number >> 8}.{number & 255}", 1)
        seen.add(table.size)
    assert (table.used, len(seen)) == (2_000, sizes)


async def connect_from(address: str, port: int) -> Peer:
    with trio.socket.socket() as sock:
        await sock.bind((address, 0))
        await sock.connect(("127.0.0.1", port))
        return Peer(trio.SocketStream(sock.dup()))


async def is_served(client: Peer) -> bool:
    """Whether the request is answered; otherwise the connection is closed."""
    try:
        await client.send(GET)
        return (await client.response())[0] == 200
    except (EOFError, trio.BrokenResourceError):
        return False


pytestmark = pytest.mark.usefixtures("transport")


async def test_further_connections_are_closed() -> None:
    """Also over TLS; after one of the connections ended, there may be another one."""
    async with backends(answering) as [backend], running(rule("b"), limits=LIMITS) as rig:
        rig.put("b", backend.port)
        clients = [await connect(rig.port) for _ in range(3)]
        with pytest.raises((EOFError, OSError, trio.BrokenResourceError)):
            await (await connect(rig.port)).response()
        assert [await is_served(client) for client in clients] == [True] * 3
        assert rig.counters.fixed()["refused_client"] == 1
        assert rig.engine.refused() == (1, "127.0.0.1")
        await clients[0].close()
        await soon(lambda: rig.engine.statistics().downstream_idle == 2)
        assert await is_served(await connect(rig.port))


async def test_connections_that_fail_their_handshake_do_not_count(transport: str) -> None:
    """Also one that sends something that is neither a request nor a ClientHello."""
    async with backends(answering) as [backend], running(rule("b"), limits=LIMITS) as rig:
        rig.put("b", backend.port)
        for _ in range(5):
            client = await connect_from("127.0.0.1", rig.port)
            await client.send(b"\0\0\0\0\0\r\n\r\n")
            await client.rest()
            await client.close()
        await soon(lambda: sum(rig.engine.statistics()[:2]) == 0)
        one = await connect(rig.port)
        assert await is_served(one)


@PLAIN
async def test_other_addresses_are_not_concerned() -> None:
    async with backends(answering) as [backend], running(rule("b"), limits=LIMITS) as rig:
        rig.put("b", backend.port)
        greedy = [await connect_from("127.0.0.2", rig.port) for _ in range(20)]
        served = [await is_served(client) for client in greedy]
        assert served.count(True) == 3
        assert rig.engine.refused() == (17, "127.0.0.2")
        others = [await connect_from(f"127.0.0.{number}", rig.port) for number in range(3, 30)]
        assert all([await is_served(client) for client in others])
        for client in (*greedy, *others):
            await client.close()
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)
        assert all([await is_served(await connect_from("127.0.0.2", rig.port)) for _ in range(3)])


@PLAIN
async def test_trusted_proxies_have_no_limit() -> None:
    options = {"limits": LIMITS, "trusted_proxies": ["127.0.0.2"]}
    async with backends(answering) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        clients = [await connect_from("127.0.0.2", rig.port) for _ in range(10)]
        assert all([await is_served(client) for client in clients])


async def by_proxy(rig: Rig, source: str) -> Peer:
    client = await connect(rig.port)
    kind = "TCP6 {} ::1" if ":" in source else "TCP4 {} 127.0.0.1"
    await client.send(f"PROXY {kind.format(source)} 1 2\r\n".encode())
    return client


@PLAIN
async def test_the_address_is_that_of_the_proxy_header() -> None:
    """One /64 is one client; the proxy itself has no limit, nor an address that is a trusted proxy."""
    options = {"limits": LIMITS, "proxy_protocol": True, "trusted_proxies": ["127.0.0.1", "10.9.0.0/16"]}
    async with backends(answering) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        silent = [await connect(rig.port) for _ in range(10)]
        for network in ("192.0.2.1", "192.0.2.2", "2001:db8::{}", "2001:db8:0:1::{}"):
            clients = [await by_proxy(rig, network.format(number + 1)) for number in range(6)]
            assert [await is_served(client) for client in clients].count(True) == 3
        assert rig.engine.refused() == (12, "2001:db8:0:1::6")
        clients = [await by_proxy(rig, "10.9.1.1") for _ in range(10)]
        assert all([await is_served(client) for client in clients])
        await quiet()
        for client in silent:
            await client.close()
