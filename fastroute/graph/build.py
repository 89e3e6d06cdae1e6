"""build_graph: connects all objects that users applied into one graph. Pure; rebuilds only what a change affects.

The stages, in order: classes, grants, certificates, Gateways and ListenerSets with their listeners, then each route
separately (references resolved, parents evaluated), then the results of all routes: attachments of each listener,
backends with their endpoints.
The Memo of the previous graph contains the parts and what they were built from. Only objects that are not identical to
those of the last build, and the routes that depend on one of them, are rebuilt. If a result is equal to the previous
one, the previous object is kept, so that the compiler and the statuses see no change either.
A graph built from scratch and one built from a previous graph are equal, except for pool addresses: a Gateway keeps its
address even if everything else is rebuilt (`forgotten`), or rebuilt by another process (`status.addresses`).
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.address import named_service, reached_at, unplaced
from fastroute.graph.backend import Slices, build_backend, index_slices, move_slices, slice_owner, tcp_port
from fastroute.graph.certificate import CertificateNode
from fastroute.graph.change import Touched, find_touched, kept, kept_all
from fastroute.graph.dependency import (
    GATEWAYS,
    GRANTS,
    LISTENER_SETS,
    NAMESPACES,
    POLICIES,
    REFUSALS,
    SECRETS,
    SERVICES,
    Dependencies,
    Indexes,
    Reader,
    changed_entries,
)
from fastroute.graph.edition import edition_of
from fastroute.graph.entries import entries
from fastroute.graph.family import (
    Families,
    Holders,
    Members,
    World,
    build_families,
    concerned_families,
    gather,
    holders_changed,
)
from fastroute.graph.forbidden import Exclusion, Forbidden, exclude, find_forbidden
from fastroute.graph.gatewayclass import build_classes
from fastroute.graph.grant import UnreadGrants, index_grants
from fastroute.graph.node import (
    Attachment,
    BackendNode,
    GatewayClassNode,
    GatewayNode,
    Graph,
    ListenerNode,
    ListenerSetNode,
    RouteId,
)
from fastroute.graph.policy import index_policies
from fastroute.graph.route import ListenerId, attach, parent_ids
from fastroute.graph.route_stages import STAGES
from fastroute.graph.secured import Secured, secure
from fastroute.graph.unit import Limits, Unit, admit_units, footprint_of, items_of, judged_units, keep_attached
from fastroute.resources.gateway import Route
from fastroute.resources.meta import Key
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings


class Memo(msgspec.Struct, frozen=True, eq=False):
    """What the next build starts from. Contains no earlier Memo."""

    settings: GraphSettings
    resources: Resources = Resources()
    classes: Mapping[Key, GatewayClassNode] = {}
    families: Families = Families()  # before routes are attached
    secured: Secured = Secured()
    indexes: Indexes = {}  # what nodes depend on
    slices: Slices = {}
    exclusion: Exclusion = Exclusion()
    units: Mapping[RouteId, Unit] = {}
    attached: Mapping[ListenerId, Mapping[RouteId, Attachment]] = {}
    limits: Limits = Limits()
    users: Mapping[str, int] = {}  # number of backendRefs and mirrors that resolve to a backend, by id
    former: Mapping[Key, GatewayNode] = {}  # of a forgotten graph: only their addresses are used

    @property
    def gateways(self) -> Mapping[Key, GatewayNode]:
        """Before routes are attached."""
        return self.families.gateways

    @property
    def listener_sets(self) -> Mapping[Key, ListenerSetNode]:
        """Likewise."""
        return self.families.listener_sets


HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)

NOTHING = Graph(classes={}, gateways={}, routes={}, parents={}, backends={})


def build_graph(resources: Resources, settings: GraphSettings, previous: Graph | None = None) -> Graph:
    """The graph of `resources`. Parts of `previous` are reused if it was built with equal settings."""
    before = previous if previous is not None and previous.settings == settings else NOTHING
    last: Memo = before.memo or Memo(settings)
    touched = find_touched(last.resources, resources)

    classes = _build_classes(resources, last, touched)
    indexes = _index_objects(resources, last, touched)
    changed = changed_entries(last.indexes, indexes)
    world, before_world = World(resources, classes, {}, _reached(settings, resources), indexes), _world_of(last)
    members = gather(world, last.families.members, before_world, touched)
    secured = _secure(members, indexes, changed, last)
    families = _build_families(members, world._replace(tls=secured.resolved), last, before_world, changed)
    moved = families.gateways is not last.families.gateways or families.listener_sets is not last.families.listener_sets
    slices = _build_slices(resources, last, touched)
    forbidden = _forbid(families, settings, last) if moved or not last.gateways else last.exclusion.forbidden
    exclusion = exclude(slices, _slice_owners(resources, last, touched), forbidden, last.exclusion)
    indexes = {
        **indexes,
        GATEWAYS: families.gateways,
        LISTENER_SETS: families.listener_sets,
        REFUSALS: exclusion.refusals,
    }
    stale = _stale(last, touched, changed_entries(last.indexes, indexes))
    made = {id_: _build_unit(id_, resources, Reader(indexes), last) for id_ in stale}
    limits = admit_units(last.limits, last.units, made)
    made |= judged_units(last.limits, limits, last.units, made)
    attached = _attach_all(last, made)
    memo = Memo(
        settings=settings,
        resources=resources,
        classes=classes,
        families=families,
        secured=secured,
        indexes=indexes,
        slices=slices,
        exclusion=exclusion,
        units=replaced(last.units, made),
        attached=attached,
        limits=limits,
        users=_count_users(last, made),
    )
    return Graph(
        controller_name=settings.controller_name,
        classes=classes,
        gateways=_connect_all(memo.gateways, last.gateways, before.gateways, memo, last),
        listener_sets=_connect_all(memo.listener_sets, last.listener_sets, before.listener_sets, memo, last),
        routes=replaced(before.routes, {id_: unit.node if unit else None for id_, unit in made.items()}),
        parents=replaced(before.parents, {id_: _parents(unit) for id_, unit in made.items()}),
        backends=_build_backends(memo, last, before, touched, made),
        grants=indexes[GRANTS],
        certificates=_certificates(memo, last, before),
        memo=memo,
    )


def forgotten(graph: Graph, settings: GraphSettings | None = None) -> Graph:
    """An empty graph that keeps only the addresses that `graph` gave to Gateways; optionally with other settings."""
    memo: Memo = graph.memo
    return msgspec.structs.replace(NOTHING, memo=Memo(settings or memo.settings, former=memo.gateways or memo.former))


def _index_objects(resources: Resources, last: Memo, touched: Touched) -> Indexes:
    """What is known before anything is built."""
    grants = index_grants(resources.reference_grants, touched.grants, last.indexes.get(GRANTS))
    if why := last.settings.missing.get("ReferenceGrant"):
        grants = UnreadGrants(why)
    policies = last.indexes.get(POLICIES, {})
    if touched.policies:
        policies = kept_all(policies, index_policies(resources.backend_tls_policies), kept)
    return {
        GRANTS: grants,
        NAMESPACES: resources.namespaces,
        POLICIES: policies,
        SECRETS: resources.secrets,
        SERVICES: resources.services,
    }


# --- Gateways


def _build_classes(resources: Resources, last: Memo, touched: Touched) -> Mapping[Key, GatewayClassNode]:
    if last.classes and not touched.classes:
        return last.classes
    return kept_all(last.classes, build_classes(resources.gateway_classes, last.settings), kept)


def _world_of(last: Memo) -> World:
    """What the families of the last build were built from."""
    settings = _reached(last.settings, last.resources)
    return World(last.resources, last.classes, last.secured.resolved, settings, last.indexes)


def _build_families(members: Members, world: World, last: Memo, before: World, changed: Dependencies) -> Families:
    concerned = concerned_families(members, world, last.families, before, changed)
    held: dict[Key, tuple[str, ...]] = {}
    if world.settings.addressing.pool is not None:
        held = _held(last, members, unplaced(members.gateways, last.families.places, concerned))
    return build_families(members, world, held, last.families, concerned)


def _reached(settings: GraphSettings, resources: Resources) -> GraphSettings:
    """Settings with the addresses of the Services that they name."""
    if not any(map(named_service, settings.addressing.addresses)):
        return settings
    return msgspec.structs.replace(settings, addressing=reached_at(settings.addressing, resources.services))


def _held(last: Memo, members: Members, keys: Iterable[Key]) -> dict[Key, tuple[str, ...]]:
    """Addresses of Gateways that still exist: those that they were assigned, or those in their status if an earlier
    process assigned them. (Only for a pool.)"""
    known = last.gateways or last.former
    held: dict[Key, tuple[str, ...]] = {}
    for key in keys:
        node, gateway = known.get(key), members.gateways[key]
        if node is None:
            held[key] = tuple(entry["value"] for entry in entries(gateway.status, "addresses", "value"))
        elif node.source.metadata.uid == gateway.metadata.uid:
            held[key] = node.addresses
    return held


def _connect_all(
    bare: Mapping[Key, HolderT],
    last_bare: Mapping[Key, HolderT],
    before: Mapping[Key, HolderT],
    memo: Memo,
    last: Memo,
) -> Mapping[Key, HolderT]:
    """Holders with the routes attached to their listeners; unchanged ones are reused.

    `bare`: without routes; `last_bare`, `before`: those of the last build without and with routes."""
    changed = changed_keys(last_bare, bare)
    moved = {holder for holder, _ in changed_keys(last.attached, memo.attached)}
    changed |= {key for _, key in moved if key in bare and bare[key].id in moved}
    return replaced(
        before,
        {
            key: _connect(bare[key], last_bare.get(key), before.get(key), memo, last) if key in bare else None
            for key in changed
        },
        in_order=True,
    )


def _connect(node: HolderT, last_bare: HolderT | None, before: HolderT | None, memo: Memo, last: Memo) -> HolderT:
    bare = {listener.source.name: listener for listener in last_bare.listeners} if last_bare and before else {}
    known = {listener.source.name: listener for listener in before.listeners} if before else {}

    def connect(listener: ListenerNode) -> ListenerNode:
        name = listener.source.name
        attachments = memo.attached.get((node.id, name))
        if bare.get(name) is listener and last.attached.get((node.id, name)) is attachments:
            return known[name]
        return msgspec.structs.replace(listener, attachments=attachments or {})

    return msgspec.structs.replace(node, listeners=tuple(map(connect, node.listeners)))


# --- Certificates


def _secure(members: Members, indexes: Indexes, changed: Dependencies, last: Memo) -> Secured:
    changes = holders_changed(last.families.members, members)
    return secure(changes, indexes, changed, last.secured) if changes or changed else last.secured


def _certificates(memo: Memo, last: Memo, before: Graph) -> Mapping[str, CertificateNode]:
    """The certificates that can be served, by id."""
    changes: dict[str, CertificateNode | None] = {}
    for key in changed_keys(last.secured.certificates, memo.secured.certificates):
        node = memo.secured.certificates.get(key)
        changes[str(key)] = node if node and node.certificate else None
    return replaced(before.certificates, changes)


# --- Routes


def _stale(last: Memo, touched: Touched, changed: Dependencies) -> set[RouteId]:
    """Routes that changed, or that depend on an entry that changed."""
    stale = set(touched.routes)
    if changed:
        stale |= {id_ for id_, unit in last.units.items() if not changed.isdisjoint(unit.dependencies)}
    return stale


def _build_unit(id_: RouteId, resources: Resources, reader: Reader, last: Memo) -> Unit | None:
    """One route with its parents; None if it was removed. Results equal to the last ones are reused."""
    kind, key = id_
    source = resources.routes(ROUTES[kind]).get(key)
    if source is None:
        return None
    managed = any(reader.holder(parent) for parent in parent_ids(source))
    if not managed and not _claimed(source, last.settings.controller_name):
        return Unit(source, reader.dependencies)
    old = last.units.get(id_) or Unit(source)
    node = kept(old.node, STAGES[kind].build(source, reader, edition_of(last.settings.bundle_version)))
    asked = keep_attached(old.asked, attach(node, reader))
    attached = keep_attached(old.attached, asked)
    return Unit(source, reader.dependencies, node, asked, attached, items_of(node, old), footprint_of(node, old))


def _claimed(source: Route, controller_name: str) -> bool:
    """Whether the route's status has an entry of fastroute, which must be removed if no parent is managed."""
    parents = entries(source.status, "parents", "controllerName")
    return any(parent["controllerName"] == controller_name for parent in parents)


def _attach_all(last: Memo, made: Mapping[RouteId, Unit | None]) -> Mapping[ListenerId, Mapping[RouteId, Attachment]]:
    changes: dict[ListenerId, dict[RouteId, Attachment | None]] = {}
    for id_, unit in made.items():
        old, new = _attachments(last.units.get(id_)), _attachments(unit)
        for listener in old.keys() | new.keys():
            changes.setdefault(listener, {})[id_] = new.get(listener)
    attached = {listener: replaced(last.attached.get(listener, {}), change) for listener, change in changes.items()}
    return replaced(last.attached, {listener: routes or None for listener, routes in attached.items()})


def _attachments(unit: Unit | None) -> Mapping[ListenerId, Attachment]:
    return unit.attached.attachments if unit else {}


def _parents(unit: Unit | None) -> Any:
    return unit.attached.parents if unit and unit.node else None


# --- Backends


def _build_slices(resources: Resources, last: Memo, touched: Touched) -> Slices:
    if not touched.slices:
        return last.slices
    if not last.resources.endpoint_slices:
        return index_slices(resources.endpoint_slices)
    return move_slices(last.slices, last.resources.endpoint_slices, resources.endpoint_slices, touched.slices)


def _forbid(families: Families, settings: GraphSettings, last: Memo) -> Forbidden:
    return kept(last.exclusion.forbidden, find_forbidden(families.gateways, Holders(families).values(), settings))


def _backend_ids(unit: Unit | None) -> Iterator[str]:
    if unit and unit.node:
        for rule in unit.node.rules:
            yield from (ref.id for ref in rule.backend_refs if ref.resolved)
            yield from (mirror.id for mirror in rule.mirrors if mirror.resolved)


def _count_users(last: Memo, made: Mapping[RouteId, Unit | None]) -> Mapping[str, int]:
    users = dict(last.users)
    for id_, unit in made.items():
        for backend in _backend_ids(unit):
            users[backend] = users.get(backend, 0) + 1
        for backend in _backend_ids(last.units.get(id_)):
            users[backend] -= 1
            if not users[backend]:
                del users[backend]
    return users


def _build_backends(
    memo: Memo, last: Memo, before: Graph, touched: Touched, made: Mapping[RouteId, Unit | None]
) -> Mapping[str, BackendNode]:
    """Backends whose use or endpoints changed are rebuilt, the others reused.

    A changed Service needs no special case: routes that depend on it are in `made`.
    """
    ids = {backend for id_, unit in made.items() for u in (unit, last.units.get(id_)) for backend in _backend_ids(u)}
    services = memo.resources.services
    owners = _slice_owners(memo.resources, last, touched)
    for owner in owners | changed_keys(last.exclusion.refusals, memo.exclusion.refusals):
        if owner in services:
            ids |= {f"{owner}:{port.port}" for port in services[owner].spec.ports}
    return replaced(before.backends, {id_: _build_backend(id_, memo, before.backends.get(id_)) for id_ in ids})


def _slice_owners(resources: Resources, last: Memo, touched: Touched) -> set[Key]:
    pieces = [world.endpoint_slices.get(key) for key in touched.slices for world in (resources, last.resources)]
    return {owner for piece in pieces if piece is not None and (owner := slice_owner(piece))}


def _build_backend(id_: str, memo: Memo, old: BackendNode | None) -> BackendNode | None:
    if id_ not in memo.users:
        return None
    namespace, _, rest = id_.partition("/")
    name, _, number = rest.rpartition(":")
    service = memo.resources.services[Key(namespace, name)]
    port = tcp_port(service, int(number))
    assert port is not None, "a reference resolves only to a TCP port that exists"
    pieces, refused = memo.slices.get(service.key, ()), memo.exclusion.refusals.get(service.key, ())
    return kept(old, build_backend(service, port, pieces, refused))
