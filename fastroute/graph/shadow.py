"""Matches that can never take a request, because another one takes all of theirs first (Gateway API: precedence).

On one listener and one hostname of the routes, two matches with the same path and the same conditions want the very
same requests: the older route has them, then the smaller namespace/name, then the earlier rule and match. And a
regular expression comes after every prefix, so that an unconditional prefix `/` leaves it nothing.
"""

from collections.abc import Iterator
from typing import NamedTuple

from fastroute.ext.http1 import normalise_path
from fastroute.graph.age import Age, age
from fastroute.graph.node import ListenerNode
from fastroute.resources.gateway import HeaderMatch, HTTPRoute, HTTPRouteMatch
from fastroute.resources.meta import Key

Place = tuple[Age, Key, int, int]  # age and key of the route, rule, match: the smaller wins
Conditions = tuple[str | None, frozenset[tuple[str, str, str]], frozenset[tuple[str, str, str]]]
ANYTHING: Conditions = (None, frozenset(), frozenset())


class Shadow(NamedTuple):
    loser: Place
    winner: Place
    hostname: str  # "" for any


def find_shadows(listener: ListenerNode) -> Iterator[Shadow]:
    """Every match of the listener that another one leaves no request to, for each hostname it is shadowed on."""
    groups: dict[str, list[tuple[Place, HTTPRouteMatch]]] = {}
    for attachment in listener.attachments:
        if isinstance(attachment.route.source, HTTPRoute):
            for hostname in attachment.hostnames:
                groups.setdefault(hostname, []).extend(_matches(attachment.route.source))
    for hostname, matches in groups.items():
        yield from _shadows_among(sorted(matches, key=_place), hostname)


def _place(entry: tuple[Place, HTTPRouteMatch]) -> Place:
    return entry[0]


def _matches(route: HTTPRoute) -> Iterator[tuple[Place, HTTPRouteMatch]]:
    for index, rule in enumerate(route.spec.rules):
        for number, match in enumerate(rule.matches):
            yield (age(route), route.key, index, number), match


def _shadows_among(matches: list[tuple[Place, HTTPRouteMatch]], hostname: str) -> Iterator[Shadow]:
    """`matches` in the order in which they win."""
    first: dict[tuple[str, str, Conditions], Place] = {}
    for place, match in matches:
        wanted = (match.path.type, _path(match), _conditions(match))
        if wanted in first:
            yield Shadow(place, first[wanted], hostname)
        else:
            first[wanted] = place
    catch_all = first.get(("PathPrefix", "", ANYTHING))
    if catch_all is not None:
        for (type_, _, _), place in first.items():
            if type_ == "RegularExpression":
                yield Shadow(place, catch_all, hostname)


def _path(match: HTTPRouteMatch) -> str:
    """As requests are matched: normalised, and a prefix without its final slash. (A route with a path that cannot be
    normalised is not accepted.)"""
    if match.path.type == "RegularExpression":
        return match.path.value
    value: str = normalise_path(match.path.value).decode("latin-1")
    return value.removesuffix("/") if match.path.type == "PathPrefix" else value


def _conditions(match: HTTPRouteMatch) -> Conditions:
    return (
        match.method,
        _values(tuple((header.name.lower(), header) for header in match.headers)),
        _values(tuple((parameter.name, parameter) for parameter in match.query_params)),
    )


def _values(named: tuple[tuple[str, HeaderMatch], ...]) -> frozenset[tuple[str, str, str]]:
    """Of one name the first counts."""
    first = dict(reversed(named))
    return frozenset((name, match.type, match.value) for name, match in first.items())
