"""UDP through an engine: what passes, where it goes, and what is counted and logged."""

import socket
from collections import Counter

import pytest
import trio
from datagrams import UdpRig, answering, clients, echo, named, silent, to, udp, udp_listener, udp_rule
from rig import quiet, soon

from fastroute.place import Place, Transport
from fastroute.settings import Limits

DNS = "apps/dns:53"
SIZES = (0, 1, 100, 1_472, 9_000, 65_507)


@pytest.mark.parametrize("size", SIZES)
async def test_a_datagram_of_any_size_passes_in_both_directions(size: int) -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 1) as [client]:
            data = bytes(i % 251 for i in range(size))
            await client.send(data)
            answer, source = await client.receive_from()
        assert (answer, source) == (data, (rig.place.address, rig.place.port))
        assert endpoint.got[0][0] == data
        assert rig.counted == (1, 1)


async def test_all_datagrams_of_a_client_come_from_one_socket_in_their_order() -> None:
    async with answering(silent) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 2) as [one, other]:
            for i in range(100):
                await one.send(b"one %d" % i)
                await other.send(b"other %d" % i)
            await soon(lambda: len(endpoint.got) == 200)
        assert len(endpoint.peers) == rig.flows == 2
        for name in (b"one", b"other"):
            assert [data for data, _ in endpoint.got if data.startswith(name)] == [
                name + b" %d" % i for i in range(100)
            ]


async def test_an_endpoint_may_answer_several_times_and_later() -> None:
    def five(data: bytes) -> list[bytes]:
        return [data + b"%d" % i for i in range(50)]

    async with answering(five) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 2) as both:
            for client in both:
                await client.send(b"a")
            for client in both:
                assert [await client.receive() for _ in range(50)] == five(b"a")
        assert rig.counted == (2, 100)


async def test_only_the_endpoint_of_a_flow_can_answer() -> None:
    async with answering(silent, silent) as [endpoint, stranger], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 1) as [client]:
            await client.send(b"a")
            await soon(lambda: bool(endpoint.got))
            await stranger.socket.sendto(b"forged", endpoint.got[0][1])
            assert await client.is_silent()


@pytest.mark.parametrize("weights", [(1,), (1, 1), (3, 1), (5, 2, 0), (1, 4, 2)], ids=str)
async def test_weights_are_exact_over_flows(weights: tuple[int, ...]) -> None:
    names = [b"%d" % i for i in range(len(weights))]
    refs = [to(f"apps/b{i}:53", weight) for i, weight in enumerate(weights)]
    async with answering(*map(named, names)) as endpoints, udp(udp_rule(*refs)) as rig:
        for i, endpoint in enumerate(endpoints):
            rig.endpoints(f"apps/b{i}:53", endpoint.port)
        with clients(rig.place, 3 * sum(weights)) as many:
            found = [await client.ask(b"a") for client in many]
            assert Counter(found) == Counter(
                {name: 3 * weight for name, weight in zip(names, weights, strict=True) if weight}
            )
            assert [await client.ask(b"b") for client in many] == found  # a flow keeps its backend


REFUSALS = {
    "no_listener": None,
    "no_rule": (),
    "no_backend_refs": (udp_rule(),),
    "zero_weights": (udp_rule(to(DNS, 0)),),
    "reference_refused": (udp_rule(to(DNS, reason="reference_refused")),),
    "backend_not_found": (udp_rule(to(DNS, reason="backend_not_found")),),
    "no_endpoint": (udp_rule(to(DNS)),),
}


@pytest.mark.parametrize("reason", REFUSALS)
async def test_datagrams_without_a_backend_are_dropped_for_the_idle_time(reason: str) -> None:
    rules = REFUSALS[reason]
    async with udp(held=True, limits=Limits(udp_idle_timeout=10)) as rig:
        rig.install_all([] if rules is None else [udp_listener(rig.place)], *(rules or ()))
        with clients(rig.place, 1) as [client]:
            for _ in range(3):
                await client.send(b"abc")
                assert await client.is_silent()
                await rig.passes(3)
            assert (rig.flows, rig.local(reason)) == (1, 1)
            await rig.passes(1.1)
            assert rig.flows == 0
            await client.send(b"a")
            await quiet()
            assert rig.local(reason) == 2
        [line] = rig.lines()
        assert (line["reason"], line["protocol"], line["bytes_received"], line["bytes_sent"]) == (reason, "UDP", 9, 0)
        assert (line["status"], line["upstream"], line["upstream_protocol"]) == (None, None, None)
        assert rig.counted == (4, 0)


async def test_a_refused_share_is_exact_and_not_redistributed() -> None:
    async with (
        answering(echo) as [endpoint],
        udp(udp_rule(to(DNS, 3), to("other/dns:53", 1, reason="reference_refused"))) as rig,
    ):
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 12) as many:
            for client in many:
                await client.send(b"a")
            await quiet(0.05)
            assert (len(endpoint.got), rig.local("reference_refused"), rig.flows) == (9, 3, 12)
            for client in many:
                await client.send(b"b")
            await quiet(0.05)
            assert (len(endpoint.got), rig.local("reference_refused"), rig.flows) == (18, 3, 12)


async def test_a_backend_that_gets_its_first_endpoint_serves_the_clients_that_waited() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        with clients(rig.place, 1) as [client]:
            await client.send(b"a")
            assert await client.is_silent()
            rig.endpoints(DNS, endpoint.port)
            assert await client.ask(b"b") == b"b"


# --- idle flows, and too many


async def test_an_idle_flow_ends_without_a_reason_and_traffic_in_either_direction_keeps_it() -> None:
    async with (
        answering(silent) as [endpoint],
        udp(udp_rule(to(DNS)), held=True, limits=Limits(udp_idle_timeout=10)) as rig,
    ):
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 1) as [client]:
            await client.send(b"abc")
            await soon(lambda: bool(endpoint.got))
            for _ in range(3):
                await rig.passes(9)
                await endpoint.socket.sendto(b"de", endpoint.got[0][1])
                assert await client.receive() == b"de"
                await rig.passes(9)
                await client.send(b"abc")
                await quiet()
            assert (rig.flows, len(endpoint.peers)) == (1, 1)
            await rig.passes(10.1)
            assert rig.flows == 0
            await client.send(b"a")
            await soon(lambda: len(endpoint.got) == 5)
        assert len(endpoint.peers) == 2
        [line] = rig.lines()
    assert line | {"time": "", "client": "", "upstream": ""} == {
        "time": "", "method": None, "host": None, "path": None, "protocol": "UDP", "status": None, "reason": None,
        "bytes_received": 12, "bytes_sent": 6, "duration_us": line["duration_us"], "upstream": "",
        "upstream_duration_us": line["duration_us"], "gateway": "infra/gateway", "listener": "udp",
        "route": "apps/dns", "rule": "0", "backend": DNS, "client": "", "request_id": None,
        "route_kind": "UDPRoute", "upstream_protocol": "UDP",
        "user_agent": None, "referer": None, "tls_version": None, "tls_server_name": None, "grpc_status": None,
        "trace_id": None, "tries": 1,
    }  # fmt: skip
    assert line["upstream"] == f"127.0.0.1:{endpoint.port}"
    assert line["client"] == "127.0.0.1"
    assert line["duration_us"] == pytest.approx(64.1e6, abs=2e4)


async def test_at_the_limit_the_flow_that_was_unused_longest_gives_way() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS)), limits=Limits(max_flows=3)) as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 4) as [a, b, c, d]:
            for client in (a, b, c, a):
                await client.ask(b"x")
            await d.ask(b"x")  # instead of b
            assert rig.flows == 3
            for client in (a, c, d):
                await client.ask(b"x")
            assert len(endpoint.peers) == 4
            await b.ask(b"x")  # instead of a
            assert (rig.flows, len(endpoint.peers)) == (3, 5)
        assert [line["reason"] for line in rig.lines()] == ["flows_full"] * 2


async def test_refused_flows_count_towards_the_limit() -> None:
    async with udp(udp_rule(), limits=Limits(max_flows=2)) as rig:
        with clients(rig.place, 5) as many:
            for client in many:
                await client.send(b"x")
            await quiet()
        assert rig.flows == 2
        assert [line["reason"] for line in rig.lines()] == ["no_backend_refs"] * 3


# --- addresses


async def has_ipv6() -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("::1", 0))
        except OSError:
            return False
    return True


@pytest.mark.parametrize(
    ("bound", "asked", "endpoint_at"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.77", "127.0.0.1"),
        ("::1", "::1", "::1"),
        ("::1", "::1", "127.0.0.1"),
        ("127.0.0.1", "127.0.0.1", "::1"),
        ("::", "::1", "127.0.0.1"),
    ],
)
async def test_a_reply_comes_from_the_address_that_the_client_asked(bound: str, asked: str, endpoint_at: str) -> None:
    if not await has_ipv6():
        pytest.skip("no IPv6")
    async with answering(echo, address=endpoint_at) as [endpoint], udp(udp_rule(to(DNS)), address=bound) as rig:
        rig.endpoints(DNS, endpoint.port, address=endpoint_at)
        with clients((asked, rig.place.port), 1) as [client]:
            await client.send(b"a")
            answer, source = await client.receive_from()
        assert (answer, source[:2]) == (b"a", (asked, rig.place.port))


async def test_a_socket_for_both_families_answers_ipv4_from_the_address_that_was_asked() -> None:
    if not await has_ipv6():
        pytest.skip("no IPv6")
    async with answering(echo) as [endpoint], udp() as rig:
        both = rig.bind("::", dual=True)
        rig.install_all([udp_listener(both)], udp_rule(to(DNS)))
        rig.endpoints(DNS, endpoint.port)
        for address in ("127.0.0.9", "127.0.0.1", "::1"):
            with clients((address, both.port), 1) as [client]:
                await client.send(b"a")
                answer, source = await client.receive_from()
            assert (answer, source[:2]) == (b"a", (address, both.port))
        rig.engine.drain()
        await soon(lambda: rig.flows == 0)
        assert {line["client"] for line in rig.lines()} == {"127.0.0.1", "::1"}


async def test_a_client_that_asks_two_addresses_from_one_port_has_two_flows() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS)), address="0.0.0.0") as rig:
        rig.endpoints(DNS, endpoint.port)
        with clients(("127.0.0.2", rig.place.port), 1) as [client]:
            for address in ("127.0.0.2", "127.0.0.3", "127.0.0.2"):
                client.to = (address, rig.place.port)
                await client.send(b"a")
                assert (await client.receive_from())[1][0] == address
        assert rig.flows == 2


async def test_two_places_do_not_share_flows() -> None:
    async with answering(named(b"one"), named(b"two")) as [one, two], udp() as rig:
        other = rig.bind("127.0.0.1")
        rig.install_all(
            [udp_listener(rig.place), udp_listener(other, "other")],
            udp_rule(to("apps/one:53")),
            udp_rule(to("apps/two:53"), listener="other", route="apps/two"),
        )
        rig.endpoints("apps/one:53", one.port)
        rig.endpoints("apps/two:53", two.port)
        with clients(rig.place, 1) as [client]:
            assert await client.ask(b"a") == b"one"
            client.to = other[1:]
            assert await client.ask(b"a") == b"two"
            assert (rig.flows, len(set(client.to))) == (2, 2)


# --- metrics


def flow_counts(rig: UdpRig) -> dict[int, int]:
    return dict(rig.counters.flows())


async def test_flows_are_counted_while_they_live() -> None:
    async with (
        answering(echo) as [endpoint],
        udp(udp_rule(to(DNS)), held=True, limits=Limits(udp_idle_timeout=10)) as rig,
    ):
        rig.endpoints(DNS, endpoint.port)
        with clients(rig.place, 3) as many:
            for client in many:
                await client.ask(b"abcd")
        assert flow_counts(rig) == {1: 3}  # the slot of backends in the rig
        await rig.passes(10.1)
        assert flow_counts(rig) == {}
        fixed = rig.counters.fixed()
        assert (fixed["bytes_received"], fixed["bytes_sent"]) == (12, 12)
        assert (fixed["udp_received"], fixed["udp_sent"]) == (3, 3)


async def test_a_datagram_from_port_0_is_dropped() -> None:
    """Nobody can answer it. (Only raw sockets can send one, so the engine's own parser is what this tests.)"""
    async with udp(udp_rule()) as rig:
        try:
            raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP)
        except PermissionError:
            pytest.skip("needs root")
        with raw:
            head = (0).to_bytes(2, "big") + rig.place.port.to_bytes(2, "big") + (9).to_bytes(2, "big") + bytes(2)
            raw.sendto(head + b"x", ("127.0.0.1", 0))
        await soon(lambda: rig.counted == (1, 0))
        assert rig.flows == 0


async def test_a_tcp_listener_and_a_udp_place_share_a_port() -> None:
    async with answering(echo) as [endpoint], udp(udp_rule(to(DNS))) as rig:
        rig.endpoints(DNS, endpoint.port)
        with socket.create_server(("127.0.0.1", 0)) as listening:
            rig.place = rig.bind(*listening.getsockname())
            rig.serve(udp_rule(to(DNS)))
            rig.engine.listen(socket.dup(listening.fileno()), Place(Transport.TCP, *rig.place[1:]))
            with clients(rig.place, 1) as [client]:
                assert await client.ask(b"a") == b"a"
                async with await trio.open_tcp_stream("127.0.0.1", rig.place.port) as stream:
                    await stream.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                    assert (await stream.receive_some(100)).startswith(b"HTTP/1.1 404")
