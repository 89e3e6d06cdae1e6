"""Probes are answered at once, whatever other clients of the endpoint do."""

import socket
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import ConnectionTerminated, DataReceived, ResponseReceived, StreamEnded
from h2.settings import SettingCodes
from load import PATIENCE, until

from fastroute.admin import endpoint
from fastroute.admin.crowd import Crowd, Need
from fastroute.admin.endpoint import Endpoint, bind_endpoint
from fastroute.admin.health import health_app, metrics_app
from fastroute.admin.probe import MOST_ADMIN, MOST_HEALTH, MOST_METRICS, probed, response
from fastroute.admin.pulse import Pulse
from fastroute.demo.client import Client
from fastroute.descriptors import RESERVE, Shortages
from fastroute.metrics import Metrics

GET = b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n"
SCRAPE = b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n"


def health():
    return health_app(Pulse(), lambda: True)


def metrics():
    return metrics_app(Metrics().registry, Pulse(), lambda: True)


@asynccontextmanager
async def served(site, host="127.0.0.1"):
    one = bind_endpoint(host, 0, "--health")
    port = one.getsockname()[1]
    running = Endpoint(site, one, Shortages(lambda use: None))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.serve)
        yield running, port
        nursery.cancel_scope.cancel()


async def whole(stream):
    """All bytes until the peer closes."""
    said = b""
    with trio.fail_after(PATIENCE):
        while more := await stream.receive_some(65536):
            said += more
    return said


async def connection(port, source="127.0.0.1", target="127.0.0.1"):
    one = trio.socket.socket(socket.AF_INET6 if ":" in target else socket.AF_INET)
    await one.bind((source, 0))
    await one.connect((target, port))
    return trio.SocketStream(one)


async def ask(port, source="127.0.0.1", target="127.0.0.1"):
    async with await connection(port, source, target) as one:
        await one.send_all(GET)
        return await whole(one)


def address(number):
    return f"127.3.{number >> 8}.{number & 255}"


async def crowded(port, number, request=b""):
    """As many connections, each of another address."""
    streams = []
    for one in range(1, number + 1):
        streams.append(await connection(port, address(one)))
        if request:
            await streams[-1].send_all(request)
    return streams


@pytest.mark.parametrize(
    ("site", "most", "request_"),
    [
        (health, MOST_HEALTH, b""),
        (health, MOST_HEALTH, b"G"),
        (metrics, MOST_METRICS, b""),
        (metrics, MOST_METRICS, SCRAPE),
    ],
)
async def test_many_addresses_with_one_connection_each_delay_no_probe(monkeypatch, site, most, request_):
    monkeypatch.setattr(endpoint, "RATE", 1 / 3600)
    async with served(site()) as (running, port):
        probe = await connection(port)  # it sends its request late
        many = await crowded(port, most - 1, request_)
        await until(lambda: len(running._crowd) >= most - 1)
        await probe.send_all(GET)
        assert (await whole(probe)).startswith(b"HTTP/1.1 200")
        for number in range(1, 20):
            many.append(await connection(port, address(1000 + number)))
            assert (await ask(port)).endswith(b"\r\n\r\nready\n")
        assert len(running._crowd) <= most
        for one in many:
            await one.aclose()


async def test_a_request_that_was_not_read_yet_is_not_dropped():
    async with served(health()) as (running, port):
        many = await crowded(port, MOST_HEALTH)
        await until(lambda: len(running._crowd) == MOST_HEALTH)
        # The event loop does not run, so the endpoint finds all of these at once.
        probes = [socket.create_connection(("127.0.0.1", port), source_address=("127.0.0.1", 0)) for _ in range(60)]
        for probe in probes:
            probe.sendall(GET)
        others = [
            socket.create_connection(("127.0.0.1", port), source_address=(address(number + 500), 0))
            for number in range(60)
        ]
        for probe in probes:
            async with trio.SocketStream(trio.socket.from_stdlib_socket(probe)) as stream:
                assert (await whole(stream)).startswith(b"HTTP/1.1 200")
        for other in others:
            other.close()
        for one in many:
            await one.aclose()


async def test_more_addresses_than_connections_may_connect_at_once():
    async with served(health()) as (running, port):
        waiting = []
        for number in range(1, 301):  # the event loop does not run, so nothing is accepted
            source = (address(number), 0)
            waiting.append(socket.create_connection(("127.0.0.1", port), PATIENCE, source))
            waiting[-1].sendall(GET)
        for one in waiting:
            async with trio.SocketStream(trio.socket.from_stdlib_socket(one)) as stream:
                assert (await whole(stream)).startswith(b"HTTP/1.1 200")
        assert len(running._crowd) <= MOST_HEALTH


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="the kernel has no IPv6")
async def test_over_ipv6():
    async with served(health(), "::") as (running, port):
        many = await crowded(port, MOST_HEALTH)
        more = [await connection(port, "::1", "::1") for _ in range(MOST_HEALTH)]
        await until(lambda: len(running._crowd) == MOST_HEALTH)
        for _ in range(5):
            assert (await ask(port, "::1", "::1")).startswith(b"HTTP/1.1 200")
            assert (await ask(port)).startswith(b"HTTP/1.1 200")
        for one in many + more:
            await one.aclose()


async def test_the_connection_closes_after_the_answer():
    async with served(health()) as (running, port):
        said = await ask(port)
        assert b"\r\nconnection: close\r\n" in said
        assert b"\r\ndate: " in said
        await until(lambda: len(running._crowd) == 0)


async def test_a_head_may_arrive_in_pieces():
    async with served(health()) as (_, port), await connection(port) as one:
        for piece in (GET[:1], GET[1:20], GET[20:-1], GET[-1:]):
            await one.send_all(piece)
            await trio.testing.wait_all_tasks_blocked()
        assert (await whole(one)).endswith(b"ready\n")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"HEAD /readyz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"200"),
        (b"GET /readyz HTTP/1.0\r\n\r\n", b"200"),
        (b"POST /readyz HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nConnection: close\r\n\r\n", b"405"),
        (b"GET /other HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", b"404"),
        (b"GET /readyz HTTP/1.1\r\n\r\n", b"400"),
        (b"GET /readyz HTTP/1.1\r\nHost : a\r\n\r\n", b"400"),
        (b"\x16\x03\x01\x02", b"400"),
        (b"GET /readyz\r\n\r\n", b"400"),
    ],
)
async def test_other_requests_are_answered_by_hypercorn(request_, status):
    assert probed(request_, health().probes) is None
    async with served(health()) as (_, port), await connection(port) as one:
        await one.send_all(request_)
        assert (await whole(one)).startswith(b"HTTP/1.1 " + status)


async def test_prometheus_keeps_its_connection():
    async with served(metrics()) as (running, port), Client("127.0.0.1", port) as client:
        for _ in range(3):
            assert (await client.ask("/metrics")).header("connection") is None
            assert len(running._crowd) == 1


def h2_get(client, stream):
    fields = [(":method", "GET"), (":path", "/readyz"), (":scheme", "http"), (":authority", "a")]
    client.send_headers(stream, fields, end_stream=True)


async def test_http2_probes_do_not_wait_for_scrapes(monkeypatch):
    monkeypatch.setattr(endpoint, "RATE", 1 / 3600)
    async with served(metrics()) as (_, port):
        many = await crowded(port, 5, SCRAPE)
        client = H2Connection(H2Configuration(header_encoding="utf-8"))
        client.initiate_connection()
        async with await connection(port) as one:
            for number in (1, 3):
                h2_get(client, number)
                await one.send_all(client.data_to_send())
                events = []
                with trio.fail_after(PATIENCE):
                    while not any(isinstance(event, StreamEnded) for event in events):
                        events += client.receive_data(await one.receive_some(65536))
                [answer] = [event for event in events if isinstance(event, ResponseReceived)]
                assert (":status", "200") in answer.headers
                assert b"".join(event.data for event in events if isinstance(event, DataReceived)) == b"ready\n"
                assert not any(isinstance(event, ConnectionTerminated) for event in events)
        for other in many:
            await other.aclose()


async def test_an_http2_client_without_a_window_is_closed(autojump_clock):
    client = H2Connection()
    client.local_settings[SettingCodes.INITIAL_WINDOW_SIZE] = 0
    client.initiate_connection()
    h2_get(client, 1)
    async with served(health()) as (running, port), await connection(port) as one:
        await one.send_all(client.data_to_send())
        await whole(one)
        await until(lambda: len(running._crowd) == 0)


async def test_a_body_that_is_not_read_keeps_no_connection_that_others_need():
    async with served(health()) as (_, port):
        body = b"1\r\nx\r\n" * 5_000
        many = await crowded(
            port, MOST_HEALTH, b"POST /healthz HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        for one in many:
            await one.send_all(body)
        assert (await ask(port)).startswith(b"HTTP/1.1 200")
        for one in many:
            await one.aclose()


class FixedStream:
    """A connection with a fixed need."""

    def __init__(self, need):
        self.need = need
        self.dropped = False

    def drop(self):
        self.dropped = True


@pytest.mark.parametrize(
    ("clients", "expected"),
    [
        ("a=IDLE b=IDLE", 0),  # the oldest
        ("a=SCRAPE b=IDLE c=IDLE", 1),
        ("a=UNREAD b=IDLE c=IDLE", 1),
        ("a=SCRAPE b=IDLE", 0),  # the newest had no time to send a request
        ("a=PROBE b=IDLE", None),
        ("a=UNREAD b=SCRAPE", 1),
        ("a=PROBE b=SCRAPE c=SCRAPE", 1),
        ("a=PROBE b=PROBE", None),
        ("a=UNREAD b=PROBE", None),
        ("a=IDLE b=IDLE b=IDLE", 0),  # a few connections count as one
        ("a=IDLE b=IDLE b=IDLE b=IDLE b=IDLE b=IDLE", 1),
        ("a=IDLE b=PROBE b=PROBE b=PROBE b=PROBE b=SCRAPE", 0),
        ("a=SCRAPE b=PROBE b=PROBE b=PROBE b=PROBE b=SCRAPE", 5),
    ],
)
def test_which_connection_closes(clients, expected):
    crowd, streams = Crowd(len(clients.split())), []
    for one in clients.split():
        client, need = one.split("=")
        streams.append(FixedStream(Need[need]))
        crowd.admit(streams[-1], client)
    assert crowd.full
    assert crowd.shrink() is (expected is not None)
    assert next((number for number, stream in enumerate(streams) if stream.dropped), None) == expected
    assert sum(stream.dropped for stream in streams) <= 1
    assert crowd.full is (expected is None)


def test_the_connections_leave_descriptors_of_the_reserve():
    assert MOST_HEALTH + MOST_METRICS + MOST_ADMIN <= RESERVE * 3 // 4


def test_a_response_is_complete():
    assert response(503, "not ready\n", [(b"date", b"now")]) == (
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 10\r\n"
        b"connection: close\r\ndate: now\r\n\r\nnot ready\n"
    )
