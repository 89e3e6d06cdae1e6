"""build_statuses: builds the status of each object. Pure, without a clock.

Conditions start as True. The problems of each node are applied first, then the Outcome: nothing is Programmed until
every worker has acknowledged it. Only our own entries are written: entries of other controllers in a route's `parents`,
and unknown condition types, are kept as they were read. If neither a node nor the Outcome changes, the identical
StatusPatch is returned.
"""

from collections.abc import Iterator, Mapping

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.conditions import PROGRAMMED
from fastroute.graph.node import GatewayClassNode, Graph, Holder
from fastroute.resources.meta import Key
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.status_patch import StatusPatch
from fastroute.snapshot import Bound, Outcome
from fastroute.status.condition import state
from fastroute.status.gatewayclass import gateway_class_status
from fastroute.status.holder import holder_status
from fastroute.status.policy import policy_status, telemetry_status
from fastroute.status.route import route_status

ObjectId = tuple[str, Key]  # (kind, key)
READ = (
    "GatewayClass",
    "Gateway",
    "ListenerSet",
    *sorted(ROUTES),
    "BackendTLSPolicy",
    "XTelemetryPolicy",
)  # the kinds, in the order of output


class Statuses(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """The status of every managed object, and what it was built from."""

    patches: Mapping[ObjectId, StatusPatch]
    graph: Graph
    outcome: Outcome | None

    @property
    def in_order(self) -> list[StatusPatch]:
        """In the order of output: each kind after the kinds that it depends on, by namespace and name."""
        return sorted(self.patches.values(), key=lambda patch: (READ.index(patch.kind), patch.key))


def build_statuses(
    graph: Graph,
    outcome: Outcome | None = None,
    previous: Statuses | None = None,
) -> Statuses:
    """`outcome`: for the snapshot of `graph`; None if there is none yet. While it is incomplete, only
    listeners of unchanged objects that are Programmed in `previous` stay Programmed. Otherwise `previous` only saves
    work."""
    last = previous if previous is not None and previous.graph.controller_name == graph.controller_name else None
    known: Mapping[ObjectId, StatusPatch] = last.patches if last else {}
    changes: dict[ObjectId, StatusPatch | None] = dict.fromkeys(id_ for id_, _ in _classes(last.graph)) if last else {}
    for id_, gateway_class in _classes(graph):
        changes[id_] = _kept(known.get(id_), gateway_class_status(gateway_class))
    _add_holders(changes, graph, outcome, last)
    _add_routes(changes, graph, last)
    _add_policies(changes, graph, last)
    return Statuses(patches=replaced(known, changes), graph=graph, outcome=outcome)


def _classes(graph: Graph) -> Iterator[tuple[ObjectId, GatewayClassNode]]:
    return ((("GatewayClass", key), node) for key, node in graph.classes.items() if not node.implied)


def _add_holders(
    changes: dict[ObjectId, StatusPatch | None], graph: Graph, outcome: Outcome | None, last: Statuses | None
) -> None:
    """Gateways and ListenerSets. Skips those with an identical node and unchanged results from the data plane."""
    before = last.graph if last else None
    known: Mapping[ObjectId, StatusPatch] = last.patches if last else {}
    for id_ in _stale_holders(graph, outcome, last):
        holder, old = _holder(graph, id_), _holder(before, id_)
        if holder is None:
            changes[id_] = None
        else:
            standing = _programmed(known[id_]) if old and old.source is holder.source else frozenset()
            changes[id_] = _kept(known.get(id_), holder_status(holder, outcome, standing))


def _stale_holders(graph: Graph, outcome: Outcome | None, last: Statuses | None) -> set[ObjectId]:
    before = last.graph if last else None
    stale = {("Gateway", key) for key in changed_keys(before.gateways if before else {}, graph.gateways)}
    stale |= {("ListenerSet", key) for key in changed_keys(before.listener_sets if before else {}, graph.listener_sets)}
    old = last.outcome if last else None
    if old is None or outcome is None or old.complete != outcome.complete:
        return stale if old is outcome else stale | {holder.id for holder in graph.holders}
    return stale | {id_ for listener in _said_anew(old, outcome) if _holder(graph, id_ := _owner(listener))}


def _holder(graph: Graph | None, id_: ObjectId) -> Holder | None:
    if graph is None:
        return None
    kind, key = id_
    return graph.gateways.get(key) if kind == "Gateway" else graph.listener_sets.get(key)


def _said_anew(old: Outcome, new: Outcome) -> set[str]:
    """Ids of the snapshot's listeners for which the result of the data plane changed."""
    if old.listeners == new.listeners:
        return set()
    changed = {id_ for id_, result in new.listeners.items() if old.listeners.get(id_) != result}
    return changed | (old.listeners.keys() - new.listeners.keys())


def _owner(listener: str) -> ObjectId:
    """The object that contains the listener, from the listener's id (ListenerNode.id, "@", address).

    >>> _owner("infra/gw/proxy@::1"), _owner("infra/gw/red/more/proxy@127.0.0.1")
    (('Gateway', Key(namespace='infra', name='gw')), ('ListenerSet', Key(namespace='red', name='more')))
    """
    namespace, name, *rest = listener.partition("@")[0].split("/")
    return ("Gateway", Key(namespace, name)) if len(rest) == 1 else ("ListenerSet", Key(rest[0], rest[1]))


def _add_routes(changes: dict[ObjectId, StatusPatch | None], graph: Graph, last: Statuses | None) -> None:
    """There can be many routes: those with identical nodes are skipped."""
    before = last.graph if last else None
    known: Mapping[ObjectId, StatusPatch] = last.patches if last else {}
    stale = changed_keys(before.routes if before else {}, graph.routes)
    stale |= changed_keys(before.parents if before else {}, graph.parents)
    for id_ in stale:
        if id_ in graph.routes:
            status = route_status(graph.routes[id_], graph.parents[id_], graph.controller_name)
            changes[id_] = _kept(known.get(id_), status)
        else:
            changes[id_] = None


def _add_policies(changes: dict[ObjectId, StatusPatch | None], graph: Graph, last: Statuses | None) -> None:
    known: Mapping[ObjectId, StatusPatch] = last.patches if last else {}
    for key in changed_keys(last.graph.policies if last else {}, graph.policies):
        id_, node = ("BackendTLSPolicy", key), graph.policies.get(key)
        changes[id_] = _kept(known.get(id_), policy_status(node, graph.controller_name)) if node else None

    for key in changed_keys(last.graph.telemetry if last else {}, graph.telemetry):
        id_, one = ("XTelemetryPolicy", key), graph.telemetry.get(key)
        changes[id_] = _kept(known.get(id_), telemetry_status(one, graph.controller_name)) if one else None


def _programmed(patch: StatusPatch) -> frozenset[str]:
    """Names of the listeners that are Programmed in this status."""
    listeners = patch.status["listeners"]
    return frozenset(entry["name"] for entry in listeners if state(entry, PROGRAMMED)["status"] == "True")


def _kept(old: StatusPatch | None, new: StatusPatch) -> StatusPatch:
    return old if old is not None and old == new else new


def everything_bound(graph: Graph) -> Outcome:
    """The Outcome of a data plane that could bind all listeners: what `check` assumes."""
    return Outcome(
        version=0,
        listeners={
            f"{listener.id}@{address}": Bound()
            for holder in graph.holders
            for listener in holder.listeners
            for address in holder.bind
        },
    )
