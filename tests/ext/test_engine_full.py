"""A worker at its limit of client connections: what it costs if a client leaves, and which client is accepted next."""

import socket
import time
from contextlib import ExitStack

import pytest
import trio
import trio.lowlevel
from rig import PATIENCE, Rig, loopback, rule
from steps import has_events

from fastroute.settings import Limits

ROOM = 10


async def settle(rig: Rig) -> float:
    """Runs turns until the engine is idle. Returns their CPU time in seconds."""
    took = 0.0
    idle = 0
    while idle < 3:
        began = time.thread_time()
        more = rig.engine.turn()
        took += time.thread_time() - began
        await trio.lowlevel.checkpoint()
        idle = 0 if more or has_events(rig) else idle + 1
    return took


class Crowd:
    """An engine with `ports` listeners, all its connections in use, and `waiting` clients in the accept queues."""

    def __init__(self, stack: ExitStack, ports: int, waiting: int) -> None:
        self.rig = Rig(Limits(max_connections=ROOM))
        stack.callback(self.rig.close)
        self.rig.engine.hold_clock()
        self.ports = [self.rig.listen() for _ in range(ports)]
        self.rig.install(rule("b"))
        self.stack = stack
        self.inside = [self.client(0) for _ in range(ROOM)]
        self.waiting = waiting
        self.outside: list[socket.socket] = []

    def client(self, number: int) -> socket.socket:
        one = self.stack.enter_context(socket.create_connection(("127.0.0.1", self.ports[number % len(self.ports)])))
        one.settimeout(PATIENCE)
        one.sendall(b"GET /nowhere HTTP/1.1\r\nHost: a\r\n\r\n")
        return one

    async def fill(self) -> None:
        await settle(self.rig)
        assert self.accepted() == ROOM
        self.outside = [self.client(-1 - i) for i in range(self.waiting)]
        await settle(self.rig)
        assert self.accepted() == ROOM

    def accepted(self) -> int:
        return self.rig.counters.fixed()["connections_accepted"]

    async def depart(self) -> float:
        """One client leaves. Returns the CPU time of what the engine does then."""
        before = self.accepted()
        self.inside.pop().close()
        took = await settle(self.rig)
        assert self.accepted() == before + 1
        return took


@pytest.mark.parametrize("ports", [1, 7])
async def test_each_client_that_leaves_makes_room_for_one_that_waits(ports: int) -> None:
    """All that wait are accepted in the end, whatever their port."""
    with ExitStack() as stack:
        crowd = Crowd(stack, ports, 20)
        await crowd.fill()
        while crowd.outside:
            await crowd.depart()
            ready = [one for one in crowd.outside if answered(one)]
            assert len(ready) == 1
            crowd.outside.remove(ready[0])
            crowd.inside.insert(0, ready[0])
        assert crowd.rig.engine.statistics().downstream_idle == ROOM


def answered(one: socket.socket) -> bool:
    one.setblocking(False)
    try:
        return bool(one.recv(1000))
    except BlockingIOError:
        return False


async def test_a_departure_costs_the_same_with_many_ports() -> None:
    with ExitStack() as stack:
        few, many = Crowd(stack, 1, ROOM), Crowd(stack, 400, 400)
        costs = []
        for crowd in (few, many):
            await crowd.fill()
            costs.append(sorted([await crowd.depart() for _ in range(ROOM)])[ROOM // 2])
        assert costs[1] < 4 * costs[0]


async def test_there_is_room_again_before_a_client_comes() -> None:
    """Listeners whose clients have left report new ones again."""
    with ExitStack() as stack:
        crowd = Crowd(stack, 40, 40)
        await crowd.fill()
        for one in crowd.outside:
            one.close()
        for one in crowd.inside:
            one.close()
        await settle(crowd.rig)
        assert crowd.rig.engine.statistics().downstream_idle == 0
        crowd.inside = [crowd.client(number) for number in range(ROOM)]
        await settle(crowd.rig)
        assert crowd.rig.engine.statistics().downstream_idle == ROOM


async def test_a_listener_that_waits_can_be_removed() -> None:
    """It accepts the clients in its queue, and the others that wait still get their turn."""
    with ExitStack() as stack:
        crowd = Crowd(stack, 5, 10)
        await crowd.fill()
        crowd.rig.engine.unlisten(loopback(crowd.ports[2]))
        await settle(crowd.rig)
        assert crowd.accepted() == ROOM + 2
        assert crowd.rig.engine.statistics().listeners == 4
        for _ in range(ROOM):
            crowd.inside.pop().close()
        await settle(crowd.rig)
        assert crowd.accepted() == 2 * ROOM
