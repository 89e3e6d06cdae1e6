"""Gateways of our classes: what they ask for that is not served, their addresses, and ports that two of them want.

Two Gateways that want the same address and port: the older one has it (creationTimestamp, then namespace/name), its
ListenerSets included.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import NamedTuple, TypeVar

import msgspec

from fastroute.graph import conditions
from fastroute.graph.address import Placement, place
from fastroute.graph.age import age
from fastroute.graph.listener import build_listeners
from fastroute.graph.listenerset import build_sets, group_sets
from fastroute.graph.node import GatewayClassNode, GatewayNode, Holder, HolderId, ListenerNode, ListenerSetNode, Problem
from fastroute.graph.overlap import mark_overlaps
from fastroute.graph.tls import ResolvedTLS
from fastroute.resources.core import Namespace
from fastroute.resources.gateway import Gateway, GatewaySpec, ListenerSet
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings

# Fields that ask for something we do not do yet: serving the Gateway without it would do less, or be less safe, than
# its owner reads in it. (infrastructure.labels and .annotations are for the objects made for a Gateway: without
# --infrastructure there are none.)
UNSERVED: tuple[tuple[str, Callable[[GatewaySpec], bool], str], ...] = (
    ("spec.tls", lambda spec: bool(spec.tls), "client certificates are not served yet"),
    ("spec.defaultScope", lambda spec: spec.default_scope not in (None, "None"), "default Gateways are not served yet"),
)


class Wanted(NamedTuple):
    """What users wrote, with the TLS of each listener as it was resolved."""

    gateways: Mapping[Key, Gateway]
    listener_sets: Mapping[Key, ListenerSet]
    namespaces: Mapping[Key, Namespace]
    tls: Mapping[HolderId, tuple[ResolvedTLS, ...]]


class Built(NamedTuple):
    gateways: Mapping[Key, GatewayNode]
    listener_sets: Mapping[Key, ListenerSetNode]


def build_gateways(
    wanted: Wanted,
    classes: Mapping[Key, GatewayClassNode],
    settings: GraphSettings,
    held: Mapping[Key, tuple[str, ...]],
) -> Built:
    """Every Gateway of ours with its ListenerSets, before any route attaches. `held`: addresses given before."""
    ours = our_gateways(wanted.gateways, classes, settings)
    places = place(ours, settings.addressing, held)
    offset = settings.addressing.port_offset
    sets = group_sets(wanted.listener_sets)
    tls = {key: resolved for (kind, key), resolved in wanted.tls.items() if kind == "ListenerSet"}
    owners: Owners = {}
    nodes: dict[Key, GatewayNode] = {}
    set_nodes: dict[Key, ListenerSetNode] = {}
    for gateway in sorted(ours, key=age):
        node = _build(gateway, classes, places[gateway.key], wanted.tls["Gateway", gateway.key], offset)
        attached = build_sets(node, sets.get(gateway.key, ()), tls, wanted.namespaces, offset)
        node = _claim(node, node.key, owners)
        attached = [_claim(one, node.key, owners) for one in attached]
        node, attached = _with_overlaps(node, attached)
        count = sum(any(listener.serves for listener in one.listeners) for one in attached)
        nodes[node.key] = msgspec.structs.replace(node, attached_sets=count)
        set_nodes.update((one.key, one) for one in attached)
    return Built(dict(sorted(nodes.items())), dict(sorted(set_nodes.items())))


def _with_overlaps(node: GatewayNode, sets: list[ListenerSetNode]) -> tuple[GatewayNode, list[ListenerSetNode]]:
    holders: list[Holder] = [node, *sets]
    listeners = iter(mark_overlaps([listener for holder in holders for listener in holder.listeners]))
    marked = [tuple(islice(listeners, len(holder.listeners))) for holder in holders]
    return (
        msgspec.structs.replace(node, listeners=marked[0]),
        [msgspec.structs.replace(one, listeners=own) for one, own in zip(sets, marked[1:], strict=True)],
    )


def our_gateways(
    gateways: Mapping[Key, Gateway], classes: Mapping[Key, GatewayClassNode], settings: GraphSettings
) -> list[Gateway]:
    return [gateway for gateway in gateways.values() if _is_ours(gateway, classes, settings)]


def _is_ours(gateway: Gateway, classes: Mapping[Key, GatewayClassNode], settings: GraphSettings) -> bool:
    chosen = not settings.gateways or str(gateway.key) in settings.gateways
    return chosen and Key("", gateway.spec.gateway_class_name) in classes


def _build(
    gateway: Gateway,
    classes: Mapping[Key, GatewayClassNode],
    where: Placement,
    tls: tuple[ResolvedTLS, ...],
    port_offset: int,
) -> GatewayNode:
    problems = (*_refusals(gateway, classes), *where.problems)
    served = bool(where.bind) and not any(problem.condition == conditions.ACCEPTED for problem in problems)
    listeners = build_listeners(gateway, tls, port_offset)
    return GatewayNode(
        source=gateway,
        bind=where.bind if served else (),
        addresses=where.addresses,
        listeners=listeners if served else tuple(_unserved(listener) for listener in listeners),
        problems=problems,
    )


def _unserved(listener: ListenerNode) -> ListenerNode:
    return msgspec.structs.replace(listener, serves=False)


def _refusals(gateway: Gateway, classes: Mapping[Key, GatewayClassNode]) -> Iterable[Problem]:
    name = gateway.spec.gateway_class_name
    if classes[Key("", name)].problems:
        yield conditions.class_not_accepted(name)
    parameters = gateway.spec.infrastructure and gateway.spec.infrastructure.parameters_ref
    if parameters:
        field = "spec.infrastructure.parametersRef"
        message = f"{field} names {parameters.kind} {parameters.name}, but fastroute takes no parameters."
        yield conditions.invalid_parameters(f"{message} Remove it.", field)
    for field, asks, why in UNSERVED:
        if asks(gateway.spec):
            yield conditions.unsupported_value(f"{why}.", field)


# --- Ports


Owners = dict[tuple[str, int], Key]  # by address and port: the Gateway that serves it
HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)


def _claim(node: HolderT, key: Key, owners: Owners) -> HolderT:
    """Gateway `key`, or a ListenerSet of it, without the ports that others own; what it serves, it owns from now on."""
    lost: dict[int, Problem] = {}
    listeners: tuple[ListenerNode, ...] = node.listeners
    for index, listener in enumerate(listeners):
        if not listener.serves:
            continue
        wanted = [(address, listener.source.port) for address in node.bind]
        taken = next((socket for socket in wanted if owners.get(socket, key) != key), None)
        if taken is None:
            owners.update(dict.fromkeys(wanted, key))
        else:
            lost[index] = conditions.port_taken(taken, owners[taken], f"spec.listeners[{index}]")
    if not lost:
        return node
    kept = [_without_port(listener, lost.get(index)) for index, listener in enumerate(listeners)]
    return msgspec.structs.replace(node, listeners=tuple(kept))


def _without_port(listener: ListenerNode, problem: Problem | None) -> ListenerNode:
    """`listener`, or what is left of it when it lost its port."""
    if problem is None:
        return listener
    return msgspec.structs.replace(listener, serves=False, problems=(problem, *listener.problems))
