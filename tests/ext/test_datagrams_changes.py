"""What ends flows of datagrams: endpoints that leave or cannot be reached, changed rules, places, a drain."""

import os
import socket
from contextlib import suppress

import pytest
import trio
from datagrams import UdpRig, answering, clients, echo, named, silent, to, udp, udp_rule
from rig import quiet, soon

DNS = "apps/dns:53"
REFUSED = to(DNS, reason="reference_refused")


def free_udp_port(address: str = "127.0.0.1") -> int:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.bind((address, 0))
        port: int = probe.getsockname()[1]
    return port


def failures(rig: UdpRig, backend: str = DNS) -> list[int]:
    return [failed for _, _, failed in rig.upstreams.statistics()[f"{backend}/udp"]]


def reasons(rig: UdpRig) -> list[str | None]:
    return [line["reason"] for line in rig.lines()]


# --- endpoints


async def test_flows_to_an_endpoint_that_leaves_end_and_the_others_stay() -> None:
    async with answering(named(b"one"), named(b"two")) as [one, two], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, one.port, two.port)
        with clients(rig.place, 20) as many:
            before = [await client.ask(b"a") for client in many]
            assert {b"one", b"two"} == set(before)
            rig.endpoints(DNS, two.port)
            await soon(lambda: rig.flows == before.count(b"two"))
            assert [await client.ask(b"a") for client in many] == [b"two"] * 20
            assert len(two.peers) == 20
        assert reasons(rig) == ["endpoint_left"] * before.count(b"one")
        assert {line["upstream"] for line in rig.lines()} == {f"127.0.0.1:{one.port}"}


async def test_traffic_ends_flows_to_an_endpoint_that_leaves_during_an_installation() -> None:
    """Endpoints change at once. The engine is woken when the whole publication is installed."""
    async with answering(silent) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 2) as [one, other]:
            await one.send(b"a")
            await soon(lambda: rig.flows == 1)
            await quiet()
            rig.upstreams.update(f"{DNS}/udp", [])
            await other.send(b"b")
            await soon(lambda: reasons(rig) == ["endpoint_left"])


async def test_an_endpoint_that_another_backend_still_lists_keeps_the_flows_of_that_backend() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to("apps/a:53"), to("apps/b:53"))) as rig:
        rig.endpoints("apps/a:53", endpoint.port)
        rig.endpoints("apps/b:53", endpoint.port)
        with clients(rig.place, 4) as many:
            for client in many:
                await client.ask(b"a")
            rig.endpoints("apps/a:53")
            await soon(lambda: rig.flows == 2)
        assert [line["backend"] for line in rig.lines()] == ["apps/a:53"] * 2


async def test_an_update_that_keeps_the_endpoints_keeps_the_flows() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 3) as many:
            for _ in range(3):
                for client in many:
                    await client.ask(b"a")
                rig.endpoints(DNS, endpoint.port, free_udp_port())
                await quiet()
        assert (rig.flows, len(endpoint.peers), rig.lines()) == (3, 3, [])


async def test_many_flows_of_an_endpoint_end_in_several_turns() -> None:
    """The clock advances at each look, so the time of a visit is over after a few flows."""
    async with answering(silent) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 300) as many:
            for client in many:
                await client.send(b"a")
                await trio.lowlevel.checkpoint()
            await soon(lambda: rig.flows == 300)
            await quiet()
            rig.engine.hold_clock(look=0.0001)
            rig.upstreams.update(f"{DNS}/udp", [])
            rig.engine.wake()
            before = rig.engine.statistics().turns
            await soon(lambda: rig.flows == 0)
            assert rig.engine.statistics().turns - before > 10


async def test_the_health_of_udp_and_tcp_endpoints_with_one_address_is_separate() -> None:
    port = free_udp_port()
    async with udp(udp_rule(to(DNS))) as rig:
        rig.put(DNS, port)
        rig.endpoints(DNS, port)
        with clients(rig.place, 1) as [client]:
            await client.send(b"a")
            await soon(lambda: failures(rig) == [1])
        assert [failed for _, _, failed in rig.upstreams.statistics()[DNS]] == [0]


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_port_that_nothing_uses_counts_against_the_endpoint(address: str) -> None:
    """The kernel reports it with ICMP. The flow ends; the next one goes to the other endpoint."""
    async with answering(echo, address=address) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        closed = free_udp_port(address)
        rig.endpoints(DNS, closed, address=address)
        with clients(rig.place, 3) as many:
            await many[0].send(b"lost")
            await soon(lambda: failures(rig) == [1])
            assert rig.flows == 0
            assert reasons(rig) == ["connect_failed"]
            rig.endpoints(DNS, closed, endpoint.port, address=address)
            for client in many:
                assert await client.ask(b"a") == b"a"
            assert len(endpoint.peers) == 3


@pytest.mark.parametrize("seed", range(6))
def test_a_datagram_that_meets_the_error_of_an_earlier_one_goes_to_another_endpoint(seed: int) -> None:
    """Only the first datagram of a flow can be lost, also if the next ones are read with it: the kernel notes the error
    when the first one is sent, and refuses the second one."""
    rig = UdpRig("127.0.0.1", None, seed=seed)
    with (
        socket.socket(type=socket.SOCK_DGRAM) as endpoint,
        socket.socket(type=socket.SOCK_DGRAM) as one,
        socket.socket(type=socket.SOCK_DGRAM) as other,
    ):
        endpoint.bind(("127.0.0.1", 0))
        endpoint.setblocking(False)
        rig.serve(udp_rule(to(DNS)))
        rig.endpoints(DNS, endpoint.getsockname()[1], free_udp_port())
        sent = [b"%s %d" % (name, i) for i in range(12) for name in (b"one", b"other")]
        for data in sent:
            (one if data.startswith(b"one") else other).sendto(data, rig.place[1:])
        while rig.engine.turn() or rig.counted[0] < len(sent):
            pass
        got = set()
        with suppress(BlockingIOError):
            while True:
                got.add(endpoint.recv(100))
        assert set(sent) - got <= {b"one 0", b"other 0"}
    rig.close()


async def test_an_endpoint_that_answers_again_is_used_like_the_others() -> None:
    async with udp(udp_rule(to(DNS)), held=True) as rig:
        closed = free_udp_port()
        rig.endpoints(DNS, closed)
        with clients(rig.place, 2) as many:
            await many[0].send(b"lost")
            await soon(lambda: failures(rig) == [1])
            async with answering(echo, port=closed) as [revived]:
                await rig.passes(2)
                assert await many[1].ask(b"a") == b"a"
                assert failures(rig) == [0]
                assert len(revived.got) == 1


async def test_an_endpoint_that_never_answers_counts_as_working_after_a_second_without_an_error() -> None:
    async with udp(udp_rule(to(DNS)), held=True) as rig:
        closed = free_udp_port()
        rig.endpoints(DNS, closed)
        with clients(rig.place, 2) as [first, second]:
            await first.send(b"lost")
            await soon(lambda: failures(rig) == [1])
            with socket.socket(type=socket.SOCK_DGRAM) as quiet_one:
                quiet_one.bind(("127.0.0.1", closed))
                await rig.passes(2)
                await second.send(b"a")
                await rig.passes(0.9)
                await second.send(b"b")
                await quiet()
                assert failures(rig) == [1]
                await rig.passes(0.2)
                await second.send(b"c")
                await soon(lambda: failures(rig) == [0])


# --- rules


@pytest.mark.parametrize(
    ("after", "reason"),
    [
        ((udp_rule(REFUSED),), "reference_refused"),
        ((), "no_rule"),
        ((udp_rule(to(DNS), route="apps/other"),), "no_rule"),
        ((udp_rule(to("apps/new:53")),), "no_rule"),
    ],
    ids=("refused", "deleted", "another route", "another backend"),
)
async def test_a_change_ends_flows_that_the_rule_does_not_allow_any_more(
    after: tuple[object, ...], reason: str
) -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 5) as many:
            for client in many:
                await client.ask(b"a")
            rig.serve(*after)  # type: ignore[arg-type]
            await soon(lambda: rig.flows == 0)
            assert reasons(rig) == [reason] * 5
            assert dict(rig.counters.flows()) == {}


async def test_no_datagram_passes_after_a_change_even_before_all_flows_were_compared() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 1) as [client]:
            await client.ask(b"a")
            rig.serve(udp_rule(REFUSED))
            with socket.socket(fileno=os.dup(client.socket.fileno())) as same:
                same.sendto(b"b", client.to)  # without a turn of the engine before
            assert await client.is_silent()
        assert (len(endpoint.got), rig.local("reference_refused")) == (1, 1)


@pytest.mark.parametrize(
    "after",
    [udp_rule(to(DNS, 5), to("apps/new:53", 1)), udp_rule(to("apps/new:53"), to(DNS)), udp_rule(to(DNS, 0))],
    ids=("weights", "order", "weight 0"),
)
async def test_a_change_keeps_flows_whose_backend_stays(after: object) -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 5) as many:
            for client in many:
                await client.ask(b"a")
            rig.serve(after)  # type: ignore[arg-type]
            await quiet()
            for client in many:
                assert await client.ask(b"b") == b"b"
        assert (rig.flows, len(endpoint.peers), dict(rig.counters.flows())) == (5, 5, {1: 5})


async def test_a_grant_serves_the_clients_that_were_refused_at_once() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(REFUSED)) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 1) as [client]:
            await client.send(b"a")
            assert await client.is_silent()
            rig.serve(udp_rule(to(DNS)))
            assert await client.ask(b"b") == b"b"


async def test_a_change_that_still_refuses_keeps_flows_refused() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(REFUSED)) as rig:
        rig.endpoints("apps/new:53", endpoint.port)
        with clients(rig.place, 3) as many:
            for client in many:
                await client.send(b"a")
            await soon(lambda: rig.flows == 3)
            rig.serve(udp_rule(to("apps/new:53", 9), REFUSED))
            for client in many:
                await client.send(b"b")
            await quiet(0.02)
            assert (rig.flows, rig.local("reference_refused"), endpoint.got) == (3, 3, [])


# --- sockets of a place


async def test_replies_of_a_flow_leave_through_the_other_socket_if_one_is_given_back() -> None:
    """A worker also reads the socket of a slot whose worker is being replaced."""
    async with answering(silent) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        lent = socket.socket(type=socket.SOCK_DGRAM)
        lent.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        lent.bind(rig.place[1:])
        copy = os.dup(lent.fileno())
        rig.engine.listen(copy, rig.place)
        with lent, clients(rig.place, 20) as many:
            for client in many:
                await client.send(b"a")
            await soon(lambda: len(endpoint.got) == 20)
            rig.engine.unlisten(rig.place, copy)
            await quiet()
            assert rig.flows == 20
            for _, peer in endpoint.got:
                await endpoint.socket.sendto(b"b", peer)
            for client in many:
                assert await client.receive_from() == (b"b", rig.place[1:])
            for client in many:
                await client.send(b"c")
            await quiet()
            lent.setblocking(False)
            assert lent.recv(10) == b"c"  # the engine does not read it any more


async def test_flows_end_with_the_last_socket_of_their_place() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 3) as many:
            for client in many:
                await client.ask(b"a")
            rig.engine.unlisten(rig.place)
            await soon(lambda: rig.flows == 0)
            assert (rig.engine.statistics().listeners, reasons(rig)) == (0, ["no_listener"] * 3)
            await endpoint.socket.sendto(b"late", endpoint.got[0][1])
            await quiet()
            rig.place = rig.bind("127.0.0.1", rig.place.port)
            rig.serve(udp_rule(to(DNS)))
            assert await many[0].ask(b"again") == b"again"


# --- a drain


async def test_flows_do_not_hold_a_drain_and_go_on_for_a_second() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS)), held=True) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 2) as [known, new]:
            await known.ask(b"a")
            rig.engine.drain()
            await quiet()
            assert rig.engine.statistics().drained
            assert await known.ask(b"b") == b"b"
            await new.send(b"c")
            assert await new.is_silent()
            await rig.passes(1.1)
            assert (rig.flows, rig.engine.statistics().listeners) == (0, 0)
        assert reasons(rig) == ["drained"]


async def test_closing_the_engine_ends_all_flows() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 3) as many:
            for client in many:
                await client.ask(b"a")
        rig.engine.close()
        assert (rig.flows, reasons(rig), dict(rig.counters.flows())) == (0, ["drained"] * 3, {})
