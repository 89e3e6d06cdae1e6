"""TCP and UDP on one port of one address: two places, from the snapshot to the sockets of the workers."""

import os
import socket
from pathlib import Path

import msgspec
import pytest
from supervisor.test_supervisor import pids, supervised

from fastroute.demo.pods import free_ports
from fastroute.descriptors import Shortages
from fastroute.place import Place, Transport
from fastroute.snapshot import Bound, Mode
from fastroute.supervisor.sockets import BindError, ListeningSockets, bind


@pytest.fixture
def places():
    (port,) = free_ports(1)
    return tuple(Place(transport, "127.0.0.1", port) for transport in Transport)


@pytest.fixture
def sockets():
    made = ListeningSockets(2, 10_000, Shortages(lambda use: None))
    yield made
    made.close()


def kinds(sockets, place):
    return [one.type for one in sockets.bound[place]]


def test_both_are_bound_with_a_socket_for_each_slot(sockets, places):
    sockets.follow(places)
    assert sockets.failed == {}
    assert [kinds(sockets, place) for place in places] == [[socket.SOCK_STREAM] * 2, [socket.SOCK_DGRAM] * 2]


def test_the_clients_of_a_udp_place_are_distributed_over_its_sockets(sockets, places):
    sockets.follow(places[1:])
    for number in range(40):
        with socket.socket(type=socket.SOCK_DGRAM) as client:
            client.sendto(b"%d" % number, places[1][1:])
    received = []
    for one in sockets.bound[places[1]]:
        received.append(0)
        while True:
            try:
                one.recv(10)
            except BlockingIOError:
                break
            received[-1] += 1
    assert sum(received) == 40
    assert min(received) > 0


def test_each_of_them_counts_for_the_limit_of_sockets(places):
    few = ListeningSockets(2, 3, Shortages(lambda use: None))
    few.follow(places)
    assert [len(few.bound), len(few.failed)] == [1, 1]
    few.close()


def test_a_udp_port_that_another_program_has_is_reported_even_if_that_shares_it(sockets, places):
    with socket.socket(type=socket.SOCK_DGRAM) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        other.bind(places[1][1:])
        with pytest.raises(BindError, match=f"^{places[1]} is in use by another process"):
            bind(places[1], 1)
        sockets.follow(places)
        assert [*sockets.bound] == [places[0]]


def test_a_udp_place_that_comes_back_before_it_was_closed_is_the_same(sockets, places):
    sockets.follow(places)
    before = sockets.bound[places[1]]
    sockets.follow(places[:1])
    sockets.follow(places)
    assert sockets.bound[places[1]] is before
    sockets.close_to_new()  # the filter of new TCP connections would drop datagrams by a byte of their content
    with socket.socket(type=socket.SOCK_DGRAM) as client:
        client.sendto(b"12345\x02", places[1][1:])
    assert sorted(filter(None, (received(one) for one in before))) == [b"12345\x02"]


def received(one):
    try:
        return one.recv(100)
    except BlockingIOError:
        return None


@pytest.mark.parametrize("transport", Transport)
def test_the_ipv6_wildcard_serves_ipv4_unless_that_is_a_place_of_the_same_transport(sockets, transport):
    (port,) = free_ports(1)
    other = Transport.UDP if transport is Transport.TCP else Transport.TCP
    sockets.follow([Place(transport, "::", port), Place(other, "0.0.0.0", port)])
    [one, _] = sockets.bound[Place(transport, "::", port)]
    assert one.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0


def inodes(pid):
    links = (os.readlink(fd) for fd in Path(f"/proc/{pid}/fd").iterdir())
    return {link.partition("[")[2][:-1] for link in links if link.startswith("socket:")}


def udp_sockets(port):
    """The inodes of the UDP sockets at this port."""
    rows = (line.split() for line in Path("/proc/net/udp").read_text().splitlines()[1:])
    return {row[9] for row in rows if row[1].endswith(f":{port:04X}")}


def held(rig):
    """The UDP sockets of each worker."""
    return [inodes(pid) & udp_sockets(rig.port) for pid in pids(rig)]


async def test_every_worker_gets_both_and_serves_the_tcp_place():
    async with supervised() as rig:
        http = rig.snapshot()
        place = Place(Transport.UDP, "127.0.0.1", rig.port)
        datagrams = msgspec.structs.replace(http.listeners["L"], id="U", place=place, mode=Mode.DATAGRAMS)
        both = msgspec.structs.replace(http, listeners={**http.listeners, "U": datagrams})
        outcome = await rig.supervisor.publish(both)
        assert outcome.complete
        assert outcome.listeners == {"L": Bound(), "U": Bound()}
        # The worker that serves first had the sockets of the other one, too.
        await rig.until(lambda: [len(one) for one in held(rig)] == [1, 1])
        assert len(set.union(*held(rig))) == 2
        assert await rig.sources() == {"x"}

        outcome = await rig.supervisor.publish(http)
        assert (outcome.complete, outcome.listeners) == (True, {"L": Bound()})
        await rig.until(lambda: not udp_sockets(rig.port))
        assert await rig.sources() == {"x"}
