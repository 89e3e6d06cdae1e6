"""Several replicas and one Lease on a failing network: at most one replica writes at a time, and one starts soon."""

import random

import pytest
import trio
from writing.standin import Server

from fastroute.apiserver.client import ApiError
from fastroute.resources.meta import Key
from fastroute.writing.lease import DURATION, RETRY, Leader

KEY = Key("infra", "fastroute")
FOLLOWED = DURATION + 3 * RETRY  # s


class Way:
    """A replica's connection to the server: `cut` makes requests time out, `lost` loses responses."""

    def __init__(self, server):
        self.server, self.cut, self.lost = server, False, 0.0

    async def request(self, method, path, body=None, *, timeout=10.0, **more):  # noqa: ASYNC109
        if self.cut:
            await trio.sleep(timeout)
            raise ApiError(0, "Timeout", "no answer")
        answer = await self.server.request(method, path, body, timeout=timeout, **more)
        if random.random() < self.lost:  # the request succeeded, but its response is lost
            await trio.sleep(timeout)
            raise ApiError(0, "Timeout", "no answer")
        return answer


def replicas(count, server=None):
    server = server or Server()
    ways = [Way(server) for _ in range(count)]
    changes = []
    leaders = [
        Leader(way, KEY, lambda held, i=number: changes.append((i, held)), server.noticed, f"replica-{number}")
        for number, way in enumerate(ways)
    ]
    return ways, leaders, changes


def holders(leaders):
    return [number for number, leader in enumerate(leaders) if leader.holds]


async def test_one_of_several_holds_it_and_keeps_it(autojump_clock):
    _, leaders, changes = replicas(3)
    async with trio.open_nursery() as nursery:
        for leader in leaders:
            nursery.start_soon(leader.run)
        await trio.sleep(300)
        assert len(holders(leaders)) == 1
        assert changes == [(holders(leaders)[0], True)]
        nursery.cancel_scope.cancel()


async def test_what_is_given_back_is_taken_at_once(autojump_clock):
    _, leaders, _ = replicas(2)
    async with trio.open_nursery() as nursery:
        for leader in leaders:
            nursery.start_soon(leader.run)
        await trio.sleep(30)
        (first,) = holders(leaders)
        await leaders[first].release()
        assert holders(leaders) == []
        await trio.sleep(2 * RETRY)
        assert holders(leaders) == [1 - first]
        nursery.cancel_scope.cancel()


async def test_who_cannot_renew_stops_before_another_begins(autojump_clock):
    ways, leaders, changes = replicas(2)
    async with trio.open_nursery() as nursery:
        for leader in leaders:
            nursery.start_soon(leader.run)
        await trio.sleep(30)
        (first,) = holders(leaders)
        ways[first].cut = True
        await trio.sleep(FOLLOWED)
        assert holders(leaders) == [1 - first]
        assert changes == [(first, True), (first, False), (1 - first, True)]
        nursery.cancel_scope.cancel()


@pytest.mark.no_cover  # like the tests of hypothesis (conftest.py)
@pytest.mark.parametrize("seed", range(8))
async def test_never_two_whatever_the_network_does(autojump_clock, seed):
    """Three replicas with half an hour of cuts and lost responses."""
    random.seed(seed)
    ways, leaders, _ = replicas(3)
    idle = longest = 0.0
    async with trio.open_nursery() as nursery:
        for leader in leaders:
            nursery.start_soon(leader.run)
        for _ in range(18_000):
            await trio.sleep(0.1)
            if random.random() < 0.01:
                way = random.choice(ways)
                way.cut, way.lost = random.random() < 0.4, random.choice((0.0, 0.3))
            held = holders(leaders)
            assert len(held) <= 1
            reached = not any(way.cut or way.lost for way in ways)
            idle = 0.0 if held or not reached else idle + 0.1
            longest = max(longest, idle)
        nursery.cancel_scope.cancel()
    assert longest < FOLLOWED


async def test_a_lease_that_is_deleted_is_made_again(autojump_clock):
    ways, leaders, changes = replicas(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(leaders[0].run)
        await trio.sleep(30)
        ways[0].server.objects.clear()
        await trio.sleep(10)
        assert changes == [(0, True), (0, False), (0, True)]
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        (ApiError(403, "Forbidden", "no"), "allow get, create and update on leases in namespace infra"),
        (ApiError(404, "NotFound", "no namespace"), "create namespace infra, or name another one with --status-lease"),
    ],
    ids=["forbidden", "no-namespace"],
)
async def test_a_lease_that_cannot_be_had_is_said_once(autojump_clock, caplog, error, way_out):
    server = Server()

    def refuse(method, path):
        raise error

    server.refuse = refuse
    _, leaders, changes = replicas(1, server)
    with trio.move_on_after(60):
        await leaders[0].run()
    assert changes == []
    assert len(caplog.messages) == 1
    assert way_out in caplog.messages[0]


async def test_all_replicas_notice_that_versions_went_back_and_one_writes_on(autojump_clock, caplog):
    """etcd was restored from an older backup."""
    server = Server()
    _, leaders, _ = replicas(2, server)
    async with trio.open_nursery() as nursery:
        for leader in leaders:
            nursery.start_soon(leader.run)
        await trio.sleep(60)
        assert server.rewound == 0
        server.restore(3)
        await trio.sleep(2 * DURATION)
        assert server.rewound == 2, "each of the two replicas notices it once"
        assert len(holders(leaders)) == 1
        nursery.cancel_scope.cancel()
    assert caplog.text.count("the API server went back from version") == 2
