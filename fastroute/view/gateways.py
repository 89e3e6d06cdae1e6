"""Gateways, with their listeners and those of their ListenerSets."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import NamedTuple

from fastroute.graph.node import Holder, ListenerNode
from fastroute.resources.meta import Key
from fastroute.snapshot import Failed, Mode
from fastroute.view.answers import Bind, Gateway, Gateways, Listener, RefusedReference
from fastroute.view.conditions import by_name, conditions_of
from fastroute.view.paging import Window, cut
from fastroute.view.referring import MOST_REFUSED, refused_references
from fastroute.view.state import State
from fastroute.view.uncounted import Uncounted

MOST = 1_000  # listeners of a Gateway in an answer


class _Seen(NamedTuple):
    """What the workers say."""

    binds: Mapping[str, list[Bind]]  # by ListenerNode.id
    uncounted: Uncounted


def gateways(state: State, window: Window) -> Gateways:
    holders: defaultdict[Key, list[Holder]] = defaultdict(list)
    for holder in state.graph.holders:
        holders[holder.gateway].append(holder)
    seen = _Seen(_binds(state), Uncounted(state))

    def make(name: str) -> Gateway:
        key = Key(*name.split("/", 1))
        return _gateway(state, key, holders[key], seen)

    def chosen(key: Key) -> bool:
        own = (one for holder in holders[key] for one in holder.listeners)
        return window.choice.finds(lambda: (str(key), *(text for one in own for text in (one.label, one.hostname))))

    found = cut((str(key) for key in state.graph.gateways if chosen(key)), window, make, _rows)
    return Gateways(version=state.outcome.target, total=found.total, next=found.next, items=found.items)


def _rows(gateway: Gateway) -> int:
    parts = sum(1 + len(one.binds) + len(one.conditions) for one in gateway.listeners)
    return 1 + parts + len(gateway.refused)


def _binds(state: State) -> Mapping[str, list[Bind]]:
    binds: defaultdict[str, list[Bind]] = defaultdict(list)
    for id_, listener in state.snapshot.listeners.items():
        result = state.outcome.listeners.get(id_)
        error = result.reason if isinstance(result, Failed) else None
        binds[id_.rpartition("@")[0]].append(Bind(address=str(listener.place), error=error))
    return binds


def _gateway(state: State, key: Key, holders: list[Holder], seen: _Seen) -> Gateway:
    node = state.graph.gateways[key]
    status = state.statuses.get(node.id)
    return Gateway(
        name=str(key),
        class_name=node.source.spec.gateway_class_name,
        addresses=node.addresses,
        conditions=conditions_of(status.status) if status else (),
        listeners=tuple(islice((one for holder in holders for one in _listeners(state, holder, seen)), MOST)),
        listeners_total=sum(len(holder.listeners) for holder in holders),
        refused=tuple(islice((one for holder in holders for one in _refused(holder)), MOST_REFUSED)),
    )


def _refused(holder: Holder) -> Iterator[RefusedReference]:
    kind, key = holder.id
    yield from refused_references(kind, key, holder.problems)
    for listener in holder.listeners:
        yield from refused_references(kind, key, listener.problems)


def _listeners(state: State, holder: Holder, seen: _Seen) -> Iterator[Listener]:
    status = state.statuses.get(holder.id)
    written = by_name(status.status.get("listeners", ())) if status else {}
    for node in holder.listeners:
        yield Listener(
            name=node.label,
            protocol=node.source.protocol,
            port=node.source.port,
            hostname=node.hostname or None,
            binds=tuple(seen.binds.get(node.id, ())),
            routes=len(node.attachments),
            rate=_rate(state, node, seen.uncounted),
            conditions=conditions_of(written.get(node.source.name, {})),
        )


def _rate(state: State, node: ListenerNode, uncounted: Uncounted) -> float | None:
    """Null also if datagrams or one of its rules are not counted."""
    traffic, gateway = state.traffic, str(node.gateway)
    if not traffic.seconds or node.mode is Mode.DATAGRAMS or uncounted.has_listener(gateway, node.label):
        return None
    return traffic.listeners.get((gateway, node.label), 0) / traffic.seconds
