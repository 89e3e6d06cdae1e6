"""The limit on the number of ports of an installation (--max-ports): each port costs a socket per worker.

The oldest ports are served. A port is as old as the oldest Gateway or ListenerSet that has it (creationTimestamp, then
namespace/name); within one object the order of its listeners decides. Ports of the same number at the addresses of
different Gateways are different ports.
"""

from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple, TypeVar

import msgspec

from fastroute.graph import conditions
from fastroute.graph.age import Age, age
from fastroute.graph.node import GatewayNode, Holder, ListenerNode, ListenerSetNode, Problem
from fastroute.resources.meta import Key

HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)
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


def above_limit(families: Iterable[Claimed], most: int) -> Mapping[Key, frozenset[int]]:
    """The ports that are not served because older ones use up the limit, by Gateway."""
    found: dict[Key, set[int]] = {}
    for port in sorted(chain.from_iterable(family.ports for family in families))[most:]:
        found.setdefault(port.gateway, set()).add(port.number)
    return {key: frozenset(numbers) for key, numbers in found.items()}


class Refusal(NamedTuple):
    """The limit, and what sets it, for messages."""

    most: int
    limit: str

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
