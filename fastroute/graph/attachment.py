"""Attachments by listener: collected from the routes, and connected with Gateways and ListenerSets."""

from collections.abc import Mapping
from typing import TypeVar

import msgspec

from fastroute.difference import changed_keys, replaced
from fastroute.graph.memo import Memo
from fastroute.graph.node import Attachment, GatewayNode, ListenerNode, ListenerSetNode, RouteId
from fastroute.graph.route import ListenerId
from fastroute.graph.unit import Made, Unit
from fastroute.resources.meta import Key

HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)


def attach_all(last: Memo, made: Made) -> Mapping[ListenerId, Mapping[RouteId, Attachment]]:
    changes: dict[ListenerId, dict[RouteId, Attachment | None]] = {}
    for id_, unit in made.items():
        old, new = _attachments(last.units.get(id_)), _attachments(unit)
        for listener in old.keys() | new.keys():
            changes.setdefault(listener, {})[id_] = new.get(listener)
    attached = {listener: replaced(last.attached.get(listener, {}), change) for listener, change in changes.items()}
    return replaced(last.attached, {listener: routes or None for listener, routes in attached.items()})


def _attachments(unit: Unit | None) -> Mapping[ListenerId, Attachment]:
    return unit.attached.attachments if unit else {}


def connect_all(
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
