"""Negative conditions: one constructor for each, so that a reason and its message are in one place.

A message contains the problem, the field and a fix. It never reveals whether a refused target exists. Hundreds of
references of a route may have the same problem: equal messages about references are one string (`intern`).
"""

from collections.abc import Iterable
from sys import intern

import msgspec

from fastroute.graph.grant import Reference
from fastroute.graph.node import Concern, Problem, Refusal
from fastroute.graph.protocol import Protocol
from fastroute.graph.ration import Cut
from fastroute.graph.spelling import kinds_fix, protocol_fix, reference_fix
from fastroute.listed import listed, shortened
from fastroute.place import Place, Transport
from fastroute.resources.core import Service, ServicePort
from fastroute.resources.gateway import Listener
from fastroute.resources.meta import Key
from fastroute.resources.proxy_protocol import ANNOTATION, VERSION
from fastroute.snapshot import Endpoint

ACCEPTED = "Accepted"
PROGRAMMED = "Programmed"
RESOLVED_REFS = "ResolvedRefs"
CONFLICTED = "Conflicted"  # negative polarity: True means a problem
OVERLAPPING = "OverlappingTLSConfig"  # likewise
INSECURE_FRONTEND = "InsecureFrontendValidationMode"  # likewise


# --- Routes: references


def ref_not_permitted(reference: Reference, cause: str, field: str, fix: str | None) -> Problem:
    required = (
        f"a ReferenceGrant in that namespace from group {reference.group}, kind {reference.kind}, namespace "
        f'{reference.namespace} to group "{reference.to_group}", kind {reference.to_kind}, name {reference.to_name}'
    )
    return _not_permitted(reference, cause, required, field, fix)


def ref_not_read(reference: Reference, why: str, field: str) -> Problem:
    """A reference to a namespace that is not read: a grant there would have no effect."""
    cause = f"{why}, so its ReferenceGrants are not known"
    return _not_permitted(reference, cause, f"--watch-namespace {reference.to_namespace}", field, None)


def _not_permitted(reference: Reference, cause: str, required: str, field: str, fix: str | None) -> Problem:
    message = (
        f"Reference to {reference.to_kind} {reference.to_name} in namespace {reference.to_namespace} is not permitted: "
        f"{cause}. Required: {required}."
    )
    return Problem(
        condition=RESOLVED_REFS,
        reason="RefNotPermitted",
        message=intern(message),
        field=field,
        fix=fix and intern(fix),
        reference=reference,
    )


def invalid_kind(group: str, kind: str, field: str) -> Problem:
    message = f'{field} refers to kind {kind} of group "{group}": only kind Service of group "" is served.'
    fix = reference_fix(group, kind, "Service")
    return Problem(
        condition=RESOLVED_REFS, reason="InvalidKind", message=intern(message), field=f"{field}.kind", fix=fix
    )


def service_not_found(service: Key, field: str) -> Problem:
    message = f"Service {service.name} does not exist in namespace {service.namespace}."
    return Problem(condition=RESOLVED_REFS, reason="BackendNotFound", message=intern(message), field=f"{field}.name")


def port_not_found(service: Service, port: int | None, field: str) -> Problem:
    has = listed(service.spec.ports, write=lambda one: str(one.port))
    has = f"its ports are {has}" if has else "it has no ports"
    wanted = "the reference has no port" if port is None else f"it has no port {port}"
    message = f"Service {service.key}: {wanted}; {has}."
    return Problem(condition=RESOLVED_REFS, reason="BackendNotFound", message=intern(message), field=f"{field}.port")


def external_name(service: Key, field: str) -> Problem:
    message = (
        f"Service {service} is of type ExternalName: it has no endpoints, and its external name could lead out "
        f"of the cluster. Use a Service with EndpointSlices."
    )
    return Problem(condition=RESOLVED_REFS, reason="BackendNotFound", message=intern(message), field=f"{field}.name")


def unsupported_protocol(service: Key, port: ServicePort, transport: Transport, field: str) -> Problem:
    """`transport`: of the ports that the kind of the route may refer to."""
    message = (
        f"Port {port.port} of Service {service} has protocol {port.protocol}, but a route of this kind needs a port "
        f"with protocol {transport.name}."
    )
    return Problem(
        condition=RESOLVED_REFS, reason="UnsupportedProtocol", message=intern(message), field=f"{field}.port"
    )


_NO_POLICY = (
    "which means TLS, but no BackendTLSPolicy says how to verify it, and nothing is sent in cleartext instead. Create "
    "a BackendTLSPolicy for the Service"
)
WHY_NOT_SPOKEN = {
    Protocol.TLS: _NO_POLICY,
    Protocol.HTTP2_TLS: _NO_POLICY,
    Protocol.HTTP2: "which means HTTP/2, as for OTLP over gRPC, but spans are exported over HTTP/1.1 (OTLP/HTTP). "
    "Name the port for OTLP/HTTP, usually 4318",
    Protocol.OTHER: "which is not HTTP. If the port speaks HTTP/1.1, set appProtocol: http; if it speaks gRPC, set "
    "appProtocol: grpc",
}


_NOT_OTLP = (
    "which is not HTTP, but spans are exported over HTTP/1.1 (OTLP/HTTP). If the port speaks that, set "
    "appProtocol: http; otherwise, name the port for OTLP/HTTP, usually 4318"
)


def unsupported_app_protocol(
    service: Key, port: ServicePort, protocol: Protocol, field: str, *, exports: bool
) -> Problem:
    """`exports`: the port is that of a collector, which needs HTTP/1.1."""
    why = _NOT_OTLP if exports and protocol is Protocol.OTHER else WHY_NOT_SPOKEN[protocol]
    named = shortened(port.app_protocol or "")
    message = f"Port {port.port} of Service {service} has appProtocol {named}, {why}."
    return Problem(
        condition=RESOLVED_REFS, reason="UnsupportedProtocol", message=intern(message), field=f"{field}.port"
    )


def unsupported_proxy_protocol(service: Key, asked: str, field: str) -> Problem:
    message = (
        f"Service {service} has the annotation {ANNOTATION}: {shortened(asked)}, but {VERSION} is the only version of "
        f"the PROXY protocol that is sent. Use {VERSION}, or remove the annotation."
    )
    return Problem(
        condition=RESOLVED_REFS, reason="UnsupportedProtocol", message=intern(message), field=f"{field}.port"
    )


OWN_ADDRESS = "this gateway itself"
TOO_MANY_ENDPOINTS = "TooManyEndpoints"
MOST_ENDPOINTS = 400  # named in one message, which may have 32 KiB: the longest name takes 78 bytes


def endpoints_refused(service: Key, refusals: tuple[Refusal, ...]) -> Concern:
    named = ", ".join(f"{written(one.endpoint)} ({one.why})" for one in refusals[:MOST_ENDPOINTS])
    more = f" and {len(refusals) - MOST_ENDPOINTS} more" if len(refusals) > MOST_ENDPOINTS else ""
    message = f"Endpoints of Service {service} get no requests: {named}{more}."
    if any(one.why != OWN_ADDRESS for one in refusals):
        message += " --allow-local-endpoints allows local addresses."
    return Concern("EndpointRefused", message)


def too_many_endpoints(service: Key, port: int, cut: Cut) -> Concern:
    which = "Only some endpoints" if cut.used else "No endpoints"
    if cut.further:
        limit = f"{cut.limit}, which is the limit of a {'Service' if cut.is_of_service else 'namespace'}"
        message = (
            f"{which} of port {port} of Service {service} are used for some routes of this namespace, because the "
            f"number of endpoints that it needs is more than {limit}. An endpoint counts once more for each further "
            "client certificate of the Gateways of its routes, and once more if its port has a BackendTLSPolicy and a "
            "listener of mode Passthrough leads to it, too. Attach the routes to fewer Gateways with different "
            "certificates in spec.tls.backend.clientCertificateRef, or to listeners of one TLS mode."
        )
        return Concern(TOO_MANY_ENDPOINTS, message)
    if cut.is_of_service:
        why = f"its ports that routes refer to have more than {cut.limit} endpoints, which is the limit of a Service."
    else:
        why = (
            f"the Services of namespace {service.namespace} that routes refer to have more than {cut.limit} endpoints, "
            "which is the limit. Those of the oldest Services are used."
        )
    return Concern(TOO_MANY_ENDPOINTS, f"{which} of port {port} of Service {service} are used: {why}")


def concerned(concern: Concern, field: str) -> Problem:
    """A reference to a backend that has this concern."""
    return Problem(condition=RESOLVED_REFS, reason=concern.reason, message=concern.message, field=field)


def written(endpoint: Endpoint) -> str:
    host = f"[{endpoint.address}]" if ":" in endpoint.address else endpoint.address
    return f"{host}:{endpoint.port}"


# --- Routes: acceptance


def unsupported_value(what: str, field: str, way_out: str = "Remove it.") -> Problem:
    return Problem(condition=ACCEPTED, reason="UnsupportedValue", message=f"{field}: {what} {way_out}", field=field)


def incompatible_filters(what: str, field: str) -> Problem:
    return Problem(condition=ACCEPTED, reason="IncompatibleFilters", message=f"{field}: {what}", field=field)


def too_many_conditions(listener: str, most: int, field: str) -> Problem:
    message = (
        f"The older routes of this namespace have {most} matches with conditions on listener {listener}, which is the "
        f"limit. A match counts once for each hostname, and not if it has only a path."
    )
    return Problem(condition=ACCEPTED, reason="UnsupportedValue", message=message, field=field)


def too_costly(listener: str, whose: str, limit: int, field: str) -> Problem:
    """`whose` limit it is, in nanoseconds: the one for a namespace, or the one for a listener."""
    others = "the older routes of this namespace" if whose == "namespace" else "the older routes of all namespaces"
    message = (
        f"Together with {others}, one request to listener {listener} could need more than {limit // 1000} microseconds "
        f"to test conditions on methods, headers and query parameters and regular expressions: this is the limit for "
        f"one {whose}. Use fewer of them for the same hostname and path, and exact values instead of expressions."
    )
    return Problem(condition=ACCEPTED, reason="UnsupportedValue", message=message, field=field)


def too_large(limit: int, alone: bool, field: str) -> Problem:
    """`limit`: of memory, in bytes; for one route if it is `alone`, otherwise for all routes of its namespace."""
    whose = "The route" if alone else "Together with the older routes of this namespace, the route"
    message = (
        f"{whose} would take more than {limit >> 20} MiB of memory in each worker, because a worker has its rules "
        f"once for each listener, and their matches once for each hostname. Select fewer listeners, for instance by "
        f"sectionName, or use fewer hostnames, matches and filters."
    )
    return Problem(condition=ACCEPTED, reason="UnsupportedValue", message=message, field=field)


def no_matching_parent(message: str, field: str, fix: str | None) -> Problem:
    return Problem(condition=ACCEPTED, reason="NoMatchingParent", message=message, field=field, fix=fix)


def no_matching_listener_hostname(message: str, field: str) -> Problem:
    return Problem(condition=ACCEPTED, reason="NoMatchingListenerHostname", message=message, field=field)


def not_allowed_by_listeners(message: str, field: str, fix: str | None) -> Problem:
    return Problem(condition=ACCEPTED, reason="NotAllowedByListeners", message=message, field=field, fix=fix)


# --- Listeners


def protocol_not_served(protocol: str, served: tuple[str, ...], field: str) -> Problem:
    message = f"Protocol {protocol} is not served: only {', '.join(served[:-1])} and {served[-1]} are."
    fix = protocol_fix(protocol)
    field = f"{field}.protocol"
    return Problem(condition=ACCEPTED, reason="UnsupportedProtocol", message=message, field=field, fix=fix)


def protocol_conflict(listener: Listener, others: Iterable[Listener], field: str) -> Problem:
    message = (
        f"Protocol {listener.protocol} cannot share port {listener.port} with listener {_named(others)}. "
        f"None of them is served: use a different port for each protocol."
    )
    return Problem(condition=CONFLICTED, reason="ProtocolConflict", message=message, field=field)


def hostname_conflict(listener: Listener, others: Iterable[Listener], field: str) -> Problem:
    claim, what = _claimed(listener)
    other = _named(others)
    message = f"{claim} is also claimed by listener {other}. None of them is served: use a different {what} for each."
    return Problem(condition=CONFLICTED, reason="HostnameConflict", message=message, field=field)


def _claimed(listener: Listener) -> tuple[str, str]:
    """What a listener claims, and what distinguishes it from others."""
    if listener.protocol in ("TCP", "UDP"):  # they cannot see names
        return f"{listener.protocol} port {listener.port}", "port"
    return f"Port {listener.port} with {listener.hostname or 'any hostname'}", "port or hostname"


def _named(listeners: Iterable[Listener]) -> str:
    return listed([f"{listener.name} ({listener.protocol})" for listener in listeners])


def port_unavailable(message: str, field: str) -> Problem:
    return Problem(condition=ACCEPTED, reason="PortUnavailable", message=message, field=f"{field}.port")


def port_taken(place: Place, owner: Key, field: str, *, in_set: bool) -> Problem:
    """`place`: another Gateway, `owner`, serves it. `in_set`: a ListenerSet wants it, too."""
    why = "because Gateways come before ListenerSets, or by age and name" if in_set else "by age and name"
    message = (
        f"Port {place.port} of address {place.address} is used by Gateway {owner}, which has precedence {why}. "
        f"Use another port, attach the routes to that Gateway, or give each Gateway its own address with "
        f"--address-pool."
    )
    return port_unavailable(message, field)


def too_many_ports(port: int, most: int, limit: str, field: str) -> Problem:
    """`limit`: what sets the limit, an option or a resource."""
    message = (
        f"Port {port} is not served: other Gateways and ListenerSets use {most} ports, which is the limit of this "
        f"installation ({limit}). Use a port that is already served, or raise the limit."
    )
    return port_unavailable(message, field)


def invalid_route_kinds(kinds: list[str], served: list[str], taken: list[str], field: str) -> Problem:
    """`kinds`: the named kinds that are not served; `taken`: the other named kinds."""
    message = (
        f"allowedRoutes.kinds names {listed(kinds)}, which this listener does not serve: "
        f"it serves {', '.join(served) or 'none'}."
    )
    field = f"{field}.allowedRoutes.kinds"
    fix = kinds_fix((*taken, *kinds), served)
    return Problem(condition=RESOLVED_REFS, reason="InvalidRouteKinds", message=message, field=field, fix=fix)


def selector_matches_nothing(why: str, field: str) -> Problem:
    message = f"allowedRoutes.namespaces.selector is invalid: {why}. No route can attach until this is fixed."
    field = f"{field}.allowedRoutes.namespaces.selector"
    return Problem(condition=ACCEPTED, reason="UnsupportedValue", message=message, field=field)


def later_protocol_conflict(listener: Listener, first: str, field: str) -> Problem:
    """For a listener of a ListenerSet; `first`: the listener with precedence, as text."""
    message = (
        f"Protocol {listener.protocol} cannot share port {listener.port} with listener {first}, which has precedence. "
        f"Use another port."
    )
    return Problem(condition=CONFLICTED, reason="ProtocolConflict", message=message, field=field)


def later_hostname_conflict(listener: Listener, first: str, field: str) -> Problem:
    claim, what = _claimed(listener)
    message = f"{claim} is claimed by listener {first}, which has precedence. Use another {what}."
    return Problem(condition=CONFLICTED, reason="HostnameConflict", message=message, field=field)


def overlapping_hostnames(port: int, others: str) -> Problem:
    message = (
        f"On port {port}, the hostnames of this listener and listener {others} overlap: a client that uses one "
        f"connection for both gets 421."
    )
    return Problem(condition=OVERLAPPING, reason="OverlappingHostnames", message=message)


# --- ListenerSets


def listener_set_not_allowed(gateway: Key, why: str, fix: str | None, unknown: str) -> Problem:
    """`unknown`: a sentence that follows, or ""."""
    message = f"Gateway {gateway} does not allow this ListenerSet: {why}.{unknown}"
    return Problem(condition=ACCEPTED, reason="NotAllowed", message=message, field="spec.parentRef", fix=fix)


def too_many_listeners(gateway: Key, namespace: str, most: int) -> Problem:
    message = (
        f"the ListenerSets of namespace {namespace} for Gateway {gateway} have more than {most:,} listeners. The "
        "oldest ListenerSets are served. Use fewer listeners, or another Gateway."
    )
    return Problem(condition=ACCEPTED, reason="UnsupportedValue", message=message, field="spec.listeners")


def parent_not_accepted(gateway: Key) -> Problem:
    message = f"Gateway {gateway} is not accepted; see its status."
    return Problem(condition=ACCEPTED, reason="ParentNotAccepted", message=message, field="spec.parentRef")


def parent_not_programmed(gateway: Key) -> Problem:
    message = f"Gateway {gateway} is not programmed; see its status."
    return Problem(condition=PROGRAMMED, reason="ParentNotProgrammed", message=message, field="spec.parentRef")


# --- Listeners: certificates


def no_certificate_refs(field: str) -> Problem:
    message = f"{field} is empty: a listener that ends TLS needs a Secret with tls.crt and tls.key."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCertificateRef", message=message, field=field)


def certificate_of_other_kind(group: str, kind: str, field: str) -> Problem:
    message = f'{field} refers to kind {kind} of group "{group}": only kind Secret of group "" is served.'
    fix = reference_fix(group, kind, "Secret")
    field = f"{field}.kind"
    return Problem(condition=RESOLVED_REFS, reason="InvalidCertificateRef", message=message, field=field, fix=fix)


def secret_not_found(secret: Key, field: str) -> Problem:
    message = f"Secret {secret.name} does not exist in namespace {secret.namespace}."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCertificateRef", message=message, field=f"{field}.name")


def invalid_certificate(secret: Key, mistake: str, field: str) -> Problem:
    """`mistake`: text that follows the Secret's name."""
    message = f"Secret {secret} {mistake}."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCertificateRef", message=message, field=field)


# --- Gateways


def no_client_certificate(problem: Problem) -> Problem:
    """For a Gateway whose clientCertificateRef has a problem of a certificateRef."""
    reason = "InvalidClientCertificateRef" if problem.reason == "InvalidCertificateRef" else problem.reason
    message = (
        f"{problem.message} Until this is corrected, connections to backends are made without a client certificate."
    )
    return msgspec.structs.replace(problem, reason=reason, message=message)


def invalid_parameters(message: str, field: str) -> Problem:
    return Problem(condition=ACCEPTED, reason="InvalidParameters", message=message, field=field)


def class_not_accepted(name: str) -> Problem:
    message = f"GatewayClass {name} is not accepted; see its status."
    return Problem(condition=ACCEPTED, reason="Invalid", message=message, field="spec.gatewayClassName")


def unsupported_address(field: str, why: str) -> Problem:
    return Problem(condition=ACCEPTED, reason="UnsupportedAddress", message=f"{field} {why}.", field=field)


def address_not_usable(message: str, field: str) -> Problem:
    return Problem(condition=PROGRAMMED, reason="AddressNotUsable", message=message, field=field)


def address_not_assigned(message: str) -> Problem:
    return Problem(condition=PROGRAMMED, reason="AddressNotAssigned", message=message)
