"""Attaches routes to Gateways and ListenerSets. Each parentRef and each listener is evaluated separately.

A parentRef selects the listeners that match its sectionName and port. A parentRef to a Gateway does not select
listeners of its ListenerSets, and vice versa. At least one selected listener must admit the route's kind and namespace
(`allowedRoutes` alone decides; ReferenceGrants are not used) and have a hostname that intersects with those of the
route. Reasons, in order: NoMatchingParent, NotAllowedByListeners, NoMatchingListenerHostname.
"""

from collections.abc import Mapping

import msgspec

from fastroute.graph import conditions
from fastroute.graph.admission import Refusal
from fastroute.graph.backend_id import PASSED
from fastroute.graph.backend_ref import passed_backends, secured_backends
from fastroute.graph.dependency import GRANTS, NAMESPACES, Reader
from fastroute.graph.fix import NAME_LABEL, allowed_routes
from fastroute.graph.grant import EMPTY
from fastroute.graph.hostname import meeting
from fastroute.graph.listener import ROUTE_KINDS, Admission, admits, selector_mistake
from fastroute.graph.memory import MOST_OF_ROUTE
from fastroute.graph.node import Attachment, Holder, HolderId, ListenerNode, ParentNode, Problem, RouteNode
from fastroute.graph.selector import labels_of, unknown_labels
from fastroute.listed import listed
from fastroute.nearest import nearest
from fastroute.resources.gateway import GROUP, ParentReference, Route
from fastroute.resources.meta import Key, Resource
from fastroute.resources.policy import ReferenceGrant
from fastroute.snapshot import Mode

ListenerId = tuple[HolderId, str]  # the object that contains the listener, and the listener's name


HOLDERS = ("Gateway", "ListenerSet")


class Attached(msgspec.Struct, frozen=True):
    parents: tuple[ParentNode, ...] = ()
    attachments: Mapping[ListenerId, Attachment] = {}


def parent_ids(source: Route) -> frozenset[HolderId]:
    """The Gateways and ListenerSets that a route refers to, whether they exist or not."""
    return frozenset(id_ for ref in source.spec.parent_refs if (id_ := parent_id(source, ref)))


def parent_id(source: Resource, ref: ParentReference) -> HolderId | None:
    """The parent that a parentRef refers to; None if it is neither a Gateway nor a ListenerSet."""
    if ref.group != GROUP or ref.kind not in HOLDERS:
        return None
    return ref.kind, Key(ref.namespace or source.metadata.namespace, ref.name)


def attach(route: RouteNode, reader: Reader) -> Attached:
    """One ParentNode for each parentRef to a managed parent; the listeners that an accepted route attaches to."""
    parents: list[ParentNode] = []
    attachments: dict[ListenerId, Attachment] = {}
    shown = _Shown(route, reader)
    for index, ref in enumerate(route.source.spec.parent_refs):
        id_ = parent_id(route.source, ref)
        holder = reader.holder(id_) if id_ else None
        if holder is None:
            continue
        met, problem = _judge(route, index, holder, reader)
        met = met if route.accepted else {}
        parents.append(
            ParentNode(
                route=route,
                index=index,
                parent_ref=ref,
                holder=holder.id,
                listeners=tuple(met),
                problems=() if problem is None else (problem,),
            )
        )
        for listener in holder.listeners if met else ():
            name = listener.source.name
            if name in met:
                certificate = PASSED if listener.mode is Mode.PASSTHROUGH else holder.client_certificate
                attachment = Attachment(
                    route=route,
                    parent_ref=index,
                    hostnames=met[name],
                    client_certificate=certificate,
                    secured=shown.of(certificate),
                    serves=listener.serves,
                )
                attachments.setdefault((holder.id, name), attachment)
    return Attached(tuple(parents), attachments)


class _Shown:
    """The backends of a route to which a certificate is shown."""

    def __init__(self, route: RouteNode, reader: Reader) -> None:
        self._route, self._reader = route, reader
        self._known: dict[bool, frozenset[str]] = {}  # whether it is PASSED

    def of(self, certificate: str | None) -> frozenset[str]:
        if certificate is None:
            return frozenset()
        passed = certificate == PASSED
        if passed not in self._known:
            find = passed_backends if passed else secured_backends
            self._known[passed] = find(self._route, self._reader)
        return self._known[passed]


def _judge(
    route: RouteNode, index: int, holder: Holder, reader: Reader
) -> tuple[dict[str, tuple[str, ...]], Problem | None]:
    """The hostnames for each listener (by name) that admits the route, or the reason why none does."""
    ref = route.source.spec.parent_refs[index]
    field = f"spec.parentRefs[{index}]"
    reached = [listener for listener in holder.listeners if _reaches(ref, listener)]
    if not reached:
        return {}, _no_matching_parent(ref, holder, field)
    namespace = route.key.namespace
    labels = labels_of(reader.find(NAMESPACES, Key("", namespace)), namespace)
    admissions = [(listener, admits(listener, route.kind, namespace, labels)) for listener in reached]
    admitting = [listener for listener, admission in admissions if admission.granted]
    if not admitting:
        return {}, _not_allowed(route, holder, admissions, field, reader)
    met = {
        listener.source.name: hostnames
        for listener in admitting
        if (hostnames := meeting(listener.hostname, route.hostnames))
    }
    return met, None if met else _no_hostname(route, admitting, field)


def _reaches(ref: ParentReference, listener: ListenerNode) -> bool:
    named = ref.section_name in (None, listener.source.name)
    return named and ref.port in (None, listener.source.port)


def limited(asked: Attached, refused: Mapping[ListenerId, Refusal], memory: int | None) -> Attached:
    """Without the parentRefs that select a listener which refuses the route because of its cost; without any if it
    would exceed a limit of `memory`, in bytes."""
    if memory is not None:
        return Attached(tuple(_without_memory(parent, memory) for parent in asked.parents))
    if not refused:
        return asked
    parents = tuple(_limited(parent, refused) for parent in asked.parents)
    attachments: dict[ListenerId, Attachment] = {}
    for parent in parents:
        for name in parent.listeners:
            id_ = parent.holder, name
            attachment = msgspec.structs.replace(asked.attachments[id_], parent_ref=parent.index)
            attachments.setdefault(id_, attachment)
    return Attached(parents, attachments)


def _limited(parent: ParentNode, refused: Mapping[ListenerId, Refusal]) -> ParentNode:
    for name in parent.listeners:
        if refusal := refused.get((parent.holder, name)):
            problem = _too_costly(name, refusal, f"spec.parentRefs[{parent.index}]")
            return msgspec.structs.replace(parent, listeners=(), problems=(*parent.problems, problem))
    return parent


def _without_memory(parent: ParentNode, limit: int) -> ParentNode:
    if not parent.listeners:
        return parent
    problem = conditions.too_large(limit, limit == MOST_OF_ROUTE, f"spec.parentRefs[{parent.index}]")
    return msgspec.structs.replace(parent, listeners=(), problems=(*parent.problems, problem))


def _too_costly(listener: str, refusal: Refusal, field: str) -> Problem:
    if refusal is Refusal.ENTRIES:
        return conditions.too_many_conditions(listener, refusal.value, field)
    return conditions.too_costly(listener, refusal.name.lower(), refusal.value, field)


# --- Reasons


def _no_matching_parent(ref: ParentReference, holder: Holder, field: str) -> Problem:
    wanted = [f"named {ref.section_name}"] if ref.section_name is not None else []
    wanted += [f"on port {ref.port}"] if ref.port is not None else []
    has = listed([f"{listener.source.name} (port {listener.source.port})" for listener in holder.listeners])
    has = f"it has {has}" if has else "its Gateway does not allow it"
    what = " ".join(wanted) or "at all"
    where = field if not wanted else f"{field}.port" if ref.section_name is None else f"{field}.sectionName"
    named = [listener.source.name for listener in holder.listeners if ref.port in (None, listener.source.port)]
    near = None if ref.section_name is None else nearest(ref.section_name, named)
    fix = f"sectionName: {near}" if near else None
    return conditions.no_matching_parent(f"{ref.kind} {holder.key} has no listener {what}; {has}.", where, fix)


def _no_hostname(route: RouteNode, listeners: list[ListenerNode], field: str) -> Problem:
    theirs = listed([f"{listener.source.name} ({listener.hostname or 'any'})" for listener in listeners])
    own = listed(route.hostnames)
    message = f"None of the route's hostnames ({own}) intersects with a hostname of the listeners of {field}: {theirs}."
    return conditions.no_matching_listener_hostname(message, "spec.hostnames")


def _not_allowed(
    route: RouteNode,
    holder: Holder,
    admissions: list[tuple[ListenerNode, Admission]],
    field: str,
    reader: Reader,
) -> Problem:
    """Why each listener refuses, and a stanza that would admit the route to the first listener that can admit it."""
    why = listed([_refusal(route, listener, admission) for listener, admission in admissions], separator="; ")
    kind, key = holder.id
    message = f"No listener of {kind} {key} admits this route: {why}."
    if any(listener.source.allowed_routes.namespaces.from_ == "Selector" for listener, _ in admissions):
        message += unknown_labels(reader.find(NAMESPACES, Key("", route.key.namespace)))
    widest = next((pair for pair in admissions if route.kind in _attachable(pair[0])), None)
    fix = None
    if widest is not None:
        listener, admission = widest
        allowed = listener.source.allowed_routes
        kinds = () if admission.kind else (*(named.kind for named in allowed.kinds if named.group == GROUP), route.kind)
        fix = allowed_routes(holder.id, listener.source.name, allowed, (route.key.namespace,), kinds)
        message += f" {_stanza(listener, admission, route)}"
    if useless := _grant_to_parent(route, holder.id, reader):
        message += (
            f" ReferenceGrant {useless.key} to kind {kind} has no effect: only the listener's allowedRoutes "
            f"decide whether a route can attach."
        )
    return conditions.not_allowed_by_listeners(message, field, fix)


def _attachable(listener: ListenerNode) -> tuple[str, ...]:
    return ROUTE_KINDS.get(listener.source.protocol, ())


def _refusal(route: RouteNode, listener: ListenerNode, admission: Admission) -> str:
    name = listener.source.name
    if not _attachable(listener):
        return f"listener {name} has protocol {listener.source.protocol}, which is not served"
    if not admission.kind:
        return f"listener {name} does not allow {route.kind}"
    namespaces = listener.source.allowed_routes.namespaces
    if why := selector_mistake(namespaces):
        return f"listener {name} allows no namespace, because {why}"
    if namespaces.from_ == "Same":
        return f"listener {name} allows only routes in its own namespace {listener.holder[1].namespace}"
    return f"listener {name} has a selector that does not match namespace {route.key.namespace}"


def _stanza(listener: ListenerNode, admission: Admission, route: RouteNode) -> str:
    if not admission.kind:
        return f"Add {route.kind} to its allowedRoutes.kinds."
    if listener.source.allowed_routes.namespaces.from_ == "Selector":
        return (
            f"Its allowedRoutes.namespaces.selector must match namespace {route.key.namespace}, "
            f"for instance by label {NAME_LABEL}."
        )
    own = listener.holder[1].namespace
    return (
        f"To allow it, set allowedRoutes: {{namespaces: {{from: Selector, selector: {{matchExpressions: [{{key: "
        f"{NAME_LABEL}, operator: In, values: [{own}, {route.key.namespace}]}}]}}}}}}."
    )


def _grant_to_parent(route: RouteNode, parent: HolderId, reader: Reader) -> ReferenceGrant | None:
    kind, key = parent
    space = reader.find(GRANTS, key.namespace) or EMPTY
    return space.allowing((GROUP, route.kind, route.key.namespace), GROUP, kind, key.name)
