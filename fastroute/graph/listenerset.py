"""ListenerSets of one Gateway: which are allowed, and which of their listeners have precedence (GEP-1713).

The Gateway's `allowedListeners` alone decides which ListenerSets are allowed; ReferenceGrants are not used. Listeners
are merged in order: those of the Gateway, then those of each ListenerSet, oldest first, then by namespace/name. If a
listener of a ListenerSet conflicts with an earlier one, it is Conflicted, and the earlier one is served; within a
Gateway, on the other hand, no conflicting listener is served. A listener that is not accepted for another reason does
not reserve its port or hostname. ListenerSets with which a namespace has more than MOST_LISTENERS for the Gateway are
refused, the youngest first: all listeners of a Gateway are examined and published when one of them changes.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

import msgspec

from fastroute.graph import conditions
from fastroute.graph.age import age
from fastroute.graph.dependency import NAMESPACES, Reader
from fastroute.graph.distinct import PORT_FAMILY, Claim, Claims, Taken, Winners, claim, claims_of
from fastroute.graph.fix import allowed_listeners
from fastroute.graph.frontend import NO_FRONTEND, Frontend
from fastroute.graph.listener import Standing, admits_namespace, build_listener, selector_mistake
from fastroute.graph.node import GatewayNode, ListenerNode, ListenerSetNode, Problem
from fastroute.graph.selector import labels_of, unknown_labels
from fastroute.graph.tls import ResolvedTLS, verifying
from fastroute.resources.core import Namespace
from fastroute.resources.gateway import GROUP, AllowedListeners, Gateway, Listener, ListenerSet
from fastroute.resources.meta import Key

MOST_LISTENERS = 4_096  # of the ListenerSets of a namespace, for one Gateway: each costs 4 µs when one of them changes


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


class SetUnit(NamedTuple):
    """A ListenerSet and what it was built from."""

    node: ListenerSetNode
    tls: tuple[ResolvedTLS, ...] = ()  # of its listeners, without the validation of clients
    frontend: Frontend = NO_FRONTEND
    verified: tuple[ResolvedTLS, ...] = ()  # with it
    free: tuple[ListenerNode, ...] = ()  # its listeners if none conflicts with another one
    claims: Claims = claims_of(())
    winners: Winners = ()


Units = Mapping[Key, SetUnit]


class Site(NamedTuple):
    reader: Reader
    port_offset: int


def build_sets(
    gateway: GatewayNode,
    sets: Iterable[ListenerSet],
    tls: Mapping[Key, tuple[ResolvedTLS, ...]],
    frontend: Frontend,
    site: Site,
    *,
    last: Units,
) -> Units:
    """The ListenerSets of `gateway`, in order of precedence. `tls`: of the listeners of each. `frontend`: of the
    Gateway. `last`: the result of the last build with this offset, whose units are used again if nothing changes."""
    taken = Taken(
        found
        for node in gateway.listeners
        if _takes_its_port(node) and (found := claim(node.source, gateway.id, counts=True))
    )
    problems = tuple(_parent_problems(gateway))
    built: dict[Key, SetUnit] = {}
    counts: Counter[str] = Counter()  # of listeners, by namespace
    for source in sets:
        key, before = source.key, last.get(source.key)
        refusal = _refusal(gateway.source, source, site.reader) or _excess(gateway.key, source, counts)
        if refusal is not None:
            node = ListenerSetNode(source=source, gateway=gateway.key, bind=(), listeners=(), problems=(refusal,))
            built[key] = before if before and _is_same(before.node, node) else SetUnit(node)
            continue
        standing = Standing(gateway.key, ("ListenerSet", key), site.port_offset)
        if (
            before is None
            or before.node.source is not source
            or before.tls is not tls[key]
            or not before.free
            or before.frontend is not frontend
        ):
            before = _examined(standing, source, tls[key], frontend, gateway)
        built[key] = _judged(gateway, standing, before, taken.take(before.claims), problems)
    return built


def is_allowed(gateway: Gateway, source: ListenerSet, known: Namespace | None) -> bool:
    """Whether the Gateway allows ListenerSets from this namespace; `known`: the Namespace, if it was read."""
    allowed = (gateway.spec.allowed_listeners or AllowedListeners()).namespaces
    home = source.metadata.namespace
    return admits_namespace(allowed, gateway.key.namespace, home, labels_of(known, home))


def _refusal(gateway: Gateway, source: ListenerSet, reader: Reader) -> Problem | None:
    """Why the Gateway does not allow the ListenerSet; None if it does."""
    home, name = source.metadata.namespace, gateway.key
    known = reader.find(NAMESPACES, Key("", home))
    if is_allowed(gateway, source, known):
        return None
    allowed, unknown = (gateway.spec.allowed_listeners or AllowedListeners()).namespaces, ""
    if allowed.from_ == "None":
        why = "its allowedListeners.namespaces.from is None or not set"
    elif allowed.from_ == "Same":
        why = f"it allows only those in its own namespace {name.namespace}"
    elif mistake := selector_mistake(allowed):
        why = f"it allows none, because {mistake}"
    else:
        why = f"its allowedListeners.namespaces.selector does not match namespace {home}"
        unknown = unknown_labels(known)
    return conditions.listener_set_not_allowed(name, why, allowed_listeners(name, allowed, home), unknown)


def _excess(gateway: Key, source: ListenerSet, counts: Counter[str]) -> Problem | None:
    """Whether the namespace has too many listeners with this ListenerSet; else they are added to `counts`."""
    home, count = source.metadata.namespace, len(source.spec.listeners)
    if counts[home] + count > MOST_LISTENERS:
        return conditions.too_many_listeners(gateway, home, MOST_LISTENERS)
    counts[home] += count
    return None


def _is_same(old: ListenerSetNode, new: ListenerSetNode) -> bool:
    return old.source is new.source and (old.bind, old.listeners, old.problems) == (new.bind, (), new.problems)


def _examined(
    standing: Standing, source: ListenerSet, tls: tuple[ResolvedTLS, ...], frontend: Frontend, gateway: GatewayNode
) -> SetUnit:
    """A ListenerSet without regard to others."""
    listeners = source.spec.listeners
    resolved = verifying(source, tls, frontend, gateway.key)
    free = tuple(build_listener(standing, one, index, resolved[index], None) for index, one in enumerate(listeners))
    claims = claims_of(claim(node.source, standing.holder, counts=_is_accepted(node)) for node in free)
    bare = ListenerSetNode(source=source, gateway=gateway.key, bind=(), listeners=(), problems=())
    return SetUnit(bare, tls, frontend, resolved, free, claims)


def _judged(
    gateway: GatewayNode, standing: Standing, unit: SetUnit, winners: Winners, problems: tuple[Problem, ...]
) -> SetUnit:
    """The unit with the listeners that have precedence over its own, and the problems of its Gateway."""
    node = unit.node
    known = (node.bind, node.problems, node.client_certificate)
    if node.listeners and winners == unit.winners and known == (gateway.bind, problems, gateway.client_certificate):
        return unit
    listeners = list(unit.free)
    for index, (winner, listener) in enumerate(zip(winners, unit.free, strict=bool(winners))):
        if winner is not None:
            conflict = _conflict(listener.source, unit.claims.each[index], winner, f"spec.listeners[{index}]")
            listeners[index] = build_listener(standing, listener.source, index, unit.verified[index], conflict)
    if not gateway.bind:
        listeners = [msgspec.structs.replace(one, serves=False) for one in listeners]
    node = msgspec.structs.replace(
        node,
        bind=gateway.bind,
        listeners=tuple(listeners),
        problems=problems,
        client_certificate=gateway.client_certificate,
    )
    return unit._replace(node=node, winners=winners)


def _conflict(listener: Listener, own: Claim | None, winner: Claim, field: str) -> Problem:
    if own is not None and own.family != winner.family:
        return conditions.later_protocol_conflict(listener, str(winner), field)
    return conditions.later_hostname_conflict(listener, str(winner), field)


def _is_accepted(node: ListenerNode) -> bool:
    return not any(problem.condition in (conditions.ACCEPTED, conditions.CONFLICTED) for problem in node.problems)


def _parent_problems(gateway: GatewayNode) -> Iterable[Problem]:
    if any(problem.condition == conditions.ACCEPTED for problem in gateway.problems):
        yield conditions.parent_not_accepted(gateway.key)
    if not gateway.bind:
        yield conditions.parent_not_programmed(gateway.key)


def _takes_its_port(node: ListenerNode) -> bool:
    """Within a Gateway no conflicting listener wins, so a listener of a ListenerSet must not win over one of them
    either."""
    return node.source.protocol in PORT_FAMILY and not any(p.reason == "UnsupportedProtocol" for p in node.problems)
