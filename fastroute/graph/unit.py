"""Everything that was built for one route, and whether it fits: the listeners that it asks for can afford it
(admission.py), and its namespace does not use too much memory (memory.py)."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.admission import Bid, Ledger, Refusal, admit
from fastroute.graph.age import age
from fastroute.graph.backend_id import PASSED
from fastroute.graph.change import kept
from fastroute.graph.dependency import Dependencies, Indexes, Reader
from fastroute.graph.edition import edition_of
from fastroute.graph.entries import entries
from fastroute.graph.memory import NOTHING, Footprint, Storage, Use, footprint, l4_footprint, store
from fastroute.graph.node import RouteId, RouteNode
from fastroute.graph.price import Item, price_list
from fastroute.graph.route import Attached, ListenerId, attach, limited, parent_ids
from fastroute.graph.route_stages import STAGES
from fastroute.resources.gateway import Route
from fastroute.resources.route_kinds import BY_TYPE, ROUTES
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings

_NO_LEDGER = Ledger()
_NO_STORAGE = Storage()


class Unit(msgspec.Struct, frozen=True, eq=False):
    """Also contains what it depends on."""

    source: Route
    dependencies: Dependencies = frozenset()
    node: RouteNode | None = None  # None: no managed parent
    needs: Dependencies = frozenset()  # what the node alone depends on; its attachments depend on Gateways and labels
    asked: Attached = Attached()  # what it would attach to if it cost nothing
    attached: Attached = Attached()
    items: tuple[Item, ...] = ()  # what its matches cost
    footprint: Footprint = NOTHING

    @property
    def size(self) -> int:
        """Bytes that it takes in a worker if it attaches to what it asks for."""
        attachments = self.asked.attachments.values()
        certificates = {one.client_certificate for one in attachments if one.serves} - {None, PASSED}
        return self.footprint.taken(sum(len(one.hostnames) for one in attachments), len(attachments), len(certificates))


Units = Mapping[RouteId, Unit]
Made = Mapping[RouteId, Unit | None]  # units that were built again; None: the route was removed


def stale_units(units: Units, routes: frozenset[RouteId], changed: Dependencies) -> frozenset[RouteId]:
    """`routes`, which changed, and the routes that depend on an entry that changed."""
    if not changed:
        return routes
    return routes | {id_ for id_, unit in units.items() if not changed.isdisjoint(unit.dependencies)}


def build_units(
    stale: Iterable[RouteId],
    resources: Resources,
    indexes: Indexes,
    settings: GraphSettings,
    last: Units,
    *,
    changed: Dependencies | None = None,
) -> dict[RouteId, Unit | None]:
    """The units of these routes; None: the route was removed. `last`: of the last build. `changed`: all entries of
    `indexes` that differ from those of the last build, if they are known."""
    made: dict[RouteId, Unit | None] = {}
    for id_ in stale:
        kind, key = id_
        source, before = resources.routes(ROUTES[kind]).get(key), last.get(id_)
        known = _known_node(before, source, changed)
        made[id_] = _build(source, indexes, settings, before, known) if source else None
    return made


def _known_node(last: Unit | None, source: Route | None, changed: Dependencies | None) -> RouteNode | None:
    """The node of a route if it cannot differ: new labels of a namespace change only what its routes attach to."""
    if last is None or last.source is not source or changed is None or not changed.isdisjoint(last.needs):
        return None
    return last.node


def _build(
    source: Route, indexes: Indexes, settings: GraphSettings, last: Unit | None, known: RouteNode | None
) -> Unit:
    """A route with its parents. Results equal to those of `last` are reused. `known`: its node, if that is known."""
    old, reader, alone = last or Unit(source), Reader(indexes), Reader(indexes)
    managed = any(reader.holder(parent) for parent in parent_ids(source))
    if not managed and not _claimed(source, settings.controller_name):
        return Unit(source, reader.dependencies)
    build = STAGES[BY_TYPE[type(source)].name].build
    node = known or kept(old.node, build(source, alone, edition_of(settings.bundle_version)))
    needs = old.needs if known else alone.dependencies
    asked = _keep_attached(old.asked, attach(node, reader))
    attached = _keep_attached(old.attached, asked)
    items, room = _items_of(node, old), _footprint_of(node, old)
    return Unit(source, reader.dependencies | needs, node, needs, asked, attached, items, room)


def _claimed(source: Route, controller_name: str) -> bool:
    """Whether the route's status has an entry of fastroute, which must be removed if no parent is managed."""
    parents = entries(source.status, "parents", "controllerName")
    return any(parent["controllerName"] == controller_name for parent in parents)


class Limits(NamedTuple):
    """What the routes use of what is limited."""

    ledgers: Mapping[ListenerId, Ledger] = {}
    storages: Mapping[str, Storage] = {}  # by namespace

    def refused(self, id_: RouteId) -> int | None:
        """The limit of memory that refuses a route."""
        return self.storages.get(id_[1].namespace, _NO_STORAGE).refused.get(id_)


def _items_of(node: RouteNode, old: Unit) -> tuple[Item, ...]:
    if old.node is node:
        return old.items
    return price_list(node.http_rules) if node.accepted else ()


def _footprint_of(node: RouteNode, old: Unit) -> Footprint:
    if old.node is node:
        return old.footprint
    if not node.accepted:
        return NOTHING
    return l4_footprint(node.l4_rules) if node.l4_rules else footprint(node.http_rules)


def _keep_attached(old: Attached, new: Attached) -> Attached:
    """`new`, with the objects of `old` that are equal."""
    known = {parent.index: parent for parent in old.parents}
    parents = tuple(kept(known.get(parent.index), parent) for parent in new.parents)
    attachments = {id_: kept(old.attachments.get(id_), made) for id_, made in new.attachments.items()}
    return Attached(old.parents if parents == old.parents else parents, attachments)


def admit_units(limits: Limits, units: Units, made: Made) -> Limits:
    """With what the routes ask for now. `units`: those of the last build."""
    return Limits(_admit_all(limits.ledgers, units, made), _store_all(limits.storages, units, made))


def _store_all(storages: Mapping[str, Storage], units: Units, made: Made) -> Mapping[str, Storage]:
    changes: dict[str, dict[RouteId, Use | None]] = {}
    for id_, unit in made.items():
        space = id_[1].namespace
        new = Use(unit.size, age(unit.source)) if unit and unit.asked.attachments else None
        if storages.get(space, _NO_STORAGE).uses.get(id_) != new:
            changes.setdefault(space, {})[id_] = new
    stored = {space: store(storages.get(space, _NO_STORAGE), change) for space, change in changes.items()}
    return replaced(storages, {space: one if one.uses else None for space, one in stored.items()})


def _admit_all(ledgers: Mapping[ListenerId, Ledger], units: Units, made: Made) -> Mapping[ListenerId, Ledger]:
    changes: dict[ListenerId, dict[RouteId, Bid | None]] = {}
    for id_, unit in made.items():
        old, new = _bids(units.get(id_)), _bids(unit)
        for listener in old.keys() | new.keys():
            if old.get(listener) != new.get(listener):
                changes.setdefault(listener, {})[id_] = new.get(listener)
    admitted = {listener: admit(ledgers.get(listener, _NO_LEDGER), change) for listener, change in changes.items()}
    return replaced(ledgers, {listener: one if one.namespaces else None for listener, one in admitted.items()})


def _bids(unit: Unit | None) -> dict[ListenerId, Bid]:
    if unit is None or not unit.items:
        return {}
    when = age(unit.source)
    return {id_: Bid(when, unit.items, one.hostnames) for id_, one in unit.asked.attachments.items()}


def judged_units(last: Limits, limits: Limits, units: Units, made: Made) -> dict[RouteId, Unit | None]:
    """The units that are refused now or were refused before, with what they attach to. `last`, `units`: those of the
    last build."""
    judged: dict[RouteId, Unit | None] = {}
    costly = {id_ for id_, unit in made.items() if unit and (unit.items or limits.refused(id_))}
    for id_ in costly.union(_moved(last, limits)):
        unit = made[id_] if id_ in made else units.get(id_)
        if unit is not None:
            before = units[id_].attached if id_ in units else Attached()
            attached = _keep_attached(before, limited(unit.asked, *_refusals(id_, unit, limits)))
            judged[id_] = msgspec.structs.replace(unit, attached=attached)
    return judged


def _moved(last: Limits, limits: Limits) -> Iterator[RouteId]:
    """Routes whose refusals changed."""
    for listener in changed_keys(last.ledgers, limits.ledgers):
        before, now = (one.ledgers.get(listener, _NO_LEDGER) for one in (last, limits))
        yield from changed_keys(before.refusals, now.refusals)
    for space in changed_keys(last.storages, limits.storages):
        was, here = (one.storages.get(space, _NO_STORAGE).refused for one in (last, limits))
        yield from (id_ for id_ in was.keys() | here.keys() if was.get(id_) != here.get(id_))


def _refusals(id_: RouteId, unit: Unit, limits: Limits) -> tuple[dict[ListenerId, Refusal], int | None]:
    known = ((one, limits.ledgers.get(one, _NO_LEDGER).refusals.get(id_)) for one in unit.asked.attachments)
    return {listener: refusal for listener, refusal in known if refusal is not None}, limits.refused(id_)
