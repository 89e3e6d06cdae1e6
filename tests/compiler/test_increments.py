"""Incremental passes compared with a rebuild: after any sequence of edits, both have equal snapshots and statuses.

The worlds are small and full of special cases: equal names, references that need grants, routes with several listeners,
listeners that are added and removed. Each edit changes one object into another of its forms, or removes it.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from applying import apply
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.compiler.compile import NOTHING, compile_snapshot
from fastroute.difference import replaced
from fastroute.graph.build import build_graph
from fastroute.publication import Downward, difference
from fastroute.resources.core import (
    EndpointConditions,
    EndpointPort,
    EndpointSlice,
    Namespace,
    Service,
    ServicePort,
    ServiceSpec,
    SliceEndpoint,
)
from fastroute.resources.gateway import (
    AllowedRoutes,
    Gateway,
    GatewaySpec,
    LabelSelector,
    Listener,
    ParentReference,
    RouteNamespaces,
)
from fastroute.resources.http_rule import (
    HTTPBackendRef,
    HTTPFilter,
    HTTPHeader,
    HTTPHeaderFilter,
    HTTPMatch,
    HTTPPathMatch,
    HTTPRequestRedirectFilter,
    HTTPRule,
)
from fastroute.resources.httproute import HTTPRoute, HTTPRouteSpec
from fastroute.resources.meta import Key, Metadata, Resource
from fastroute.resources.policy import ReferenceGrant, ReferenceGrantFrom, ReferenceGrantSpec, ReferenceGrantTo
from fastroute.resources.world import Resources
from fastroute.settings import Addressing, GraphSettings
from fastroute.snapshot import Bound, Failed, Outcome, Snapshot
from fastroute.status import build_statuses
from fastroute.wire import Decoder, encode

GROUP = "gateway.networking.k8s.io"
SETTINGS = GraphSettings(addressing=Addressing(bind=("127.0.0.1", "::1"), port_offset=8000))


def metadata(namespace: str, name: str, **others: Any) -> Metadata:
    return Metadata(namespace=namespace, name=name, **others)


def http(name: str, port: int = 80, hostname: str | None = None, **namespaces: Any) -> Listener:
    allowed = AllowedRoutes(namespaces=RouteNamespaces(**(namespaces or {"from_": "All"})))
    return Listener(name=name, port=port, protocol="HTTP", hostname=hostname, allowed_routes=allowed)


def gateway(name: str, *listeners: Listener) -> Gateway:
    return Gateway(
        metadata=metadata("infra", name), spec=GatewaySpec(gateway_class_name="fastroute", listeners=listeners)
    )


BLUE = {"from_": "Selector", "selector": LabelSelector(match_labels={"team": "blue"})}
GATEWAYS = [
    gateway("web", http("main")),
    gateway("web", http("main"), http("wild", hostname="*.example.com")),
    gateway("web", http("main", **BLUE), http("other", port=81)),
    gateway("web", http("main", from_="Same"), http("tls", hostname="a.example.com")),
    gateway("web", http("main"), http("twin")),  # conflicted
]
SECOND_GATEWAYS = [gateway("api", http("main", port=81)), gateway("api", http("main", port=82, hostname="*.com"))]


def rule(*backends: HTTPBackendRef, path: str = "/", **others: Any) -> HTTPRule:
    return HTTPRule(matches=(HTTPMatch(path=HTTPPathMatch(value=path)),), backend_refs=tuple(backends), **others)


def to(namespace: str, name: str, weight: int = 1, **others: Any) -> HTTPBackendRef:
    return HTTPBackendRef(namespace=namespace, name=name, port=80, weight=weight, **others)


HEADERS = HTTPFilter(
    type="RequestHeaderModifier", request_header_modifier=HTTPHeaderFilter(set=(HTTPHeader(name="X-A", value="1"),))
)
REDIRECT = HTTPFilter(type="RequestRedirect", request_redirect=HTTPRequestRedirectFilter(scheme="https"))
RULES = [
    (rule(to("apples", "echo", 30), to("bananas", "echo", 70)),),
    (rule(to("apples", "echo"), path="/a"), rule(to("bananas", "none"), path="/b")),
    (rule(filters=(REDIRECT,)),),
    (rule(to("apples", "echo", filters=(HEADERS,)), filters=(HEADERS,), name="named"),),
    (rule(to("bananas", "echo", 0)), rule(path="/none")),
    (rule(to("apples", "echo"), filters=(HTTPFilter(type="ExtensionRef"),)),),  # not served
]
WEB, API, ELSEWHERE = (ParentReference(namespace="infra", name=name) for name in ("web", "api", "elsewhere"))
WEB_MAIN = ParentReference(namespace="infra", name="web", section_name="main")
PARENTS = [(WEB,), (WEB_MAIN, API), (WEB, WEB_MAIN), (ELSEWHERE,)]
HOSTNAMES = [(), ("a.example.com",), ("*.example.com", "b.org"), ("c.net",)]


def routes(namespace: str, name: str) -> list[HTTPRoute]:
    return [
        HTTPRoute(
            metadata=metadata(namespace, name),
            spec=HTTPRouteSpec(parent_refs=parents, hostnames=hostnames, rules=rules),
        )
        for parents in PARENTS
        for hostnames in HOSTNAMES
        for rules in RULES
    ]


def grant(name: str, origin: str, service: str | None) -> ReferenceGrant:
    return ReferenceGrant(
        metadata=metadata("bananas", name),
        spec=ReferenceGrantSpec(
            from_=(ReferenceGrantFrom(group=GROUP, kind="HTTPRoute", namespace=origin),),
            to=(ReferenceGrantTo(group="", kind="Service", name=service),),
        ),
    )


def service(namespace: str, *ports: int, protocol: str | None = None) -> Service:
    named = (ServicePort(port=port, name=f"p{port}", app_protocol=protocol) for port in ports)
    return Service(metadata=metadata(namespace, "echo"), spec=ServiceSpec(ports=tuple(named)))


def endpoints(namespace: str, name: str, *ready: bool | None) -> EndpointSlice:
    labels = {"kubernetes.io/service-name": "echo"}
    return EndpointSlice(
        metadata=metadata(namespace, name, labels=labels),
        endpoints=tuple(
            SliceEndpoint(addresses=(f"127.0.0.{index + 2}",), conditions=EndpointConditions(ready=each))
            for index, each in enumerate(ready)
        ),
        ports=(EndpointPort(port=9000, name="p80"),),
    )


# field of Resources -> the forms of each of its objects
FORMS: dict[str, list[Sequence[Resource]]] = {
    "gateways": [GATEWAYS, SECOND_GATEWAYS],
    "http_routes": [routes("apples", "r"), routes("bananas", "r"), routes("apples", "s"), routes("infra", "t")],
    "reference_grants": [
        [grant("one", "apples", "echo"), grant("one", "apples", None), grant("one", "infra", "echo")],
        [grant("two", "apples", "echo"), grant("two", "bananas", None)],
    ],
    "namespaces": [
        [Namespace(metadata=metadata("", name, labels=labels)) for labels in ({}, {"team": "blue"})]
        for name in ("apples", "bananas")
    ],
    "services": [
        [
            service(namespace, 80),
            service(namespace, 80, 81),
            service(namespace, 81),
            service(namespace, 80, protocol="h2c"),
            service(namespace, 80, protocol="tls"),
            service(namespace, 80, protocol="http"),
        ]
        for namespace in ("apples", "bananas")
    ],
    "endpoint_slices": [
        [endpoints(namespace, name, *ready) for ready in ((), (True,), (None, False), (True, True, None))]
        for namespace in ("apples", "bananas")
        for name in ("x", "y")
    ],
}

# An edit: field of Resources, index of the object, number of its new form (0 removes the object).
EDITS = st.one_of(
    [
        st.tuples(st.just(field), st.just(index), st.integers(0, len(forms)))
        for field, objects in FORMS.items()
        for index, forms in enumerate(objects)
    ]
)
Edit = tuple[str, int, int]


def edited(resources: Resources, edit: Edit) -> Resources:
    """One object in another form, or removed; all other objects are identical."""
    field, index, number = edit
    forms = FORMS[field][index]
    change: dict[Key, Resource | None] = {forms[0].key: forms[number - 1] if number else None}
    objects = replaced(getattr(resources, field), change, in_order=field != "http_routes")
    return msgspec.structs.replace(resources, **{field: objects})


def first_world() -> Resources:
    """Every object in its first form."""
    resources = Resources()
    for field, objects in FORMS.items():
        for index in range(len(objects)):
            resources = edited(resources, (field, index, 1))
    return resources


def outcome_of(snapshot: Snapshot, version: int) -> Outcome:
    """Listeners with an ID of a length divisible by 3 cannot be bound."""
    return Outcome(
        version=version,
        listeners={id: Failed("no") if len(id) % 3 == 0 else Bound() for id in snapshot.listeners},
    )


def through_the_wire(frames: Sequence[Any]) -> list[Any]:
    decoder = Decoder[Downward](Downward)
    decoder.feed(b"".join(map(encode, frames)))
    return list(decoder)


@settings(max_examples=100, deadline=None)
@given(st.lists(EDITS, min_size=1, max_size=60))
def test_increments_equal_a_rebuild_from_nothing(edits: list[Edit]) -> None:
    resources, graph, compiled, statuses, worker = first_world(), None, NOTHING, None, Snapshot()
    for version, edit in enumerate([("gateways", 0, 1), *edits], 1):
        resources = edited(resources, edit)
        before = compiled.snapshot
        graph = build_graph(resources, SETTINGS, graph)
        compiled = compile_snapshot(graph, SETTINGS.addressing.port_offset, compiled)
        worker = apply(worker, through_the_wire(difference(before, compiled.snapshot)))
        turned = msgspec.structs.replace(resources, http_routes=dict(reversed(resources.http_routes.items())))
        whole_graph = build_graph(turned, SETTINGS)
        whole = compile_snapshot(whole_graph, SETTINGS.addressing.port_offset)

        assert worker == compiled.snapshot == whole.snapshot
        outcome = outcome_of(whole.snapshot, version)
        statuses = build_statuses(graph, outcome, statuses)
        assert statuses.patches == build_statuses(whole_graph, outcome).patches


def test_the_first_world_serves_and_refuses() -> None:
    """Ensures that the test above does not compare empty results."""
    graph = build_graph(first_world(), SETTINGS)
    snapshot = compile_snapshot(graph, SETTINGS.addressing.port_offset).snapshot
    assert [listener.place.port for listener in snapshot.listeners.values()] == [8081, 8081, 8080, 8080]
    assert len(snapshot.rules) == 8
    [first, *_] = snapshot.rules.values()
    assert [(backend.backend, backend.weight, backend.status) for backend in first.backends] == [
        ("apples/echo:80", 30, None),
        ("bananas/echo:80", 70, None),
    ]
