"""XTelemetryPolicies: which requests are traced, what their spans have, and which collector gets them."""

import os
import threading
from contextlib import ExitStack, suppress

import msgspec
import pytest
import trio
from e2e.serving import serving
from load import until
from securebackend import CA, showing
from traces.collector import attributes, collecting

from fastroute.demo.client import Client
from fastroute.snapshot import BackendTLS, Collector, Endpoint, GatewayTracing
from fastroute.traces import delivery, room
from fastroute.traces.batch import Batches
from fastroute.traces.delivery import Deliveries
from fastroute.traces.exporter import Exporter
from fastroute.traces.room import Parcel, Room
from fastroute.traces.spans import ADDED_MOST

from .test_export import Counts
from .test_spans import REQUEST, read

POLICY = """
apiVersion: gateway.networking.x-k8s.io/v1alpha1
kind: XTelemetryPolicy
metadata: {{namespace: infra, name: {name}}}
spec:
  targetRefs: [{{group: gateway.networking.k8s.io, kind: Gateway, name: edge}}]
  tracing: {tracing}
"""
COLLECTOR = """
apiVersion: v1
kind: Service
metadata: {{namespace: infra, name: {name}}}
spec: {{ports: [{{port: 4318}}]}}
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {{namespace: infra, name: {name}, labels: {{kubernetes.io/service-name: {name}}}}}
addressType: IPv4
ports: [{{port: {port}}}]
endpoints: [{{addresses: [127.0.0.1]}}]
"""
ENABLED = (
    "mode: Enabled, provider: {{backendRef: {{name: {to}, port: 4318}}, "
    "headers: [{{name: Authorization, value: {token}}}]}}"
)
ALL = "samplingRate: {numerator: 100}"
TOKEN = "Secret-1"
PARENT = "a" * 32
SAMPLED, UNSAMPLED = (f"00-{PARENT}-{'b' * 16}-0{flag}" for flag in "10")


def enabled(to="otel", more=ALL):
    return "{" + ENABLED.format(to=to, token=TOKEN) + f", {more}" + "}"


def port_of(collector):
    return int(collector.url.rpartition(":")[2])


async def ask(served, count=1, **fields):
    async with Client("127.0.0.1", served.port) as client:
        for _ in range(count):
            headers = [(name.replace("_", "-"), value) for name, value in fields.items()]
            assert (await client.ask("/fruits", headers=headers)).status == 200


async def apply(served, tracing, name="policy"):
    async with served.applied():
        served.world.write(name, POLICY, name=name, tracing=tracing)


# --- the whole gateway


async def test_spans_of_a_policy_arrive_at_its_collector_with_its_attributes(tmp_path):
    more = (
        f"{ALL}, serviceName: shop, spanName: edge, "
        "attributes: [{name: env, sourceType: Literal, literalValue: test}, "
        "{name: user, sourceType: Header, headerName: X-User}, "
        "{name: verb, sourceType: Attribute, attributeKey: http.request.method}, "
        "{name: absent, sourceType: Header, headerName: X-Absent}]"
    )
    with collecting() as collector:
        async with serving(tmp_path) as served:
            served.world.write("otel", COLLECTOR, name="otel", port=port_of(collector))
            await apply(served, enabled(more=more))
            await ask(served, x_user="ann")
            await until(lambda: len(collector.spans) == 2)
        for span in collector.spans:
            seen = attributes(span)
            assert (span.name, seen["env"], seen["user"], seen["verb"]) == ("edge", "test", "ann", "GET")
            assert "absent" not in seen
            assert seen["http.response.status_code"] == 200
        assert {one["service.name"] for one in collector.resources} == {"shop"}
        assert set(collector.tokens) == {TOKEN}
        assert set(collector.paths) == {"/v1/traces"}


async def test_a_change_of_the_mode_and_of_the_collector(tmp_path):
    with collecting() as usual, collecting() as first, collecting() as second:
        async with serving(tmp_path, "--otlp", usual.url, "--trace-sampling", "1") as served:
            for name, one in (("first", first), ("second", second)):
                served.world.write(name, COLLECTOR, name=name, port=port_of(one))
            await ask(served)
            await until(lambda: len(usual.spans) == 2)
            await apply(served, enabled("first"))
            await ask(served)
            await until(lambda: len(first.spans) == 2)
            await apply(served, enabled("second"))
            await ask(served)
            await until(lambda: len(second.spans) == 2)
            await apply(served, "{mode: Disabled}")
            await ask(served, traceparent=SAMPLED)
            async with served.applied():
                served.world.remove("policy")
            await ask(served)
            await until(lambda: len(usual.spans) == 4)
        assert (len(usual.spans), len(first.spans), len(second.spans)) == (4, 2, 2)
        assert PARENT not in {one.trace_id.hex() for one in usual.spans}


async def test_nothing_is_sent_to_a_collector_whose_reference_is_not_resolved(tmp_path):
    with collecting() as usual:
        async with serving(tmp_path, "--otlp", usual.url, "--trace-sampling", "1") as served:
            await apply(served, enabled("missing"))
            await ask(served, traceparent=SAMPLED)
            async with served.applied():
                served.world.remove("policy")
            await ask(served)
            await until(lambda: len(usual.spans) == 2)
        assert PARENT not in {one.trace_id.hex() for one in usual.spans}


@pytest.mark.parametrize(
    ("more", "sampled", "unsampled", "new"),
    [
        (ALL, True, False, True),
        ("samplingRate: {numerator: 0}", True, False, False),
        (ALL + ", parentBasedSampling: {mode: Enabled}", True, False, True),
        (ALL + ", parentBasedSampling: {mode: Enabled, samplingRate: {numerator: 0}}", False, False, True),
        (ALL + ", parentBasedSampling: {mode: Disabled}", True, True, True),
        ("samplingRate: {numerator: 0}, parentBasedSampling: {mode: Disabled}", False, False, False),
    ],
)
async def test_which_requests_are_sampled(tmp_path, more, sampled, unsampled, new):
    with collecting() as collector, collecting() as last:
        async with serving(tmp_path) as served:
            for name, one in (("otel", collector), ("last", last)):
                served.world.write(name, COLLECTOR, name=name, port=port_of(one))
            await apply(served, enabled(more=more))
            await ask(served, traceparent=SAMPLED)
            await ask(served, traceparent=UNSAMPLED.replace(PARENT, "c" * 32))
            await ask(served)
            await until(lambda: len(collector.spans) == 2 * (sampled + unsampled + new))
            await apply(served, enabled("last"))
            await ask(served)
            await until(lambda: len(last.spans) == 2)
        ids = {one.trace_id.hex() for one in collector.spans}
        assert (PARENT in ids, "c" * 32 in ids) == (sampled, unsampled)
        assert len(ids) == sampled + unsampled + new


# --- batches, deliveries and their room


def tracing(*collectors, number=7, **more):
    ends = tuple(Endpoint("127.0.0.1", port_of(one)) for one in collectors)
    headers = (("Authorization", TOKEN), ("Content-Length", "1"))
    collector = Collector(service="obs/otel:4318", endpoints=ends, headers=headers)
    return GatewayTracing(number=number, policy="infra/p", collector=collector, **more)


def line(**changes):
    return msgspec.json.encode(msgspec.structs.replace(REQUEST, **{"policy": 7, **changes})) + b"\n"


def test_lines_of_another_policy_are_lost():
    found = Batches({}).of(line() + line(policy=8) + line(gateway="other/gw") + line(policy=0), {"infra/gw": tracing()})
    assert [one.spans for one in found.parcels] == [2]
    assert (found.lost, found.usual.spans) == (4, 2)


def test_attributes_of_a_policy_replace_others_and_are_bounded():
    long = tuple((f"n{number}", "x" * 1_000) for number in range(9))
    one = tracing(literals=(("url.path", "mine"), *long), keys=(("k", "url.scheme"), ("none", "error.type")))
    [parcel] = Batches({}).of(line(), {"infra/gw": one}).parcels
    for span in read(parcel.data).resource_spans[0].scope_spans[0].spans:
        names = [each.key for each in span.attributes]
        assert len(set(names)) == len(names)
        seen = attributes(span)
        assert seen["url.path"] == "mine"
        assert [name for name in seen if name.startswith("n") and name[1:].isdigit()] == ["n0", "n1", "n2", "n3"]
        assert len(span.SerializeToString()) < ADDED_MOST + 2_000


def test_a_large_batch_is_split():
    one = tracing(literals=tuple((f"n{number}", "x" * 1_000) for number in range(4)))
    parcels = Batches({}).of(line() * 100, {"infra/gw": one}).parcels
    assert sum(parcel.spans for parcel in parcels) == 200
    assert len(parcels) == 4
    assert max(len(parcel.data) for parcel in parcels) < 300_000


def parcel(one, spans=1, policy="infra/p", size=0):
    return Parcel(policy, one.collector, bytes(size), spans)


@pytest.fixture
def counts():
    return Counts()


@pytest.fixture
def deliveries(counts):
    one = Deliveries(counts.add_exported, counts.add_failed)
    yield one
    one.close(0)


async def test_another_endpoint_is_tried(counts, deliveries):
    with collecting() as alive:
        dead = Endpoint("127.0.0.1", 1)
        usual = tracing(alive).collector
        both = msgspec.structs.replace(usual, endpoints=(dead, *usual.endpoints))
        for _ in range(4):
            deliveries.add(Parcel("infra/p", both, b"", 3))
        await until(lambda: counts.exported == 12)
        assert counts.failed == 0
        assert set(alive.tokens) == {TOKEN}


@pytest.mark.parametrize(("answer", "body"), [(400, b""), (302, b""), (200, b"\x0a\x02\x08\x05")])
async def test_spans_that_are_not_accepted_are_counted(counts, deliveries, answer, body, caplog):
    with collecting() as collector:
        collector.answer, collector.body = answer, body
        collector.fields = {"Location": "/elsewhere"}
        deliveries.add(parcel(tracing(collector), spans=5))
        await until(lambda: counts.failed == 5)
        assert (counts.exported, len(collector.paths)) == (0, 1)
    assert TOKEN not in caplog.text


async def test_an_answer_of_429_is_followed_by_another_try(counts, deliveries):
    with collecting() as collector:
        collector.answer, collector.fields = 429, {"Retry-After": "0"}
        deliveries.add(parcel(tracing(collector), spans=2))
        await until(lambda: counts.failed == 2)
        assert len(collector.paths) == delivery.TRIES_MOST
        collector.fields = {"Retry-After": "3600"}
        deliveries.add(parcel(tracing(collector), spans=2))
        await until(lambda: counts.failed == 4)
        assert len(collector.paths) == delivery.TRIES_MOST + 1


async def test_a_header_that_cannot_be_sent_is_not_in_the_log(counts, deliveries, caplog):
    with collecting() as collector:
        one = tracing(collector).collector
        bad = msgspec.structs.replace(one, headers=(("X-A", f"{TOKEN}\r\nX-B: 1"),))
        deliveries.add(Parcel("infra/p", bad, b"", 2))
        await until(lambda: counts.failed == 2)
        await until(lambda: "infra/p" in caplog.text)
        assert collector.paths == []
    assert TOKEN not in caplog.text


async def test_a_collector_that_answers_byte_by_byte_is_left_at_the_deadline(counts, monkeypatch):
    monkeypatch.setattr(delivery, "TRY_TIMEOUT", 0.2)
    monkeypatch.setattr(delivery, "TRIES_MOST", 1)
    deliveries = Deliveries(counts.add_exported, counts.add_failed)

    async def drip(stream):
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
            while True:
                await stream.send_all(b"H")
                await trio.sleep(0.01)

    async with trio.open_nursery() as nursery:
        listeners = await nursery.start(trio.serve_tcp, drip, 0)
        end = Endpoint("127.0.0.1", listeners[0].socket.getsockname()[1])
        deliveries.add(Parcel("infra/p", Collector(service="a/b:1", endpoints=(end,)), b"", 2))
        await until(lambda: counts.failed == 2)
        nursery.cancel_scope.cancel()
    deliveries.close(0)


async def test_a_dead_collector_delays_no_other_namespace_and_not_the_usual_one(counts):
    with collecting() as usual, collecting() as dead, collecting() as alive, ExitStack() as stack:
        dead.hold.clear()
        running = Exporter(usual.url, counts.counted)
        stack.callback(running.close)
        policies = {"infra/gw": tracing(dead), "b/gw": msgspec.structs.replace(tracing(alive), policy="b/p")}
        running.use(policies)
        for _ in range(30):
            os.write(running.fd, line())
        await until(lambda: any(one.name == "collectors" for one in threading.enumerate()))
        os.write(running.fd, line(gateway="b/gw") + line(policy=0))
        await until(lambda: (len(alive.spans), len(usual.spans)) == (2, 2))
        assert dead.spans == []
        dead.hold.set()
        await until(lambda: len(dead.spans) == 60)


def test_namespaces_take_turns_and_each_has_room():
    own, one = Room(), tracing()
    half = room.ROOM // 2
    assert own.put(parcel(one, policy="a/p", size=half))
    assert not own.put(parcel(one, policy="a/p", size=half))
    assert own.put(parcel(one, policy="b/p", size=half // 2))
    assert [own.take().policy for _ in range(2)] == ["a/p", "b/p"]
    for namespace in "aaab":
        assert own.put(parcel(one, policy=f"{namespace}/p", size=1))
    assert [own.take().policy for _ in range(2)] == ["a/p", "b/p"]
    assert own._next() is None  # each namespace has SLOTS_MOST deliveries in progress
    own.done(parcel(one, policy="a/p"))
    assert own.take().policy == "a/p"
    own.close()
    assert own.clear() == 1
    assert not own.put(parcel(one))


def test_what_is_left_at_the_end_is_counted(counts):
    with collecting() as collector:
        collector.hold.clear()
        deliveries = Deliveries(counts.add_exported, counts.add_failed)
        for _ in range(10):
            deliveries.add(parcel(tracing(collector)))
        deliveries.close(0.1)
        assert counts.failed >= 10 - room.SLOTS_MOST
        collector.hold.set()


# --- collectors over TLS


@pytest.mark.parametrize("name", ["a.example.com", "other.example.org"])
async def test_a_collector_over_tls_must_have_the_name_of_the_policy(counts, deliveries, name, caplog):
    with collecting(showing()) as collector:
        tls = BackendTLS(server_name=name, trust_anchors=CA)
        one = msgspec.structs.replace(tracing(collector).collector, tls=tls)
        deliveries.add(Parcel("infra/p", one, b"", 2))
        await until(lambda: counts.exported + counts.failed == 2)
        assert (counts.exported, len(collector.paths)) == ((2, 1) if name.endswith(".com") else (0, 0))
    assert ("certificate" in caplog.text.lower()) is name.endswith(".org")
