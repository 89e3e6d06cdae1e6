"""What flows of datagrams may cost: time of a turn, memory, and which of them give way."""

import ctypes
import os
import random
import socket
from collections import OrderedDict
from contextlib import ExitStack, suppress

import pytest
import trio
from datagrams import UdpRig, answering, clients, echo, silent, to, udp, udp_listener, udp_rule
from rig import GET, PATIENCE, quiet, soon

from fastroute.ext.engine.confinement import SANITIZED
from fastroute.place import Place
from fastroute.settings import Limits

DNS = "apps/dns:53"


@pytest.fixture
def still():
    """A rig whose turns the test makes, with a clock that advances by a millisecond at each look."""
    rig = UdpRig("127.0.0.1", None)
    rig.engine.hold_clock(look=0.001)
    yield rig
    rig.close()


def flood(rig: UdpRig, count: int, size: int = 10) -> socket.socket:
    """A client that has sent so many datagrams."""
    one = socket.socket(type=socket.SOCK_DGRAM)
    for i in range(count):
        one.sendto(i.to_bytes(4, "big") + bytes(size - 4), rig.place[1:])
    return one


def send(place: Place, sources: list[tuple[str, int]]) -> None:
    """A datagram from each of these addresses."""
    for source in sources:
        with socket.socket(type=socket.SOCK_DGRAM) as one:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            one.bind(source)
            one.sendto(b"a", place[1:])


@pytest.mark.parametrize(("count", "size", "most"), [(200, 10, 64), (6, 65_507, 6)])
def test_a_turn_passes_on_a_bounded_number_of_datagrams(still: UdpRig, count: int, size: int, most: int) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as endpoint, flood(still, count, size):
        endpoint.setblocking(False)
        endpoint.bind(("127.0.0.1", 0))
        still.serve(udp_rule(to(DNS)))
        still.endpoints(DNS, endpoint.getsockname()[1])
        got = []
        while len(got) < count:
            before = still.counted[0]
            still.engine.turn()
            assert still.counted[0] - before <= most
            while True:
                try:
                    got.append(endpoint.recv(65_536))
                except BlockingIOError:
                    break
        assert [int.from_bytes(one[:4], "big") for one in got] == list(range(count))


def test_a_turn_passes_on_a_bounded_number_of_answers(still: UdpRig) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as endpoint, flood(still, 1):
        endpoint.bind(("127.0.0.1", 0))
        still.serve(udp_rule(to(DNS)))
        still.endpoints(DNS, endpoint.getsockname()[1])
        while still.engine.turn() or not still.counted[0]:
            pass
        _, peer = endpoint.recvfrom(100)
        for _ in range(200):
            endpoint.sendto(b"a", peer)
        turns = 0
        while still.counted[1] < 200:
            before = still.counted[1]
            still.engine.turn()
            assert still.counted[1] - before <= 64
            turns += 1
        assert turns >= 4


def test_a_turn_looks_at_the_time_after_each_flow_that_answers(still: UdpRig) -> None:
    with ExitStack() as stack, socket.socket(type=socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        still.serve(udp_rule(to(DNS)))
        still.endpoints(DNS, endpoint.getsockname()[1])
        for _ in range(40):
            stack.enter_context(flood(still, 1))
        while still.engine.turn() or still.counted[0] < 40:
            pass
        for _ in range(40):
            endpoint.sendto(b"a", endpoint.recvfrom(100)[1])
        while still.counted[1] < 40:
            before = still.counted[1]
            still.engine.turn()
            assert still.counted[1] - before <= 4


@pytest.mark.parametrize("count", [3, 20])
def test_flows_with_many_answers_take_turns(still: UdpRig, count: int) -> None:
    """A visit has time for one flow, and all flows always have answers that wait."""
    with ExitStack() as stack, socket.socket(type=socket.SOCK_DGRAM) as endpoint:
        endpoint.bind(("127.0.0.1", 0))
        still.serve(udp_rule(to(DNS)))
        still.endpoints(DNS, endpoint.getsockname()[1])
        many = [stack.enter_context(flood(still, 1)) for _ in range(count)]
        while still.engine.turn() or still.counted[0] < count:
            pass
        for peer in [endpoint.recvfrom(100)[1] for _ in many]:
            for _ in range(100):
                endpoint.sendto(b"a", peer)
        while still.counted[1] < 24 * count:
            still.engine.turn()
        for client in many:
            client.setblocking(False)
            got = 0
            with suppress(BlockingIOError):
                while client.recv(100):
                    got += 1
            assert 8 <= got <= 40


async def test_a_flood_of_new_flows_does_not_hold_up_requests() -> None:
    """Each datagram begins a flow, and ends another one. The request is answered while datagrams still wait."""
    async with udp(udp_rule(to(DNS)), limits=Limits(max_flows=50)) as rig, answering(silent) as [endpoint]:
        rig.endpoints(DNS, endpoint.port)
        port = rig.listen()
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            await quiet()
            with clients(rig.place, 150) as many:
                raw = [socket.socket(fileno=os.dup(one.socket.fileno())) for one in many]
                for one in raw:
                    one.sendto(b"a", rig.place[1:])
                await stream.send_all(GET)
                with trio.fail_after(PATIENCE):
                    assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 404")
                await soon(lambda: rig.counted[0] == 150)
                for one in raw:
                    one.close()
        assert rig.flows == 50


@pytest.mark.parametrize("seed", range(3))
async def test_flows_give_way_in_the_order_of_their_last_use(seed: int) -> None:
    """Compared with an ordered dictionary."""
    choose = random.Random(seed)
    held: OrderedDict[int, int] = OrderedDict()
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS)), limits=Limits(max_flows=8)) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 16) as many:
            for i in range(300):
                index = min(choose.randrange(16), choose.randrange(16))
                await many[index].ask(b"%d" % i)
                peer = endpoint.got[-1][1][1]
                if index in held:
                    assert held.pop(index) == peer
                elif len(held) == 8:
                    held.popitem(last=False)
                held[index] = peer
                assert rig.flows == len(held)


@pytest.mark.parametrize("address", ["127.0.0.1", "::"], ids=["four", "both"])
async def test_a_client_with_many_flows_ends_its_own(address: str) -> None:
    """Those of other clients stay, although they were unused for longer. Clients of IPv4 at a socket with both families
    have addresses of their own."""
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS)), limits=Limits(max_flows=50)) as rig:
        rig.endpoints(DNS, endpoint.port)
        place = rig.place
        if address == "::":
            place = rig.bind(address, dual=True)
            rig.install_all([udp_listener(place)], udp_rule(to(DNS)))
        at = ("127.0.0.1", place.port)
        with clients(at, 10, "127.0.0.2") as few, clients(at, 40) as many, clients(at, 100) as more:
            for client in (*few, *many):
                await client.ask(b"a")
            before = [peer for _, peer in endpoint.got[:10]]
            for client in more:
                await client.ask(b"b")
            assert rig.flows == 50
            endpoint.got.clear()
            for client in few:
                await client.ask(b"c")
            assert [peer for _, peer in endpoint.got] == before


@pytest.mark.parametrize("active", [2, 8])
async def test_many_addresses_do_not_end_the_flows_of_an_active_client(active: int) -> None:
    """A sender can forge addresses. Those flows that were unused longest end, also if each has its own address."""
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS)), limits=Limits(max_flows=50)) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, active, "127.0.0.2") as few:
            for client in few:
                await client.ask(b"a")
            before = [peer for _, peer in endpoint.got]
            for i in range(20):
                for j in range(10):
                    with clients(rig.place, 1, f"127.0.{i + 1}.{j}") as [one]:
                        await one.ask(b"b")
                endpoint.got.clear()
                for client in few:
                    await client.ask(b"c")
                assert [peer for _, peer in endpoint.got] == before


async def test_an_address_with_a_small_part_of_all_flows_has_not_many() -> None:
    """10 of 3,000 are less than one 256th. The others are refused ones, so that they need no sockets."""
    async with answering(echo) as [endpoint], udp(limits=Limits(max_flows=3000)) as rig:
        rig.endpoints(DNS, endpoint.port)
        refused = rig.bind("127.0.0.1")
        rig.install_all([udp_listener(rig.place), udp_listener(refused, "refused")], udp_rule(to(DNS)))
        for i in range(30):
            send(refused, [(f"127.0.{i + 1}.{j}", 20_000) for j in range(100)])
            await soon(lambda total=100 * i + 100: rig.flows == total)
        with clients(rig.place, 10, "127.0.0.2") as few:
            for client in few:
                await client.ask(b"a")
            before = [peer for _, peer in endpoint.got]
            for i in range(100):
                with clients(rig.place, 1, f"127.1.0.{i}") as [one]:
                    await one.ask(b"b")
            assert rig.flows == 3000
            endpoint.got.clear()
            for client in few:
                await client.ask(b"c")
            assert [peer for _, peer in endpoint.got] == before


class Allocated(ctypes.Structure):
    """struct mallinfo2 (mallinfo(3))."""

    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "a", "b", "c", "mapped", "d", "e", "used", "free", "top")]


@pytest.mark.skipif(SANITIZED, reason="the sanitizer has an allocator of its own")
def test_the_first_place_allocates_the_tables_for_all_flows() -> None:
    """A table that grows would move all its entries at once: 4 bytes for each flow, and 32 for its client address."""
    measure = ctypes.CDLL(None).mallinfo2
    measure.restype = Allocated

    def needed(most: int) -> int:
        before = measure()
        rig = UdpRig("127.0.0.1", Limits(max_flows=most))
        after = measure()
        rig.close()
        return int(after.used + after.mapped - before.used - before.mapped)

    assert needed(262_144) - needed(64) >= 35 * 262_144


@pytest.mark.skipif(SANITIZED, reason="the sanitizer needs memory of its own")
async def test_a_flow_needs_less_than_half_a_kilobyte() -> None:
    """Without an endpoint, because sockets are memory of the kernel; the record is the same."""

    def resident() -> int:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def send_from(address: str) -> None:
        send(rig.place, [(address, port) for port in range(20_000, 20_100)])

    async with udp(udp_rule()) as rig:
        send_from("127.0.1.0")
        await soon(lambda: rig.flows == 100)
        before = resident()
        for i in range(100):
            send_from(f"127.0.2.{i}")
            await soon(lambda total=100 * i + 200: rig.flows == total)
        assert (resident() - before) / 10_000 < 512
