"""BackendTLSPolicies: which applies to which port; its ports get no cleartext requests; what a change affects."""

from typing import Any

import pytest
from graph.world import endpoint_slice, gateway, grant, make, ref, removed, replaced, route, service, tls_policy, world

from fastroute.compiler.compile import compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.graph.dependency import POLICIES, Reader, Section
from fastroute.graph.finding import find_problems
from fastroute.graph.node import BackendNode, BackendRefNode
from fastroute.graph.policy import Sections, index_policies, policy_for, winner_of
from fastroute.resources.decode import decode
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.settings import GraphSettings

SETTINGS = GraphSettings()
WEB = {"name": "web", "port": 80}
SECURE = {"name": "https", "port": 443, "appProtocol": "HTTPS"}
BROKEN = """\
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata:
  name: p
  namespace: infra
spec:
  targetRefs:
    - group: ""
      kind: Service
      name: echo
  validation:
    hostname: 7
    wellKnownCACertificates: System
"""
ECHO = service("echo", "infra", WEB, SECURE)


def resolved(written: Any, *others: Resource, **more: Any) -> BackendRefNode:
    one = route("r", "infra", written, **more)
    kind = "GRPCRoute" if isinstance(one, GRPCRoute) else "HTTPRoute"
    return build_graph(world(gateway(), one, *others), SETTINGS).routes[kind, one.key].rules[0].backend_refs[0]


def backend(written: Any, *others: Resource) -> BackendNode:
    [found] = build_graph(world(gateway(), route("r", "infra", written), *others), SETTINGS).backends.values()
    return found


UNFULFILLED = ("nothing",)  # a ConfigMap that does not exist


@pytest.mark.parametrize(
    ("policy", "port", "applies"),
    [
        (tls_policy("p", "infra", "echo"), 80, True),
        (tls_policy("p", "infra", "echo"), 443, True),
        (tls_policy("p", "infra", "other", "echo"), 80, True),
        (tls_policy("p", "infra", "echo", section="https"), 443, True),
        (tls_policy("p", "infra", "echo", section="https"), 80, False),
        (tls_policy("p", "infra", "echo", section="80"), 80, False),
        (tls_policy("p", "infra", "other"), 80, False),
        (tls_policy("p", "red", "echo"), 80, False),
    ],
)
def test_for_which_ports_a_policy_is(policy: BackendTLSPolicy, port: int, applies: bool) -> None:
    plain = service("echo", "infra", WEB, {**SECURE, "appProtocol": "http"})
    node = backend(ref("echo", port=port), plain, policy)
    assert (node.applied is not None) is applies
    assert node.applied is None or (node.applied.policy, node.applied.tls is not None) == (policy.key, True)
    assert resolved(ref("echo", port=port), ECHO, policy).withheld is None


BOTH = {80, 443}


@pytest.mark.parametrize(
    ("old", "new", "ports"),
    [
        ("", "", BOTH),
        ("hostname: 7", "host: echo.example.com", BOTH),
        ("  validation:", "  verification:", BOTH),
        ("  validation:", "  options: 7\n  validation:", BOTH),
        ("gateway.networking.k8s.io/v1", "gateway.networking.k8s.io/v1alpha2", BOTH),
        ('group: ""', "group: core", BOTH),
        ('group: ""', "group: 7", BOTH),
        ("kind: Service", "kind: service", BOTH),
        ("kind: Service", "kind: 7", BOTH),
        ("name: echo\n", "name: echo\n      sectionName: https\n", {443}),
        ("name: echo\n", "name: echo\n      sectionName: [https]\n", BOTH),
        ("name: echo\n", "name: echo\n    - 7\n", BOTH),
        ("name: echo\n", "name: other\n", set()),
        ("kind: Service", "kind: Secret", set()),
        ('group: ""', "group: apps", set()),
        # Nothing says that the object is a policy for the Service.
        ("name: p\n", "nam: p\n", set()),
        ("hostname: 7", "hostname: [}", set()),
    ],
)
def test_a_policy_that_breaks_the_schema_is_not_ignored(old: str, new: str, ports: set[int]) -> None:
    """The ports of the Services that it names get no requests."""
    assert old in BROKEN
    [entry] = decode(BROKEN.replace(old, new, 1), "p.yaml")
    assert entry.problems
    policies = [entry.resource] if entry.resource else []
    nodes = {port: resolved(ref("echo", port=port), ECHO, *policies) for port in BOTH}
    assert {port for port, node in nodes.items() if node.withheld is not None} == ports


@pytest.mark.parametrize("name", ["", "http", "h2c", "grpc", "https", "h2", "kubernetes.io/wss", "example.com/custom"])
def test_a_policy_counts_for_every_protocol_of_http(name: str) -> None:
    port = service("echo", "infra", {"port": 80, "appProtocol": name})
    node = resolved(ref("echo"), port, tls_policy("p", "infra", "echo", authorities=UNFULFILLED))
    assert node.problem is None
    assert node.withheld is not None
    assert "BackendTLSPolicy infra/p cannot be fulfilled" in node.withheld.message
    served = resolved(ref("echo"), port, tls_policy("p", "infra", "echo"))
    assert (served.problem, served.withheld) == (None, None)


@pytest.mark.parametrize(
    ("name", "spoken"), [("", "h1"), ("https", "h1"), ("wss", "h1"), ("h2c", "h2"), ("h2", "h2"), ("grpcs", "h2")]
)
def test_what_is_spoken_over_tls(name: str, spoken: str) -> None:
    port = service("echo", "infra", {"port": 80, "appProtocol": name})
    policy = tls_policy("p", "infra", "echo")
    graph = build_graph(world(gateway(), route("r", "infra", ref("echo")), port, policy), SETTINGS)
    [found] = compile_snapshot(graph).snapshot.backends.values()
    assert (found.protocol, found.tls is not None) == (spoken, True)


@pytest.mark.parametrize("name", ["x/y", "echo:x", "", "../echo"])
def test_a_name_that_no_service_can_have_reaches_no_policy(name: str) -> None:
    """The schema has no pattern for the names of backendRefs."""
    one = route("r", "infra", ref(name))
    graph = build_graph(world(gateway(), one, ECHO, tls_policy("p", "infra", "echo")), SETTINGS)
    [found] = graph.routes["HTTPRoute", one.key].rules[0].backend_refs
    assert found.problem is not None
    assert (found.problem.reason, graph.policies) == ("BackendNotFound", {})


def test_and_for_no_other_protocol() -> None:
    node = resolved(
        ref("echo"), service("echo", "infra", {"port": 80, "appProtocol": "mysql"}), tls_policy("p", "infra", "echo")
    )
    assert node.problem is not None
    assert node.problem.reason == "UnsupportedProtocol"


@pytest.mark.parametrize("change", [{"group": "core"}, {"kind": "service"}, {"group": "x.io"}])
def test_a_target_of_another_group_or_kind_is_no_service(change: dict[str, str]) -> None:
    target = {"group": "", "kind": "Service", "name": "echo", **change}
    spec = {"targetRefs": [target], "validation": {"hostname": "a.example.com"}}
    assert backend(ref("echo"), ECHO, make(BackendTLSPolicy, "infra", "p", spec)).applied is None


def test_a_policy_for_a_port_comes_first_then_the_older_one() -> None:
    def aged(name: str, day: int, **more: Any) -> BackendTLSPolicy:
        return tls_policy(name, "infra", "echo", meta={"creationTimestamp": f"2026-01-0{day}T00:00:00Z"}, **more)

    policies = [aged("a", 3), aged("b", 2), aged("c", 4, section="web")]
    applied = [backend(ref("echo", port=port), ECHO, *policies).applied for port in (443, 80)]
    assert [one and one.policy.name for one in applied] == ["b", "c"]


def test_a_refused_reference_is_refused_whatever_the_policy() -> None:
    policy = tls_policy("p", "red", "echo", authorities=UNFULFILLED)
    node = resolved(ref("echo", "red"), service("echo", "red"), policy)
    assert node.problem is not None
    assert (node.problem.reason, node.withheld) == ("RefNotPermitted", None)
    granted = resolved(ref("echo", "red"), service("echo", "red"), policy, grant("g", "red", "infra"))
    assert (granted.problem, granted.withheld is not None) == (None, True)


def test_grpc_routes_obey_policies_too() -> None:
    policy = tls_policy("p", "infra", "echo", authorities=UNFULFILLED)
    assert resolved(ref("echo"), ECHO, policy, type_=GRPCRoute).withheld is not None


MIRRORED = [{"type": "RequestMirror", "requestMirror": {"backendRef": ref("echo")}}]
TWO = (
    gateway(),
    route("r", "infra", ref("echo", weight=1), ref("other", weight=3)),
    route("m", "infra", rules=[{"filters": MIRRORED, "backendRefs": [ref("other")]}]),
    *(
        thing
        for name in ("echo", "other")
        for thing in (service(name, "infra"), endpoint_slice(name, "infra", name, "127.0.0.1"))
    ),
)


def test_the_share_answers_500_and_nothing_is_mirrored() -> None:
    graph = build_graph(world(*TWO, tls_policy("p", "infra", "echo", authorities=UNFULFILLED)), SETTINGS)
    assert {problem.kind for problem in find_problems(graph)} == {"BackendTLSPolicy"}
    rules = {rule.route: rule for rule in compile_snapshot(graph).snapshot.rules.values()}
    shares = [(b.backend, b.weight, b.status, b.reason) for b in rules["infra/r"].backends]
    assert shares == [("infra/echo:80", 1, 500, "backend_tls_policy"), ("infra/other:80", 3, None, None)]
    assert "infra/echo:80" not in str(rules["infra/m"])
    without = compile_snapshot(build_graph(world(*TWO), SETTINGS)).snapshot.rules.values()
    assert "infra/echo:80" in str([rule for rule in without if rule.route == "infra/m"])


def test_a_policy_touches_only_the_routes_that_use_its_services() -> None:
    before_world = world(*TWO, route("else", "infra", ref("other")))
    before = build_graph(before_world, SETTINGS)
    with_policy = replaced(before_world, tls_policy("p", "infra", "echo", authorities=UNFULFILLED))
    after = build_graph(with_policy, SETTINGS, before)
    assert {id_[1].name for id_ in after.routes if after.routes[id_] is not before.routes[id_]} == {"r", "m"}
    moved = build_graph(replaced(with_policy, tls_policy("p", "infra", "nobody")), SETTINGS, after)
    gone = build_graph(removed(with_policy, BackendTLSPolicy, Key("infra", "p")), SETTINGS, after)
    assert moved.routes == gone.routes == before.routes
    assert moved.routes["HTTPRoute", Key("infra", "else")] is before.routes["HTTPRoute", Key("infra", "else")]


def test_a_policy_that_is_fulfilled_changes_no_route() -> None:
    """Only the backend."""
    before = build_graph(world(*TWO), SETTINGS)
    after = build_graph(replaced(before.memo.resources, tls_policy("p", "infra", "echo")), SETTINGS, before)
    assert [after.routes[id_] == node for id_, node in before.routes.items()] == [True, True]
    assert {id_ for id_, node in after.backends.items() if node is not before.backends[id_]} == {"infra/echo:80"}
    was, now = compile_snapshot(before).snapshot, compile_snapshot(after).snapshot
    assert now.rules == was.rules
    assert now.backends["infra/echo:80"].tls is not None


def indexed(policies: Sections) -> dict[str, list[str]]:
    return {f"{service}:{port}": [one.metadata.name for one in found] for (service, port), found in policies.items()}


def test_an_index_of_policies() -> None:
    old = world(
        tls_policy("b", "infra", "echo", "echo", "other"), tls_policy("c", "infra", "echo")
    ).backend_tls_policies
    index = index_policies({}, old, frozenset(old), {})
    assert indexed(index) == {"infra/echo:": ["b", "c"], "infra/other:": ["b"]}
    new = world(tls_policy("a", "infra", "echo"), tls_policy("b", "infra", "echo", section="web")).backend_tls_policies
    index = index_policies(old, new, frozenset({*old, *new}), index)
    assert indexed(index) == {"infra/echo:": ["a"], "infra/echo:web": ["b"]}


class Counted(dict[Section, tuple[BackendTLSPolicy, ...]]):
    """Policies that count how many of them are looked up."""

    count = 0

    def get(self, key: Section, default: Any = None) -> Any:
        self.count += 1
        return super().get(key, default)


@pytest.mark.parametrize("amount", [1, 2000])
def test_a_reference_looks_at_two_policies_however_many_target_its_service(amount: int) -> None:
    """Each of them names 16 ports, and one of them also the port of the reference."""
    policies = Counted({(ECHO.key, f"p{number}"): (tls_policy("p", "infra", "echo"),) for number in range(16 * amount)})
    policies[ECHO.key, "https"] = (tls_policy("secure", "infra", "echo", section="https"),)
    reader = Reader({POLICIES: policies})
    found = [policy_for(ECHO.key, port, reader) for port in ECHO.spec.ports]
    assert [policy and policy.metadata.name for policy in found] == [None, "secure"]
    assert policies.count == 3
    assert len(reader.dependencies) == 3
    assert [winner_of(ECHO.key, port.name, policies) for port in ECHO.spec.ports] == found
    assert policies.count == 6


def test_a_policy_for_another_port_touches_no_route() -> None:
    before = build_graph(world(*TWO, tls_policy("old", "infra", "echo")), SETTINGS)
    for policy in (
        tls_policy("a", "infra", "echo", section="other"),
        tls_policy("younger", "infra", "echo"),
        tls_policy("old", "infra", "echo", "nobody"),
    ):
        after = build_graph(replaced(before.memo.resources, policy), SETTINGS, before)
        assert after.memo.units is before.memo.units
