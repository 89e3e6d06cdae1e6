"""Managed Gateways: unsupported fields, addresses, and places that two of them want.

If two Gateways want the same place (transport, address, port), only one of them gets it, and so do its ListenerSets.
The listeners of the Gateways come first, the oldest Gateway before the others (creationTimestamp, then namespace/name).
If only ListenerSets have the port, the Gateway of the oldest ListenerSet gets it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import count
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from fastroute.graph import conditions
from fastroute.graph.address import Assignment
from fastroute.graph.age import age
from fastroute.graph.credential import NO_CREDENTIAL, Credential
from fastroute.graph.dependency import Reader
from fastroute.graph.frontend import NO_FRONTEND, Frontend
from fastroute.graph.listener import build_listeners
from fastroute.graph.listenerset import Site, Units, build_sets
from fastroute.graph.node import (
    GatewayClassNode,
    GatewayNode,
    HolderId,
    ListenerNode,
    ListenerSetNode,
    Problem,
    TransportPort,
)
from fastroute.graph.overlap import mark_overlaps
from fastroute.graph.ports import Claimed, Refusal, Shares, claimed, without_port, without_ports
from fastroute.graph.tls import ResolvedTLS, verifying
from fastroute.place import Place
from fastroute.resources.gateway import Gateway, GatewaySpec, ListenerSet
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings

# Fields that are not supported yet: if they were ignored, the Gateway would do less, or be less safe, than its owner
# expects. (infrastructure.labels and .annotations are for the objects created for a Gateway: without --infrastructure
# there are none.)
UNSERVED: tuple[tuple[str, Callable[[GatewaySpec], bool], str], ...] = (
    ("spec.defaultScope", lambda spec: spec.default_scope not in (None, "None"), "default Gateways are not served yet"),
)


class Built(NamedTuple):
    gateways: Mapping[Key, GatewayNode]
    listener_sets: Mapping[Key, ListenerSetNode]


class World(Protocol):
    """What determines the node of a Gateway, in addition to its spec."""

    @property
    def classes(self) -> Mapping[Key, GatewayClassNode]: ...

    @property
    def tls(self) -> Mapping[HolderId, tuple[ResolvedTLS, ...]]:
        """The resolved TLS of each listener."""

    @property
    def frontends(self) -> Mapping[Key, Frontend]:
        """Of the Gateways that verify the certificates of clients."""

    @property
    def credentials(self) -> Mapping[Key, Credential]:
        """Of the Gateways that have a certificate for backends, or want to."""

    @property
    def settings(self) -> GraphSettings: ...


def build_family(
    gateway: Gateway, sets: Sequence[ListenerSet], where: Assignment, world: World, reader: Reader, *, last: Units
) -> tuple[GatewayNode, Units]:
    """A managed Gateway with its ListenerSets, in order of precedence; before routes are attached, and without regard
    to the ports of other Gateways. `last`: the ListenerSets in the last build."""
    offset = world.settings.addressing.port_offset
    frontend = world.frontends.get(gateway.key, NO_FRONTEND)
    own = verifying(gateway, world.tls["Gateway", gateway.key], frontend)
    node = _build(gateway, world.classes, where, own, offset)
    node = _identified(node, world.credentials.get(gateway.key, NO_CREDENTIAL))
    tls = {one.key: world.tls["ListenerSet", one.key] for one in sets}
    return node, build_sets(node, sets, tls, frontend, Site(reader, offset), last=last)


def claim_ports(families: Iterable[tuple[GatewayNode, tuple[ListenerSetNode, ...]]]) -> Mapping[Key, Claimed]:
    """The same families without the ports for which others among them have precedence."""
    families = sorted(families, key=lambda family: age(family[0].source))
    owners: Owners = {}
    nodes = {node.key: _claim(node, node.key, owners) for node, _ in families}
    every = sorted((one for _, sets in families for one in sets), key=lambda one: age(one.source))
    kept = {one.key: _claim(one, one.gateway, owners) for one in every}
    return {node.key: claimed(nodes[node.key], tuple(kept[one.key] for one in sets)) for node, sets in families}


def finish_families(families: Iterable[Claimed], shares: Shares, refusal: Refusal) -> Built:
    """The nodes of the families, without the ports above the limit, and with overlaps marked."""
    nodes: dict[Key, GatewayNode] = {}
    set_nodes: dict[Key, ListenerSetNode] = {}
    for family in families:
        refused = shares.refused(family)
        node = without_ports(family.node, refused, refusal)
        sets = [without_ports(one, refused, refusal) for one in family.sets]
        node, sets = mark_overlaps(node, sets)
        nodes[node.key] = msgspec.structs.replace(node, attached_sets=sum(bool(one.ports) for one in sets))
        set_nodes.update((one.key, one) for one in sets)
    return Built(nodes, set_nodes)


def is_ours(gateway: Gateway, classes: Mapping[Key, GatewayClassNode], settings: GraphSettings) -> bool:
    chosen = not settings.gateways or str(gateway.key) in settings.gateways
    return chosen and Key("", gateway.spec.gateway_class_name) in classes


def _build(
    gateway: Gateway,
    classes: Mapping[Key, GatewayClassNode],
    where: Assignment,
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


def _identified(node: GatewayNode, credential: Credential) -> GatewayNode:
    if credential is NO_CREDENTIAL:
        return node
    problems = (*node.problems, *credential.problems)
    return msgspec.structs.replace(node, problems=problems, client_certificate=credential.certificate)


def _unserved(listener: ListenerNode) -> ListenerNode:
    return msgspec.structs.replace(listener, serves=False)


def _refusals(gateway: Gateway, classes: Mapping[Key, GatewayClassNode]) -> Iterable[Problem]:
    name = gateway.spec.gateway_class_name
    if classes[Key("", name)].problems:
        yield conditions.class_not_accepted(name)
    parameters = gateway.spec.infrastructure and gateway.spec.infrastructure.parameters_ref
    if parameters:
        field = "spec.infrastructure.parametersRef"
        message = f"{field} names {parameters.kind} {parameters.name}, but fastroute does not support parameters."
        yield conditions.invalid_parameters(f"{message} Remove it.", field)
    for field, asks, why in UNSERVED:
        if asks(gateway.spec):
            yield conditions.unsupported_value(f"{why}.", field)


# --- Ports


Owners = dict[Place, Key]  # the Gateway that serves it
HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)


def _claim(node: HolderT, key: Key, owners: Owners) -> HolderT:
    """Gateway `key` or one of its ListenerSets, without the ports that others own. Adds its ports to `owners`."""
    lost: dict[TransportPort, tuple[Place, Key]] = {}
    for transport, number in node.ports:
        wanted = [Place(transport, address, number) for address in node.bind]
        taken = next((place for place in wanted if owners.get(place, key) != key), None)
        if taken is None:
            owners.update(dict.fromkeys(wanted, key))
        else:
            lost[transport, number] = (taken, owners[taken])
    return node.again("claim", lost, lambda: _without(node, lost)) if lost else node


def _without(node: HolderT, lost: Mapping[TransportPort, tuple[Place, Key]]) -> HolderT:
    in_set = isinstance(node, ListenerSetNode)

    def kept(listener: ListenerNode, index: int) -> ListenerNode:
        taken = lost.get(listener.port) if listener.serves else None
        if taken is None:
            return listener
        return without_port(listener, conditions.port_taken(*taken, f"spec.listeners[{index}]", in_set=in_set))

    return msgspec.structs.replace(node, listeners=tuple(map(kept, node.listeners, count())))
