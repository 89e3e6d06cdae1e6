"""The graph's nodes: resolved, connected, frozen, with the problems found on the way inside.

GatewayClassNode ─ GatewayNode ─ ListenerNode ─ Attachment ─ RouteNode ─ RuleNode ─ BackendRefNode ─ BackendNode
             ListenerSetNode ─┘ └─ CertificateNode

A problem is a negative condition recorded on the node it is about; a node without problems is fine. Nothing here is
decided twice: statuses (status.py) and traffic (compiler/) both read these very nodes. A node over unchanged objects
and unchanged neighbours is the very same object (`is`) in the next graph. Routes name their backends by id, so that
endpoints may come and go without a new RouteNode: `Graph.backends` holds them. So do listeners with their certificates:
`Graph.certificates` holds those.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from fastroute.graph.certificate import CertificateNode
from fastroute.graph.grant import Grants, Reference
from fastroute.resources.gateway import (
    Gateway,
    GatewayClass,
    GRPCRoute,
    HTTPRoute,
    Listener,
    ListenerSet,
    ParentReference,
)
from fastroute.resources.meta import Key
from fastroute.settings import CONTROLLER_NAME
from fastroute.snapshot import Endpoint, ListenerTLS

Route = HTTPRoute | GRPCRoute
RouteId = tuple[str, Key]  # (kind, key)
HolderId = tuple[str, Key]  # (kind, key) of a Gateway or ListenerSet: what holds listeners


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A negative condition. Constructors, one each, in conditions.py."""

    condition: str  # type: "Accepted", "ResolvedRefs", "Programmed", "Conflicted"
    reason: str  # as the spec names it: "RefNotPermitted"
    message: str  # what, where, and the way out; never whether a refused target exists
    field: str | None = None  # "spec.rules[0].backendRefs[1]"
    fix: str | None = None  # YAML that would mend it, applicable unchanged
    reference: Reference | None = None  # of RefNotPermitted: what no grant allows


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """Why a backend that is resolved gets no request. No condition of the route speaks of it: ResolvedRefs is True."""

    reason: str  # as logs and metrics name it: "backend_tls_policy"
    message: str


class BackendNode(msgspec.Struct, frozen=True, kw_only=True):
    """A Service and a port of it that exist."""

    id: str  # "ns/name:port", port as in the backendRef
    service: Key
    port: int
    endpoints: tuple[Endpoint, ...]  # eligible now: ready, or serving while terminating when none is ready; sorted
    app_protocol: str | None = None


class BackendRefNode(msgspec.Struct, frozen=True, kw_only=True):
    """One backendRef, resolved or refused. It keeps its weight either way."""

    id: str  # "ns/name:port" even if refused; resolved: its key in Graph.backends
    weight: int
    problem: Problem | None = None  # RefNotPermitted, BackendNotFound, InvalidKind, UnsupportedProtocol
    withheld: Withheld | None = None  # of a resolved one

    @property
    def resolved(self) -> bool:
        return self.problem is None

    @property
    def served(self) -> bool:
        """Whether it gets its share of the requests."""
        return self.problem is None and self.withheld is None


class MirrorNode(msgspec.Struct, frozen=True, kw_only=True):
    """The backendRef of a RequestMirror filter, resolved or refused. Unless it is served, nothing is mirrored there."""

    backend_ref: int | None  # index of the backendRef whose filter it is; None: the rule's own
    filter: int  # index in that list of filters
    id: str  # as of a BackendRefNode
    problem: Problem | None = None
    withheld: Withheld | None = None

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


class RouteNode(msgspec.Struct, frozen=True, kw_only=True):
    """A route with its references resolved, before it meets any parent."""

    kind: str  # "HTTPRoute", "GRPCRoute"
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
    def accepted(self) -> bool:
        return not any(problem.condition == "Accepted" for problem in self.problems)


class Attachment(msgspec.Struct, frozen=True, kw_only=True):
    """A route meets one listener that admits it. `hostnames`: the route's own ones that intersect; ("",) for any."""

    route: RouteNode
    parent_ref: int  # index in spec.parentRefs; the first, when several lead to this listener
    hostnames: tuple[str, ...]


class ListenerNode(msgspec.Struct, frozen=True, kw_only=True):
    """A Gateway's own listener, or an entry of one of its ListenerSets."""

    gateway: Key  # on whose addresses it is
    holder: HolderId  # where it is written
    source: Listener
    hostname: str  # lower case, "" when none
    supported_kinds: tuple[tuple[str, str], ...]  # (group, kind)
    attachments: Mapping[RouteId, Attachment]  # Accepted=True routes; attachedRoutes is their count
    serves: bool  # bound and routed; a listener with a problem may still serve (a route kind it does not know)
    problems: tuple[Problem, ...]
    tls: ListenerTLS | None = None  # of an HTTPS listener whose references are resolved
    overlap: Problem | None = None  # OverlappingTLSConfig: no fault, but to be said

    @property
    def label(self) -> str:
        """As logs and metrics name it: by its name, an entry of a ListenerSet by "ns/set/name"."""
        kind, key = self.holder
        return self.source.name if kind == "Gateway" else f"{key}/{self.source.name}"

    @property
    def id(self) -> str:
        """Names it among all listeners: "ns/gateway/name", "ns/gateway/ns/set/name"."""
        return f"{self.gateway}/{self.label}"


class GatewayNode(msgspec.Struct, frozen=True, kw_only=True):
    source: Gateway
    bind: tuple[str, ...]  # addresses its listeners bind to
    addresses: tuple[str, ...]  # what status.addresses says
    listeners: tuple[ListenerNode, ...]  # its own, in spec order, one each
    problems: tuple[Problem, ...]
    attached_sets: int = 0  # ListenerSets of which a listener serves

    @property
    def key(self) -> Key:
        return self.source.key

    @property
    def id(self) -> HolderId:
        return ("Gateway", self.source.key)

    @property
    def gateway(self) -> Key:
        """Itself: what is asked of everything that holds listeners."""
        return self.source.key


class ListenerSetNode(msgspec.Struct, frozen=True, kw_only=True):
    """A ListenerSet whose parentRef names a Gateway of ours."""

    source: ListenerSet
    gateway: Key
    bind: tuple[str, ...]  # as its Gateway's
    listeners: tuple[ListenerNode, ...]  # in spec order, one each; none when the Gateway does not take the set
    problems: tuple[Problem, ...]

    @property
    def key(self) -> Key:
        return self.source.key

    @property
    def id(self) -> HolderId:
        return ("ListenerSet", self.source.key)


Holder = GatewayNode | ListenerSetNode


class ParentNode(msgspec.Struct, frozen=True, kw_only=True):
    """One parentRef of a route that names a Gateway of ours, or a ListenerSet of one, and what came of it."""

    route: RouteNode
    index: int
    parent_ref: ParentReference
    holder: HolderId
    listeners: tuple[str, ...]  # names of the listeners it attached to
    problems: tuple[Problem, ...]  # of this parent alone: NotAllowedByListeners, NoMatchingParent, …


class GatewayClassNode(msgspec.Struct, frozen=True, kw_only=True):
    source: GatewayClass
    bundle_version: str | None = None  # of the CRDs that are installed
    infrastructure: bool = False  # whether its Gateways' `spec.infrastructure` is carried by anything
    implied: bool = False  # assumed because the resources hold no GatewayClass; it has no status to write
    problems: tuple[Problem, ...]


class Graph(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything of ours, connected."""

    controller_name: str = CONTROLLER_NAME  # under which statuses are written
    classes: Mapping[Key, GatewayClassNode]
    gateways: Mapping[Key, GatewayNode]
    listener_sets: Mapping[Key, ListenerSetNode] = {}
    routes: Mapping[RouteId, RouteNode]  # those with a parent of ours, or with a status that still says so
    parents: Mapping[RouteId, tuple[ParentNode, ...]]  # the same keys as `routes`
    backends: Mapping[str, BackendNode]  # by id: all that the routes' resolved backendRefs and mirrors name
    grants: Grants = {}
    certificates: Mapping[str, CertificateNode] = {}  # by id: all that the listeners' resolved certificateRefs name
    memo: Any = None  # build.py's own: what the next build starts from

    @property
    def holders(self) -> Iterator[Holder]:
        """Everything that holds listeners: Gateways, then ListenerSets."""
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
