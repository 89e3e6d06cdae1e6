"""Limits for the clients of an endpoint: connections, requests, heads and slow reading."""

import errno
import logging
import os
from contextlib import asynccontextmanager

import pytest
import trio
import trio.testing
from h2.connection import H2Connection
from load import PATIENCE, until

from fastroute.admin import endpoint
from fastroute.admin import stream as client_stream
from fastroute.admin.crowd import Need
from fastroute.admin.endpoint import HEAD, RATE, Endpoint, bind_endpoint
from fastroute.admin.probe import Site
from fastroute.admin.stream import ClientStream, RateLimit
from fastroute.demo.client import Client
from fastroute.descriptors import Shortages

MOST = 32
BODY = b"x" * 4_000_000  # more than the kernel buffers


async def application(scope, receive, send):
    body = BODY if scope["path"] == "/large" else b"small"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served():
    """An endpoint and its port."""
    one = bind_endpoint("127.0.0.1", 0, "--metrics")
    port = one.getsockname()[1]
    counted = []
    running = Endpoint(Site(application, {}, MOST), one, Shortages(counted.append))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(running.serve)
        running.counted = counted
        yield running, port
        nursery.cancel_scope.cancel()


async def closed(stream):
    """Waits until the peer has closed the connection."""
    with trio.fail_after(PATIENCE):
        try:
            while await stream.receive_some(65536):
                pass
        except trio.BrokenResourceError:
            pass


async def test_a_connection_that_is_already_closed_closes_first():
    """Its task may not have ended yet."""
    ours, theirs = trio.socket.socketpair()
    stream = ClientStream(trio.SocketStream(ours))
    await theirs.send(b"x")
    assert stream.need is Need.UNREAD
    await stream.aclose()
    assert stream.need is Need.IDLE
    theirs.close()


async def connection(port, source="127.0.0.1"):
    one = trio.socket.socket()
    await one.bind((source, 0))
    await one.connect(("127.0.0.1", port))
    return trio.SocketStream(one)


async def test_a_client_with_many_connections_loses_its_own():
    async with served() as (running, port):
        async with Client("127.0.0.1", port) as probe:
            assert (await probe.ask("/")).status == 200
            many = [await connection(port, "127.0.0.2") for _ in range(MOST + 5)]
            for one in many[:6]:  # the probe has one of the MOST connections
                await closed(one)
            assert len(running._crowd) == MOST
            assert (await probe.ask("/")).status == 200
        for one in many:
            await one.aclose()
        await until(lambda: len(running._crowd) == 0)


async def test_a_head_that_never_ends_is_closed(autojump_clock):
    async with served() as (_, port):
        slow = await connection(port)
        await slow.send_all(b"GET / HTTP/1.1\r\nHost: a")
        await closed(slow)


async def test_a_head_that_is_too_large_is_closed():
    async with served() as (_, port):
        large = await connection(port)
        await large.send_all(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * (2 * HEAD))
        assert (await large.receive_some(12)) == b"HTTP/1.1 431"
        await closed(large)


async def test_a_client_that_does_not_read_is_closed(monkeypatch):
    monkeypatch.setattr(client_stream, "READING", 0.2)
    async with served() as (running, port):
        one = await connection(port)
        await one.send_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        await until(lambda: len(running._crowd) == 1)
        await until(lambda: len(running._crowd) == 0)


async def test_it_stops_at_once_although_a_client_does_not_read():
    async with served() as (running, port):
        one = await connection(port)
        await one.send_all(b"GET /large HTTP/1.1\r\nHost: a\r\n\r\n")
        assert await one.receive_some(12) == b"HTTP/1.1 200"
    assert len(running._crowd) == 0


async def test_requests_are_spread_over_time(autojump_clock):
    limit = RateLimit(RATE)
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(RATE + 1):
            nursery.start_soon(limit.wait)
    assert trio.current_time() - began == pytest.approx(1.0)
    await trio.sleep(5)
    began = trio.current_time()
    await limit.wait()
    assert trio.current_time() == began


async def test_a_request_that_gives_up_delays_no_other_one(autojump_clock):
    limit = RateLimit(RATE)
    await limit.wait()
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        for _ in range(RATE):
            nursery.start_soon(limit.wait)
        await trio.testing.wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    await limit.wait()
    assert trio.current_time() - began == pytest.approx(1 / RATE)


@pytest.fixture
def a_request_per_hour(monkeypatch):
    monkeypatch.setattr(endpoint, "RATE", 1 / 3600)


async def test_requests_of_closed_connections_do_not_wait(a_request_per_hour):
    async with served() as (running, port):
        for _ in range(5):
            one = await connection(port)
            await one.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            await until(lambda: len(running._crowd) == 1)
            await one.aclose()
            await until(lambda: len(running._crowd) == 0)


async def test_requests_of_a_connection_that_gives_way_do_not_wait(a_request_per_hour):
    async with served() as (running, port):
        many = [await connection(port) for _ in range(3)]
        for one in many:  # Hypercorn stops reading at the second request, so it does not notice a close
            await one.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 2)
        await until(lambda: len(running._crowd) == 3)
        await until(lambda: running._rate_limit._first.statistics().tasks_waiting == 2)  # behind the one that is next
        while running._crowd:
            running._crowd.shrink()
        await until(lambda: not running._rate_limit._first.locked())


async def test_a_connection_with_several_requests_at_a_time_is_closed(a_request_per_hour):
    client = H2Connection()
    client.initiate_connection()
    for stream in (1, 3, 5, 7):
        client.send_headers(stream, [(f":{name}", "/") for name in ("method", "path", "scheme", "authority")], True)
        client.reset_stream(stream)
    async with served() as (running, port):
        one = await connection(port)
        await one.send_all(client.data_to_send())
        await closed(one)
        await until(lambda: not running._rate_limit._first.locked())


async def test_pipelined_requests_are_answered_in_order():
    async with served() as (_, port):
        one = await connection(port)
        await one.send_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" * 20)
        said = b""
        with trio.fail_after(PATIENCE):
            while said.count(b"small") < 20:
                said += await one.receive_some(65536)
        assert said.count(b"HTTP/1.1 200") == 20
        await one.aclose()


async def test_without_descriptors_it_says_so_and_goes_on(monkeypatch, caplog):
    failures = 3

    async with served() as (running, port):
        accept = running._socket.accept

        async def failing():
            nonlocal failures
            if failures:
                failures -= 1
                raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
            return await accept()

        async with Client("127.0.0.1", port) as client:
            with caplog.at_level(logging.ERROR):
                assert (await client.ask("/")).status == 200  # accepted by the call that was waiting
                running._socket.accept = failing
                async with Client("127.0.0.1", port) as other:
                    assert (await other.ask("/")).status == 200
                async with Client("127.0.0.1", port) as other:
                    assert (await other.ask("/")).status == 200
    assert failures == 0
    assert running.counted == ["endpoint"] * 3
    [record] = caplog.records
    assert "a connection for metrics, health or admin cannot be accepted: Too many open files" in record.message
    assert "ulimit -n" in record.message
