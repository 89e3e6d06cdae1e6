"""Store: the only mutable copy of the users' objects. Its input is WatchEvents, its output is frozen Resources.

A list-and-watch is `Init(kind)`, `InitApply(object)` for each listed object, `InitDone(kind)`, then `Apply` and
`Delete`. `InitDone` removes the objects that existed before `Init` and were not listed, so the state is correct also
after a lost connection. Between `Init` and `InitDone` nothing is removed, so a restarted watch does not interrupt
traffic.

Identity (`is`) means "unchanged": an unchanged object is the same object in the next Resources, an unchanged kind the
same mapping, and while nothing changes `snapshot` returns the same Resources. Mappings are sorted by key, except those
of the kinds in UNORDERED.

`snapshot` contains all changes. `portion` contains the changes so far plus the next ones, as many as a pass of the
control plane may take (pending.py): the changes of one namespace must not delay those of another.
"""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

import msgspec

from fastroute.difference import replaced
from fastroute.resources.core import ClusterTrustBundle, ConfigMap, EndpointSlice, Namespace, Secret, Service
from fastroute.resources.endpoints import Endpoints
from fastroute.resources.gateway import Gateway, GatewayClass, ListenerSet
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import BackendTLSPolicy, ReferenceGrant, UnservedPolicy
from fastroute.resources.problem import ManifestProblem
from fastroute.resources.route_kinds import BY_TYPE, ROUTES
from fastroute.resources.telemetry import XTelemetryPolicy
from fastroute.resources.world import Resources
from fastroute.source.debts import Charge
from fastroute.source.pending import Changed, Pending, size
from fastroute.source.reports import Reports

FIELDS: dict[type[Resource], str] = {  # the field of Resources that holds a kind
    GatewayClass: "gateway_classes",
    Gateway: "gateways",
    ListenerSet: "listener_sets",
    **{route.type: route.field for route in ROUTES.values()},
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

# Kinds with many objects, on whose order nothing depends: new objects are appended. (To sort 20,000 takes 15 ms.)
UNORDERED = frozenset((*BY_TYPE, Service))


class Init(msgspec.Struct, frozen=True):
    """Begins a list of all objects of a kind."""

    kind: type[Resource]


class InitApply(msgspec.Struct, frozen=True):
    """One object of the list."""

    resource: Resource


class InitDone(msgspec.Struct, frozen=True):
    """The list is complete: objects that it did not contain are deleted."""

    kind: type[Resource]


class Apply(msgspec.Struct, frozen=True):
    """An object was created or changed."""

    resource: Resource
    since: float | None = None  # when this was noticed; None: with the other events


class Delete(msgspec.Struct, frozen=True):
    """An object was deleted."""

    kind: type[Resource]
    key: Key
    since: float | None = None


WatchEvent = Init | InitApply | InitDone | Apply | Delete


class Portion(NamedTuple):
    """What to serve next."""

    resources: Resources
    taken: Mapping[Changed, float] = {}  # the new changes in it, and when each was noticed
    units: int = 0  # of their size

    @property
    def since(self) -> Mapping[str, float]:
        """By namespace: when the first of its changes was noticed."""
        since: dict[str, float] = {}
        for changed, noticed in self.taken.items():
            since[changed.space] = min(noticed, since.get(changed.space, noticed))
        return since


class Store:
    """Objects by kind and key, as of the events so far."""

    def __init__(self, reports: Reports | None = None) -> None:
        self.reports = Reports() if reports is None else reports
        self.bundle_version: str | None = None  # the version of the CRDs, if the API server has any
        self.missing: Mapping[str, str] = {}  # kinds that the API server does not serve: the reason
        self.found_grants: frozenset[Key] = frozenset()  # see Resources
        self._objects: dict[type[Resource], dict[Key, Resource]] = {kind: {} for kind in FIELDS}
        self._listed: dict[type[Resource], set[Key]] = {}
        self._mappings: dict[type[Resource], Mapping[Key, Any]] = {kind: {} for kind in FIELDS}  # of the last snapshot
        self._pending = Pending(lambda changed: self._objects[changed.kind].get(changed.key))
        self._noticed = 0.0  # when the events that are being applied were noticed
        self._resources: Resources | None = None

    def apply(self, events: Iterable[WatchEvent], noticed: float = 0.0) -> bool:
        """Applies events in order. True if anything changed. `noticed`: when the changes were noticed, unless an event
        has a time of its own."""
        changed = False
        for event in events:
            own = event.since if isinstance(event, Apply | Delete) else None
            self._noticed = noticed if own is None else own
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
                case Apply(resource, _):
                    changed |= self._put(resource)
                case Delete(kind, key, _):
                    changed |= self._remove(kind, key)
        return changed

    def report(self, problems: Iterable[ManifestProblem]) -> bool:
        """Replaces the problems of a source that does not report them by topic. True if they changed."""
        return self.reports.replace("", problems)

    @property
    def problems(self) -> tuple[ManifestProblem, ...]:
        return self.reports.problems

    @property
    def warnings(self) -> tuple[ManifestProblem, ...]:
        return self.reports.warnings

    def get(self, kind: type[Resource], key: Key) -> Resource | None:
        return self._objects[kind].get(key)

    def now(self) -> Resources:
        """The objects as they are now, in no order. It changes with them and must not be kept."""
        objects: dict[str, Any] = {field: MappingProxyType(self._objects[kind]) for kind, field in FIELDS.items()}
        return Resources(**objects)

    def next_portion(self, now: float) -> float:
        """When `portion` will contain more than now; infinite if it contains everything."""
        return self._pending.next_time(now)

    def snapshot(self) -> Resources:
        """All objects, frozen."""
        return self._frozen(self._pending.take_all())

    def portion(self, most: int, now: float) -> Portion:
        """The last snapshot or portion with the next changes: not many more than `most` units of work."""
        taken = self._pending.take(most, now)
        return Portion(self._frozen(taken), taken, sum(size(self.get(*changed)) for changed in taken))

    def charge(self, portion: Portion, cost: Charge, now: float, listeners: Mapping[str, int] | None = None) -> None:
        """What it cost to build what depends on the changes of a portion. `listeners`: as for Pending.charge."""
        self._pending.charge(portion.taken, cost, now, listeners)

    def _frozen(self, taken: Iterable[Changed]) -> Resources:
        changes: dict[type[Resource], dict[Key, Resource | None]] = {}
        for kind, key in taken:
            changes.setdefault(kind, {})[key] = self._objects[kind].get(key)
        if changes or self._resources is None:
            for kind, new in changes.items():
                self._mappings[kind] = replaced(self._mappings[kind], new, in_order=kind not in UNORDERED)
            mappings: dict[str, Any] = {field: self._mappings[kind] for kind, field in FIELDS.items()}
            self._resources = Resources(**mappings, found_grants=self.found_grants)
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
        if kind is ReferenceGrant and key in self.found_grants:
            self.found_grants -= {key}
        self._touch(kind, key)
        return True

    def _touch(self, kind: type[Resource], key: Key) -> None:
        self._pending.add(Changed(kind, key), self._noticed)


def _is_only_moved(old: Resource, new: Resource) -> bool:
    """Whether they differ at most in their line numbers, within the same file."""
    if old.origin is not None and new.origin is not None and old.origin.file == new.origin.file:
        new = msgspec.structs.replace(new, origin=old.origin)
    return old == new
