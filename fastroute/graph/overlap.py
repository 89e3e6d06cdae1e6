"""OverlappingTLSConfig: HTTPS listeners on one port of a Gateway whose hostnames overlap (GEP-3567).

This is not an error: each request still goes to the most specific listener. It is reported because a client that uses
one connection for several hosts would get the certificate of one listener and the routes of another; such a request is
answered with 421.
"""

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from fastroute.graph import conditions
from fastroute.graph.hostname import ANY, WILDCARD
from fastroute.graph.node import ListenerNode
from fastroute.graph.tls import TERMINATED
from fastroute.listed import listed

MOST_NAMED = 5  # maximum number of other listeners in a message


def mark_overlaps(listeners: Sequence[ListenerNode]) -> list[ListenerNode]:
    """`listeners`: all those of a Gateway and its ListenerSets. Returns them with `overlap` set."""
    secure = [listener for listener in listeners if listener.source.protocol == TERMINATED and listener.serves]
    by_host = {(listener.source.port, listener.hostname): listener.label for listener in secure}
    others: dict[str, list[str]] = {}
    for listener in secure:
        for wider in _wider(listener.hostname):
            if label := by_host.get((listener.source.port, wider)):
                others.setdefault(listener.label, []).append(label)
                others.setdefault(label, []).append(listener.label)
    return [_marked(listener, others.get(listener.label, ())) for listener in listeners]


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


def _marked(listener: ListenerNode, others: Iterable[str]) -> ListenerNode:
    names = list(others)
    if not names or listener.source.protocol != TERMINATED or not listener.serves:
        return listener
    shown = listed(names, MOST_NAMED)
    return msgspec.structs.replace(listener, overlap=conditions.overlapping_hostnames(listener.source.port, shown))
