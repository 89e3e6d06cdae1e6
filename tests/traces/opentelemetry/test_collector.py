"""`fastroute serve --otlp` with OpenTelemetry's collector, which sends on what it has received to the test.

.ci/cluster pytest tests/traces/opentelemetry     builds the collector once

The collector decides what is valid OTLP: it decodes each export, and encodes it again.
"""

import json
import urllib.error
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import trio
from cluster.programs import COLLECTOR, built
from e2e import serving as environment
from e2e.serving import Serving, serving
from load import PATIENCE, until
from traces import test_policies as policies
from traces.collector import Collector, attributes, collecting

from fastroute.demo.client import Client
from fastroute.demo.pods import free_ports

SERVER, CLIENT = 2, 3  # kinds
UNSET, ERROR = 0, 2  # codes of a status
ALL_REQUESTS = ("--trace-sampling", "1")
TIMEOUT = 10  # seconds after which the exporter gives up a batch

ROUTES = """
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {{namespace: apples, name: others}}
spec:
  parentRefs: [{{namespace: infra, name: edge}}]
  rules:
    - matches: [{{path: {{value: /tried}}}}]
      retry: {{codes: [503], attempts: 2}}
      backendRefs: [{{name: unsteady, port: 80}}]
    - matches: [{{path: {{value: /gone}}}}]
      backendRefs: [{{name: gone, port: 80}}]
"""
SERVICE = """
apiVersion: v1
kind: Service
metadata: {{namespace: apples, name: {name}}}
spec: {{ports: [{{port: 80}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: apples, name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""


class Started(NamedTuple):
    """A running collector, and what it has sent on."""

    process: trio.Process
    url: str
    seen: Collector

    async def stop(self) -> None:
        self.process.terminate()
        with trio.fail_after(PATIENCE):
            assert await self.process.wait() == 0


def configuration(port: int, seen: Collector, compressions: list[str]) -> dict[str, Any]:
    """No queue and no retries: the collector has accepted a batch when the test has it."""
    received = {"endpoint": f"127.0.0.1:{port}", "compression_algorithms": compressions}
    sent = {"endpoint": seen.url, "compression": "none"}
    once = {"sending_queue": {"enabled": False}, "retry_on_failure": {"enabled": False}}
    return {
        "receivers": {"otlp": {"protocols": {"http": received}}},
        "exporters": {"otlp_http": {**sent, **once}},
        "service": {"pipelines": {"traces": {"receivers": ["otlp"], "exporters": ["otlp_http"]}}},
    }


@asynccontextmanager
async def started(
    folder: Path, seen: Collector, port: int, compressions: tuple[str, ...] = ("", "gzip")
) -> AsyncIterator[Started]:
    """Starts the collector; `compressions` are the values of Content-Encoding that it accepts."""
    programs = await trio.to_thread.run_sync(built, COLLECTOR)
    file = folder / "collector.json"
    file.write_text(json.dumps(configuration(port, seen, list(compressions))))
    process = await trio.lowlevel.open_process([str(programs / "collector"), "--config", str(file)])
    try:
        with trio.fail_after(PATIENCE):
            while not await accepts(port):
                assert process.poll() is None
                await trio.sleep(0.01)
        yield Started(process, f"http://127.0.0.1:{port}", seen)
    finally:
        with trio.CancelScope(shield=True):
            process.kill()
            await process.wait()


async def accepts(port: int) -> bool:
    try:
        await (await trio.open_tcp_stream("127.0.0.1", port)).aclose()
    except OSError:
        return False
    return True


async def serve_unsteady(*, task_status: trio.TaskStatus[int]) -> None:
    """Answers every second request with 200, the others with 503."""
    answers = (b"HTTP/1.1 503 Busy\r\n", b"HTTP/1.1 200 OK\r\n")
    requests = 0

    async def serve(stream: trio.SocketStream) -> None:
        nonlocal requests
        while await stream.receive_some():  # a request without a body is one piece
            await stream.send_all(answers[requests % 2] + b"Content-Length: 0\r\n\r\n")
            requests += 1

    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    task_status.started(listeners[0].socket.getsockname()[1])
    await trio.serve_listeners(serve, listeners)


async def ask(served: Serving, path: str, trace: str) -> int:
    async with Client("127.0.0.1", served.port) as client:
        fields = [("traceparent", f"00-{trace}-{'b' * 16}-01")]
        return (await client.ask(path, headers=fields)).status


async def counted(served: Serving, name: str, number: int) -> None:
    with trio.fail_after(PATIENCE + TIMEOUT):
        while (await served.metrics())[f"fastroute_{name}_total"] < number:  # noqa: ASYNC110
            await trio.sleep(0.01)


def family(seen: Collector, trace: str) -> tuple[Any, list[Any]]:
    """The server span of a trace, and its client spans in the order of their starts; checks ids and times."""
    [server], clients = seen.named(SERVER, trace), seen.named(CLIENT, trace)
    clients.sort(key=lambda one: one.start_time_unix_nano)
    assert {one.parent_span_id for one in clients} <= {server.span_id}
    ids = [server.span_id, *(one.span_id for one in clients)]
    assert (len(set(ids)), {len(one) for one in ids}) == (len(ids), {8})
    for one in clients:
        assert server.start_time_unix_nano <= one.start_time_unix_nano <= one.end_time_unix_nano
        assert one.end_time_unix_nano <= server.end_time_unix_nano
    return server, clients


async def test_a_collector_has_the_spans_of_all_requests(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    plain, tried, gone, second = ("1" * 32, "2" * 32, "3" * 32, "4" * 32)
    own, dead = free_ports(2)
    with collecting() as seen:
        async with (
            started(tmp_path, seen, own) as collector,
            serving(folder, "--otlp", collector.url, *ALL_REQUESTS, workers=1) as served,
            trio.open_nursery() as nursery,
        ):
            unsteady = await nursery.start(serve_unsteady)
            async with served.applied():
                served.world.write("unsteady", SERVICE, name="unsteady", port=unsteady)
                served.world.write("gone", SERVICE, name="gone", port=dead)
                served.world.write("others", ROUTES)
            with trio.fail_after(PATIENCE):
                while await ask(served, "/gone", "f" * 32) == 404:  # noqa: ASYNC110  (one file may be served before another)
                    await trio.sleep(0.01)
            assert await ask(served, "/fruits", plain) == 200
            assert await ask(served, "/tried", tried) == 200
            assert await ask(served, "/gone", gone) == 503
            await curl(served, "/fruits", second)
            await until(lambda: all(seen.named(SERVER, one) for one in (plain, tried, gone, second)))
            nursery.cancel_scope.cancel()
    check_plain(seen, plain)
    check_tried(seen, tried)
    check_gone(seen, gone)
    server, [_] = family(seen, second)
    assert attributes(server)["network.protocol.version"] == "2"
    assert seen.resources[0]["service.name"] == "fastroute"


async def curl(served: Serving, path: str, trace: str) -> None:
    """One request of HTTP/2."""
    fields = ("--header", f"traceparent: 00-{trace}-{'b' * 16}-01")
    words = ("curl", "-sS", "--fail", "--http2-prior-knowledge", *fields, f"http://127.0.0.1:{served.port}{path}")
    with trio.fail_after(PATIENCE):
        await trio.run_process(words, capture_stdout=True)


def check_plain(seen: Collector, trace: str) -> None:
    server, [client] = family(seen, trace)
    assert server.parent_span_id.hex() == "b" * 16
    assert (server.name, server.status.code, client.status.code) == ("GET", UNSET, UNSET)
    said = attributes(server)
    assert (said["url.path"], said["fastroute.route"], said["network.protocol.version"]) == (
        "/fruits",
        "apples/fruits",
        "1.1",
    )
    assert attributes(client)["server.address"] == "127.0.0.1"


def check_tried(seen: Collector, trace: str) -> None:
    """The first try failed, the second one did not; so the request did not."""
    server, clients = family(seen, trace)
    assert [attributes(one)["http.response.status_code"] for one in clients] == [503, 200]
    assert [one.status.code for one in clients] == [ERROR, UNSET]
    assert attributes(clients[1])["http.request.resend_count"] == 1
    assert (server.status.code, attributes(server)["fastroute.tries"]) == (UNSET, 2)


def check_gone(seen: Collector, trace: str) -> None:
    server, clients = family(seen, trace)
    assert (server.status.code, {one.status.code for one in clients}) == (ERROR, {ERROR})
    assert attributes(server)["http.response.status_code"] == 503
    assert attributes(server)["error.type"] == attributes(clients[-1])["error.type"] == "connect_failed"


async def test_exports_are_compressed_if_the_variable_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """This collector refuses what is not compressed."""
    monkeypatch.setitem(environment.ENVIRONMENT, "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    folder = tmp_path / "manifests"
    folder.mkdir()
    [own] = free_ports(1)
    with collecting() as seen:
        async with started(tmp_path, seen, own, compressions=("gzip",)) as collector:
            with pytest.raises(urllib.error.HTTPError):
                await trio.to_thread.run_sync(post_plain, collector.url)
            async with serving(folder, "--otlp", collector.url, *ALL_REQUESTS) as served:
                assert await ask(served, "/fruits", "5" * 32) == 200
                await counted(served, "spans_exported", 2)
            family(seen, "5" * 32)


def post_plain(url: str) -> None:
    fields = {"Content-Type": "application/x-protobuf"}
    urllib.request.urlopen(urllib.request.Request(f"{url}/v1/traces", b"", fields), timeout=PATIENCE)


async def test_exports_go_on_when_a_collector_has_come_back(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    [own] = free_ports(1)
    with collecting() as seen:
        async with (
            started(tmp_path, seen, own) as collector,
            serving(folder, "--otlp", collector.url, *ALL_REQUESTS) as served,
        ):
            assert await ask(served, "/fruits", "6" * 32) == 200
            await counted(served, "spans_exported", 2)
            await collector.stop()
            assert await ask(served, "/fruits", "7" * 32) == 200
            await counted(served, "spans_failed", 2)
            async with started(tmp_path, seen, own):
                assert await ask(served, "/fruits", "8" * 32) == 200
                await counted(served, "spans_exported", 4)
    for trace, number in (("6" * 32, 1), ("7" * 32, 0), ("8" * 32, 1)):
        assert len(seen.named(SERVER, trace)) == len(seen.named(CLIENT, trace)) == number


async def test_a_collector_gets_the_spans_of_a_policy(tmp_path: Path) -> None:
    folder = tmp_path / "manifests"
    folder.mkdir()
    [own] = free_ports(1)
    with collecting() as seen:
        async with started(tmp_path, seen, own), serving(folder) as served:
            served.world.write("otel", policies.COLLECTOR, name="otel", port=own)
            more = (
                "spanName: edge, serviceName: shop, attributes: [{name: env, sourceType: Literal, literalValue: test}]"
            )
            await policies.apply(served, policies.enabled(more=f"{policies.ALL}, {more}"))
            assert await ask(served, "/fruits", "9" * 32) == 200
            await counted(served, "spans_exported", 2)
    assert [one["service.name"] for one in seen.resources] == ["shop"]
    for span in (*seen.named(SERVER, "9" * 32), *seen.named(CLIENT, "9" * 32)):
        assert (span.name, attributes(span)["env"]) == ("edge", "test")
    assert len(seen.spans) == 2
