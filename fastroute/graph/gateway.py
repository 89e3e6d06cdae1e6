"""Gateways of our classes: what they ask for that is not served, their addresses, and ports that two of them want.

Two Gateways that want the same address and port: the older one has it (creationTimestamp, then namespace/name).
"""

from collections.abc import Callable, Iterable, Mapping

import msgspec

from fastroute.graph import conditions
from fastroute.graph.address import Place, place
from fastroute.graph.age import age
from fastroute.graph.listener import build_listeners
from fastroute.graph.node import GatewayClassNode, GatewayNode, ListenerNode, Problem
from fastroute.resources.gateway import Gateway, GatewaySpec
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings


def _listener_sets_allowed(spec: GatewaySpec) -> bool:
    return spec.allowed_listeners is not None and spec.allowed_listeners.namespaces.from_ != "None"


# Fields that ask for something we do not do yet: serving the Gateway without it would do less, or be less safe, than
# its owner reads in it. (infrastructure.labels and .annotations ask nothing of us: we create no objects to carry them.)
UNSERVED: tuple[tuple[str, Callable[[GatewaySpec], bool], str], ...] = (
    ("spec.tls", lambda spec: bool(spec.tls), "client certificates are not served yet"),
    ("spec.allowedListeners", _listener_sets_allowed, "ListenerSets are not served yet"),
    ("spec.defaultScope", lambda spec: spec.default_scope not in (None, "None"), "default Gateways are not served yet"),
)


def build_gateways(
    gateways: Mapping[Key, Gateway],
    classes: Mapping[Key, GatewayClassNode],
    settings: GraphSettings,
    held: Mapping[Key, tuple[str, ...]],
) -> dict[Key, GatewayNode]:
    """Every Gateway of ours with its listeners, before any route attaches. `held`: addresses given before."""
    ours = [gateway for gateway in gateways.values() if _is_ours(gateway, classes, settings)]
    places = place(ours, settings.addressing, held)
    nodes = [_build(gateway, classes, places[gateway.key], settings) for gateway in sorted(ours, key=age)]
    return {node.key: node for node in sorted(_share_ports(nodes), key=lambda node: node.key)}


def _is_ours(gateway: Gateway, classes: Mapping[Key, GatewayClassNode], settings: GraphSettings) -> bool:
    chosen = not settings.gateways or str(gateway.key) in settings.gateways
    return chosen and Key("", gateway.spec.gateway_class_name) in classes


def _build(
    gateway: Gateway, classes: Mapping[Key, GatewayClassNode], where: Place, settings: GraphSettings
) -> GatewayNode:
    problems = (*_refusals(gateway, classes), *where.problems)
    served = bool(where.bind) and not any(problem.condition == conditions.ACCEPTED for problem in problems)
    listeners = build_listeners(gateway, settings.addressing.port_offset)
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


def _share_ports(oldest_first: list[GatewayNode]) -> list[GatewayNode]:
    """Takes each (address, port) from all Gateways but the oldest that serves it."""
    owners: dict[tuple[str, int], Key] = {}
    return [_claim(node, owners) for node in oldest_first]


def _claim(node: GatewayNode, owners: dict[tuple[str, int], Key]) -> GatewayNode:
    """The Gateway without the ports that others own; what it serves, it owns from now on."""
    key = node.key
    lost: dict[int, Problem] = {}
    for index, listener in enumerate(node.listeners):
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
    listeners = tuple(
        msgspec.structs.replace(listener, serves=False, problems=(lost[index], *listener.problems))
        if index in lost
        else listener
        for index, listener in enumerate(node.listeners)
    )
    return msgspec.structs.replace(node, listeners=listeners)
