"""Matches that never get a request, because one with precedence gets all of theirs (Gateway API: precedence).

On one listener and for one hostname of the routes, two matches with the same path and the same conditions match the
same requests: the older route gets them, then the smaller namespace/name, then the earlier rule and match. A regular
expression comes after every prefix, so that an unconditional prefix `/` leaves no requests for it. (For calls of gRPC
it comes before a match of every call.)

Several hostnames of routes can match the same hosts if the listener's hostname is narrower. Then all matches of the
most specific hostname come first, so that a shorter prefix without conditions also leaves no requests for the others.
(Otherwise a wildcard always matches hosts that no more specific hostname matches, and its matches cannot be shadowed.)
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from fastroute.graph.age import Age, age
from fastroute.graph.hostname import common, specificity
from fastroute.graph.node import ListenerNode, RouteId, RouteNode
from fastroute.graph.path import matched_path
from fastroute.resources.http_rule import HeaderMatch, HTTPMatch

MatchRank = tuple[
    Age, RouteId, int, int
]  # age and id of the route, index of the rule and of the match: the smaller wins
Conditions = tuple[str | None, frozenset[tuple[str, str, str]], frozenset[tuple[str, str, str]]]
Wanted = tuple[bool, str, str, Conditions]  # for calls of gRPC; type and value of the path; the other conditions
Entry = tuple[MatchRank, Wanted]
Winners = dict[Wanted, MatchRank]
NO_VALUES: frozenset[tuple[str, str, str]] = frozenset()
ANYTHING: Conditions = (None, NO_VALUES, NO_VALUES)


class Shadow(NamedTuple):
    loser: MatchRank
    winner: MatchRank
    hostname: str  # "" for any host


def find_shadows(listener: ListenerNode) -> Iterator[Shadow]:
    """Every match of the listener that never gets a request, for each hostname for which it is shadowed."""
    scopes: dict[str, dict[str, list[Entry]]] = {}  # by the hosts that can match, then by hostname of the routes
    for attachment in listener.attachments.values():
        for hostname in attachment.hostnames:
            groups = scopes.setdefault(common(listener.hostname, hostname), {})
            groups.setdefault(hostname, []).extend(_entries(attachment.route))
    for groups in scopes.values():
        yield from _shadows_in(groups)


def _entries(route: RouteNode) -> Iterator[Entry]:
    own, id_ = age(route.source), route.id
    for index, rule in enumerate(route.http_rules):
        for number, match in enumerate(rule.matches):
            wanted = rule.calls, match.path.type, matched_path(match.path), _conditions(match)
            yield (own, id_, index, number), wanted


def _shadows_in(groups: Mapping[str, list[Entry]]) -> Iterator[Shadow]:
    """`groups`: by hostnames that match the same hosts on this listener."""
    before: list[Winners] = []  # for the more specific hostnames
    alive: set[MatchRank] = set()  # matches that get requests for a more specific hostname of their route
    for hostname in sorted(groups, key=specificity):
        entries = sorted((entry for entry in groups[hostname] if entry[0] not in alive), key=_rank)
        first = _winners(entries)
        for rank, wanted in entries:
            above = next((winner for winners in before if (winner := _takes_all(winners, wanted))), None)
            winner = above or _takes_as_much(first, wanted)
            if winner not in (None, rank):
                yield Shadow(rank, winner, hostname)
            else:
                alive.add(rank)
        before.append(first)


def _rank(entry: Entry) -> MatchRank:
    return entry[0]


def _winners(entries: Iterable[Entry]) -> Winners:
    """`entries`: in order of precedence."""
    first: Winners = {}
    for rank, wanted in entries:
        first.setdefault(wanted, rank)
    return first


def _takes_as_much(group: Winners, wanted: Wanted) -> MatchRank | None:
    """The winner for `wanted` with the same hostname: the same match, or a catch-all for a regular expression."""
    calls, type_, _, _ = wanted
    is_last = type_ == "RegularExpression" and not calls
    catch_all = group.get((calls, "PathPrefix", "", ANYTHING)) if is_last else None
    return catch_all or group.get(wanted)


def _takes_all(group: Winners, wanted: Wanted) -> MatchRank | None:
    """The match of a more specific hostname that gets all of `wanted`: a shorter path also wins there."""
    calls, type_, path, _ = wanted
    paths = [""] if type_ == "RegularExpression" else _prefixes(path)
    taken = (group.get((calls, "PathPrefix", prefix, ANYTHING)) for prefix in paths)
    return group.get(wanted) or next(filter(None, taken), None)


def _prefixes(path: str) -> Iterator[str]:
    """
    >>> list(_prefixes("/a/b"))
    ['/a/b', '/a', '']
    """
    yield path
    while path:
        path = path.rpartition("/")[0]
        yield path


def _conditions(match: HTTPMatch) -> Conditions:
    return (
        match.method,
        _values(tuple((header.name.lower(), header) for header in match.headers)),
        _values(tuple((parameter.name, parameter) for parameter in match.query_params)),
    )


def _values(named: tuple[tuple[str, HeaderMatch], ...]) -> frozenset[tuple[str, str, str]]:
    """If a name occurs more than once, the first entry counts."""
    if not named:
        return NO_VALUES  # as of most matches: a list of thousands makes no thousands of sets
    first = dict(reversed(named))
    return frozenset((name, match.type, match.value) for name, match in first.items())
