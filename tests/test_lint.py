"""Warnings: every check with minimal input that causes the warning, and input that does not."""

from typing import Any

import pytest
import yaml
from graph.secrets import START, YEAR, secret
from graph.world import (
    endpoint_slice,
    gateway,
    grant,
    https,
    listener,
    listener_set,
    make,
    ref,
    route,
    service,
    tls_policy,
    world,
)

from fastroute.graph.build import build_graph
from fastroute.graph.finding import Finding
from fastroute.lint import lint
from fastroute.resources.gateway import GROUP, Gateway, GatewayClass
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.meta import Resource
from fastroute.resources.policy import BackendTLSPolicy, UnservedPolicy, read_policy
from fastroute.resources.tcproute import TCPRoute
from fastroute.settings import GraphSettings

TO_GATEWAY = {"to_kind": "Gateway", "to_group": GROUP}


def warnings(*objects: Resource) -> list[Finding]:
    resources = world(*objects)
    return list(lint(resources, build_graph(resources, GraphSettings())))


def said(reason: str, *objects: Resource) -> list[tuple[str, str | None]]:
    found = [one for one in warnings(*objects) if one.reason == reason]
    assert all(one.condition is None for one in found)
    return [(f"{one.kind} {one.key}", one.field) for one in found]


def matches(*written: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"matches": list(written), "backendRefs": [ref("s")]}]


CLEAN = (gateway(), route("r", "red", ref("s")), service("s", "red"), endpoint_slice("s", "red", "s", "127.0.0.1"))


def test_nothing_to_say() -> None:
    assert warnings(*CLEAN) == []


def test_a_grant_to_kind_gateway() -> None:
    same = gateway("gw", "infra", listener(allow="Same"))
    tenants = grant("tenants", "infra", "red", **TO_GATEWAY)
    assert said("GrantToGateway", same, tenants) == [("ReferenceGrant infra/tenants", "spec.to[0].kind")]
    (found,) = warnings(same, tenants)
    stanza = yaml.safe_load(found.fix or "")["allowedRoutes"]["namespaces"]["selector"]["matchExpressions"][0]
    assert stanza["values"] == ["infra", "red"]
    (elsewhere,) = warnings(gateway(), grant("tenants", "red", "red", **TO_GATEWAY))
    assert (elsewhere.reason, elsewhere.fix) == ("GrantToGateway", None)


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"to_group": "core"}, "spec.to[0].group"),
        ({"to_group": "v1"}, "spec.to[0].group"),
        ({"origin": {"group": "core"}}, "spec.from[0].group"),
    ],
)
def test_core_is_not_the_empty_group(more: dict[str, Any], field: str) -> None:
    found = said("GrantGroupNotCore", *CLEAN, grant("g", "red", "blue", **more))
    assert found == [("ReferenceGrant red/g", field)]


SECURE = https("s", "red/c")
MIRROR = {"type": "RequestMirror", "requestMirror": {"backendRef": {"name": "s", "namespace": "red", "port": 80}}}


@pytest.mark.parametrize(
    ("granted", "user", "unused"),
    [
        (grant("g", "red", "blue"), route("r", "blue", ref("s", "red")), False),
        (grant("g", "red", "blue", "s"), route("r", "blue", ref("s", "red")), False),
        (grant("g", "red", "blue", "s"), route("r", "blue", rules=[{"filters": [MIRROR]}]), False),
        (grant("g", "red", "blue", "t"), route("r", "blue", ref("s", "red")), True),
        (grant("g", "red", "green"), route("r", "blue", ref("s", "red")), True),
        (grant("g", "red", "red"), route("r", "red", ref("s", "red")), True),
        (grant("g", "red", "blue"), route("r", "blue", ref("s", "red"), type_=GRPCRoute), True),
        (grant("g", "red", "blue", from_kind="GRPCRoute"), route("r", "blue", ref("s", "red"), type_=GRPCRoute), False),
        (grant("g", "red", "blue", from_kind="OddRoute"), route("r", "blue"), False),
        (grant("g", "red", "blue", from_kind="TCPRoute"), route("r", "blue"), True),
        (grant("g", "red", "blue", from_kind="TCPRoute"), route("r", "blue", ref("s", "red"), type_=TCPRoute), False),
        (
            grant("g", "red", "infra", to_kind="Secret", from_kind="Gateway"),
            gateway("s", "infra", SECURE),
            False,
        ),
        (grant("g", "red", "blue", to_kind="Secret", from_kind="Gateway"), route("r", "blue"), True),
        (
            grant("g", "red", "infra", to_kind="Secret", from_kind="ListenerSet"),
            listener_set("l", "infra", SECURE),
            False,
        ),
        (grant("g", "red", "blue", origin={"group": "core"}), route("r", "blue", ref("s", "red")), True),
        (grant("g", "red", "blue", **TO_GATEWAY), route("r", "blue"), False),
    ],
)
def test_a_grant_that_nothing_uses(granted: Resource, user: Resource, unused: bool) -> None:
    assert said("GrantUnused", gateway(), granted, user) == ([("ReferenceGrant red/g", "spec")] if unused else [])


def test_a_class_that_nobody_wrote() -> None:
    theirs = make(GatewayClass, "", "theirs", {"controllerName": "x.io/other"})
    given = (gateway("a", class_name="none"), gateway("b", class_name="theirs"), theirs)
    assert said("UnknownGatewayClass", *given) == [("Gateway infra/a", "spec.gatewayClassName")]
    assert said("ForeignGatewayClass", *given) == [("Gateway infra/b", "spec.gatewayClassName")]
    assert said("UnknownGatewayClass", gateway()) == []


def test_infrastructure_without_objects() -> None:
    labelled = gateway(spec={"infrastructure": {"labels": {"a": "b"}, "annotations": {}}})
    assert said("InfrastructureUnused", labelled) == [("Gateway infra/gw", "spec.infrastructure")]


def test_listener_sets_without_a_gateway() -> None:
    assert said("ParentNotFound", gateway(), listener_set("l", "red", parent="none")) == [
        ("ListenerSet red/l", "spec.parentRef")
    ]
    assert said("ParentNotFound", gateway(), listener_set("l", "red")) == []


@pytest.mark.parametrize(
    ("hostname", "names", "expected"),
    [
        ("a.example.com", ["a.example.com"], True),
        ("a.example.com", ["b.example.com", "*.example.com"], True),
        ("a.example.com", ["*.com"], False),
        ("*.example.com", ["*.example.com"], True),
        ("*.example.com", ["a.example.com"], False),
        (None, ["a.example.com"], True),
    ],
)
def test_certificates_for_other_names(hostname: str | None, names: list[str], expected: bool) -> None:
    found = said(
        "CertificateForOtherNames",
        gateway("gw", "infra", https("a", "c", hostname=hostname)),
        secret("c", "infra", *names),
    )
    assert found == ([] if expected else [("Gateway infra/gw", "spec.listeners[0].tls.certificateRefs")])


@pytest.mark.parametrize(
    ("years", "words"), [(-1, "is not valid before 2026-01-01"), (1, None), (11, "expired on 2035-12-30")]
)
def test_certificates_out_of_time(years: int, words: str | None) -> None:
    resources = world(gateway("gw", "infra", https("a", "c")), secret("c", "infra"))
    now = (START + years * YEAR).timestamp()
    found = [one.message for one in lint(resources, build_graph(resources, GraphSettings()), now)]
    assert [words in message for message in found] == ([True] if words else [])


def test_parents_that_are_not_there() -> None:
    parents = [{"namespace": "infra", "name": "gw"}, {"name": "gone"}, {"name": "mesh", "kind": "Service", "group": ""}]
    given = (gateway(), route("r", "red", ref("s"), parents=parents), route("lost", "red", ref("s"), parents=[]))
    assert said("ParentNotFound", *given) == [("HTTPRoute red/r", "spec.parentRefs[1]")]
    assert said("ParentKindNotServed", *given) == [("HTTPRoute red/r", "spec.parentRefs[2].kind")]
    assert said("NoParents", *given) == [("HTTPRoute red/lost", "spec.parentRefs")]


def test_a_hostname_that_no_listener_takes() -> None:
    given = gateway("gw", "infra", listener("a", hostname="*.example.com"), listener("b", 81, hostname="b.org"))
    names = ["a.example.com", "b.org", "c.org"]
    assert said("HostnameUnused", given, route("r", "red", hostnames=names)) == [
        ("HTTPRoute red/r", "spec.hostnames[2]")
    ]
    assert said("HostnameUnused", given, route("r", "red", hostnames=["c.org"])) == []  # NoMatchingListenerHostname
    assert said("HostnameUnused", given, route("r", "red")) == []


PREFIX = {"path": {"value": "/a"}}
OLD, NEW = {"creationTimestamp": "2026-01-01T00:00:00Z"}, {"creationTimestamp": "2026-01-02T00:00:00Z"}


@pytest.mark.parametrize(
    ("one", "two", "shadowed"),
    [
        ({"path": {"value": "/a"}}, {"path": {"value": "/a"}}, True),
        ({"path": {"value": "/a/"}}, {"path": {"value": "/a"}}, True),
        ({"path": {"value": "/%61"}}, {"path": {"value": "/a"}}, True),
        ({"path": {"value": "/a"}}, {"path": {"value": "/a", "type": "Exact"}}, False),
        ({"path": {"value": "/a"}}, {"path": {"value": "/b"}}, False),
        ({"method": "GET"}, {"method": "GET"}, True),
        ({"method": "GET"}, {}, False),
        ({"headers": [{"name": "A", "value": "b"}]}, {"headers": [{"name": "a", "value": "b"}]}, True),
        ({"headers": [{"name": "A", "value": "b"}]}, {"headers": [{"name": "a", "value": "c"}]}, False),
        (
            {"headers": [{"name": "a", "value": "b"}, {"name": "c", "value": "d"}]},
            {"headers": [{"name": "c", "value": "d"}, {"name": "a", "value": "b"}]},
            True,
        ),
        ({"queryParams": [{"name": "A", "value": "b"}]}, {"queryParams": [{"name": "a", "value": "b"}]}, False),
        ({"queryParams": [{"name": "a", "value": "b"}]}, {"queryParams": [{"name": "a", "value": "b"}]}, True),
        ({}, {"path": {"type": "RegularExpression", "value": "/.*"}}, True),
        ({"method": "GET"}, {"path": {"type": "RegularExpression", "value": "/.*"}}, False),
        ({"path": {"value": "/a"}}, {"path": {"type": "RegularExpression", "value": "/a.*"}}, False),
    ],
)
def test_a_match_that_another_leaves_nothing(one: dict[str, Any], two: dict[str, Any], shadowed: bool) -> None:
    given = (
        gateway(),
        route("z", "red", rules=matches(one), meta=OLD),
        route("a", "red", rules=matches(two), meta=NEW),
    )
    expected = [("HTTPRoute red/a", "spec.rules[0].matches[0]")] if shadowed else []
    assert said("Shadowed", *given) == expected


def test_a_shadowed_match_names_its_winner() -> None:
    given = (
        gateway(),
        route("r", "red", rules=matches(PREFIX) + matches({"path": {"value": "/b"}}, PREFIX), hostnames=["a.com"]),
    )
    (found,) = [one for one in warnings(*given) if one.reason == "Shadowed"]
    assert found.field == "spec.rules[1].matches[1]"
    assert found.message == (
        "It matches no request for a.com on listener proxy of Gateway infra/gw: rule 0 of HTTPRoute red/r (matches[0]) "
        "matches all of them first."
    )


def test_matches_on_other_hostnames_or_listeners_do_not_shadow() -> None:
    parents = [[{"namespace": "infra", "name": "gw", "sectionName": name}] for name in ("a", "b")]
    given = gateway("gw", "infra", listener("a"), listener("b", 81))
    assert said("Shadowed", given, *(route(f"r{i}", "red", parents=parents[i]) for i in (0, 1))) == []
    hosts = (route("a", "red", hostnames=["a.com"]), route("b", "red", hostnames=["*.com"]), route("c", "red"))
    assert said("Shadowed", gateway(), *hosts) == []


ON_ONE_HOST = [
    # listener, hostname and match of the older route, hostname and match of the newer one, which of them is shadowed
    ("a.b.com", "*.b.com", {}, "a.b.com", {}, "old"),
    ("a.b.com", "a.b.com", {}, "*.com", {"path": {"value": "/deep/er"}, "method": "GET"}, "new"),
    ("a.b.com", "a.b.com", {"path": {"value": "/a"}}, "*.b.com", {"path": {"value": "/a/b", "type": "Exact"}}, "new"),
    ("a.b.com", "a.b.com", {"path": {"value": "/a"}}, "*.b.com", {"path": {"value": "/ab"}}, None),
    ("a.b.com", "a.b.com", {"path": {"value": "/a"}}, "*.b.com", {}, None),
    ("a.b.com", "a.b.com", {"method": "GET"}, "*.b.com", {"method": "GET"}, "new"),
    ("a.b.com", "a.b.com", {"method": "GET"}, "*.b.com", {}, None),
    ("a.b.com", "a.b.com", {}, "*.b.com", {"path": {"type": "RegularExpression", "value": "/x.*"}}, "new"),
    ("a.b.com", "*.b.com", {}, None, {}, "new"),
    ("*.b.com", "*.b.com", {}, "*.com", {"method": "GET"}, "new"),
    ("*.com", "*.b.com", {}, "*.com", {}, None),
    ("", "a.b.com", {}, "*.b.com", {}, None),
]


@pytest.mark.parametrize(("hostname", "older", "one", "newer", "two", "shadowed"), ON_ONE_HOST)
def test_hostnames_that_a_narrow_listener_makes_the_same(
    hostname: str, older: str, one: dict[str, Any], newer: str | None, two: dict[str, Any], shadowed: str | None
) -> None:
    given = (
        gateway("gw", "infra", listener(**({"hostname": hostname} if hostname else {}))),
        route("old", "red", rules=matches(one), meta=OLD, hostnames=[older]),
        route("new", "red", rules=matches(two), meta=NEW, hostnames=[newer] if newer else []),
    )
    assert said("Shadowed", *given) == ([(f"HTTPRoute red/{shadowed}", "spec.rules[0].matches[0]")] if shadowed else [])


def test_a_route_does_not_shadow_itself_by_another_of_its_hostnames() -> None:
    narrow = gateway("gw", "infra", listener(hostname="a.b.com"))
    assert said("Shadowed", narrow, route("r", "red", rules=matches({}), hostnames=["*.b.com", "a.b.com"])) == []


@pytest.mark.parametrize(
    ("hostnames", "names", "unused"),
    [
        (("", "a.com"), ["a.com", "b.com"], [0]),
        (("", "*.com"), ["a.com", "com", "x.a.com", "*.a.com", "*.com"], [0, 2, 3, 4]),
        (("*.com", "*.a.com"), ["*.com", "a.com", "b.a.com"], [2]),
        (("", "a.com"), ["*.com"], []),
    ],
)
def test_hostnames_that_belong_to_a_more_specific_listener(
    hostnames: tuple[str, str], names: list[str], unused: list[int]
) -> None:
    broad, narrow = ({"hostname": name} if name else {} for name in hostnames)
    parents = [{"namespace": "infra", "name": "gw", "sectionName": "broad"}]
    listeners = listener("broad", **broad), listener("narrow", **narrow)
    given = gateway("gw", "infra", *listeners), route("r", "red", parents=parents, hostnames=names)
    assert said("HostnameUnused", *given) == [("HTTPRoute red/r", f"spec.hostnames[{index}]") for index in unused]
    other_port = gateway("gw", "infra", listeners[0], {**listeners[1], "port": 81})
    assert said("HostnameUnused", other_port, *given[1:]) == []
    both = route("r", "red", hostnames=names)
    assert said("HostnameUnused", given[0], both) == []


def test_rules_that_answer_500() -> None:
    redirect = {"filters": [{"type": "RequestRedirect", "requestRedirect": {"scheme": "https"}}]}
    zero, one = ref("s", weight=0), ref("s", weight=1)
    rules = [{}, redirect, {"backendRefs": [zero, zero]}, {"backendRefs": [zero, one]}]
    given = (gateway(), route("r", "red", rules=rules))
    assert said("NoBackendRefs", *given) == [("HTTPRoute red/r", "spec.rules[0]")]
    assert said("AllWeightsZero", *given) == [("HTTPRoute red/r", "spec.rules[2].backendRefs")]
    assert said("WeightZero", *given) == [("HTTPRoute red/r", "spec.rules[3].backendRefs[0].weight")]


def test_a_header_that_one_filter_changes_twice() -> None:
    modifier = {"set": [{"name": "X-A", "value": "1"}], "add": [{"name": "X-B", "value": "1"}], "remove": ["x-a"]}
    twice = {"type": "ResponseHeaderModifier", "responseHeaderModifier": modifier}
    once = {"type": "RequestHeaderModifier", "requestHeaderModifier": {"remove": ["a", "b"]}}
    rules = [{"filters": [once, twice], "backendRefs": [{**ref("s"), "filters": [twice]}]}]
    assert said("HeaderChangedTwice", gateway(), route("r", "red", rules=rules)) == [
        ("HTTPRoute red/r", "spec.rules[0].filters[1]"),
        ("HTTPRoute red/r", "spec.rules[0].backendRefs[0].filters[0]"),
    ]


def test_a_backend_without_endpoints() -> None:
    *others, _ = CLEAN
    assert said("NoEndpoints", *others) == [("Service red/s", "spec.ports")]


def test_gateways_that_are_not_ours_are_left_alone() -> None:
    theirs = make(
        Gateway,
        "infra",
        "gw",
        {"gatewayClassName": "x", "listeners": [listener()], "infrastructure": {"labels": {"a": "b"}}},
    )
    assert {one.reason for one in warnings(theirs)} == {"UnknownGatewayClass"}


def test_an_app_protocol_that_nobody_knows() -> None:
    custom, known = ({"name": "a", "port": 80, "appProtocol": name} for name in ("example.com/x", "kubernetes.io/ws"))
    objects = (*CLEAN[:2], CLEAN[3], service("s", "red", custom))
    assert said("UnknownAppProtocol", *objects) == [("Service red/s", "spec.ports[0].appProtocol")]
    assert said("UnknownAppProtocol", *objects[:3], service("s", "red", known)) == []
    unused = service("t", "red", custom)
    assert said("UnknownAppProtocol", *CLEAN, unused) == []


TWO_PORTS = [{"group": "", "kind": "Service", "name": "s", "sectionName": name} for name in ("wbe", "web")]
PARTLY = make(BackendTLSPolicy, "red", "p", {"targetRefs": TWO_PORTS, "validation": {"hostname": "a.example.com"}})


@pytest.mark.parametrize(
    ("policy", "reason"),
    [
        (tls_policy("p", "red", "s"), None),
        (tls_policy("p", "red", "s", section="web"), None),
        (tls_policy("p", "red", "s", section="wbe"), None),  # its status says that
        (PARTLY, "PolicyTargetNotFound"),
        (tls_policy("p", "red", "unused"), None),
        (tls_policy("p", "blue", "s"), None),
    ],
)
def test_a_tls_policy_for_a_service_of_a_route(policy: BackendTLSPolicy, reason: str | None) -> None:
    endpoints = endpoint_slice("s", "red", "s", "127.0.0.1", ports=[{"name": "web", "port": 8080}])
    things = (*CLEAN[:2], endpoints, service("s", "red", {"name": "web", "port": 80}), service("unused", "red"))
    found = [(one.reason, f"{one.kind} {one.key}", one.field) for one in warnings(*things, policy)]
    assert found == ([(reason, "BackendTLSPolicy red/p", "spec.targetRefs[0]")] if reason else [])


def test_a_tls_policy_with_the_wrong_group() -> None:
    target = {"group": "core", "kind": "Service", "name": "s"}
    spec = {"targetRefs": [target], "validation": {"hostname": "a.example.com"}}
    policy = make(BackendTLSPolicy, "red", "p", spec)
    assert said("PolicyGroupNotCore", *CLEAN, policy) == [("BackendTLSPolicy red/p", "spec.targetRefs[0]")]


def other_policy(namespace: str, kind: str = "SecurityPolicy", **spec: Any) -> UnservedPolicy | None:
    metadata = {"name": "p", "namespace": namespace}
    return read_policy({"apiVersion": "x.io/v1", "kind": kind, "metadata": metadata, "spec": spec}, "x.io")


def to(kind: str, name: str, group: str = GROUP) -> dict[str, str]:
    return {"group": group, "kind": kind, "name": name}


@pytest.mark.parametrize(
    ("namespace", "spec", "field"),
    [
        ("infra", {"targetRef": to("Gateway", "gw")}, "spec.targetRef"),
        ("infra", {"targetRefs": [to("Gateway", "other"), to("Gateway", "gw")]}, "spec.targetRefs[1]"),
        ("red", {"targetRefs": [to("HTTPRoute", "r")]}, "spec.targetRefs[0]"),
        ("red", {"targetRefs": [to("Service", "s", "")]}, "spec.targetRefs[0]"),
        ("red", {"targetRefs": [to("Service", "unused", "")]}, None),
        ("red", {"targetRefs": [to("Gateway", "gw")]}, None),
        ("red", {"targetRefs": [to("GRPCRoute", "r")]}, None),
        ("infra", {"targetRefs": [to("ListenerSet", "ls")]}, "spec.targetRefs[0]"),
        ("infra", {"targetRefs": [to("GatewayClass", "fastroute")]}, "spec.targetRefs[0]"),
    ],
)
def test_a_policy_of_another_kind(namespace: str, spec: dict[str, Any], field: str | None) -> None:
    allowing = gateway(spec={"allowedListeners": {"namespaces": {"from": "Same"}}})
    things = (*CLEAN[1:], allowing, listener_set("ls", "infra", listener(port=81)), service("unused", "red"))
    policy = other_policy(namespace, **spec)
    assert policy is not None
    assert warnings(*things) == []
    found = [(one.reason, f"{one.kind} {one.key}", one.field) for one in warnings(*things, policy)]
    assert found == ([("PolicyNotServed", f"SecurityPolicy {namespace}/p", field)] if field else [])


@pytest.mark.parametrize(
    "spec",
    [
        {},
        {"targetRef": None},
        {"targetRefs": {}},
        {"targetRefs": [7, {}, {"name": 7}]},
        {"targetRef": {"kind": "Deployment", "name": "d"}},
        {"targetRefs": [to("Gateway", "gw", "x.io")]},
    ],
)
def test_what_is_no_policy_for_our_kinds_is_not_read(spec: dict[str, Any]) -> None:
    assert other_policy("red", **spec) is None
