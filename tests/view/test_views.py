"""What each resource of the admin API shows of given manifests."""

from base64 import b64encode

import msgspec
import pytest
from certificates import certificate
from view.seen import WORKER, seen
from worlds import APPLES, BANANAS, FRUITS, GATEWAY, grant, route, service, world

from fastroute.place import Transport
from fastroute.snapshot import Bound, Endpoint, Failed
from fastroute.view import endpoints as endpoints_module
from fastroute.view import gateways as gateways_module
from fastroute.view import paging
from fastroute.view.answers import BackendShare, EndpointState, Latency, Worker
from fastroute.view.certificates import certificates, moment
from fastroute.view.config import config
from fastroute.view.endpoints import endpoints
from fastroute.view.gateways import gateways
from fastroute.view.openapi import RESOURCES
from fastroute.view.paging import Window
from fastroute.view.referring import MOST_REFUSED
from fastroute.view.routes import routes
from fastroute.view.state import FailedTries
from fastroute.view.summary import status, workers
from fastroute.view.traffic import Flow, Traffic

ALL = Window()
WORLD = (GATEWAY, FRUITS, APPLES, BANANAS)
TO_APPLES = grant("apples", "infra", "apple-echo")
SLICE = """
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: more, namespace: apples, labels: {kubernetes.io/service-name: apple-echo}}
addressType: IPv4
ports: [{name: http, port: 7}]
endpoints:
- {addresses: [10.0.0.1], conditions: {ready: false}}
- {addresses: [10.0.0.2], conditions: {ready: false, serving: true, terminating: true}}
"""
HTTPS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: secure, namespace: infra}
spec:
  gatewayClassName: fastroute
  listeners:
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: edge}, {name: edge, namespace: certs}]}}
"""


def secret(namespace: str, days: float = 30) -> str:
    made = certificate("a.example", days=days)
    chain, key = b64encode(made.chain).decode(), b64encode(made.key).decode()
    return f"""
apiVersion: v1
kind: Secret
metadata: {{name: edge, namespace: {namespace}}}
type: kubernetes.io/tls
data: {{tls.crt: {chain}, tls.key: {key}}}
"""


def test_a_gateway_has_its_listeners_with_the_places_where_they_are_bound() -> None:
    state = seen(world(*WORLD))
    [gateway] = gateways(state, ALL).items
    assert (gateway.name, gateway.class_name, gateway.addresses) == ("infra/web", "fastroute", ("127.0.0.1",))
    assert {(one.type, one.status) for one in gateway.conditions} == {("Accepted", "True"), ("Programmed", "True")}
    [listener] = gateway.listeners
    assert (listener.name, listener.protocol, listener.port, listener.routes) == ("proxy", "HTTP", 8080, 1)
    assert [(bind.address, bind.error) for bind in listener.binds] == [("127.0.0.1:8080", None)]
    assert listener.rate is None  # nothing is known yet
    [id_] = state.snapshot.listeners
    for result, error in ((Bound(), None), (Failed("it is taken"), "it is taken")):
        outcome = type(state.outcome)(version=3, listeners={id_: result})
        [gateway] = gateways(state._replace(outcome=outcome), ALL).items
        assert gateway.listeners[0].binds[0].error == error


def test_a_route_has_the_shares_that_are_wanted_and_seen() -> None:
    flow = Flow(50, 5, (25, 25, 0))
    shares = {("HTTPRoute", "infra/fruits", "0"): {"bananas/banana-echo:80": 3, "apples/apple-echo:80": 1, "": 0}}
    traffic = Traffic(5.0, (0.1, 0.2), {("HTTPRoute", "infra/fruits"): flow}, shares, {("infra/web", "proxy"): 60})
    state = seen(world(*WORLD, TO_APPLES), traffic=traffic)
    [shown] = routes(state, ALL).items
    assert (shown.kind, shown.name, shown.rate, shown.error_ratio) == ("HTTPRoute", "infra/fruits", 10.0, 0.1)
    assert shown.latency == Latency(p50=0.1, p90=0.18, p99=pytest.approx(0.198))
    [rule] = shown.rules
    refused, served = rule.backends
    assert (refused.weight, refused.wanted, refused.seen, refused.reason) == (70, 0.7, 0.75, "RefNotPermitted")
    assert served == BackendShare(
        backend="apples/apple-echo:80", weight=30, wanted=0.3, seen=0.25, error_ratio=0.0, reason=None, message=None
    )
    [parent] = shown.parents
    assert (parent.kind, parent.name) == ("Gateway", "infra/web")
    assert {(one.type, one.status) for one in parent.conditions} == {("Accepted", "True"), ("ResolvedRefs", "False")}
    [missing] = shown.refused
    assert missing.field == "spec.rules[0].backendRefs[0]"
    assert "kind: ReferenceGrant" in (missing.fix or "")
    [gateway] = gateways(state, ALL).items
    assert gateway.listeners[0].rate == 12.0


def test_what_is_not_counted_has_no_rate() -> None:
    state = seen(world(*WORLD, TO_APPLES))
    rule, *_ = state.snapshot.rules.values()
    listener = (rule.gateway, rule.listener_name, "", "", "", "")
    series = {(*listener[:2], rule.route, rule.route_kind, rule.name, one.label) for one in rule.backends}
    series |= {listener, (*listener[:2], rule.route, rule.route_kind, rule.name, "")}
    for missing in (None, *series):
        state = state._replace(traffic=Traffic(5.0, (), {}, {}, {}, frozenset(series - {missing})))
        rates = routes(state, ALL).items[0].rate, gateways(state, ALL).items[0].listeners[0].rate
        assert rates == (None if missing not in (None, listener) else 0.0, None if missing else 0.0)


def test_connections_are_counted_and_datagrams_are_not() -> None:
    """Also without any."""
    expected = {"TCP": 0.0, "UDP": None}
    for protocol, rate in expected.items():
        gateway = GATEWAY.replace("HTTP", protocol).replace(
            "{namespaces", f"{{kinds: [{{kind: {protocol}Route}}], namespaces"
        )
        own = f"""
apiVersion: gateway.networking.k8s.io/v1
kind: {protocol}Route
metadata: {{name: raw, namespace: infra}}
spec: {{parentRefs: [{{name: web}}], rules: [{{backendRefs: [{{name: x, port: 80}}]}}]}}
"""
        state = seen(world(gateway, own, service("infra/x", 1)), traffic=Traffic(5.0, (), {}, {}, {}))
        assert [one.rate for one in routes(state, ALL).items] == [rate]
        assert gateways(state, ALL).items[0].listeners[0].rate == rate


def test_references_to_one_backend_are_one_share() -> None:
    refs = ("{name: x, port: 80, weight: 3}", "{name: x, port: 80, weight: 1}", "{name: z, port: 80, weight: 4}")
    rules = f"\n  - name: only\n    backendRefs: [{', '.join(refs)}]\n"
    state = seen(world(GATEWAY, route("infra/a", rules), service("infra/x", 1)))
    [rule] = routes(state, ALL).items[0].rules
    assert rule.name == "only"
    assert [(one.backend, one.weight, one.wanted, one.reason) for one in rule.backends] == [
        ("infra/x:80", 4, 0.5, None),
        ("infra/z:80", 4, 0.5, "BackendNotFound"),
    ]


def endpoint(address: str, state: str, *, used: bool, avoided: bool = False) -> EndpointState:
    """Without failures."""
    return EndpointState(
        address=address,
        state=state,
        used=used,
        avoided=avoided,
        failures=0,
        recent_failures=0,
        failure_reasons={},
        last_failure=None,
    )


def test_endpoints_have_their_failures() -> None:
    """Also those that are gone; of many, those that failed."""
    backend = "apples/apple-echo:80"
    failed = {
        (backend, Endpoint("127.0.0.1", 18001)): FailedTries(
            7, 2, 1_700_000_000.0, {"upstream_closed": 6, "status": 1}
        ),
        (backend, Endpoint("10.0.0.9", 7)): FailedTries(1, 0, 1_600_000_000.0, {"connect_failed": 1}),
        ("other/backend:80", Endpoint("10.0.0.1", 7)): FailedTries(1, 1, 0.0, {"status": 1}),
    }
    avoided = {Transport.TCP: frozenset({Endpoint("10.0.0.2", 7)}), Transport.UDP: frozenset({Endpoint("10.0.0.1", 7)})}
    [found] = endpoints(seen(world(*WORLD, TO_APPLES, SLICE), failed=failed, avoided=avoided), ALL).items
    assert found.endpoints == (
        endpoint("10.0.0.1:7", "not ready", used=False),
        endpoint("10.0.0.2:7", "terminating", used=False, avoided=True),
        EndpointState(
            address="10.0.0.9:7",
            state="gone",
            used=False,
            avoided=False,
            failures=1,
            recent_failures=0,
            failure_reasons={"connect_failed": 1},
            last_failure="2020-09-13T12:26:40Z",
        ),
        EndpointState(
            address="127.0.0.1:18001",
            state="ready",
            used=True,
            avoided=False,
            failures=7,
            recent_failures=2,
            failure_reasons={"upstream_closed": 6, "status": 1},
            last_failure="2023-11-14T22:13:20Z",
        ),
    )
    assert found.endpoints_total == 4


def test_endpoints_have_the_state_of_their_slices() -> None:
    state = seen(world(*WORLD, TO_APPLES, SLICE))
    [backend] = endpoints(state, ALL).items
    assert (backend.backend, backend.protocol, backend.tls_policy) == ("apples/apple-echo:80", "HTTP/1.1", None)
    assert backend.endpoints == (
        endpoint("10.0.0.1:7", "not ready", used=False),
        endpoint("10.0.0.2:7", "terminating", used=False),
        endpoint("127.0.0.1:18001", "ready", used=True),
    )
    own = service("apples/apple-echo", 9901)  # the admin address of the gateway itself
    [backend] = endpoints(seen(world(GATEWAY, FRUITS, BANANAS, own, TO_APPLES)), ALL).items
    assert backend.endpoints == (endpoint("127.0.0.1:9901", "ready", used=False),)
    assert len(backend.messages) == 1


@pytest.mark.parametrize(
    ("days", "after", "expected"), [(30, 0, "valid"), (30, 31, "expired"), (30, -31, "not yet valid")]
)
def test_certificates_have_their_end(days: int, after: int, expected: str) -> None:
    made = seen(world(HTTPS, secret("infra", days)))
    node = made.graph.certificates["infra/edge"]
    now = node.not_after - 30 * 86400 + after * 86400
    [shown] = certificates(made._replace(now=float(now)), ALL).items
    assert (shown.secret, shown.names, shown.state) == ("infra/edge", ("a.example",), expected)
    assert (shown.not_after, shown.used_by) == (moment(node.not_after), ("infra/secure/https",))


def test_a_refused_certificate_is_a_refused_reference_of_its_gateway() -> None:
    [gateway] = gateways(seen(world(HTTPS, secret("infra"), secret("certs"))), ALL).items
    [missing] = gateway.refused
    assert (missing.kind, missing.object) == ("Gateway", "infra/secure")
    assert "namespace: certs" in (missing.fix or "")


def test_the_status_counts_and_lists_what_is_refused() -> None:
    state = seen(world(*WORLD), ready=True, slots=2, now=1.0)
    said = status(state, ALL)
    assert (said.ready, said.workers_wanted, said.time) == (True, 2, "1970-01-01T00:00:01Z")
    assert (said.gateways, said.listeners, said.routes, said.backends, said.certificates) == (1, 1, 1, 0, 0)
    assert (said.problems, said.refused_references, len(said.refused)) == (2, 2, 2)
    assert (said.window_seconds, said.rate) == (0.0, 0.0)
    many = [FRUITS.replace("name: fruits", f"name: r{number}") for number in range(MOST_REFUSED)]
    said = status(seen(world(GATEWAY, *many)), ALL)
    assert (said.refused_references, len(said.refused)) == (2 * MOST_REFUSED, MOST_REFUSED)


def test_workers_are_shown_as_they_stand() -> None:
    [worker] = workers(seen(world()), ALL).items
    assert worker == Worker(
        slot=0,
        pid=WORKER.pid,
        state="serving",
        version=3,
        cpu_seconds=0.5,
        memory_bytes=40_000_000,
        worst_turn_seconds=0.001,
        worst_install_step_seconds=0.002,
        client_connections=5,
        backend_connections=2,
    )


def test_a_page_ends_early_if_its_items_are_long(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [service(f"infra/s{number}", *range(1, 8)) for number in range(5)]
    refs = ", ".join(f"{{name: s{number}, port: 80}}" for number in range(5))
    state = seen(world(GATEWAY, route("infra/a", f"\n  - backendRefs: [{refs}]\n"), *texts))
    monkeypatch.setattr(paging, "MOST_ROWS", 16)
    for view in (endpoints, config):
        found, after = [], ""
        while True:
            page = view(state, Window(after))
            assert page.items
            assert sum(len(getattr(one, "endpoints", ())) for one in page.items) <= 16 + 7
            found += [one.id for one in page.items]
            if page.next is None:
                break
            after = page.next
        assert (len(found), len(set(found))) == (page.total, page.total)
    assert len(endpoints(state, ALL).items) == 2
    monkeypatch.setattr(paging, "MOST_ROWS", 1)
    assert len(endpoints(state, ALL).items) == 1


def test_lists_within_an_item_are_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    state = seen(world(*WORLD, TO_APPLES, SLICE))
    monkeypatch.setattr(endpoints_module, "MOST", 2)
    [backend] = endpoints(state, ALL).items
    assert ([one.address for one in backend.endpoints], backend.endpoints_total) == (["10.0.0.1:7", "10.0.0.2:7"], 3)
    failed = {(backend.id, Endpoint("127.0.0.1", 18001)): FailedTries(1, 1, 0.0, {"status": 1})}
    [backend] = endpoints(state._replace(failed=failed), ALL).items
    assert [one.address for one in backend.endpoints] == ["10.0.0.1:7", "127.0.0.1:18001"]
    monkeypatch.setattr(gateways_module, "MOST", 1)
    more = GATEWAY.replace("  - {name: proxy", "  - {name: other, port: 81, protocol: HTTP}\n  - {name: proxy")
    [gateway] = gateways(seen(world(more)), ALL).items
    assert (len(gateway.listeners), gateway.listeners_total) == (1, 2)


def test_pages_have_the_version_that_was_sent_last() -> None:
    state = seen(world(*WORLD))
    state = state._replace(outcome=msgspec.structs.replace(state.outcome, version=3, target=5))
    for resource in RESOURCES:
        answer = resource.view(state, ALL)
        assert answer.version == (3 if resource.name == "status" else 5)


def test_pages_follow_each_other_whatever_changes_between_them() -> None:
    texts = [FRUITS.replace("name: fruits", f"name: r{number}") for number in range(5)]
    first = routes(seen(world(GATEWAY, *texts)), Window(limit=2))
    assert ([one.name for one in first.items], first.total) == (["infra/r0", "infra/r1"], 5)
    second = routes(seen(world(GATEWAY, *texts[2:])), Window(first.next or "", 2))
    assert ([one.name for one in second.items], second.total) == (["infra/r2", "infra/r3"], 3)
    last = routes(seen(world(GATEWAY, *texts)), Window(second.next or "", 2))
    assert ([one.name for one in last.items], last.next) == (["infra/r4"], None)
