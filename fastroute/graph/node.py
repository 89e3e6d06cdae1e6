"""Nodes of the graph: resolved, connected and frozen, each with the problems that were found.

GatewayClassNode ─ GatewayNode ─ ListenerNode ─ Attachment ─ RouteNode ─ RuleNode ─ BackendRefNode ─ BackendNode
             ListenerSetNode ─┘ └─ CertificateNode

A problem is a negative condition, recorded on the node that it applies to; a node without problems is valid. Every
decision is made once: statuses (status/) and traffic (compiler/) both read these nodes. If the objects and neighbours
of a node do not change, the next graph contains the identical node (`is`). Routes refer to backends by id, so that
endpoints can change without a new RouteNode: `Graph.backends` contains them. Likewise, listeners refer to certificates
by id: `Graph.certificates` contains them.

A managed object belongs, directly or through its parent, to a GatewayClass with our controllerName.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from typing import Any, NamedTuple, TypeVar

import msgspec

from fastroute.graph.certificate import CertificateNode
from fastroute.graph.endpoint import Piece
from fastroute.graph.grant import Grants, Reference
from fastroute.graph.protocol import Protocol
from fastroute.place import Place, Transport
from fastroute.resources.gateway import Gateway, GatewayClass, Listener, ListenerSet, ParentReference, Route
from fastroute.resources.http_rule import HTTPRule
from fastroute.resources.l4_rule import L4Rule
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy
from fastroute.resources.route_kinds import ROUTES, hostnames_of
from fastroute.resources.telemetry import XTelemetryPolicy
from fastroute.resources.world import Resources
from fastroute.settings import CONTROLLER_NAME, GraphSettings
from fastroute.snapshot import BackendTLS, Collector, Endpoint, ListenerTLS, Mode

RouteId = tuple[str, Key]  # (kind, key)
HolderId = tuple[str, Key]  # (kind, key) of a Gateway or ListenerSet, which contain listeners
TransportPort = tuple[Transport, int]  # TCP and UDP ports of one number are different ports


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A negative condition. conditions.py has one constructor for each."""

    condition: str  # type: "Accepted", "ResolvedRefs", "Programmed", "Conflicted"
    reason: str  # as in the specification: "RefNotPermitted"
    message: str  # the problem, the field and a fix; never reveals whether a refused target exists
    field: str | None = None  # "spec.rules[0].backendRefs[1]"
    fix: str | None = None  # YAML that fixes the problem, applicable unchanged
    reference: Reference | None = None  # for RefNotPermitted: the reference that no grant allows


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """Why a resolved backend gets no requests. No condition of the route mentions it: ResolvedRefs is True."""

    reason: str  # as in logs and metrics: "backend_tls_policy"
    message: str


class Applied(NamedTuple):
    """The BackendTLSPolicy that applies to a port of a Service."""

    policy: Key
    tls: BackendTLS | None  # None: it cannot be fulfilled, so the port gets no requests


class Refusal(NamedTuple):
    """An endpoint that gets no requests."""

    endpoint: Endpoint
    why: str  # "a loopback address"


class Concern(NamedTuple):
    """Why some endpoints of a backend get no requests: a problem of routes that refer to it."""

    reason: str
    message: str
    namespaces: tuple[str, ...] | None = None  # it concerns only routes of these; None: all


class BackendNode(msgspec.Struct, frozen=True, kw_only=True):
    """An existing port of an existing Service."""

    id: str  # see backend_id.py; the port is that of the backendRef
    service: Key
    transport: Transport = Transport.TCP
    port: int
    endpoints: tuple[Endpoint, ...]  # those to use now: ready, or serving while terminating if none is ready; sorted
    protocol: Protocol = Protocol.HTTP1
    proxy_protocol: bool = False  # connections begin with the address of the client
    applied: Applied | None = None  # None: no policy applies
    concerns: tuple[Concern, ...] = ()
    # Ids of the certificates that the Gateways of its routes show to it; "": one shows none; PASSED: see backend_id.py.
    # Sorted.
    certificates: tuple[str, ...] = ("",)
    fewer: Mapping[str, tuple[Endpoint, ...]] = {}  # by certificate, if not all of `endpoints` are used with it


class BackendRefNode(msgspec.Struct, frozen=True, kw_only=True):
    """One backendRef, resolved or refused. Its weight counts in both cases."""

    id: str  # "ns/name:port" even if refused; if resolved, its key in Graph.backends
    weight: int
    problem: Problem | None = None  # RefNotPermitted, BackendNotFound, InvalidKind, UnsupportedProtocol
    withheld: Withheld | None = None  # only if resolved
    concerns: tuple[Problem, ...] = ()  # only if resolved: some of its endpoints get no requests, the others do

    @property
    def resolved(self) -> bool:
        return self.problem is None

    @property
    def problems(self) -> tuple[Problem, ...]:
        return self.concerns if self.problem is None else (self.problem,)

    @property
    def served(self) -> bool:
        """Whether it gets its share of the requests."""
        return self.problem is None and self.withheld is None


class MirrorNode(msgspec.Struct, frozen=True, kw_only=True):
    """The backendRef of a RequestMirror filter, resolved or refused. Requests are mirrored only if it is served."""

    backend_ref: int | None  # index of the backendRef with the filter; None: a filter of the rule
    filter: int  # index in that list of filters
    id: str  # as in BackendRefNode
    problem: Problem | None = None
    withheld: Withheld | None = None
    concerns: tuple[Problem, ...] = ()

    @property
    def resolved(self) -> bool:
        return self.problem is None

    @property
    def served(self) -> bool:
        return self.problem is None and self.withheld is None


class RuleNode(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    backend_refs: tuple[BackendRefNode, ...]  # one for each of the rule's backendRefs, in their order
    session_holds_backend: bool = True  # see feature.Edition
    mirrors: tuple[MirrorNode, ...] = ()  # one for each RequestMirror filter of the rule and its backendRefs

    @property
    def references(self) -> tuple[BackendRefNode | MirrorNode, ...]:
        return (*self.backend_refs, *self.mirrors)


class RouteNode(msgspec.Struct, frozen=True, kw_only=True):
    """A route with its references resolved, before it is attached to parents."""

    kind: str  # the name of a RouteKind
    source: Route
    rules: tuple[RuleNode, ...]
    problems: tuple[
        Problem, ...
    ]  # Accepted (UnsupportedValue …) and ResolvedRefs of the route itself, for every parent

    @property
    def key(self) -> Key:
        return self.source.key

    @property
    def id(self) -> RouteId:
        return (self.kind, self.source.key)

    @property
    def hostnames(self) -> tuple[str, ...]:
        """As written; empty if it has none, or if its kind has none."""
        return hostnames_of(self.kind, self.source)

    @property
    def http_rules(self) -> tuple[HTTPRule, ...]:
        """Its rules for HTTP requests; empty if its kind has none. Their indexes are those of `rules`."""
        return ROUTES[self.kind].http_rules(self.source)

    @property
    def l4_rules(self) -> tuple[L4Rule, ...]:
        """Likewise for connections and datagrams."""
        return ROUTES[self.kind].l4_rules(self.source)

    @property
    def accepted(self) -> bool:
        return not any(problem.condition == "Accepted" for problem in self.problems)


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A route attached to a listener that admits it. `hostnames`: the route's that intersect; ("",) for any host."""

    route: RouteNode
    parent_ref: int  # index in spec.parentRefs; the first, if several select this listener
    hostnames: tuple[str, ...]
    client_certificate: str | None = None  # of the Gateway; PASSED: the listener passes TLS on (backend_id.py)
    secured: frozenset[str] = frozenset()  # ids of the backends to which it is shown: a BackendTLSPolicy applies
    serves: bool = True  # the listener


class ListenerNode(msgspec.Struct, frozen=True, kw_only=True):
    """A Gateway's own listener, or an entry of one of its ListenerSets."""

    gateway: Key  # the Gateway whose addresses it is bound to
    holder: HolderId  # the object that contains it
    source: Listener
    mode: Mode  # if its protocol is unknown: HTTP, and it does not serve
    hostname: str  # lower case, "" if not set
    supported_kinds: tuple[tuple[str, str], ...]  # (group, kind)
    attachments: Mapping[RouteId, Attachment]  # Accepted=True routes; attachedRoutes is their count
    serves: bool  # bound and routed; a listener with a problem may still serve (an unknown route kind)
    problems: tuple[Problem, ...]
    tls: ListenerTLS | None = None  # with mode TERMINATE and resolved references
    overlap: Problem | None = None  # OverlappingTLSConfig: not an error, only reported

    @property
    def label(self) -> str:
        """The name in logs and metrics: the listener's name; for a listener of a ListenerSet, "ns/set/name"."""
        kind, key = self.holder
        return self.source.name if kind == "Gateway" else f"{key}/{self.source.name}"

    @property
    def is_l4(self) -> bool:
        """Whether its routes are for connections or datagrams, not for requests."""
        return self.mode is not Mode.HTTP and self.source.protocol != "HTTPS"

    @property
    def transport(self) -> Transport:
        return self.mode.transport

    @property
    def port(self) -> TransportPort:
        """As in the Gateway, without the offset."""
        return self.mode.transport, self.source.port

    @property
    def id(self) -> str:
        """Unique among all listeners: "ns/gateway/name", "ns/gateway/ns/set/name"."""
        return f"{self.gateway}/{self.label}"


Result = TypeVar("Result")


class Listening(msgspec.Struct, frozen=True, kw_only=True, dict=True):
    """What Gateways and ListenerSets have in common. The properties are computed once: an edit of one ListenerSet must
    not cost as much as all listeners of its Gateway."""

    bind: tuple[str, ...]  # addresses its listeners bind to
    listeners: tuple[ListenerNode, ...]  # in spec order
    problems: tuple[Problem, ...]
    client_certificate: str | None = None  # id of the Gateway's certificate for backends; None: it has none

    def again(self, stage: str, why: Any, make: Callable[[], Result]) -> Result:
        """The result of `make`, which depends on this node and on `why` only: the last one of this stage if `why` is
        equal."""
        known = self.__dict__.get(stage)
        if known is None or known[0] != why:
            known = self.__dict__[stage] = (why, make())
        result: Result = known[1]
        return result

    @cached_property
    def ports(self) -> Mapping[TransportPort, int]:
        """Of the listeners that serve; each with the index of its first listener."""
        found: dict[TransportPort, int] = {}
        for index, listener in enumerate(self.listeners):
            if listener.serves:
                found.setdefault(listener.port, index)
        return found

    @cached_property
    def places(self) -> frozenset[Place]:
        return frozenset(Place(transport, address, port) for transport, port in self.ports for address in self.bind)


class GatewayNode(Listening, frozen=True, kw_only=True):
    source: Gateway
    addresses: tuple[str, ...]  # content of status.addresses
    attached_sets: int = 0  # number of ListenerSets with a listener that serves

    @property
    def key(self) -> Key:
        return self.source.key

    @property
    def id(self) -> HolderId:
        return ("Gateway", self.source.key)

    @property
    def gateway(self) -> Key:
        """Itself: a property that all holders have."""
        return self.source.key


class ListenerSetNode(Listening, frozen=True, kw_only=True):
    """A ListenerSet whose parentRef refers to a managed Gateway. If the Gateway does not allow it, it has no listeners
    here."""

    source: ListenerSet
    gateway: Key

    @property
    def key(self) -> Key:
        return self.source.key

    @property
    def id(self) -> HolderId:
        return ("ListenerSet", self.source.key)


Holder = GatewayNode | ListenerSetNode


class ParentNode(msgspec.Struct, frozen=True, kw_only=True):
    """One parentRef of a route to a managed Gateway or ListenerSet, and the result."""

    route: RouteNode
    index: int
    parent_ref: ParentReference
    holder: HolderId
    listeners: tuple[str, ...]  # names of the listeners that the route attached to
    problems: tuple[Problem, ...]  # of this parent only: NotAllowedByListeners, NoMatchingParent, …


class PolicyNode(msgspec.Struct, frozen=True, kw_only=True):
    """A BackendTLSPolicy with a target that a managed Gateway reaches through a route."""

    source: BackendTLSPolicy
    ancestors: tuple[Key, ...]  # these Gateways, sorted
    scope: str  # what it applies to, as text
    problems: tuple[Problem, ...]


class TelemetryAncestor(NamedTuple):
    """A Gateway that an XTelemetryPolicy targets: a managed one, or one that does not exist."""

    gateway: Key
    problems: tuple[Problem, ...] = ()  # why the policy does not apply to it


class TelemetryNode(msgspec.Struct, frozen=True, kw_only=True):
    """An XTelemetryPolicy that concerns a managed Gateway, or one that does not exist."""

    source: XTelemetryPolicy
    ancestors: tuple[TelemetryAncestor, ...]  # sorted, at least one
    collector: Collector | None  # None: it has no provider, or nothing may be sent to it
    problems: tuple[Problem, ...]  # of the reference to the collector
    dependencies: frozenset[tuple[str, Any]]  # see dependency.py


class GatewayClassNode(msgspec.Struct, frozen=True, kw_only=True):
    source: GatewayClass
    bundle_version: str | None = None  # of the installed CRDs
    infrastructure: bool = False  # whether Services are created for the `spec.infrastructure` of its Gateways
    implied: bool = False  # assumed because there is no GatewayClass; it has no status to write
    problems: tuple[Problem, ...]


class Graph(msgspec.Struct, frozen=True, kw_only=True, eq=False, weakref=True):
    """All managed objects, connected."""

    controller_name: str = CONTROLLER_NAME  # the name under which statuses are written
    classes: Mapping[Key, GatewayClassNode]
    gateways: Mapping[Key, GatewayNode]
    listener_sets: Mapping[Key, ListenerSetNode] = {}
    routes: Mapping[RouteId, RouteNode]  # with a managed parent, or with an entry of fastroute in their status
    parents: Mapping[RouteId, tuple[ParentNode, ...]]  # the same keys as `routes`
    backends: Mapping[str, BackendNode]  # by id: all backends of resolved backendRefs and mirrors of routes
    policies: Mapping[Key, PolicyNode] = {}
    telemetry: Mapping[Key, TelemetryNode] = {}
    grants: Grants = {}
    certificates: Mapping[str, CertificateNode] = {}  # by id: those to which listeners and Gateways refer
    memo: Any = None  # private to build.py: what the next build starts from

    @property
    def settings(self) -> GraphSettings | None:
        """The settings it was built with; None for the empty graph before the first build."""
        return self.memo.settings if self.memo else None

    @property
    def resources(self) -> Resources | None:
        """The resources it was built from; None for the empty graph before the first build."""
        return self.memo.resources if self.memo else None

    @property
    def slices(self) -> Mapping[Key, tuple[Piece, ...]]:
        """The EndpointSlices of each Service."""
        found: Mapping[Key, tuple[Piece, ...]] = self.memo.slices if self.memo else {}
        return found

    @property
    def holders(self) -> Iterator[Holder]:
        """All objects that contain listeners: Gateways, then ListenerSets."""
        yield from self.gateways.values()
        yield from self.listener_sets.values()

    def listeners_of(self, gateway: Key) -> Iterator[ListenerNode]:
        """A Gateway's own listeners, then those of its ListenerSets."""
        for holder in self.holders:
            if holder.gateway == gateway:
                yield from holder.listeners

    def holder(self, id_: HolderId) -> Holder:
        kind, key = id_
        return self.gateways[key] if kind == "Gateway" else self.listener_sets[key]
