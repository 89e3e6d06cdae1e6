"""Store: the only mutable copy of what users applied. WatchEvents go in, frozen Resources come out.

A list-and-watch is `Init(kind)`, `InitApply(object)` for each listed one, `InitDone(kind)`, then `Apply` and
`Delete`. What was there before `Init` and was not listed is gone after `InitDone`: correct by construction, also
after a lost connection. Between the two nothing is removed, so that a restarted watch takes no traffic away.

An object that did not change is the very same object in the next Resources, a kind that did not change the very same
mapping, and Resources themselves are the very same while nothing changed: "unchanged" is `is`. Mappings are in order
of keys, but for those of UNORDERED.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from fastroute.difference import replaced
from fastroute.resources.core import EndpointSlice, Namespace, Secret, Service
from fastroute.resources.gateway import Gateway, GatewayClass, GRPCRoute, HTTPRoute, ListenerSet
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant, UnservedPolicy
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.unserved import Endpoints, TCPRoute, TLSRoute, UDPRoute
from fastroute.resources.world import Resources

FIELDS: dict[type[Resource], str] = {  # the field of Resources that holds a kind
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
    UnservedPolicy: "unserved_policies",
    Namespace: "namespaces",
    Service: "services",
    EndpointSlice: "endpoint_slices",
    Endpoints: "endpoints",
    Secret: "secrets",
}

UNORDERED = frozenset({HTTPRoute, GRPCRoute})  # they are many, and nothing depends on their order: new ones come last


class Init(msgspec.Struct, frozen=True):
    """A list of all objects of a kind begins."""

    kind: type[Resource]


class InitApply(msgspec.Struct, frozen=True):
    """One object of that list."""

    resource: Resource


class InitDone(msgspec.Struct, frozen=True):
    """The list is complete: what it did not name is gone."""

    kind: type[Resource]


class Apply(msgspec.Struct, frozen=True):
    """An object was created or changed."""

    resource: Resource


class Delete(msgspec.Struct, frozen=True):
    """An object is gone."""

    kind: type[Resource]
    key: Key


WatchEvent = Init | InitApply | InitDone | Apply | Delete


class Store:
    """Objects by kind and key, as the events so far made them."""

    def __init__(self) -> None:
        self.problems: tuple[ManifestProblem, ...] = ()  # objects that are not used as they stand
        self.warnings: tuple[ManifestProblem, ...] = ()  # fields without effect
        self.bundle_version: str | None = None  # of the CRDs, where an API server has some
        self.missing: Mapping[str, str] = {}  # kinds that it does not serve: why
        self._objects: dict[type[Resource], dict[Key, Resource]] = {kind: {} for kind in FIELDS}
        self._listed: dict[type[Resource], set[Key]] = {}
        self._mappings: dict[type[Resource], Mapping[Key, Any]] = {kind: {} for kind in FIELDS}  # last snapshot's
        self._touched: dict[type[Resource], set[Key]] = {}  # since then
        self._resources: Resources | None = None

    def apply(self, events: Iterable[WatchEvent]) -> bool:
        """Takes events in order. True if anything is now different."""
        changed = False
        for event in events:
            match event:
                case Init(kind):
                    self._listed[kind] = set()
                case InitApply(resource):
                    self._listed.setdefault(type(resource), set()).add(resource.key)
                    changed |= self._put(resource)
                case InitDone(kind):
                    listed = self._listed.pop(kind, set())
                    gone = [key for key in self._objects[kind] if key not in listed]
                    for key in gone:
                        changed |= self._remove(kind, key)
                case Apply(resource):
                    changed |= self._put(resource)
                case Delete(kind, key):
                    changed |= self._remove(kind, key)
        return changed

    def report(self, problems: Iterable[ManifestProblem], warnings: Iterable[ManifestProblem] = ()) -> bool:
        """Replaces what is said about the manifests. True if that is different."""
        before = self.problems, self.warnings
        self.problems, self.warnings = tuple(problems), tuple(warnings)
        return before != (self.problems, self.warnings)

    def get(self, kind: type[Resource], key: Key) -> Resource | None:
        return self._objects[kind].get(key)

    def snapshot(self) -> Resources:
        """Everything, frozen."""
        if self._resources is None:
            for kind, keys in self._touched.items():
                changes = {key: self._objects[kind].get(key) for key in keys}
                self._mappings[kind] = replaced(self._mappings[kind], changes, in_order=kind not in UNORDERED)
            self._touched.clear()
            self._resources = Resources(**{field: self._mappings[kind] for kind, field in FIELDS.items()})
        return self._resources

    def _put(self, resource: Resource) -> bool:
        kind = type(resource)
        objects = self._objects[kind]
        previous = objects.get(resource.key)
        if previous is resource or (previous is not None and _is_only_moved(previous, resource)):
            return False
        objects[resource.key] = resource
        self._touch(kind, resource.key)
        return True

    def _remove(self, kind: type[Resource], key: Key) -> bool:
        if self._objects[kind].pop(key, None) is None:
            return False
        self._touch(kind, key)
        return True

    def _touch(self, kind: type[Resource], key: Key) -> None:
        self._touched.setdefault(kind, set()).add(key)
        self._resources = None


def _is_only_moved(old: Resource, new: Resource) -> bool:
    """Whether they are equal, but for the line of one file at which they stand."""
    if old.origin is not None and new.origin is not None and old.origin.file == new.origin.file:
        new = msgspec.structs.replace(new, origin=old.origin)
    return old == new
