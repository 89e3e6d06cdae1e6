"""Flows of datagrams over changes of the configuration, the death of a worker, and a drain."""

import os
import signal
from collections.abc import Iterator
from contextlib import suppress

import msgspec
import trio
from datagrams import Client, UdpEndpoint, answering, clients, echo, to, udp_listener, udp_rule
from supervisor.test_supervisor import pids, supervised

from fastroute.place import Place, Transport
from fastroute.snapshot import Endpoint, Snapshot

DNS = "apps/dns:53"


def with_udp(rig, endpoint, *rules, extra=()):
    """The configuration of the rig with a UDP listener at the same port."""
    http = rig.snapshot()
    listener = udp_listener(Place(Transport.UDP, "127.0.0.1", rig.port), "U")
    return msgspec.structs.replace(
        http,
        listeners={**http.listeners, "U": listener},
        rules={**http.rules, **{one.id: one for one in rules}},
        endpoints={
            **http.endpoints,
            f"{DNS}/udp": (Endpoint("127.0.0.1", endpoint.port),),
            **{name: (Endpoint("127.0.0.1", 1),) for name in extra},
        },
    )


async def ask(client: Client, data: bytes) -> None:
    """Asks until an answer comes: datagrams that a dead worker had read are lost."""
    with trio.fail_after(60):
        while True:
            await client.send(data)
            with trio.move_on_after(0.2):
                while await client.receive() != data:
                    pass
                return


async def flows_of(many: list[Client], endpoint: UdpEndpoint, mark: str) -> list[int]:
    """The port of the gateway that the endpoint sees for each client."""
    for i, client in enumerate(many):
        await ask(client, f"{mark} {i}".encode())
    seen = {data: peer[1] for data, peer in endpoint.got}
    return [seen[f"{mark} {i}".encode()] for i in range(len(many))]


def sockets(rig) -> Iterator[tuple[int, str, int]]:
    """The pid, the inode and the local port of the UDP sockets of the workers."""
    ports = {}
    with open("/proc/net/udp") as table:
        for line in table.readlines()[1:]:
            fields = line.split()
            ports[f"socket:[{fields[9]}]"] = int(fields[1].rpartition(":")[2], 16)
    for pid in pids(rig):
        with suppress(FileNotFoundError):  # a process that ends, a descriptor that is closed
            for fd in os.listdir(f"/proc/{pid}/fd"):
                inode = os.readlink(f"/proc/{pid}/fd/{fd}")
                if inode in ports:
                    yield pid, inode, ports[inode]


def owners(rig, ports: list[int]) -> list[int]:
    """The process that has the socket with each of these local ports."""
    found = {port: pid for pid, _, port in sockets(rig)}
    return [found[port] for port in ports]


async def all_serve(rig) -> None:
    """Each worker has one socket of the place: those of a dead one are not read by another one any more."""

    def apart() -> bool:
        held = [(pid, inode) for pid, inode, port in sockets(rig) if port == rig.port]
        return len(rig.supervisor._serving()) == 2 == len(held) == len({pid for pid, _ in held})

    await rig.until(apart)


async def test_the_death_of_a_worker_costs_only_its_flows_and_a_change_none() -> None:
    async with answering(echo) as [endpoint], supervised() as rig:
        await rig.supervisor.publish(with_udp(rig, endpoint, udp_rule(to(DNS), listener="U")))
        await all_serve(rig)
        with clients(("127.0.0.1", rig.port), 40) as many:
            before = await flows_of(many, endpoint, "first")
            assert len(set(before)) == 40
            workers = owners(rig, before)
            assert len(set(workers)) == 2

            weights = udp_rule(to(DNS, 3), to("apps/new:53", 0), listener="U")
            await rig.supervisor.publish(with_udp(rig, endpoint, weights, extra=("apps/new:53/udp",)))
            assert await flows_of(many, endpoint, "changed") == before

            dead = workers[0]
            os.kill(dead, signal.SIGKILL)
            await rig.until(lambda: rig.value("fastroute_worker_restarts_total") == 1)
            await all_serve(rig)
            after = await flows_of(many, endpoint, "dead")
            kept = [old == new for old, new in zip(before, after, strict=True)]
            assert kept == [owner != dead for owner in workers]
            # The replacement has the socket of its slot, and so the clients of the dead worker.
            replaced = {owner for owner, same in zip(owners(rig, after), kept, strict=True) if not same}
            assert len(replaced) == 1
            assert replaced.isdisjoint(workers)


async def test_flows_are_counted_over_workers_and_their_death() -> None:
    labels = {"gateway": "infra/gateway", "listener": "U", "route": "apps/dns", "backend": DNS}
    async with answering(echo) as [endpoint], supervised() as rig:
        value = rig.metrics.registry.get_sample_value
        rule = udp_rule(to(DNS), listener="U")
        rule = msgspec.structs.replace(rule, listener_name="U")
        await rig.supervisor.publish(with_udp(rig, endpoint, rule))
        await all_serve(rig)
        assert value("fastroute_udp_flows", labels) is None
        with clients(("127.0.0.1", rig.port), 20) as many:
            ports = await flows_of(many, endpoint, "a")
            assert value("fastroute_udp_flows", labels) == 20
            for direction in ("received", "sent"):
                assert value("fastroute_udp_datagrams_total", {"direction": direction}) >= 20
            dead = owners(rig, ports)[0]
            left = sum(owner != dead for owner in owners(rig, ports))
            os.kill(dead, signal.SIGKILL)
            await rig.until(lambda: value("fastroute_udp_flows", labels) == left)
            await rig.supervisor.publish(rig.snapshot())
            await rig.until(lambda: value("fastroute_udp_flows", labels) == 0)


async def test_flows_do_not_hold_the_exit() -> None:
    async with answering(echo) as [endpoint], supervised(drain_timeout=60.0) as rig:
        await rig.supervisor.publish(with_udp(rig, endpoint, udp_rule(to(DNS), listener="U")))
        await all_serve(rig)
        with clients(("127.0.0.1", rig.port), 10) as many:
            await flows_of(many, endpoint, "a")
            with trio.fail_after(30):
                await rig.supervisor.drain()
        assert pids(rig) == []


async def test_a_route_that_is_removed_leaves_a_listener_that_drops() -> None:
    reasons = {"reason": "no_rule"}
    async with answering(echo) as [endpoint], supervised(1) as rig:
        await rig.supervisor.publish(with_udp(rig, endpoint, udp_rule(to(DNS), listener="U")))
        with clients(("127.0.0.1", rig.port), 1) as [client]:
            await ask(client, b"a")
            await rig.supervisor.publish(with_udp(rig, endpoint))
            await client.send(b"b")
            value = rig.metrics.registry.get_sample_value
            await rig.until(lambda: value("fastroute_local_responses_total", reasons) == 1)
        assert [data for data, _ in endpoint.got] == [b"a"]
        await rig.supervisor.publish(Snapshot())
