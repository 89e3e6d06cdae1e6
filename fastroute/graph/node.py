"""The graph's nodes: resolved, connected, frozen, with the problems found on the way inside.

GatewayClassNode ─ GatewayNode ─ ListenerNode ─ Attachment ─ RouteNode ─ RuleNode ─ BackendRefNode ─ BackendNode

A problem is a negative condition recorded on the node it is about; a node without problems is fine. Nothing here is
decided twice: statuses (status.py) and traffic (compiler/) both read these very nodes. A node over unchanged objects
and unchanged neighbours is the very same object (`is`) in the next graph. Routes name their backends by id, so that
endpoints may come and go without a new RouteNode: `Graph.backends` holds them.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from fastroute.graph.grant import Grants, Reference
from fastroute.resources.gateway import Gateway, GatewayClass, GRPCRoute, HTTPRoute, Listener, ParentReference
from fastroute.resources.meta import Key
from fastroute.settings import CONTROLLER_NAME
from fastroute.snapshot import Endpoint

Route = HTTPRoute | GRPCRoute
RouteId = tuple[str, Key]  # (kind, key)


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """A negative condition. Constructors, one each, in conditions.py."""

    condition: str  # type: "Accepted", "ResolvedRefs", "Programmed", "Conflicted"
    reason: str  # as the spec names it: "RefNotPermitted"
    message: str  # what, where, and the way out; never whether a refused target exists
    field: str | None = None  # "spec.rules[0].backendRefs[1]"
    fix: str | None = None  # YAML that would mend it, applicable unchanged
    reference: Reference | None = None  # of RefNotPermitted: what no grant allows


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

    @property
    def resolved(self) -> bool:
        return self.problem is None


class MirrorNode(msgspec.Struct, frozen=True, kw_only=True):
    """The backendRef of a RequestMirror filter, resolved or refused. Refused, nothing is mirrored there."""

    backend_ref: int | None  # index of the backendRef whose filter it is; None: the rule's own
    filter: int  # index in that list of filters
    id: str  # as of a BackendRefNode
    problem: Problem | None = None

    @property
    def resolved(self) -> bool:
        return self.problem is None


class RuleNode(msgspec.Struct, frozen=True, kw_only=True):
    index: int
    backend_refs: tuple[BackendRefNode, ...]  # one for each of the rule's backendRefs, in their order
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
    gateway: Key
    source: Listener
    hostname: str  # lower case, "" when none
    supported_kinds: tuple[tuple[str, str], ...]  # (group, kind)
    attachments: tuple[Attachment, ...]  # Accepted=True routes, sorted by (kind, key); attachedRoutes is their count
    serves: bool  # bound and routed; a listener with a problem may still serve (a route kind it does not know)
    problems: tuple[Problem, ...]


class GatewayNode(msgspec.Struct, frozen=True, kw_only=True):
    source: Gateway
    bind: tuple[str, ...]  # addresses its listeners bind to
    addresses: tuple[str, ...]  # what status.addresses says
    listeners: tuple[ListenerNode, ...]  # in spec order, one each
    problems: tuple[Problem, ...]

    @property
    def key(self) -> Key:
        return self.source.key


class ParentNode(msgspec.Struct, frozen=True, kw_only=True):
    """One parentRef of a route that names a Gateway of ours, and what came of it."""

    route: RouteNode
    index: int
    parent_ref: ParentReference
    gateway: Key
    listeners: tuple[str, ...]  # names of the listeners it attached to
    problems: tuple[Problem, ...]  # of this parent alone: NotAllowedByListeners, NoMatchingParent, …


class GatewayClassNode(msgspec.Struct, frozen=True, kw_only=True):
    source: GatewayClass
    implied: bool = False  # assumed because the resources hold no GatewayClass; it has no status to write
    problems: tuple[Problem, ...]


class Graph(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """Everything of ours, connected."""

    controller_name: str = CONTROLLER_NAME  # under which statuses are written
    classes: Mapping[Key, GatewayClassNode]
    gateways: Mapping[Key, GatewayNode]
    routes: Mapping[RouteId, RouteNode]  # those with a parent of ours, or with a status that still says so
    parents: Mapping[RouteId, tuple[ParentNode, ...]]  # the same keys as `routes`
    backends: Mapping[str, BackendNode]  # by id: all that the routes' resolved backendRefs and mirrors name
    grants: Grants = {}
    memo: Any = None  # build.py's own: what the next build starts from
