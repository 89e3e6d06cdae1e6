"""Small sets of objects for tests: objects from plain values, and Resources that contain them."""

from collections.abc import Mapping
from typing import Any

import msgspec

from fastroute import difference
from fastroute.resources.core import ClusterTrustBundle, ConfigMap, EndpointSlice, Namespace, Secret, Service
from fastroute.resources.endpoints import Endpoints
from fastroute.resources.gateway import GROUP, Gateway, GatewayClass, ListenerSet
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant, UnservedPolicy
from fastroute.resources.tcproute import TCPRoute
from fastroute.resources.telemetry import XTelemetryPolicy
from fastroute.resources.tlsroute import TLSRoute
from fastroute.resources.udproute import UDPRoute
from fastroute.resources.world import Resources
from fastroute.source.store import UNORDERED

MAPPINGS: Mapping[type[Resource], str] = {
    GatewayClass: "gateway_classes",
    Gateway: "gateways",
    ListenerSet: "listener_sets",
    HTTPRoute: "http_routes",
    GRPCRoute: "grpc_routes",
    TCPRoute: "tcp_routes",
    TLSRoute: "tls_routes",
    UDPRoute: "udp_routes",
    ReferenceGrant: "reference_grants",
    BackendTLSPolicy: "backend_tls_policies",
    XTelemetryPolicy: "telemetry_policies",
    UnservedPolicy: "unserved_policies",
    Namespace: "namespaces",
    Service: "services",
    EndpointSlice: "endpoint_slices",
    Endpoints: "endpoints",
    Secret: "secrets",
    ConfigMap: "config_maps",
    ClusterTrustBundle: "trust_bundles",
}


def world(*objects: Resource) -> Resources:
    """Resources with these objects."""
    kinds: dict[str, dict[Key, Any]] = {}
    for thing in objects:
        kinds.setdefault(MAPPINGS[type(thing)], {})[thing.key] = thing
    return Resources(**{kind: dict(sorted(members.items())) for kind, members in kinds.items()})


def replaced(resources: Resources, thing: Resource) -> Resources:
    """The same Resources with one object added or replaced; unaffected mappings and objects are identical."""
    return _changed(resources, type(thing), {thing.key: thing})


def removed(resources: Resources, type_: type[Resource], key: Key) -> Resources:
    return _changed(resources, type_, {key: None})


def turned(resources: Resources) -> Resources:
    """The same Resources, with the routes in another order."""
    routes = {kind: dict(reversed(getattr(resources, kind).items())) for kind in ("http_routes", "grpc_routes")}
    return msgspec.structs.replace(resources, **routes)


def _changed(resources: Resources, type_: type[Resource], changes: Mapping[Key, Resource | None]) -> Resources:
    """Changes Resources in the same way as the Store."""
    kind = MAPPINGS[type_]
    members = difference.replaced(getattr(resources, kind), changes, in_order=type_ not in UNORDERED)
    return msgspec.structs.replace(resources, **{kind: members})


def make(type_: type[Any], namespace: str, name: str, spec: Any = None, **more: Any) -> Any:
    """An object of `type_` from plain values, as the decoder creates it. `meta` is merged into the metadata."""
    metadata = {"namespace": namespace, "name": name, **more.pop("meta", {})}
    value = {"metadata": metadata, **({} if spec is None else {"spec": spec}), **more}
    return msgspec.convert(value, type_)


def gateway(name: str = "gw", namespace: str = "infra", *listeners: Any, **more: Any) -> Gateway:
    spec = {"gatewayClassName": more.pop("class_name", "fastroute"), **more.pop("spec", {})}
    return make(Gateway, namespace, name, {**spec, "listeners": listeners or [listener()]}, **more)


def listener_set(name: str, namespace: str, *listeners: Any, parent: str = "gw", **more: Any) -> ListenerSet:
    """A ListenerSet of Gateway `parent` in namespace infra."""
    ref = {"namespace": "infra", "name": parent}
    spec = {"parentRef": ref, "listeners": listeners or [listener(name)]}
    return make(ListenerSet, namespace, name, spec, **more)


def https(name: str = "secure", *secrets: str, port: int = 443, options: Any = None, **more: Any) -> Any:
    """An HTTPS listener with certificateRefs "name" or "namespace/name"."""
    refs = [dict(zip(("name", "namespace"), reversed(secret.split("/")), strict=False)) for secret in secrets]
    tls = {"certificateRefs": refs, "options": options or {}}
    return listener(name, port, "HTTPS", tls=tls, **more)


def listener(name: str = "proxy", port: int = 80, protocol: str = "HTTP", allow: Any = "All", **more: Any) -> Any:
    """`allow` is allowedRoutes.namespaces, or its field `from`."""
    namespaces = {"from": allow} if isinstance(allow, str) else allow
    allowed = {"namespaces": namespaces, **({"kinds": more.pop("kinds")} if "kinds" in more else {})}
    return {"name": name, "port": port, "protocol": protocol, "allowedRoutes": allowed, **more}


def route(name: str, namespace: str, *refs: Any, type_: type[Any] = HTTPRoute, **more: Any) -> Any:
    """A route with one rule with these backendRefs (`ref`), or with `rules`; attached to infra/gw, or to `parents`."""
    spec = {
        "parentRefs": more.pop("parents", [{"namespace": "infra", "name": "gw"}]),
        "hostnames": more.pop("hostnames", []),
        "rules": more.pop("rules", [{"backendRefs": refs}]),
        **more.pop("spec", {}),
    }
    return make(type_, namespace, name, spec, **more)


def ref(name: str, namespace: str | None = None, port: int | None = 80, **more: Any) -> Any:
    return {"name": name, "namespace": namespace, "port": port, **more}


def service(name: str, namespace: str, *ports: Any, **spec: Any) -> Service:
    """A Service; each port is a number, or plain values."""
    values = [{"port": port} if isinstance(port, int) else port for port in ports or (80,)]
    return make(Service, namespace, name, {"ports": values, **spec})


def endpoint_slice(name: str, namespace: str, owner: str | None, *endpoints: Any, **more: Any) -> EndpointSlice:
    """An EndpointSlice; each endpoint is an address, or plain values. It has one unnamed port 8080, or `ports`."""
    values = [{"addresses": [e]} if isinstance(e, str) else e for e in endpoints]
    labels = {"kubernetes.io/service-name": owner} if owner else {}
    ports = more.pop("ports", [{"port": 8080}])
    return make(EndpointSlice, namespace, name, endpoints=values, ports=ports, meta={"labels": labels}, **more)


def grant(name: str, namespace: str, from_namespace: str, to: str | None = None, **more: Any) -> ReferenceGrant:
    origin = {"group": GROUP, "kind": more.pop("from_kind", "HTTPRoute"), "namespace": from_namespace}
    target = {"group": more.pop("to_group", ""), "kind": more.pop("to_kind", "Service"), "name": to}
    return make(ReferenceGrant, namespace, name, {"from": [{**origin, **more.pop("origin", {})}], "to": [target]})


def namespace(name: str, **labels: str) -> Namespace:
    return make(Namespace, "", name, meta={"labels": labels})


def tls_policy(name: str, namespace: str, *services: str, section: str | None = None, **more: Any) -> BackendTLSPolicy:
    """A BackendTLSPolicy for Services of its namespace; `section` is the name of a Service port, `authorities` are
    caCertificateRefs: names of ConfigMaps, or plain values."""
    targets = [{"group": "", "kind": "Service", "name": service, "sectionName": section} for service in services]
    verified = {"hostname": "a.example.com", "wellKnownCACertificates": "System"}
    if authorities := more.pop("authorities", ()):
        refs = [{"group": "", "kind": "ConfigMap", "name": one} if isinstance(one, str) else one for one in authorities]
        verified = {"hostname": "a.example.com", "caCertificateRefs": refs}
    validation = {**verified, **more.pop("validation", {})}
    spec = {"targetRefs": targets, "validation": validation, "options": more.pop("options", {})}
    return make(BackendTLSPolicy, namespace, name, spec, **more)


def config_map(name: str, namespace: str, authorities: str | None = None) -> ConfigMap:
    """A ConfigMap with these CA certificates as PEM."""
    return make(ConfigMap, namespace, name, data={} if authorities is None else {"ca.crt": authorities})
