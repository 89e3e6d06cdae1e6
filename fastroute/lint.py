"""Warnings: manifests that are valid and yet surely not what was meant. Pure; the table CHECKS has them one by one.

A warning stands in no status. `fastroute check` shows them, and fails for them with `--strict`.
"""

from collections.abc import Callable, Iterator, Mapping

from fastroute.graph.backend import backend_id
from fastroute.graph.certificate import certifies, out_of_time
from fastroute.graph.filter_reference import filter_references
from fastroute.graph.finding import Finding, warning
from fastroute.graph.fix import allowed_routes
from fastroute.graph.grant import Permit
from fastroute.graph.hostname import ANY, common, covers, meet
from fastroute.graph.listenerset import parent_of
from fastroute.graph.node import Graph, HolderId, ListenerNode, ParentNode, Route, RouteNode
from fastroute.graph.route import parent_id
from fastroute.graph.shadow import MatchRank, find_shadows
from fastroute.resources.gateway import (
    GROUP,
    BackendObjectReference,
    GatewayInfrastructure,
    HTTPBackendRef,
    HTTPRoute,
    HTTPRouteFilter,
    HTTPRouteRule,
    Listener,
    SecretObjectReference,
)
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant
from fastroute.resources.unserved import UnservedRoute
from fastroute.resources.world import Resources

Check = Callable[[Resources, Graph], Iterator[Finding]]
REFERRERS = ("HTTPRoute", "GRPCRoute", "Gateway", "ListenerSet")  # whose references we see
UNSERVED: Mapping[str, Callable[[Resources], Mapping[Key, UnservedRoute]]] = {
    "TCPRoute": lambda resources: resources.tcp_routes,
    "TLSRoute": lambda resources: resources.tls_routes,
    "UDPRoute": lambda resources: resources.udp_routes,
}
CORE = frozenset({"core", "v1"})  # written by mistake for the empty group


def lint(resources: Resources, graph: Graph, now: float | None = None) -> tuple[Finding, ...]:
    """Every warning, by check and object. `now`: seconds since the epoch; None: certificates' times are not judged."""
    found = tuple(finding for check in CHECKS for finding in check(resources, graph))
    return found if now is None else (*found, *certificates_out_of_time(graph, now))


# --- ReferenceGrants


def grants_to_gateway(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for grant in resources.reference_grants.values():
        for index, to in enumerate(grant.spec.to):
            if (to.group, to.kind) == (GROUP, "Gateway"):
                message = (
                    "A grant to kind Gateway has no effect: which routes may attach is said by allowedRoutes of the "
                    "Gateway's listeners."
                )
                fix = _stanza(grant, to.name, graph)
                yield warning("ReferenceGrant", grant, "GrantToGateway", message, f"spec.to[{index}].kind", fix=fix)


def _stanza(grant: ReferenceGrant, name: str | None, graph: Graph) -> str | None:
    """The `allowedRoutes` that does what was meant, in the first listener that the grant might have been about."""
    wanted = tuple(dict.fromkeys(origin.namespace for origin in grant.spec.from_))
    for key, gateway in graph.gateways.items():
        if key.namespace == grant.metadata.namespace and name in (None, key.name):
            listener = gateway.listeners[0].source
            return allowed_routes(gateway.id, listener.name, listener.allowed_routes, wanted)
    return None


def grants_with_core_group(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for grant in resources.reference_grants.values():
        groups = [(f"spec.from[{i}].group", origin.group) for i, origin in enumerate(grant.spec.from_)]
        groups += [(f"spec.to[{i}].group", to.group) for i, to in enumerate(grant.spec.to)]
        for field, group in groups:
            if group in CORE:
                message = f'"{group}" is not the core group: that one is written "", so this allows nothing.'
                yield warning("ReferenceGrant", grant, "GrantGroupNotCore", message, field)


def unused_grants(resources: Resources, graph: Graph) -> Iterator[Finding]:
    used = set(_references(resources))
    for grant in resources.reference_grants.values():
        if all((to.group, to.kind) == (GROUP, "Gateway") for to in grant.spec.to):
            continue
        if not any(_may_be_used(permit, grant.metadata.namespace, used) for permit in _permits(grant)):
            yield warning("ReferenceGrant", grant, "GrantUnused", "No reference needs this grant.", "spec")


def _permits(grant: ReferenceGrant) -> Iterator[Permit]:
    for origin in grant.spec.from_:
        for to in grant.spec.to:
            yield (origin.group, origin.kind, origin.namespace, to.group, to.kind, to.name)


def _may_be_used(permit: Permit, home: str, used: set[tuple[str, Permit]]) -> bool:
    """Also True where we cannot know: for referrers of kinds that are not read here."""
    group, kind, _, *target = permit
    known = kind in REFERRERS or target[:2] == [GROUP, "Gateway"]
    return (home, permit) in used or (group == GROUP and not known)


def _references(resources: Resources) -> Iterator[tuple[str, Permit]]:
    """What is referred to elsewhere: the namespace, and each permit that would allow it there."""
    for kind, routes in (("HTTPRoute", resources.http_routes), ("GRPCRoute", resources.grpc_routes)):
        for route in routes.values():
            home = route.metadata.namespace
            for ref in _refs(route):
                if ref.namespace not in (None, home):
                    for name in (ref.name, None):
                        yield ref.namespace or home, (GROUP, kind, home, ref.group, ref.kind, name)

    for kind, holders in (("Gateway", resources.gateways), ("ListenerSet", resources.listener_sets)):
        for holder in holders.values():
            home = holder.metadata.namespace
            for secret in (ref for listener in holder.spec.listeners for ref in _certificate_refs(listener)):
                if secret.namespace not in (None, home):
                    for name in (secret.name, None):
                        yield secret.namespace or home, (GROUP, kind, home, secret.group, secret.kind, name)


def _certificate_refs(listener: Listener) -> tuple[SecretObjectReference, ...]:
    return listener.tls.certificate_refs if listener.tls else ()


def _refs(route: Route) -> Iterator[HTTPBackendRef | BackendObjectReference]:
    for rule in route.spec.rules:
        yield from rule.backend_refs
        yield from (reference.ref for reference in filter_references(rule))


# --- Gateways


def unknown_classes(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for gateway in resources.gateways.values():
        name = Key("", gateway.spec.gateway_class_name)
        if name not in resources.gateway_classes and name not in graph.classes:
            message = f"No GatewayClass is named {name}: nobody serves this Gateway."
            yield warning("Gateway", gateway, "UnknownGatewayClass", message, "spec.gatewayClassName")


def sets_without_gateways(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for source in resources.listener_sets.values():
        parent = parent_of(source)
        if parent is None:
            message = f"Parents of kind {source.spec.parent_ref.kind} are not served: the ListenerSet has no effect."
            yield warning("ListenerSet", source, "ParentKindNotServed", message, "spec.parentRef.kind")
        elif parent not in resources.gateways:
            message = f"Gateway {parent} does not exist: the ListenerSet has no effect."
            yield warning("ListenerSet", source, "ParentNotFound", message, "spec.parentRef")


def certificates_for_other_names(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """HTTPS listeners for a hostname that none of their certificates is for: clients will refuse them."""
    for holder in graph.holders:
        for index, listener in enumerate(holder.listeners):
            if listener.tls is None or listener.hostname == ANY:
                continue
            names = {name for id_ in listener.tls.certificates for name in graph.certificates[id_].names}
            if not any(certifies(name, listener.hostname) for name in names):
                has = ", ".join(sorted(names)) or "no name"
                message = f"No certificate of it is for {listener.hostname}, only for {has}: clients will refuse it."
                field = f"spec.listeners[{index}].tls.certificateRefs"
                yield warning(holder.id[0], holder.source, "CertificateForOtherNames", message, field)


def certificates_out_of_time(graph: Graph, now: float) -> Iterator[Finding]:
    """`now`: seconds since the epoch."""
    for holder in graph.holders:
        for index, listener in enumerate(holder.listeners):
            for id_ in listener.tls.certificates if listener.tls else ():
                if why := out_of_time(graph.certificates[id_], now):
                    message = f"The certificate of Secret {id_} {why}. It is served, and clients will refuse it."
                    field = f"spec.listeners[{index}].tls.certificateRefs"
                    yield warning(holder.id[0], holder.source, "CertificateOutOfTime", message, field)


def infrastructure_without_objects(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for gateway in graph.gateways.values():
        infrastructure = gateway.source.spec.infrastructure or GatewayInfrastructure()
        asked = [name for name in ("labels", "annotations") if getattr(infrastructure, name)]
        if asked:
            message = f"{' and '.join(asked)} stand on objects of a cluster only, made with --infrastructure."
            yield warning("Gateway", gateway.source, "InfrastructureUnused", message, "spec.infrastructure")


# --- Routes and their parents


def missing_parents(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for kind, routes in (("HTTPRoute", resources.http_routes), ("GRPCRoute", resources.grpc_routes)):
        for route in routes.values():
            if not route.spec.parent_refs:
                message = "The route has no parentRefs: it is attached to nothing."
                yield warning(kind, route, "NoParents", message, "spec.parentRefs")
            for index, ref in enumerate(route.spec.parent_refs):
                id_ = parent_id(route, ref)
                if id_ is None:
                    message = f"Parents of kind {ref.kind} are not served: the route is not attached by this parentRef."
                    yield warning(kind, route, "ParentKindNotServed", message, f"spec.parentRefs[{index}].kind")
                elif not _exists(id_, resources):
                    message = f"{ref.kind} {id_[1]} does not exist: the route is not attached by this parentRef."
                    yield warning(kind, route, "ParentNotFound", message, f"spec.parentRefs[{index}]")


def routes_not_served(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Routes of kinds that we do not serve, where they name what is ours; what others serve is none of our business."""
    ours = {holder.id for holder in graph.holders}
    for kind, routes in UNSERVED.items():
        for route in routes(resources).values():
            for index, ref in enumerate(route.spec.parent_refs):
                id_ = parent_id(route, ref)
                if id_ in ours:
                    message = f"{kind}s are not served: {ref.kind} {id_[1]} sends it nothing, and no status says so."
                    yield warning(kind, route, "RouteKindNotServed", message, f"spec.parentRefs[{index}]")


def _exists(id_: HolderId, resources: Resources) -> bool:
    kind, key = id_
    return key in (resources.gateways if kind == "Gateway" else resources.listener_sets)


def hostnames_outside_listeners(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """A hostname of which no listener that the route is attached to gets a request, beside others that one does."""
    for id_, parents in graph.parents.items():
        route = graph.routes[id_]
        attached = [listener for parent in parents for listener in _attached(parent, graph)]
        for index, name in enumerate(route.source.spec.hostnames if attached else ()):
            meeting = [listener for listener in attached if meet(listener.hostname, name.lower())]
            taken = [_taken_by(listener, name.lower(), graph) for listener in meeting]
            if all(taken):
                message = f"No listener that the route is attached to takes {name}: it gets no request for it."
                if other := next(iter(taken), None):
                    message = (
                        f"Requests for {name} belong to listener {other.label} of Gateway {other.gateway}, which "
                        f"is more specific and which the route is not attached to: it gets none of them."
                    )
                yield warning(route.kind, route.source, "HostnameUnused", message, f"spec.hostnames[{index}]")


def _attached(parent: ParentNode, graph: Graph) -> Iterator[ListenerNode]:
    for listener in graph.holder(parent.holder).listeners:
        if listener.source.name in parent.listeners:
            yield listener


def _taken_by(listener: ListenerNode, name: str, graph: Graph) -> ListenerNode | None:
    """The listener of the same port that has all of what `name` means on this one (a request belongs to the most
    specific listener alone)."""
    hosts = common(listener.hostname, name)
    for other in graph.listeners_of(listener.gateway):
        closer = other.hostname != listener.hostname and covers(listener.hostname, other.hostname)
        if other.serves and other.source.port == listener.source.port and closer and covers(other.hostname, hosts):
            return other
    return None


def shadowed_matches(resources: Resources, graph: Graph) -> Iterator[Finding]:
    found: dict[tuple[MatchRank, MatchRank], list[str]] = {}
    for holder in graph.holders:
        for listener in holder.listeners:
            for shadow in find_shadows(listener):
                where = f"{shadow.hostname or 'any host'} on listener {listener.label} of Gateway {listener.gateway}"
                found.setdefault((shadow.loser, shadow.winner), []).append(where)
    for (loser, winner), places in sorted(found.items()):
        route = resources.http_routes[loser[1]]
        field = f"spec.rules[{loser[2]}].matches[{loser[3]}]"
        message = (
            f"It takes no request for {', '.join(places)}: rule {winner[2]} of HTTPRoute {winner[1]} "
            f"(matches[{winner[3]}]) takes all of them first."
        )
        yield warning("HTTPRoute", route, "Shadowed", message, field)


# --- Rules and their backends


def rules_without_backends(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for route, index, rule in _rules(graph):
        redirects = any(filter_.type == "RequestRedirect" for filter_ in rule.filters)
        if not rule.backend_refs and not redirects:
            message = "The rule has no backendRefs and does not redirect: it answers 500."
            yield warning(route.kind, route.source, "NoBackendRefs", message, f"spec.rules[{index}]")


def headers_changed_twice(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for route, index, rule in _rules(graph):
        lists = [(f"spec.rules[{index}]", rule.filters)]
        lists += [(f"spec.rules[{index}].backendRefs[{i}]", ref.filters) for i, ref in enumerate(rule.backend_refs)]
        for field, filters in lists:
            for number, filter_ in enumerate(filters):
                if twice := _named_twice(filter_):
                    message = f"{', '.join(twice)}: changed twice by one filter, which the API leaves undefined."
                    where = f"{field}.filters[{number}]"
                    yield warning(route.kind, route.source, "HeaderChangedTwice", message, where)


def _named_twice(filter_: HTTPRouteFilter) -> list[str]:
    modifier = filter_.request_header_modifier or filter_.response_header_modifier
    if modifier is None:
        return []
    names = [header.name.lower() for header in (*modifier.set, *modifier.add)]
    names += [name.lower() for name in modifier.remove]
    return sorted({name for name in names if names.count(name) > 1})


def zero_weights(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for route, index, rule in _rules(graph):
        field = f"spec.rules[{index}].backendRefs"
        if rule.backend_refs and not any(ref.weight for ref in rule.backend_refs):
            message = "Every weight of the rule is 0: it answers 500."
            yield warning(route.kind, route.source, "AllWeightsZero", message, field)
            continue
        for number, ref in enumerate(rule.backend_refs):
            if not ref.weight:
                message = f"Weight 0: {backend_id(route.key.namespace, ref)} gets no request."
                yield warning(route.kind, route.source, "WeightZero", message, f"{field}[{number}].weight")


def _rules(graph: Graph) -> Iterator[tuple[RouteNode, int, HTTPRouteRule]]:
    for route in graph.routes.values():
        if isinstance(route.source, HTTPRoute):
            for index, rule in enumerate(route.source.spec.rules):
                yield route, index, rule


def backends_without_endpoints(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for backend in graph.backends.values():
        if not backend.endpoints:
            message = f"Port {backend.port} has no ready endpoint: its share answers 503."
            yield warning("Service", resources.services[backend.service], "NoEndpoints", message, "spec.ports")


CHECKS: tuple[Check, ...] = (
    grants_to_gateway,
    grants_with_core_group,
    unused_grants,
    unknown_classes,
    sets_without_gateways,
    certificates_for_other_names,
    infrastructure_without_objects,
    missing_parents,
    routes_not_served,
    hostnames_outside_listeners,
    shadowed_matches,
    rules_without_backends,
    headers_changed_twice,
    zero_weights,
    backends_without_endpoints,
)
