"""The limit on the number of ports of an installation (--max-ports): each port costs a socket per worker.

The ports of the listeners of Gateways come first, then those that only ListenerSets have. In both groups, the
namespaces take turns: in each round, each namespace gets its next port, the oldest first. So a namespace with few ports
cannot lose them to one with many, and the names and creationTimestamps of their objects do not matter for this.

A port of a namespace is as old as the oldest Gateway or ListenerSet of this namespace that has it (creationTimestamp,
then namespace/name); within one object the order of its listeners decides. A port that several namespaces have is
served if it is next for one of them, and counts once. Ports of the same number at the addresses of different Gateways
are different ports, and so are a TCP and a UDP port. The ports of each namespace are kept in order, so that a change
costs as much as the ports that it affects, and, above the limit, as many steps as there are ports to serve.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from fastroute.difference import replaced
from fastroute.fairness import in_rounds
from fastroute.graph import conditions
from fastroute.graph.age import Age, age
from fastroute.graph.node import GatewayNode, Holder, ListenerNode, ListenerSetNode, Problem, TransportPort
from fastroute.resources.meta import Key

HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)
FEW = 64  # new ports up to which inserting each is cheaper than sorting all
Rank = tuple[Age, int]  # of the object, then the index of the listener
Owner = tuple[bool, str]  # whether it has the port only in ListenerSets, and the namespace
GatewayPort = tuple[Key, TransportPort]


class Port(NamedTuple):
    """A port that an owner has. In order of precedence among the ports of this owner."""

    rank: Rank
    gateway: Key
    port: TransportPort

    @property
    def id(self) -> GatewayPort:
        return self.gateway, self.port


class Claimed(msgspec.Struct, frozen=True, eq=False):
    """A Gateway with its ListenerSets, without the ports that other Gateways have."""

    node: GatewayNode
    sets: tuple[ListenerSetNode, ...]
    ports: Mapping[Owner, tuple[Port, ...]]
    all_ports: frozenset[TransportPort]


def claimed(node: GatewayNode, sets: tuple[ListenerSetNode, ...]) -> Claimed:
    own = node.ports.keys()
    ranks: dict[Owner, dict[TransportPort, Rank]] = {}
    holders: tuple[Holder, ...] = (node, *sets)
    for holder in holders:
        in_set = holder is not node
        known, old = ranks.setdefault((in_set, holder.key.namespace), {}), age(holder.source)
        for port, index in holder.ports.items():
            if not (in_set and port in own):
                known[port] = min(known.get(port, (old, index)), (old, index))
    ports = {
        owner: tuple(Port(rank, node.key, port) for port, rank in known.items())
        for owner, known in ranks.items()
        if known
    }
    return Claimed(node, sets, ports, frozenset(port for known in ranks.values() for port in known))


class Shares(msgspec.Struct, frozen=True, eq=False):
    """The ports of all families, and those that are served."""

    lines: Mapping[Owner, Sequence[Port]] = {}  # each in order of precedence
    count: int = 0  # of different ports
    served: frozenset[GatewayPort] | None = None  # None: all

    def refused(self, family: Claimed) -> frozenset[TransportPort]:
        """The ports of the family that are not served."""
        if self.served is None:
            return frozenset()
        return frozenset(port for port in family.all_ports if (family.node.key, port) not in self.served)


def share_ports(last: Shares, before: Iterable[Claimed], after: Iterable[Claimed], most: int) -> Shares:
    """`before` and `after`: the families whose ports may have changed."""
    gone, new = dict[Owner, set[Port]](), dict[Owner, set[Port]]()
    count = last.count
    for families, found, sign in ((before, gone, -1), (after, new, 1)):
        for family in families:
            count += sign * len(family.all_ports)
            for owner, ports in family.ports.items():
                found.setdefault(owner, set()).update(ports)
    changes: dict[Owner, Sequence[Port] | None] = {}
    for owner in gone.keys() | new.keys():
        old, now = gone.get(owner, set()), new.get(owner, set())
        changes[owner] = _reordered(last.lines.get(owner, ()), old - now, now - old) or None
    lines = replaced(last.lines, changes)
    return Shares(lines, count, _served(lines, most) if count > most else None)


def _reordered(order: Sequence[Port], gone: Collection[Port], new: Collection[Port]) -> Sequence[Port]:
    """`order`, which is sorted, without the ports `gone` and with the `new` ones."""
    if not gone and not new:
        return order
    made = list(order)
    for port in gone:
        del made[bisect_left(made, port)]
    if len(new) > FEW:
        made += new
        made.sort()
    else:
        for port in new:
            insort(made, port)
    return made


def _served(lines: Mapping[Owner, Sequence[Port]], most: int) -> frozenset[GatewayPort]:
    """The ports that come first. Of the namespaces, the one with the oldest port begins."""
    served = set[GatewayPort]()
    for in_sets in (False, True):
        competing = [line for owner, line in lines.items() if owner[0] is in_sets]
        competing.sort(key=lambda line: line[0])
        for port in in_rounds(competing):
            if len(served) >= most:
                return frozenset(served)
            served.add(port.id)
    return frozenset(served)


def affected_gateways(old: Shares, new: Shares) -> set[Key]:
    """The Gateways of which different ports are served now. Those whose own ports changed may be missing."""
    if old.served is not None and new.served is not None:
        return {gateway for gateway, _ in old.served ^ new.served}
    limited = old.served if new.served is None else new.served
    if limited is None:
        return set()
    return {port.gateway for line in new.lines.values() for port in line if port.id not in limited}


class Refusal(NamedTuple):
    """The limit, and what sets it, for messages."""

    most: int
    limit: str

    def of(self, listener: ListenerNode, index: int) -> Problem:
        return conditions.too_many_ports(listener.source.port, self.most, self.limit, f"spec.listeners[{index}]")


def without_ports(node: HolderT, ports: frozenset[TransportPort], refusal: Refusal) -> HolderT:
    """The node, whose listeners at these ports are not served."""
    lost = ports & node.ports.keys()
    return node.again("limit", (lost, refusal), lambda: _without(node, lost, refusal)) if lost else node


def _without(node: HolderT, ports: Collection[TransportPort], refusal: Refusal) -> HolderT:
    kept = tuple(
        without_port(listener, refusal.of(listener, index)) if listener.serves and listener.port in ports else listener
        for index, listener in enumerate(node.listeners)
    )
    return msgspec.structs.replace(node, listeners=kept)


def without_port(listener: ListenerNode, problem: Problem) -> ListenerNode:
    """`listener`, not served because of `problem`."""
    return msgspec.structs.replace(listener, serves=False, problems=(problem, *listener.problems))
