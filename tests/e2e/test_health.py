"""/healthz and /readyz while clients flood the other endpoints of the main process."""

from contextlib import asynccontextmanager

import trio
from e2e.serving import serving
from load import until

from fastroute.demo.client import Client

PIPELINED = 8  # clients
ASKED = 50
MANY = 40  # connections, more than one endpoint keeps open


@asynccontextmanager
async def pipelining(port, path):
    """Clients that each send requests without waiting for responses, and connect again when they are closed."""
    seen = [0]

    async def read(stream):
        while part := await stream.receive_some(65536):
            seen[0] += part.count(b"HTTP/1.1 200")

    async def client():
        while True:
            try:
                async with await trio.open_tcp_stream("127.0.0.1", port) as stream, trio.open_nursery() as both:
                    both.start_soon(read, stream)
                    while True:
                        await stream.send_all(b"GET %s HTTP/1.1\r\nHost: m\r\n\r\n" % path * 50)
            except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
                pass

    async with trio.open_nursery() as nursery:
        for _ in range(PIPELINED):
            nursery.start_soon(client)
        yield seen
        nursery.cancel_scope.cancel()


async def test_health_answers_while_clients_pipeline_scrapes(tmp_path):
    async with serving(tmp_path) as served, pipelining(served.metrics_port, b"/metrics") as seen:
        await until(lambda: seen[0] >= PIPELINED)
        for _ in range(ASKED):
            assert await served.health("/healthz") == 200
            assert await served.health("/readyz") == 200
        samples = await served.metrics()
        assert samples["fastroute_config_version"] == 1


async def test_idle_connections_do_not_keep_a_probe_out(tmp_path):
    async with serving(tmp_path) as served:
        for port in (served.health_port, served.metrics_port):
            idle = [await trio.open_tcp_stream("127.0.0.1", port) for _ in range(MANY)]
            async with Client("127.0.0.1", port) as probe:
                assert (await probe.ask("/healthz")).status == 200
            for one in idle:
                await one.aclose()


async def test_readiness_ends_with_the_drain_on_both_addresses(tmp_path):
    async with serving(tmp_path, "--drain-delay", "60s") as served:
        for port in (served.health_port, served.metrics_port):
            async with Client("127.0.0.1", port) as probe:
                assert (await probe.ask("/readyz")).status == 200
        served.process.terminate()
        await served.drains()
        async with Client("127.0.0.1", served.metrics_port) as probe:
            assert (await probe.ask("/readyz")).status == 503
        served.process.kill()
