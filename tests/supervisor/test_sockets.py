"""Listening sockets on real ports."""

import errno
import socket
from pathlib import Path

import pytest

from fastroute.demo.pods import free_ports
from fastroute.descriptors import Shortages
from fastroute.place import Place, Transport
from fastroute.supervisor import sockets
from fastroute.supervisor.sockets import BindError, ListeningSockets, bind


@pytest.fixture
def place():
    """A place on which probably nothing listens."""
    (port,) = free_ports(1)
    return Place(Transport.TCP, "127.0.0.1", port)


@pytest.fixture
def listening():
    made = ListeningSockets(2, 10_000, Shortages(lambda use: None))
    yield made
    made.close()


def connects(place, timeout=10.0):
    try:
        socket.create_connection(place[1:], timeout).close()
    except OSError:
        return False
    return True


def test_a_place_has_one_socket_a_slot_and_all_are_listening(listening, place):
    listening.follow([place])
    assert len(listening.bound[place]) == 2
    clients = [socket.create_connection(place[1:]) for _ in range(40)]
    accepted = [0, 0]
    for i, one in enumerate(listening.bound[place]):
        while True:
            try:
                one.accept()[0].close()
            except BlockingIOError:
                break
            accepted[i] += 1
    assert sum(accepted) == 40
    assert min(accepted) > 0
    for client in clients:
        client.close()


def test_a_place_that_is_taken_says_so_even_by_one_who_shares(place, listening):
    taken = bind(place, 1)
    listening.follow([place])
    assert listening.bound == {}
    assert "in use by another process" in listening.failed[place]
    assert str(place) in listening.failed[place]
    assert not listening.try_again()
    taken[0].close()
    assert listening.try_again()
    assert connects(place)
    assert listening.failed == {}


def test_ports_leave_descriptors_for_others(place):
    counted = []
    few = ListeningSockets(2, 3, Shortages(counted.append))
    places = [place, *(Place(Transport.TCP, "127.0.0.1", port) for port in free_ports(1))]
    few.follow(places)
    assert len(few.bound) == 1
    [why] = few.failed.values()
    assert "ulimit -n" in why
    assert counted == ["bind"]
    assert not few.try_again()
    few.follow([place for place in places if place not in few.bound])
    assert len(few.bound) == 0  # the retired sockets are still open, but do not count
    assert few.try_again()
    assert len(few.bound) == 1
    few.close()


def test_the_first_port_is_bound_although_many_workers_need_a_socket_each(place):
    few = ListeningSockets(2, 0, Shortages(lambda use: None))
    few.follow([place])
    assert connects(place)
    few.close()


def test_what_failed_and_is_not_wanted_any_more_is_forgotten(place, listening):
    with socket.create_server(place[1:]):
        listening.follow([place])
        listening.follow([])
    assert listening.failed == {}


def test_a_place_that_goes_lets_nobody_new_in_but_those_who_wait(place, listening):
    listening.follow([place])
    waiting = socket.create_connection(place[1:])
    gone = listening.bound[place]
    listening.follow([])
    assert not connects(place)
    assert waiting.getpeername() in [(one.accept()[0].getsockname()) for one in gone if _has_queue(one)]
    listening.close_retired()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(place[1:], 1)
    waiting.close()


def _has_queue(one):
    with socket.socket(fileno=socket.dup(one.fileno())) as probe:
        probe.setblocking(False)
        info = probe.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return int.from_bytes(info[24:28], "little") > 0  # tcpi_unacked: of a listening socket, its queue


def test_a_place_that_comes_back_before_it_was_closed_is_the_same(place, listening):
    listening.follow([place])
    before = listening.bound[place]
    listening.follow([])
    listening.follow([place])
    assert listening.bound[place] is before
    assert connects(place)


def test_closing_to_new_connections(place, listening):
    listening.follow([place])
    listening.close_to_new()
    assert not connects(place)


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EACCES, "--port-offset"),
        (errno.EADDRNOTAVAIL, "--bind"),
        (errno.EAFNOSUPPORT, "IPv6"),
        (errno.EMFILE, "ulimit"),
        (errno.ENOBUFS, "cannot be bound"),
    ],
)
def test_every_failure_names_the_way_out(monkeypatch, number, words):
    def refuse(place, **options):
        raise OSError(number, "no")

    monkeypatch.setattr(sockets, "_bound_socket", refuse)
    with pytest.raises(BindError, match=words):
        bind(Place(Transport.TCP, "127.0.0.1", 80), 1)


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (Place(Transport.TCP, "127.0.0.1", 70_000), "--port-offset"),
        (Place(Transport.TCP, "nowhere", 80), "cannot be bound"),
    ],
)
def test_a_place_that_does_not_exist_is_refused(place, words):
    with pytest.raises(BindError, match=words):
        bind(place, 1)


@pytest.mark.parametrize(
    ("addresses", "reached"),
    [
        (["::"], [True, True]),
        (["0.0.0.0"], [True, False]),
        (["0.0.0.0", "::"], [True, True]),
        (["::1"], [False, True]),
    ],
)
@pytest.mark.skipif(not Path("/proc/net/if_inet6").exists(), reason="this machine has no IPv6")
def test_wildcards(place, listening, addresses, reached):
    listening.follow(Place(Transport.TCP, address, place.port) for address in addresses)
    assert listening.failed == {}
    assert [connects(place._replace(address=address)) for address in ("127.0.0.1", "::1")] == reached


def test_a_place_is_written_as_in_a_url():
    assert str(Place(Transport.TCP, "::1", 80)) == "[::1]:80"
    assert str(Place(Transport.TCP, "127.0.0.1", 80)) == "127.0.0.1:80"
