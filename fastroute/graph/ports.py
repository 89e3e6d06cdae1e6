"""The limit on the number of ports of an installation (--max-ports): each port costs a socket per worker.

The oldest ports are served. A port is as old as the oldest Gateway or ListenerSet that has it (creationTimestamp, then
namespace/name); within one object the order of its listeners decides. Ports of the same number at the addresses of
different Gateways are different ports. All ports are kept in order, so that a change costs as much as the ports that it
affects.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from fastroute.graph import conditions
from fastroute.graph.age import Age, age
from fastroute.graph.node import GatewayNode, Holder, ListenerNode, ListenerSetNode, Problem
from fastroute.resources.meta import Key

HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)
FEW = 64  # new ports up to which inserting each is cheaper than sorting all
Rank = tuple[Age, int]  # of the object, then the index of the listener


class Port(NamedTuple):
    """In order of precedence."""

    rank: Rank
    gateway: Key
    number: int


class Claimed(msgspec.Struct, frozen=True, eq=False):
    """A Gateway with its ListenerSets, without the ports that other Gateways have."""

    node: GatewayNode
    sets: tuple[ListenerSetNode, ...]
    ports: tuple[Port, ...]  # in order of precedence


def claimed(node: GatewayNode, sets: tuple[ListenerSetNode, ...]) -> Claimed:
    holders: tuple[Holder, ...] = (node, *sets)
    ranks: dict[int, Rank] = {}
    for holder in holders:
        old = age(holder.source)
        for index, listener in enumerate(holder.listeners):
            if listener.serves:
                number = listener.source.port
                ranks[number] = min(ranks.get(number, (old, index)), (old, index))
    ports = sorted(Port(rank, node.key, number) for number, rank in ranks.items())
    return Claimed(node, sets, tuple(ports))


def reordered(order: Sequence[Port], gone: Collection[Port], new: Collection[Port]) -> Sequence[Port]:
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


def first_refused(order: Sequence[Port], most: int) -> Port | None:
    """Ports from this one on are not served, because older ports reach the limit."""
    return order[most] if len(order) > most else None


def gateways_between(order: Sequence[Port], one: Port | None, other: Port | None) -> set[Key]:
    """The Gateways with ports that are served with one of these first refused ports, and not with the other."""
    start, end = sorted(len(order) if port is None else bisect_left(order, port) for port in (one, other))
    return {port.gateway for port in order[start:end]}


class Refusal(NamedTuple):
    """The first port that is not served, the limit, and what sets it, for messages."""

    first: Port | None
    most: int
    limit: str

    def numbers(self, family: Claimed) -> frozenset[int]:
        """The refused ports of a family."""
        if self.first is None or not family.ports or family.ports[-1] < self.first:
            return frozenset()
        return frozenset(port.number for port in family.ports[bisect_left(family.ports, self.first) :])

    def of(self, listener: ListenerNode, index: int) -> Problem:
        return conditions.too_many_ports(listener.source.port, self.most, self.limit, f"spec.listeners[{index}]")


def without_ports(node: HolderT, numbers: frozenset[int], refusal: Refusal) -> HolderT:
    """The node, whose listeners at these ports are not served."""
    lost = [listener.serves and listener.source.port in numbers for listener in node.listeners]
    if not any(lost):
        return node
    kept = tuple(
        without_port(listener, refusal.of(listener, index)) if lost[index] else listener
        for index, listener in enumerate(node.listeners)
    )
    return msgspec.structs.replace(node, listeners=kept)


def without_port(listener: ListenerNode, problem: Problem) -> ListenerNode:
    """`listener`, not served because of `problem`."""
    return msgspec.structs.replace(listener, serves=False, problems=(problem, *listener.problems))
