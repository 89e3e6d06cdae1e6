"""Everything that was built for one route, and whether the listeners that it asks for can afford it (admission.py)."""

from collections.abc import Iterable, Iterator, Mapping

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.admission import Bid, Ledger, Refusal, admit
from fastroute.graph.age import age
from fastroute.graph.change import kept
from fastroute.graph.dependency import Dependencies
from fastroute.graph.node import RouteId, RouteNode
from fastroute.graph.price import Item, price_list
from fastroute.graph.route import Attached, ListenerId, limited
from fastroute.resources.gateway import Route

Ledgers = Mapping[ListenerId, Ledger]
_NONE = Ledger()


class Unit(msgspec.Struct, frozen=True, eq=False):
    """Also contains what it depends on."""

    source: Route
    dependencies: Dependencies = frozenset()
    node: RouteNode | None = None  # None: no managed parent
    asked: Attached = Attached()  # what it would attach to if it cost nothing
    attached: Attached = Attached()
    items: tuple[Item, ...] = ()  # what its matches cost


Units = Mapping[RouteId, Unit]
Made = Mapping[RouteId, Unit | None]  # units that were built again; None: the route was removed


def items_of(node: RouteNode, old: Unit) -> tuple[Item, ...]:
    if old.node is node:
        return old.items
    return price_list(node.http_rules) if node.accepted else ()


def keep_attached(old: Attached, new: Attached) -> Attached:
    """`new`, with the objects of `old` that are equal."""
    known = {parent.index: parent for parent in old.parents}
    parents = tuple(kept(known.get(parent.index), parent) for parent in new.parents)
    attachments = {id_: kept(old.attachments.get(id_), made) for id_, made in new.attachments.items()}
    return Attached(old.parents if parents == old.parents else parents, attachments)


def admit_units(ledgers: Ledgers, units: Units, made: Made) -> Ledgers:
    """The ledgers of all listeners, with what the routes ask for now. `units`: those of the last build."""
    changes: dict[ListenerId, dict[RouteId, Bid | None]] = {}
    for id_, unit in made.items():
        old, new = _bids(units.get(id_)), _bids(unit)
        for listener in old.keys() | new.keys():
            if old.get(listener) != new.get(listener):
                changes.setdefault(listener, {})[id_] = new.get(listener)
    admitted = {listener: admit(ledgers.get(listener, _NONE), change) for listener, change in changes.items()}
    return replaced(ledgers, {listener: one if one.namespaces else None for listener, one in admitted.items()})


def _bids(unit: Unit | None) -> dict[ListenerId, Bid]:
    if unit is None or not unit.items:
        return {}
    when = age(unit.source)
    return {id_: Bid(when, unit.items, one.hostnames) for id_, one in unit.asked.attachments.items()}


def judged_units(last: Ledgers, ledgers: Ledgers, units: Units, made: Made) -> dict[RouteId, Unit | None]:
    """The units that a listener refuses now or refused before, with what they attach to. `last`, `units`: those of the
    last build."""
    judged: dict[RouteId, Unit | None] = {}
    for id_ in {*_moved(last, ledgers), *(id_ for id_, unit in made.items() if unit and unit.items)}:
        unit = made[id_] if id_ in made else units.get(id_)
        if unit is not None:
            before = units[id_].attached if id_ in units else Attached()
            attached = keep_attached(before, limited(unit.asked, _refusals(id_, unit.asked.attachments, ledgers)))
            judged[id_] = msgspec.structs.replace(unit, attached=attached)
    return judged


def _moved(last: Ledgers, ledgers: Ledgers) -> Iterator[RouteId]:
    """Routes whose refusals changed."""
    for listener in changed_keys(last, ledgers):
        yield from changed_keys(last.get(listener, _NONE).refusals, ledgers.get(listener, _NONE).refusals)


def _refusals(id_: RouteId, listeners: Iterable[ListenerId], ledgers: Ledgers) -> dict[ListenerId, Refusal]:
    known = ((listener, ledgers.get(listener, _NONE).refusals.get(id_)) for listener in listeners)
    return {listener: refusal for listener, refusal in known if refusal is not None}
