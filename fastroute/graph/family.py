"""Families: each managed Gateway with its ListenerSets, so that a change to one family rebuilds only that family.

A family is built from its Gateway, the ListenerSets that refer to it, their TLS, the labels of their namespaces and its
addresses (address.py). It does not depend on other Gateways, except for its ports: after a change, ports are claimed
again, in order of precedence, by the changed families and by all families that want a place of one of
these, and so on transitively. If each Gateway has its own address, only the changed family is affected. The limit on
the number of ports (ports.py) concerns all families, but costs nothing while it is not reached.

The result is the same as that of a build from scratch, except for the addresses of a pool, which are kept.
"""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.address import Assignment, assign, named_service, reached_at, unassigned
from fastroute.graph.change import Touched, kept
from fastroute.graph.credential import Credential
from fastroute.graph.dependency import Dependencies, Indexes, Reader
from fastroute.graph.entries import entries
from fastroute.graph.frontend import Frontend
from fastroute.graph.gateway import build_family, claim_ports, finish_families, is_ours
from fastroute.graph.listenerset import Units, group_sets, parent_of
from fastroute.graph.node import GatewayClassNode, GatewayNode, Holder, HolderId, ListenerSetNode
from fastroute.graph.ports import Claimed, Refusal, Shares, affected_gateways, share_ports
from fastroute.graph.secured import Secured
from fastroute.graph.tls import ResolvedTLS
from fastroute.place import Place
from fastroute.resources.gateway import Gateway, ListenerSet
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings

Sets = Mapping[Key, tuple[ListenerSet, ...]]
HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)


class Members(msgspec.Struct, frozen=True, eq=False):
    """Which Gateway and ListenerSets belong to which family."""

    gateways: Mapping[Key, Gateway] = {}  # managed Gateways
    sets: Sets = {}  # by the Gateway that they refer to, managed or not; each in order of precedence


class Family(msgspec.Struct, frozen=True, eq=False):
    """A Gateway with its ListenerSets, before ports are claimed."""

    node: GatewayNode
    units: Units  # its ListenerSets, in order of precedence
    sets: tuple[ListenerSetNode, ...]
    wants: frozenset[Place]
    dependencies: Dependencies


class Families(msgspec.Struct, frozen=True, eq=False):
    """What the next build starts from. `gateways` and `listener_sets`: the nodes of all families."""

    members: Members = Members()
    assignments: Mapping[Key, Assignment] = {}  # addresses
    families: Mapping[Key, Family] = {}
    claimants: Mapping[Place, frozenset[Key]] = {}
    claimed: Mapping[Key, Claimed] = {}
    shares: Shares = Shares()  # of their ports
    gateways: Mapping[Key, GatewayNode] = {}
    listener_sets: Mapping[Key, ListenerSetNode] = {}


class World(NamedTuple):
    """What families are built from. `settings`: with the addresses of the Services that they name."""

    resources: Resources
    classes: Mapping[Key, GatewayClassNode]
    tls: Mapping[HolderId, tuple[ResolvedTLS, ...]]
    frontends: Mapping[Key, Frontend]
    credentials: Mapping[Key, Credential]
    settings: GraphSettings
    indexes: Indexes


def world_of(
    resources: Resources,
    classes: Mapping[Key, GatewayClassNode],
    secured: Secured,
    settings: GraphSettings,
    indexes: Indexes,
) -> World:
    """`settings`: without the addresses of the Services that they name."""
    if any(map(named_service, settings.addressing.addresses)):
        settings = msgspec.structs.replace(settings, addressing=reached_at(settings.addressing, resources.services))
    return World(resources, classes, secured.resolved, secured.frontends, secured.credentials, settings, indexes)


class Holders(Mapping[HolderId, Holder]):
    """Gateways and ListenerSets in one mapping, without copying either."""

    def __init__(self, families: Families) -> None:
        self._of: Mapping[str, Mapping[Key, Any]] = {
            "Gateway": families.gateways,
            "ListenerSet": families.listener_sets,
        }

    def __getitem__(self, id_: HolderId) -> Holder:
        found: Holder = self._of[id_[0]][id_[1]]
        return found

    def __iter__(self) -> Any:
        return ((kind, key) for kind, holders in self._of.items() for key in holders)

    def __len__(self) -> int:
        return sum(map(len, self._of.values()))


def gather(world: World, last: Members, before: World, touched: Touched) -> Members:
    """`last`: the result for `before`."""
    resources, settings = world.resources, world.settings
    if not last.gateways or world.classes is not before.classes:
        ours = {key: one for key, one in resources.gateways.items() if is_ours(one, world.classes, settings)}
        changes: dict[Key, Gateway | None] = {**dict.fromkeys(last.gateways.keys() - ours.keys()), **ours}
    else:
        found = {key: resources.gateways.get(key) for key in touched.gateways}
        changes = {key: one if one and is_ours(one, world.classes, settings) else None for key, one in found.items()}
    return Members(replaced(last.gateways, changes), _grouped(resources, last.sets, before.resources, touched))


def _grouped(resources: Resources, last: Sets, before: Resources, touched: Touched) -> Sets:
    """ListenerSets by the Gateway that they refer to; only groups with a touched ListenerSet are sorted again."""
    moved: dict[Key, dict[Key, ListenerSet]] = {}
    for key in touched.listener_sets:
        old, new = before.listener_sets.get(key), resources.listener_sets.get(key)
        for parent in {parent_of(one) for one in (old, new) if one is not None} - {None}:
            assert parent is not None
            group = moved.setdefault(parent, {one.key: one for one in last.get(parent, ())})
            group.pop(key, None)
            if new is not None and parent_of(new) == parent:
                group[key] = new
    made = {parent: tuple(group_sets(group).get(parent, ())) or None for parent, group in moved.items()}
    return replaced(last, made)


def holders_changed(last: Members, now: Members) -> dict[HolderId, Gateway | ListenerSet | None]:
    """Managed Gateways and their ListenerSets that changed; None if removed or no longer managed."""
    changes: dict[HolderId, Gateway | ListenerSet | None] = {}
    gateways = changed_keys(last.gateways, now.gateways)
    for key in gateways:
        changes["Gateway", key] = now.gateways.get(key)
    joined = {key for key in gateways if (key in last.gateways) != (key in now.gateways)}
    for parent in joined | changed_keys(last.sets, now.sets):
        old = {one.key: one for one in last.sets.get(parent, ())} if parent in last.gateways else {}
        new = {one.key: one for one in now.sets.get(parent, ())} if parent in now.gateways else {}
        for key in changed_keys(old, new):
            if key in new or ("ListenerSet", key) not in changes:  # it may have moved from one Gateway to another
                changes["ListenerSet", key] = new.get(key)
    return changes


def build_families(
    members: Members, world: World, known: Mapping[Key, GatewayNode], last: Families, concerned: frozenset[Key]
) -> Families:
    """`concerned`: keys of Gateways of which anything except the addresses may have changed. `known`: nodes whose
    addresses Gateways keep, if these are from a pool."""
    held: dict[Key, tuple[str, ...]] = {}
    if world.settings.addressing.pool is not None:
        held = _held(known, members, unassigned(members.gateways, last.assignments, concerned))
    assignments = assign(members.gateways, world.settings.addressing, held, last.assignments, concerned)
    stale = concerned | changed_keys(last.assignments, assignments)
    if not stale:
        return msgspec.structs.replace(last, members=members)
    made = {key: _family(key, members, world, assignments, last) if key in members.gateways else None for key in stale}
    families = replaced(last.families, made)
    claimants = _claimants(last, made)
    claiming = _closure(made, last, families, claimants)
    again = claim_ports([(families[key].node, families[key].sets) for key in claiming if key in families])
    claimed = replaced(last.claimed, {key: again.get(key) for key in claiming})
    before, after = ([of[key] for key in claiming if key in of] for of in (last.claimed, claimed))
    shares = share_ports(last.shares, before, after, world.settings.max_ports)
    changed = claiming | affected_gateways(last.shares, shares)
    refusal = Refusal(world.settings.max_ports, world.settings.port_limit)
    built = finish_families([claimed[key] for key in changed if key in claimed], shares, refusal)
    gateways: dict[Key, GatewayNode | None] = {key: built.gateways.get(key) for key in changed}
    sets: dict[Key, ListenerSetNode | None] = {}
    for key in changed & last.families.keys():
        sets.update(dict.fromkeys(one.key for one in last.families[key].sets))
    sets.update(built.listener_sets)
    return Families(
        members,
        assignments,
        families,
        claimants,
        claimed,
        shares,
        _kept(last.gateways, gateways),
        _kept(last.listener_sets, sets),
    )


def _held(known: Mapping[Key, GatewayNode], members: Members, keys: Iterable[Key]) -> dict[Key, tuple[str, ...]]:
    """Addresses of Gateways that still exist: those that they were assigned, or those in their status if an earlier
    process assigned them."""
    held: dict[Key, tuple[str, ...]] = {}
    for key in keys:
        node, gateway = known.get(key), members.gateways[key]
        if node is None:
            held[key] = tuple(entry["value"] for entry in entries(gateway.status, "addresses", "value"))
        elif node.source.metadata.uid == gateway.metadata.uid:
            held[key] = node.addresses
    return held


def concerned_families(
    members: Members, world: World, last: Families, before: World, changed: Dependencies
) -> frozenset[Key]:
    """Keys of Gateways, managed now or before, that must be rebuilt. `changed`: the entries of `world.indexes`."""
    old = last.members
    if world.classes is not before.classes or world.settings != before.settings:
        return frozenset(members.gateways.keys() | old.gateways.keys())
    found = set(changed_keys(old.gateways, members.gateways))
    found |= changed_keys(old.sets, members.sets)
    found |= changed_keys(before.frontends, world.frontends)
    found |= changed_keys(before.credentials, world.credentials)
    for kind, key in changed_keys(before.tls, world.tls):
        source = world.resources.listener_sets.get(key)
        parent = key if kind == "Gateway" else source and parent_of(source)
        found |= {parent} if parent else set()
    if changed:
        found |= {key for key, one in last.families.items() if not changed.isdisjoint(one.dependencies)}
    return frozenset(key for key in found if key in members.gateways or key in old.gateways)


def _family(key: Key, members: Members, world: World, assignments: Mapping[Key, Assignment], last: Families) -> Family:
    reader = Reader(world.indexes)
    known = last.families[key].units if key in last.families else {}
    where = assignments[key]
    node, units = build_family(members.gateways[key], members.sets.get(key, ()), where, world, reader, last=known)
    sets = tuple(unit.node for unit in units.values())
    wants = frozenset[Place]().union(node.places, *(one.places for one in sets))
    return Family(node, units, sets, wants, reader.dependencies)


def _claimants(last: Families, made: Mapping[Key, Family | None]) -> Mapping[Place, frozenset[Key]]:
    changes: dict[Place, frozenset[Key]] = {}
    for key, family in made.items():
        old = last.families[key].wants if key in last.families else frozenset()
        new = family.wants if family else frozenset()
        for place in old - new:
            changes[place] = changes.get(place, last.claimants[place]) - {key}
        for place in new - old:
            changes[place] = changes.get(place, last.claimants.get(place, frozenset())) | {key}
    return replaced(last.claimants, {place: keys or None for place, keys in changes.items()})


def _closure(
    made: Iterable[Key],
    last: Families,
    families: Mapping[Key, Family],
    claimants: Mapping[Place, frozenset[Key]],
) -> frozenset[Key]:
    """Families whose ports may be affected by the families `made`."""
    found, waiting, seen = set(made), list(made), set[Place]()
    while waiting:
        key = waiting.pop()
        for of in (last.families, families):
            for place in of[key].wants if key in of else ():
                if place not in seen:
                    seen.add(place)
                    more = claimants.get(place, frozenset()) - found
                    found |= more
                    waiting += more
    return frozenset(found)


def _kept(last: Mapping[Key, HolderT], made: Mapping[Key, HolderT | None]) -> Mapping[Key, HolderT]:
    changes = {key: _keep_holder(last.get(key), new) if new is not None else None for key, new in made.items()}
    return replaced(last, changes, in_order=True)


def _keep_holder(old: HolderT | None, new: HolderT) -> HolderT:
    if old is None or old is new:
        return new
    if old == new:
        return old
    listeners = {listener.source.name: listener for listener in old.listeners}
    same = tuple(kept(listeners.get(listener.source.name), listener) for listener in new.listeners)
    return msgspec.structs.replace(new, listeners=same)
