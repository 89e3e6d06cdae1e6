"""`fastroute serve --otlp` with a collector that decodes what it gets."""

import inspect
import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import get_type_hints

import pytest
import trio
from e2e.serving import serving
from load import Load, loaded, until
from opentelemetry.exporter.otlp.proto.http import trace_exporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from traces.collector import attributes, collecting

from fastroute.demo.client import Client
from fastroute.traces import exporter, usual
from fastroute.traces.exporter import Exporter
from fastroute.traces.usual import Counted, traces_url

from .test_spans import line

PARENT = f"00-{'a' * 32}-{'b' * 16}-01"


async def open_metrics(port):
    async with Client("127.0.0.1", port) as client:
        return (await client.ask("/metrics", headers=[("Accept", "application/openmetrics-text")])).body.decode()


@pytest.mark.parametrize(
    ("url", "to"),
    [
        ("http://a:4318", "http://a:4318/v1/traces"),
        ("http://a:4318/", "http://a:4318/v1/traces"),
        ("https://a/otlp", "https://a/otlp/v1/traces"),
        ("https://a/otlp/v1/traces", "https://a/otlp/v1/traces"),
    ],
)
def test_the_path_of_the_protocol_is_added(url, to):
    assert traces_url(url) == to


async def test_spans_of_requests_arrive_and_are_counted(tmp_path):
    """With a parent that is sampled, although no trace that begins at the gateway is."""
    folder, log = tmp_path / "manifests", tmp_path / "access.log"
    folder.mkdir()
    with collecting() as collector:
        options = ("--otlp", collector.url, "--trace-sampling", "0", "--access-log", str(log))
        async with serving(folder, *options) as served:
            async with Client("127.0.0.1", served.port) as client:
                for fields in ([("traceparent", PARENT)], []):
                    assert (await client.ask("/fruits?secret", headers=fields)).status == 200
            await until(lambda: len(collector.spans) >= 2)
            while (await served.metrics())["fastroute_spans_exported_total"] < 2:  # noqa: ASYNC110
                await trio.sleep(0.01)
            samples = await served.metrics()
            page = await open_metrics(served.metrics_port)
        [exemplar] = [text for text in page.splitlines() if "# {" in text]
        assert exemplar.startswith('fastroute_http_request_duration_seconds_bucket{gateway="infra/')
        assert f'# {{trace_id="{"a" * 32}"}} ' in exemplar
        [server], [client_span] = collector.named(2), collector.named(3)
        assert server.trace_id.hex() == client_span.trace_id.hex() == "a" * 32
        assert (server.parent_span_id.hex(), client_span.parent_span_id) == ("b" * 16, server.span_id)
        assert server.start_time_unix_nano <= client_span.start_time_unix_nano
        assert client_span.end_time_unix_nano <= server.end_time_unix_nano
        seen = attributes(server)
        assert (seen["fastroute.route"], seen["http.response.status_code"]) == ("apples/fruits", 200)
        assert seen["fastroute.backend"] in ("bananas/bananas:80", "apples/apples:80")
        assert b"secret" not in server.SerializeToString() + client_span.SerializeToString()
        assert collector.resources[0]["service.name"] == "fastroute"
        assert set(collector.paths) == {"/v1/traces"}
    lines = [json.loads(text) for text in log.read_bytes().splitlines()]
    assert lines[0]["trace_id"] == "a" * 32
    assert lines[1]["trace_id"] not in (None, "a" * 32)
    assert (samples["fastroute_spans_failed_total"], samples["fastroute_traces_dropped_total"]) == (0, 0)


async def test_the_spans_of_the_last_requests_arrive_before_the_end(tmp_path):
    with collecting() as collector:
        async with (
            serving(tmp_path, "--otlp", collector.url, "--trace-sampling", "1") as served,
            loaded(Load(served.port, "/fruits"), 4) as load,
        ):
            await load.answered(200)
        assert len(collector.named(2)) == len(load.answers)
        assert len({one.trace_id for one in collector.named(2)}) == len(load.answers)
        assert {one.parent_span_id for one in collector.named(3)} == {one.span_id for one in collector.named(2)}


async def test_without_tracing_a_process_imports_nothing_of_it(tmp_path):
    async with serving(tmp_path) as served:
        assert not has_protobuf(served.pid)
    with collecting() as collector:
        async with serving(tmp_path, "--otlp", collector.url) as served:
            await until(lambda: has_protobuf(served.pid))
            assert [has_protobuf(pid) for pid in served.workers()] == [False, False]


def has_protobuf(pid):
    return "_upb" in Path(f"/proc/{pid}/maps").read_text()


# --- the exporter alone


class Counts:
    def __init__(self):
        self.exported = self.failed = 0
        self.counted = Counted(self.add_exported, self.add_failed)

    def add_exported(self, number):
        self.exported += number

    def add_failed(self, number):
        self.failed += number


@pytest.fixture
def counts():
    return Counts()


async def test_a_collector_gets_the_fields_of_the_variable(counts, monkeypatch):
    """As docs/deploy.md writes them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20TOKEN,x=y")
    with collecting() as collector:
        running = Exporter(collector.url, counts.counted)
        os.write(running.fd, line())
        await until(lambda: counts.exported == 2)
        running.close()
        assert collector.tokens == ["Bearer TOKEN"]


def test_the_function_of_the_sdk_that_sends_bytes_still_exists():
    """It is private. If this fails after an update of the SDK: look for a public one, or change `sending`."""
    send = usual.sending(OTLPSpanExporter("http://127.0.0.1:1/v1/traces"))
    assert list(inspect.signature(send).parameters) == ["data"]
    assert "success" in get_type_hints(get_type_hints(send)["return"])


async def test_an_sdk_without_this_function_is_named(counts, caplog, monkeypatch):
    class Changed:
        def __init__(self, *_, **__):
            pass

    monkeypatch.setattr(trace_exporter, "OTLPSpanExporter", Changed)
    running = Exporter("http://127.0.0.1:1", counts.counted)
    await until(lambda: "_client.export" in caplog.text)
    running.close()
    assert "opentelemetry-exporter-otlp-proto-http 1." in caplog.text


async def test_a_collector_that_refuses_is_counted_and_named_once(counts, caplog):
    with collecting() as collector:
        collector.answer = 400
        running = Exporter(collector.url, counts.counted)
        for number in range(1, 4):
            os.write(running.fd, line())
            await until(lambda n=number: counts.failed == 2 * n)
        running.close()
    assert counts.exported == 0
    assert len([record for record in caplog.records if record.name.startswith("opentelemetry")]) <= 1


async def test_a_slow_collector_holds_nobody(counts, monkeypatch):
    """Some batches wait for it; then spans are lost, and counted."""
    monkeypatch.setattr(usual, "WAITING_MOST", 2)
    with collecting() as collector:
        collector.hold.clear()
        running = Exporter(collector.url, counts.counted)
        written = 0
        while not counts.failed:
            with suppress(BlockingIOError):
                written += os.write(running.fd, line() * 8) // len(line())
            await trio.sleep(0.001)
        assert counts.exported == 0
        collector.hold.set()
        await until(lambda: counts.exported + counts.failed == 2 * written)
        running.close()
    assert counts.exported >= 2 * 8 * 2


def test_it_can_be_closed_when_its_thread_has_ended_already(counts):
    running = Exporter(None, counts.counted)
    running._ended.set()
    os.write(running.fd, b"\n")  # it is awake
    running._thread.join()
    running.close()


async def test_the_thread_rests_after_a_batch(counts, monkeypatch):
    """It uses a part of a CPU only, so it rests in proportion to the CPU time of a batch."""
    rests = []
    with collecting() as collector:
        running = Exporter(collector.url, counts.counted)
        wait = running._ended.wait
        monkeypatch.setattr(running._ended, "wait", lambda seconds: rests.append(seconds) or wait(seconds))
        before = time.process_time()
        os.write(running.fd, line() * 8)
        await until(lambda: counts.exported == 16)
        await until(lambda: len(rests) == 2)
        spent = time.process_time() - before
        running.close()
    assert rests[0] == exporter.GATHER
    assert 0 < rests[1] <= spent * (1 / exporter.SHARE - 1)
