"""Listeners: which protocols and route kinds they serve, which conflict, and which routes they admit.

Within one Gateway no conflicting listener wins: all of them are Conflicted and not served. HTTP, HTTPS and TLS
listeners are distinguished by hostname, TCP and UDP listeners only by port, and the protocols of one port must be
compatible (PORT_FAMILY). A listener whose selector is invalid is still bound: it answers 404, and its condition says
why no route can attach.
"""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

import msgspec

from fastroute.graph import conditions
from fastroute.graph.distinct import PORT_FAMILY
from fastroute.graph.hostname import ANY
from fastroute.graph.mode import ends_tls, mode_of, port_of
from fastroute.graph.node import HolderId, ListenerNode, Problem, TransportPort
from fastroute.graph.selector import mistake, selects
from fastroute.graph.tls import ResolvedTLS
from fastroute.resources.gateway import GROUP, Gateway, Listener, ListenerNamespaces, RouteNamespaces
from fastroute.resources.meta import Key
from fastroute.resources.route_kinds import ROUTES, names_by_protocol

SERVED_KINDS = names_by_protocol(kind for kind in ROUTES.values() if kind.is_served)  # no other protocol is served
ROUTE_KINDS = names_by_protocol(ROUTES.values())  # kinds that the API allows for a protocol, served or not
HIGHEST_PORT = 65_535


def build_listeners(gateway: Gateway, resolved: Sequence[ResolvedTLS], port_offset: int) -> tuple[ListenerNode, ...]:
    """One node for each listener, in spec order, before routes are attached. `resolved`: the TLS of each."""
    conflicts = find_conflicts(gateway.spec.listeners)
    standing = Standing(gateway.key, ("Gateway", gateway.key), port_offset)
    return tuple(
        build_listener(standing, listener, index, resolved[index], conflicts.get(index))
        for index, listener in enumerate(gateway.spec.listeners)
    )


class Standing(NamedTuple):
    """The Gateway and the object of a listener, and the offset of its port."""

    gateway: Key
    holder: HolderId
    port_offset: int


def build_listener(
    standing: Standing, listener: Listener, index: int, resolved: ResolvedTLS, conflict: Problem | None
) -> ListenerNode:
    """`index`: position of the listener in its object."""
    field = f"spec.listeners[{index}]"
    served = SERVED_KINDS.get(listener.protocol)
    port_offset = standing.port_offset
    fatal: list[Problem] = []
    if served is None and (conflict is None or standing.holder[0] == "Gateway"):
        fatal.append(conditions.protocol_not_served(listener.protocol, tuple(SERVED_KINDS), field))
    elif served is not None and listener.port + port_offset > HIGHEST_PORT:
        message = (
            f"Port {listener.port} cannot be bound: with the port offset {port_offset} it is above {HIGHEST_PORT}."
        )
        fatal.append(conditions.port_unavailable(message, field))
    if conflict is not None:
        fatal.append(conflict)
    if listener.filters:
        fatal.append(conditions.unsupported_value("filters of listeners are not served yet.", f"{field}.filters"))
    kinds, invalid_kinds = _kinds(listener, served or (), field)
    return ListenerNode(
        gateway=standing.gateway,
        holder=standing.holder,
        source=listener,
        mode=mode_of(listener),
        hostname=(listener.hostname or ANY).lower(),
        supported_kinds=tuple((GROUP, kind) for kind in kinds),
        attachments={},
        serves=not fatal and (resolved.tls is not None or not ends_tls(listener)),
        problems=(
            *fatal,
            *resolved.problems,
            *(_selector_problems(listener, field) if served else ()),
            *(invalid_kinds if served else ()),
        ),
        tls=resolved.tls,
    )


def _kinds(listener: Listener, served: tuple[str, ...], field: str) -> tuple[list[str], list[Problem]]:
    """The served kinds that the listener allows, and InvalidRouteKinds for kinds that are not served."""
    named = listener.allowed_routes.kinds
    if not named:
        return list(served), []
    kinds = list(dict.fromkeys(kind.kind for kind in named if kind.group == GROUP and kind.kind in served))
    vain = [kind.kind if kind.group == GROUP else f"{kind.group}/{kind.kind}" for kind in named]
    vain = [name for name in vain if name not in served]
    return kinds, [conditions.invalid_route_kinds(vain, list(served), kinds, field)] if vain else []


def _selector_problems(listener: Listener, field: str) -> list[Problem]:
    why = selector_mistake(listener.allowed_routes.namespaces)
    return [conditions.selector_matches_nothing(why, field)] if why else []


def selector_mistake(namespaces: RouteNamespaces | ListenerNamespaces) -> str | None:
    if namespaces.from_ != "Selector":
        return None
    if namespaces.selector is None:
        return "`from: Selector` requires a selector"
    return mistake(namespaces.selector)


# --- Conflicts


def find_conflicts(listeners: tuple[Listener, ...]) -> dict[int, Problem]:
    """Conflicted, by index, for every listener that conflicts with another one of the same Gateway."""
    found: dict[int, Problem] = {}
    known = [(index, listener) for index, listener in enumerate(listeners) if listener.protocol in PORT_FAMILY]
    known.sort(key=_port_of)
    for _, members in groupby(known, key=_port_of):
        group = list(members)
        families = {PORT_FAMILY[listener.protocol] for _, listener in group}
        for index, listener in group:
            others = [other for i, other in group if i != index]
            if len(families) > 1:
                strange = [o for o in others if PORT_FAMILY[o.protocol] != PORT_FAMILY[listener.protocol]]
                found[index] = conditions.protocol_conflict(listener, strange, f"spec.listeners[{index}]")
            elif same := [other for other in others if _indistinct(listener, other)]:
                found[index] = conditions.hostname_conflict(listener, same, f"spec.listeners[{index}]")
    return found


def _port_of(entry: tuple[int, Listener]) -> TransportPort:
    return port_of(entry[1])


def _indistinct(one: Listener, other: Listener) -> bool:
    if one.protocol in ("TCP", "UDP"):
        return True
    return (one.hostname or ANY).lower() == (other.hostname or ANY).lower()


# --- Admission


class Admission(msgspec.Struct, frozen=True):
    kind: bool
    namespace: bool

    @property
    def granted(self) -> bool:
        return self.kind and self.namespace


def admits(listener: ListenerNode, kind: str, namespace: str, labels: Mapping[str, str]) -> Admission:
    """Whether `allowedRoutes` admits a route of this kind from a namespace with these labels."""
    return Admission(
        kind in admitted_kinds(listener.source),
        admits_namespace(listener.source.allowed_routes.namespaces, listener.holder[1].namespace, namespace, labels),
    )


def admitted_kinds(listener: Listener) -> Iterable[str]:
    possible = ROUTE_KINDS.get(listener.protocol, ())
    named = [kind.kind for kind in listener.allowed_routes.kinds if kind.group == GROUP]
    return [kind for kind in possible if kind in named] if listener.allowed_routes.kinds else possible


def admits_namespace(
    allowed: RouteNamespaces | ListenerNamespaces, own: str, namespace: str, labels: Mapping[str, str]
) -> bool:
    match allowed.from_:
        case "All":
            return True
        case "Same":
            return namespace == own
        case "Selector":
            selector = allowed.selector
            return selector is not None and mistake(selector) is None and selects(selector, labels)
        case _:
            return False
