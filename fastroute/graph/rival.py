"""Rivals: routes of one L4 listener that ask for the same server name. The first of them gets the connections: the
oldest, then by namespace/name. (Gateway API: TCPRoute, TLSRoute, UDPRoute; conflicts.)

A route asks for its own hostnames, so that a more specific one has precedence even if both routes meet the listener in
the same names (Gateway API v1.7). Routes for TCP and UDP ask for the name "".
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from fastroute.difference import Revision, changed_keys, replaced
from fastroute.graph.age import Age, age
from fastroute.graph.node import Attachment, RouteId

Attachments = Mapping[RouteId, Attachment]
Rivals = Mapping[str, tuple[RouteId, ...]]  # by server name, in order of precedence; at least one
NO_RIVALS: Rivals = Revision()
# A change is placed by search if there are fewer changes than an eighth of the rivals; otherwise all are sorted.
FEW = 8


def rivals_of(attachments: Attachments, before: Attachments | None = None, last: Rivals = NO_RIVALS) -> Rivals:
    """The rivals of a listener with these attachments. `last`: the result for `before`."""
    leaving: dict[str, set[RouteId]] = {}
    joining: dict[str, set[RouteId]] = {}
    before = before or {}
    for id_ in changed_keys(before, attachments):
        for known, names in ((before, leaving), (attachments, joining)):
            for name in known[id_].hostnames if id_ in known else ():
                names.setdefault(name, set()).add(id_)
    found: dict[str, tuple[RouteId, ...] | None] = {}
    for name in leaving.keys() | joining.keys():
        old = last.get(name, ())
        stay = _without(old, leaving.get(name, set()), before)
        new = tuple(_with(stay, joining.get(name, set()), attachments))
        found[name] = (old if new == old else new) or None
    return replaced(last, found)


def _without(ids: tuple[RouteId, ...], leaving: set[RouteId], known: Attachments) -> list[RouteId]:
    if len(leaving) * FEW > len(ids):
        return [id_ for id_ in ids if id_ not in leaving]
    left = list(ids)
    for id_ in leaving:
        del left[_place(left, id_, known)]
    return left


def _with(ids: list[RouteId], joining: set[RouteId], known: Attachments) -> list[RouteId]:
    if len(joining) * FEW > len(ids):
        return sorted([*ids, *joining], key=lambda id_: _precedence(id_, known))
    for id_ in joining:
        ids.insert(_place(ids, id_, known), id_)
    return ids


def _place(ids: list[RouteId], id_: RouteId, known: Attachments) -> int:
    """Where a route is, or must be, in a sorted list."""
    return bisect_left(ids, _precedence(id_, known), key=lambda one: _precedence(one, known))


def _precedence(id_: RouteId, known: Attachments) -> tuple[Age, RouteId]:
    return age(known[id_].route.source), id_


def moved(last: Rivals, now: Rivals) -> Iterator[RouteId]:
    """The routes that got or lost a name."""
    for name in changed_keys(last, now):
        firsts = {rivals[name][:1] for rivals in (last, now) if name in rivals}
        if len(firsts) > 1:
            yield from (first[0] for first in firsts)


def names_of(id_: RouteId, attachment: Attachment, rivals: Rivals) -> tuple[str, ...]:
    """The names that a route gets."""
    return tuple(name for name in attachment.hostnames if rivals[name][0] == id_)
