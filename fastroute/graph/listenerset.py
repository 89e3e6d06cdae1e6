"""ListenerSets of one Gateway: which are allowed, and which of their listeners have precedence (GEP-1713).

The Gateway's `allowedListeners` alone decides which ListenerSets are allowed; ReferenceGrants are not used. Listeners
are merged in order: those of the Gateway, then those of each ListenerSet, oldest first, then by namespace/name. If a
listener of a ListenerSet conflicts with an earlier one, it is Conflicted, and the earlier one is served; within a
Gateway, on the other hand, no conflicting listener is served. A listener that is not accepted for another reason does
not reserve its port or hostname.
"""

from collections.abc import Iterable, Mapping

import msgspec

from fastroute.graph import conditions
from fastroute.graph.age import age
from fastroute.graph.dependency import NAMESPACES, Reader
from fastroute.graph.fix import allowed_listeners
from fastroute.graph.hostname import ANY
from fastroute.graph.listener import (
    PORT_FAMILY,
    TRANSPORT,
    Standing,
    admits_namespace,
    build_listener,
    selector_mistake,
)
from fastroute.graph.node import GatewayNode, ListenerNode, ListenerSetNode, Problem
from fastroute.graph.selector import labels_of
from fastroute.graph.tls import ResolvedTLS
from fastroute.resources.core import Namespace
from fastroute.resources.gateway import GROUP, AllowedListeners, Gateway, Listener, ListenerSet
from fastroute.resources.meta import Key


def parent_of(source: ListenerSet) -> Key | None:
    """The Gateway that a ListenerSet refers to."""
    ref = source.spec.parent_ref
    if (ref.group, ref.kind) != (GROUP, "Gateway"):
        return None
    return Key(ref.namespace or source.metadata.namespace, ref.name)


def group_sets(sets: Mapping[Key, ListenerSet]) -> dict[Key, list[ListenerSet]]:
    """By the Gateway that they refer to, each in order of precedence."""
    grouped: dict[Key, list[ListenerSet]] = {}
    for source in sorted(sets.values(), key=age):
        if parent := parent_of(source):
            grouped.setdefault(parent, []).append(source)
    return grouped


def build_sets(
    gateway: GatewayNode,
    sets: Iterable[ListenerSet],
    tls: Mapping[Key, tuple[ResolvedTLS, ...]],
    reader: Reader,
    port_offset: int,
) -> list[ListenerSetNode]:
    """The ListenerSets of `gateway`, in order of precedence. `tls`: of the listeners of each."""
    claims = _Claims(gateway)
    built = []
    for source in sets:
        if refusal := _refusal(gateway.source, source, reader):
            node = ListenerSetNode(source=source, gateway=gateway.key, bind=(), listeners=(), problems=(refusal,))
        else:
            node = _build(gateway, source, tls[source.key], claims, port_offset)
        built.append(node)
    return built


def is_allowed(gateway: Gateway, source: ListenerSet, known: Namespace | None) -> bool:
    """Whether the Gateway allows ListenerSets from this namespace; `known`: the Namespace, if it was read."""
    allowed = (gateway.spec.allowed_listeners or AllowedListeners()).namespaces
    home = source.metadata.namespace
    return admits_namespace(allowed, gateway.key.namespace, home, labels_of(known, home))


def _refusal(gateway: Gateway, source: ListenerSet, reader: Reader) -> Problem | None:
    """Why the Gateway does not allow the ListenerSet; None if it does."""
    home, name = source.metadata.namespace, gateway.key
    if is_allowed(gateway, source, reader.find(NAMESPACES, Key("", home))):
        return None
    allowed = (gateway.spec.allowed_listeners or AllowedListeners()).namespaces
    if allowed.from_ == "None":
        why = "its allowedListeners.namespaces.from is None or not set"
    elif allowed.from_ == "Same":
        why = f"it allows only those in its own namespace {name.namespace}"
    elif mistake := selector_mistake(allowed):
        why = f"it allows none, because {mistake}"
    else:
        why = f"its allowedListeners.namespaces.selector does not match namespace {home}"
    return conditions.listener_set_not_allowed(name, why, allowed_listeners(name, allowed, home))


def _build(
    gateway: GatewayNode, source: ListenerSet, tls: tuple[ResolvedTLS, ...], claims: "_Claims", port_offset: int
) -> ListenerSetNode:
    place = Standing(gateway.key, ("ListenerSet", source.key), port_offset)
    listeners = []
    for index, listener in enumerate(source.spec.listeners):
        conflict = claims.conflict(listener, f"spec.listeners[{index}]")
        node = build_listener(place, listener, index, tls[index], conflict)
        if not any(problem.condition in (conditions.ACCEPTED, conditions.CONFLICTED) for problem in node.problems):
            claims.add(listener, f"{listener.name} of ListenerSet {source.key}")
        listeners.append(node if gateway.bind else msgspec.structs.replace(node, serves=False))
    return ListenerSetNode(
        source=source,
        gateway=gateway.key,
        bind=gateway.bind,
        listeners=tuple(listeners),
        problems=tuple(_parent_problems(gateway)),
    )


def _parent_problems(gateway: GatewayNode) -> Iterable[Problem]:
    if any(problem.condition == conditions.ACCEPTED for problem in gateway.problems):
        yield conditions.parent_not_accepted(gateway.key)
    if not gateway.bind:
        yield conditions.parent_not_programmed(gateway.key)


class _Claims:
    """Ports and hostnames that are claimed, with their owners as text for messages."""

    def __init__(self, gateway: GatewayNode) -> None:
        self._ports: dict[tuple[int, str], tuple[str, str]] = {}  # port, transport: family, owner
        self._hosts: dict[tuple[int, str, str], str] = {}  # port, transport, hostname: owner
        for node in gateway.listeners:
            if _takes_its_port(node):
                self.add(node.source, f"{node.source.name} of Gateway {gateway.key}")

    def add(self, listener: Listener, owner: str) -> None:
        port = (listener.port, TRANSPORT[listener.protocol])
        self._ports.setdefault(port, (PORT_FAMILY[listener.protocol], owner))
        self._hosts.setdefault((*port, _hostname(listener)), owner)

    def conflict(self, listener: Listener, field: str) -> Problem | None:
        if listener.protocol not in PORT_FAMILY:
            return None
        port = (listener.port, TRANSPORT[listener.protocol])
        family, first = self._ports.get(port, (None, ""))
        if family is None:
            return None
        if family != PORT_FAMILY[listener.protocol]:
            return conditions.later_protocol_conflict(listener, first, field)
        owner = self._hosts.get((*port, _hostname(listener)))
        return conditions.later_hostname_conflict(listener, owner, field) if owner else None


def _takes_its_port(node: ListenerNode) -> bool:
    """Within a Gateway no conflicting listener wins, so a listener of a ListenerSet must not win over one of them
    either."""
    return node.source.protocol in PORT_FAMILY and not any(p.reason == "UnsupportedProtocol" for p in node.problems)


def _hostname(listener: Listener) -> str:
    """The hostname that distinguishes it on its port; "" for TCP and UDP, which have no such distinction."""
    return "" if listener.protocol in ("TCP", "UDP") else (listener.hostname or ANY).lower()
