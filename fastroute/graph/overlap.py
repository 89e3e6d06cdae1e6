"""OverlappingTLSConfig: HTTPS listeners on one port of a Gateway whose hostnames overlap (GEP-3567).

This is not an error: each request still goes to the most specific listener. It is reported because a client that uses
one connection for several hosts would get the certificate of one listener and the routes of another; such a request is
answered with 421.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from fastroute.graph import conditions
from fastroute.graph.hostname import ANY, WILDCARD
from fastroute.graph.node import GatewayNode, Holder, ListenerNode, ListenerSetNode
from fastroute.graph.tls import SECURE
from fastroute.listed import listed

MOST_NAMED = 5  # maximum number of other listeners in a message

HolderT = TypeVar("HolderT", GatewayNode, ListenerSetNode)
_Name = tuple[int, str]  # port and hostname


class _Names(NamedTuple):
    """The HTTPS listeners of a Gateway or ListenerSet that serve."""

    labels: Mapping[_Name, str]
    wider: frozenset[_Name]  # patterns that match more than one of these


def mark_overlaps(node: GatewayNode, sets: Sequence[ListenerSetNode]) -> tuple[GatewayNode, list[ListenerSetNode]]:
    """A Gateway and its ListenerSets with `overlap` set."""
    others = _others((node, *sets))
    return _marked(node, others[0]), [_marked(one, found) for one, found in zip(sets, others[1:], strict=True)]


def _others(holders: Sequence[Holder]) -> list[dict[str, list[str]]]:
    """For each holder: by the label of a listener, those of the listeners with which it overlaps."""
    names = [_names(holder) for holder in holders]
    owners: dict[_Name, int] = {}  # indexes in `holders`
    for index, own in enumerate(names):
        owners.update(dict.fromkeys(own.labels, index))
    others: list[dict[str, list[str]]] = [{} for _ in holders]
    for index, own in enumerate(names):
        if owners.keys().isdisjoint(own.wider):
            continue
        for (port, hostname), label in own.labels.items():
            for wider in _wider(hostname):
                if (other := owners.get((port, wider))) is not None:
                    name = names[other].labels[port, wider]
                    others[index].setdefault(label, []).append(name)
                    others[other].setdefault(name, []).append(label)
    return others


def _names(holder: Holder) -> _Names:
    return holder.again("names", None, lambda: _found(holder.listeners))


def _found(listeners: Iterable[ListenerNode]) -> _Names:
    labels = {(one.source.port, one.hostname): one.label for one in listeners if _is_secure(one)}
    return _Names(labels, frozenset((port, wider) for port, hostname in labels for wider in _wider(hostname)))


def _is_secure(listener: ListenerNode) -> bool:
    return listener.source.protocol == SECURE and listener.serves


def _wider(hostname: str) -> Iterator[str]:
    """Every pattern that matches all hosts of this one, and more.

    >>> list(_wider("*.a.com"))
    ['*.com', '']
    """
    if hostname == ANY:
        return
    name = hostname.removeprefix(WILDCARD)
    while "." in name:
        name = name.partition(".")[2]
        yield WILDCARD + name
    yield ANY


def _marked(holder: HolderT, others: Mapping[str, Sequence[str]]) -> HolderT:
    """`others`: for the labels of its listeners, those of the listeners with which they overlap."""
    if not others:
        return holder
    shown = {label: listed(names, MOST_NAMED) for label, names in others.items()}

    def marked(listener: ListenerNode) -> ListenerNode:
        if listener.label not in shown or not _is_secure(listener):
            return listener
        overlap = conditions.overlapping_hostnames(listener.source.port, shown[listener.label])
        return msgspec.structs.replace(listener, overlap=overlap)

    return holder.again(
        "overlaps", shown, lambda: msgspec.structs.replace(holder, listeners=tuple(map(marked, holder.listeners)))
    )
