"""A turn ends in time however much there is to do at once: what could be a long step is many short ones (steps.py)."""

import contextlib
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from rig import GET, OK, PATIENCE, Rig, rule
from steps import LOOK, STEPS, client, most_in_a_turn, settle, standing, turns_until

from fastroute.settings import Limits
from fastroute.snapshot import Mirror

PART = b"GET / HTTP/1.1\r\nHost: a\r\nX: "


def idle_backends(rig: Rig, stack: ExitStack, count: int) -> list[socket.socket]:
    """So many connections to a backend, which are all in the pool."""
    server = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=count))
    server.settimeout(PATIENCE)
    rig.put("b", server.getsockname()[1])
    for _ in range(count):
        client(rig, stack, GET)
    turns_until(rig, lambda: rig.engine.statistics().upstream_active == count)
    settle(rig)
    found = []
    for _ in range(count):
        found.append(stack.enter_context(server.accept()[0]))
        found[-1].settimeout(PATIENCE)
        assert found[-1].recv(65536).endswith(b"\r\n\r\n")
        found[-1].sendall(OK)
    turns_until(rig, lambda: rig.engine.statistics().upstream_idle == count)
    return found


def accepted(rig: Rig) -> int:
    return rig.counters.fixed()["connections_accepted"]


def test_a_step_accepts_few_connections() -> None:
    with standing() as (rig, stack):
        for _ in range(100):
            client(rig, stack, b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        rig.engine.hold_clock(LOOK)
        assert most_in_a_turn(rig, lambda: accepted(rig), 100) <= STEPS


def test_a_step_accepts_few_connections_of_listeners_that_waited() -> None:
    """All connections were in use while clients waited at sixteen ports; then there is room for all of them."""
    room = 64
    with standing(Limits(max_connections=room)) as (rig, stack):
        ports = [rig.listen() for _ in range(16)]
        inside = [client(rig, stack) for _ in range(room)]
        turns_until(rig, lambda: accepted(rig) == room)
        for number in range(room):
            client(rig, stack, port=ports[number % 16])
        settle(rig)
        assert accepted(rig) == room
        for one in inside:
            one.close()
        rig.engine.hold_clock(LOOK)
        assert most_in_a_turn(rig, lambda: accepted(rig), 2 * room) <= STEPS


def test_a_step_closes_few_connections_to_a_backend_that_ends() -> None:
    with standing() as (rig, stack):
        for one in idle_backends(rig, stack, 40):
            one.close()
        rig.engine.hold_clock(LOOK)
        assert most_in_a_turn(rig, lambda: rig.engine.statistics().upstream_idle, 0) <= STEPS


def test_a_request_gets_no_connection_that_has_ended() -> None:
    """Its event is in the same batch as that of the request, after it."""
    with standing() as (rig, stack):
        asking = client(rig, stack)
        settle(rig)
        ended = idle_backends(rig, stack, 1)
        asking.sendall(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")
        ended[0].close()
        turns_until(rig, lambda: rig.engine.statistics().upstream_active == 1)
        assert rig.engine.statistics().upstream_idle == 0
        assert rig.local("upstream_closed") == 0


def test_a_drain_is_made_in_steps() -> None:
    with standing() as (rig, stack):
        idle_backends(rig, stack, 40)
        rig.engine.hold_clock(LOOK)
        rig.engine.drain()
        assert rig.engine.statistics().upstream_idle == 40
        assert most_in_a_turn(rig, lambda: rig.engine.statistics().upstream_idle, 0) <= STEPS
        turns_until(rig, lambda: rig.engine.statistics().listeners == 0)
        rig.engine.hold_clock()
        settle(rig)
        assert rig.engine.statistics().downstream_idle == 40
        rig.engine.advance(1.1)
        turns_until(rig, lambda: rig.engine.statistics().drained)


def test_a_step_moves_few_deadlines() -> None:
    """A deadline that was moved to a later time is moved in the wheel only when its slot is reached."""
    with standing() as (rig, stack):
        for _ in range(300):
            client(rig, stack)
        turns_until(rig, lambda: accepted(rig) == 300)
        settle(rig)
        rig.engine.hold_clock(LOOK)
        rig.engine.advance(16.4)  # a round of the wheel: all of them are in slots that have passed
        turns = 1
        while rig.engine.turn():
            turns += 1
        assert turns > 2
        assert rig.engine.statistics().downstream_idle == 300


@pytest.mark.parametrize("size", [0, 60_000])
def test_a_step_sends_to_few_mirrors(size: int) -> None:
    with standing() as (rig, stack):
        idle_backends(rig, stack, 17)
        rig.install(rule("b", filters=[Mirror(backend="b")] * 16))
        head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size
        client(rig, stack, head + b"x" * size)
        rig.engine.hold_clock(LOOK)
        assert most_in_a_turn(rig, lambda: rig.counters.fixed()["mirrored"], 16) <= STEPS


def test_a_step_moves_what_is_queued_for_few_mirrors() -> None:
    """Sixteen mirrors take nothing: what is queued for each grows to 900 KB, and moves to larger memory on the way."""
    size = 900_000
    with standing() as (rig, stack):
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(2)]
        rig.put("b", servers[0].getsockname()[1])
        rig.put("m", unanswering(stack))
        rig.install(rule("b", filters=[Mirror(backend="m")] * 16))
        one = client(rig, stack, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        one.setblocking(False)
        backend: list[socket.socket] = []
        most = sent = 0
        rig.engine.hold_clock(LOOK)
        while rig.engine.statistics().mirrors_behind < 16 * size:
            with contextlib.suppress(BlockingIOError):
                sent += one.send(b"x" * (size - sent)) if sent < size else 0
            before = rig.engine.statistics().buffered
            rig.engine.turn()
            most = max(most, rig.engine.statistics().buffered - before)
            if not backend and rig.engine.statistics().upstream_active:
                backend.append(stack.enter_context(servers[0].accept()[0]))
                backend[0].setblocking(False)
            for peer in backend:
                with contextlib.suppress(BlockingIOError):
                    peer.recv(1 << 20)
        assert most < 3 << 20


def unanswering(stack: ExitStack) -> int:
    """A port that answers no attempt to connect: its queue is full."""
    full = stack.enter_context(socket.socket())
    full.bind(("127.0.0.1", 0))
    full.listen(0)
    stack.enter_context(socket.create_connection(full.getsockname()))
    return int(full.getsockname()[1])


def closed(sockets: list[socket.socket]) -> int:
    """How many of these have been closed by their peers."""
    ready = select.poll()
    for one in sockets:
        ready.register(one, select.POLLRDHUP)
    return len(ready.poll(0))


def test_a_step_closes_few_mirrors_that_are_displaced() -> None:
    """512 mirrors of one namespace wait for their answers; 16 of another one take the place of as many."""
    with standing() as (rig, stack):
        copies = [Mirror(backend="m")] * 16
        rig.install(
            rule("b", filters=copies, path="/greedy", route="greedy/route"),
            rule("b", filters=copies, path="/modest", route="modest/route", name="1"),
        )
        servers = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024)) for _ in "bm"]
        for name, server in zip("bm", servers, strict=True):
            rig.put(name, server.getsockname()[1])
        for _ in range(32):
            client(rig, stack, b"GET /greedy HTTP/1.1\r\nHost: a\r\n\r\n")
        turns_until(rig, lambda: rig.counters.fixed()["mirrored"] == 512)
        mirrors = [stack.enter_context(servers[1].accept()[0]) for _ in range(512)]
        client(rig, stack, b"GET /modest HTTP/1.1\r\nHost: a\r\n\r\n")
        rig.engine.hold_clock(LOOK)
        assert most_in_a_turn(rig, lambda: closed(mirrors), 16) <= STEPS
        turns_until(rig, lambda: rig.counters.fixed()["mirrored"] == 528)
        assert rig.engine.statistics().upstream_active == 512 + 33


@contextmanager
def searching(look: float) -> Iterator[Rig]:
    """An engine that must search 500 connections for those to end; its clock advances by `look` at each reading."""
    count = 500
    with standing(Limits(max_buffered=count * 2500)) as (rig, stack):
        for _ in range(count):
            client(rig, stack, PART + b"x" * 1800)
        turns_until(rig, lambda: rig.engine.statistics().buffered >= count * 2048)
        settle(rig)
        for _ in range(5):
            client(rig, stack, PART + b"x" * 60_000)
        rig.engine.hold_clock(look)
        yield rig
        turns_until(rig, lambda: rig.engine.statistics().buffered <= count * 2500)


def test_a_step_of_the_search_for_connections_to_end_examines_few() -> None:
    with searching(2e-4) as rig:
        assert turns_until(rig, lambda: rig.counters.fixed()["ended_buffers_full"] > 0) > 5


def test_the_search_for_connections_to_end_has_time_for_all_of_them() -> None:
    """It begins again after some time. If that were 100 ms for any number of connections, it would never end here."""
    turns = 0
    with searching(5e-4) as rig:
        while rig.counters.fixed()["ended_buffers_full"] == 0:
            assert turns < 500
            rig.engine.turn()
            turns += 1
