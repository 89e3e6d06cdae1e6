"""Routes meet Gateways: each parentRef judged by itself, each listener for itself.

A parentRef reaches the listeners that its sectionName and port leave. Of these, one must admit the route's kind and
namespace (`allowedRoutes`, the only gate: ReferenceGrants play no part) and share a hostname with it. One such listener
is enough. Reasons, in order: NoMatchingParent, NotAllowedByListeners, NoMatchingListenerHostname.
"""

from collections.abc import Mapping

import msgspec

from fastroute.graph import conditions
from fastroute.graph.fix import NAME_LABEL, allowed_routes
from fastroute.graph.grant import EMPTY, Grants
from fastroute.graph.hostname import meeting
from fastroute.graph.listener import ROUTE_KINDS, Admission, admits, selector_mistake
from fastroute.graph.node import Attachment, GatewayNode, ListenerNode, ParentNode, Problem, Route, RouteNode
from fastroute.resources.core import Namespace
from fastroute.resources.gateway import GROUP, ParentReference
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant

ListenerId = tuple[Key, str]  # Gateway, listener name


class Surroundings(msgspec.Struct, frozen=True):
    """What routes are attached in."""

    gateways: Mapping[Key, GatewayNode]  # ours, before any route attached
    namespaces: Mapping[Key, Namespace]
    grants: Grants  # only to tell users that a grant to kind Gateway has no effect

    def labels(self, namespace: str) -> Mapping[str, str]:
        known = self.namespaces.get(Key("", namespace))
        return {**(known.metadata.labels if known else {}), NAME_LABEL: namespace}


class Attached(msgspec.Struct, frozen=True):
    parents: tuple[ParentNode, ...] = ()
    attachments: Mapping[ListenerId, Attachment] = {}


def parent_keys(source: Route) -> frozenset[Key]:
    """The Gateways that a route names, whether they exist or not."""
    return frozenset(_gateway_key(source, ref) for ref in source.spec.parent_refs if _names_gateway(ref))


def _names_gateway(ref: ParentReference) -> bool:
    return (ref.group, ref.kind) == (GROUP, "Gateway")


def _gateway_key(source: Route, ref: ParentReference) -> Key:
    return Key(ref.namespace or source.metadata.namespace, ref.name)


def attach(route: RouteNode, around: Surroundings) -> Attached:
    """One ParentNode for each parentRef to a Gateway of ours; the listeners that an accepted route attaches to."""
    parents: list[ParentNode] = []
    attachments: dict[ListenerId, Attachment] = {}
    for index, ref in enumerate(route.source.spec.parent_refs):
        gateway = around.gateways.get(_gateway_key(route.source, ref)) if _names_gateway(ref) else None
        if gateway is None:
            continue
        met, problem = _judge(route, index, gateway, around)
        met = met if route.accepted else {}
        parents.append(
            ParentNode(
                route=route,
                index=index,
                parent_ref=ref,
                gateway=gateway.key,
                listeners=tuple(met),
                problems=() if problem is None else (problem,),
            )
        )
        for name, hostnames in met.items():
            attachment = Attachment(route=route, parent_ref=index, hostnames=hostnames)
            attachments.setdefault((gateway.key, name), attachment)
    return Attached(tuple(parents), attachments)


def _judge(
    route: RouteNode, index: int, gateway: GatewayNode, around: Surroundings
) -> tuple[dict[str, tuple[str, ...]], Problem | None]:
    """The hostnames by name of each listener that takes the route; else the reason why none does."""
    ref = route.source.spec.parent_refs[index]
    field = f"spec.parentRefs[{index}]"
    reached = [listener for listener in gateway.listeners if _reaches(ref, listener)]
    if not reached:
        return {}, _no_matching_parent(ref, gateway, field)
    namespace = route.key.namespace
    labels = around.labels(namespace)
    admissions = [(listener, admits(listener, route.kind, namespace, labels)) for listener in reached]
    admitting = [listener for listener, admission in admissions if admission.granted]
    if not admitting:
        return {}, _not_allowed(route, gateway, admissions, field, around.grants)
    met = {
        listener.source.name: hostnames
        for listener in admitting
        if (hostnames := meeting(listener.hostname, route.source.spec.hostnames))
    }
    return met, None if met else _no_hostname(route, admitting, field)


def _reaches(ref: ParentReference, listener: ListenerNode) -> bool:
    named = ref.section_name in (None, listener.source.name)
    return named and ref.port in (None, listener.source.port)


# --- Why not


def _no_matching_parent(ref: ParentReference, gateway: GatewayNode, field: str) -> Problem:
    wanted = [f"named {ref.section_name}"] if ref.section_name is not None else []
    wanted += [f"on port {ref.port}"] if ref.port is not None else []
    has = ", ".join(f"{listener.source.name} (port {listener.source.port})" for listener in gateway.listeners)
    what = " ".join(wanted) or "at all"
    where = f"{field}.sectionName" if ref.section_name is not None else f"{field}.port"
    return conditions.no_matching_parent(f"Gateway {gateway.key} has no listener {what}; it has {has}.", where)


def _no_hostname(route: RouteNode, listeners: list[ListenerNode], field: str) -> Problem:
    theirs = ", ".join(f"{listener.source.name} ({listener.hostname or 'any'})" for listener in listeners)
    own = ", ".join(route.source.spec.hostnames)
    message = f"None of the route's hostnames ({own}) lies within a hostname of the listeners of {field}: {theirs}."
    return conditions.no_matching_listener_hostname(message, "spec.hostnames")


def _not_allowed(
    route: RouteNode,
    gateway: GatewayNode,
    admissions: list[tuple[ListenerNode, Admission]],
    field: str,
    grants: Grants,
) -> Problem:
    """Why each listener refuses, and the stanza that would admit the route to the first that can be widened."""
    why = "; ".join(_refusal(route, listener, admission) for listener, admission in admissions)
    message = f"No listener of Gateway {gateway.key} admits this route: {why}."
    widest = next((pair for pair in admissions if route.kind in _attachable(pair[0])), None)
    fix = None
    if widest is not None:
        listener, admission = widest
        allowed = listener.source.allowed_routes
        kinds = () if admission.kind else (*(named.kind for named in allowed.kinds if named.group == GROUP), route.kind)
        fix = allowed_routes(gateway.key, listener.source.name, allowed, (route.key.namespace,), kinds)
        message += f" {_stanza(listener, admission, route)}"
    if useless := _grant_to_gateway(route, gateway.key, grants):
        message += (
            f" ReferenceGrant {useless.key} to kind Gateway has no effect: a route attaches by the listener's "
            f"allowedRoutes alone."
        )
    return conditions.not_allowed_by_listeners(message, field, fix)


def _attachable(listener: ListenerNode) -> tuple[str, ...]:
    return ROUTE_KINDS.get(listener.source.protocol, ())


def _refusal(route: RouteNode, listener: ListenerNode, admission: Admission) -> str:
    name = listener.source.name
    if not _attachable(listener):
        return f"listener {name} speaks {listener.source.protocol}, which is not served yet"
    if not admission.kind:
        return f"listener {name} takes no {route.kind}"
    namespaces = listener.source.allowed_routes.namespaces
    if why := selector_mistake(namespaces):
        return f"listener {name} takes no namespace, since {why}"
    if namespaces.from_ == "Same":
        return f"listener {name} takes routes of its own namespace {listener.gateway.namespace} only"
    return f"listener {name} has a selector that does not take namespace {route.key.namespace}"


def _stanza(listener: ListenerNode, admission: Admission, route: RouteNode) -> str:
    if not admission.kind:
        return f"Its allowedRoutes.kinds would have to list {route.kind}."
    if listener.source.allowed_routes.namespaces.from_ == "Selector":
        return (
            f"Its allowedRoutes.namespaces.selector would have to take namespace {route.key.namespace}, "
            f"for instance by label {NAME_LABEL}."
        )
    own = listener.gateway.namespace
    return (
        f"It would with allowedRoutes: {{namespaces: {{from: Selector, selector: {{matchExpressions: [{{key: "
        f"{NAME_LABEL}, operator: In, values: [{own}, {route.key.namespace}]}}]}}}}}}."
    )


def _grant_to_gateway(route: RouteNode, gateway: Key, grants: Grants) -> ReferenceGrant | None:
    for grant in grants.get(gateway.namespace, EMPTY).grants:
        froms = any((o.kind, o.namespace) == (route.kind, route.key.namespace) for o in grant.spec.from_)
        if froms and any(to.kind == "Gateway" and to.name in (None, gateway.name) for to in grant.spec.to):
            return grant
    return None
