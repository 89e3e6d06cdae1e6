"""How much memory of a worker the rules of a route take, and which routes of a namespace fit, the oldest ones first.

A worker has the rules of a route once for each listener that the route attaches to, and their matches once for each of
the hostnames there. So a manifest of 100 KB that attaches to 2,000 listeners would take hundreds of megabytes, in each
worker. Other namespaces are not affected by what one namespace uses.
"""

from collections.abc import Mapping
from typing import NamedTuple

import msgspec

from fastroute.difference import replaced
from fastroute.graph.age import Age
from fastroute.graph.node import RouteId
from fastroute.resources.http_rule import HTTPRule
from fastroute.resources.l4_rule import L4Rule

MOST_OF_ROUTE = 8 << 20  # bytes
MOST_OF_NAMESPACE = 128 << 20
# Measured: the resident memory of a worker with 32,768 rules of one match and of eight matches; the texts are added.
_MATCH = 300
_COPIES = 2  # of the text of a match
_RULE = 900
_NAME = 1_700  # measured: a hostname of an L4 rule with 253 characters; one of 12 characters takes 940
_SHOWN = 22 << 10  # a pool key with a client certificate: measured with 1,500 of them


class Footprint(NamedTuple):
    """Bytes that the rules of a route take."""

    listener: int  # for each listener
    hostname: int  # for each hostname of a listener
    certificate: int = 0  # for each client certificate that its Gateways show to backends

    def taken(self, hostnames: int, listeners: int, certificates: int = 0) -> int:
        """`hostnames`: of all listeners together."""
        return listeners * self.listener + hostnames * self.hostname + certificates * self.certificate


NOTHING = Footprint(0, 0)


def footprint(rules: tuple[HTTPRule, ...]) -> Footprint:
    encode = msgspec.json.Encoder().encode
    matches = [match for rule in rules for match in rule.matches]
    texts = sum(len(encode(match)) for match in matches)
    return Footprint(
        listener=len(rules) * _RULE + sum(len(encode(rule)) for rule in rules) - texts,
        hostname=len(matches) * _MATCH + _COPIES * texts,
        certificate=sum(map(_references, rules)) * _SHOWN,
    )


def l4_footprint(rules: tuple[L4Rule, ...]) -> Footprint:
    encode = msgspec.json.Encoder().encode
    return Footprint(
        listener=len(rules) * _RULE + sum(len(encode(rule)) for rule in rules),
        hostname=len(rules) * _NAME,
        certificate=sum(len(rule.backend_refs) for rule in rules) * _SHOWN,
    )


def _references(rule: HTTPRule) -> int:
    """How many backends it may use: its backendRefs, and all filters, each of which may be a mirror."""
    return len(rule.filters) + sum(1 + len(ref.filters) for ref in rule.backend_refs)


class Use(NamedTuple):
    """What a route takes."""

    size: int  # bytes
    age: Age


class Storage(msgspec.Struct, frozen=True):
    """What the routes of one namespace take, and those that do not fit."""

    uses: Mapping[RouteId, Use] = {}
    total: int = 0
    large: frozenset[RouteId] = frozenset()  # routes above MOST_OF_ROUTE
    refused: Mapping[RouteId, int] = {}  # with the limit that they would exceed


def store(storage: Storage, changes: Mapping[RouteId, Use | None]) -> Storage:
    """After changes of what routes take; None: the route takes nothing."""
    uses = replaced(storage.uses, changes)
    leaving = sum(storage.uses[id_].size for id_ in changes if id_ in storage.uses)
    coming = {id_: use for id_, use in changes.items() if use is not None}
    total = storage.total - leaving + sum(use.size for use in coming.values())
    large = (storage.large - changes.keys()) | {id_ for id_, use in coming.items() if use.size > MOST_OF_ROUTE}
    refused = dict.fromkeys(large, MOST_OF_ROUTE)
    if total > MOST_OF_NAMESPACE:
        refused |= dict.fromkeys(_youngest(uses, large), MOST_OF_NAMESPACE)
    return Storage(uses, total, large, refused)


def _youngest(uses: Mapping[RouteId, Use], large: frozenset[RouteId]) -> list[RouteId]:
    """The routes that do not fit."""
    refused: list[RouteId] = []
    taken = 0
    for id_, use in sorted(uses.items(), key=lambda pair: (pair[1].age, pair[0])):
        if id_ in large:
            continue
        if taken + use.size > MOST_OF_NAMESPACE:
            refused.append(id_)
        else:
            taken += use.size
    return refused
