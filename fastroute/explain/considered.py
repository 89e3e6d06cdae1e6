"""Near misses: which matches could have got a request, and the reason why each did not.

There are four types, in this order: matches that apply, but with lower precedence than the winner; routes that would
match if they were served; if nothing matches, routes that would match another host (otherhost.py); matches of the same
listener with a condition that the request does not meet.
"""

from collections.abc import Collection, Iterable, Iterator

import msgspec

from fastroute.explain.arrival import is_meant
from fastroute.explain.matching import Found, best_hostname, misses, path_order, precedence, specificity, takers
from fastroute.explain.request import Request, normalise_path
from fastroute.graph.node import Graph, ParentNode, Problem, RouteNode
from fastroute.resources.http_rule import HTTPMatch
from fastroute.snapshot import Listener, Match, PathMatch, Rule, Snapshot, ValueMatch

AT_MOST = 20  # maximum number of near misses in the output

# What a smaller number at the same position of two ranks means (Match.rank).
_OF_REQUESTS = ("a longer regular expression comes first", "a match with a method comes first")
_OF_CALLS = (
    "a regular expression of the service comes first, and of several the longest",
    "a match with a method comes first: of type Exact, then the longest regular expression",
)
_OF_ALL = (
    "the match with more headers comes first",
    "the match with more query parameters comes first",
    "the older route comes first",
    "of equally old routes the one whose namespace/name sorts first comes first",
    "of one route's rules the one written first comes first",
    "of one rule's matches the one written first comes first",
)
# What the first number of path_order means for a call.
_SERVICES = ("a match of a service and a method of type Exact", "a match of a service of type Exact", "any other match")


class Considered(msgspec.Struct, frozen=True, kw_only=True):
    """A match that did not get the request. Parts that do not apply are None."""

    gateway: str | None
    listener: str | None
    route: str | None
    rule: str | None
    match: int | None  # index in the rule
    reason: str


def near_misses(
    snapshot: Snapshot,
    graph: Graph,
    listener: Listener,
    request: Request,
    winner: Found | None,
    *,
    elsewhere: Collection[Considered] | None = None,
) -> tuple[Considered, ...]:
    """At most AT_MOST near misses, the nearest first. `elsewhere`: all routes that would match another host."""
    near = [
        *_outranked(snapshot, listener, request, winner),
        *_not_served(snapshot, graph, listener, request),
        *(elsewhere or ()),
        *_not_matching(snapshot, listener, request, hosts=elsewhere is None),
    ]
    return tuple(near[:AT_MOST])


def _outranked(snapshot: Snapshot, listener: Listener, request: Request, winner: Found | None) -> Iterator[Considered]:
    for found in sorted(takers(snapshot, listener, request), key=precedence):
        if winner is not None and precedence(found) != precedence(winner):
            yield considered_rule(found.rule, f"matches too, but {beaten_by(winner, found)}", found.index)


def beaten_by(winner: Found, loser: Found) -> str:
    """The first rule of precedence that distinguishes the two."""
    if winner.rule.calls != loser.rule.calls:
        return "rules that take only calls of gRPC come first"
    if specificity(winner.hostname) != specificity(loser.hostname):
        return f"hostname {winner.hostname} is more specific than {loser.hostname or 'none'}"
    ours, theirs = winner.match, loser.match
    if path_order(winner) != path_order(loser):
        return _path_first(winner, loser)
    texts = (*(_OF_CALLS if winner.rule.calls else _OF_REQUESTS), *_OF_ALL)
    return next(text for text, one, other in zip(texts, ours.rank, theirs.rank, strict=False) if one != other)


def _path_first(winner: Found, loser: Found) -> str:
    if winner.rule.calls:
        return f"{_SERVICES[path_order(winner)[0]]} comes before {_SERVICES[path_order(loser)[0]]}"
    ours, theirs = winner.match.path, loser.match.path
    if ours.type != theirs.type:
        return f"path type {ours.type} comes before {theirs.type}"
    return f"the path prefix {ours.value} is longer than {theirs.value or '/'}"


def _not_matching(snapshot: Snapshot, listener: Listener, request: Request, *, hosts: bool) -> Iterator[Considered]:
    """Sorted by the number of unmet conditions. `hosts`: also those that only the host does not meet."""
    near: list[tuple[int, Considered]] = []
    for rule in snapshot.rules.values():
        if rule.listener != listener.id:
            continue
        hostname = best_hostname(rule.hostnames, request.host)
        wrong_host = [] if hostname is not None else [_wrong_host(rule.hostnames, request)]
        for index, match in enumerate(rule.matches):
            missing = [*wrong_host, *misses(match, request, rule.calls)]
            if missing and (hosts or missing != wrong_host):
                near.append((len(missing), considered_rule(rule, "; ".join(missing), index)))
    near.sort(key=lambda pair: pair[0])
    return (considered for _, considered in near[:AT_MOST])


def _wrong_host(hostnames: tuple[str, ...], request: Request) -> str:
    return f"hostname {', '.join(hostnames)} does not match {request.host}"


def considered_rule(rule: Rule, reason: str, index: int | None = None) -> Considered:
    return Considered(
        gateway=rule.gateway,
        listener=rule.listener_name,
        route=rule.route,
        rule=rule.name,
        match=index,
        reason=reason,
    )


# --- routes that are not served


def _not_served(snapshot: Snapshot, graph: Graph, listener: Listener, request: Request) -> Iterator[Considered]:
    """Routes that are refused as a whole or by one of their parents, and that would match the request by hostname and
    match. Routes that are served on this listener through another of their parents are excluded."""
    served = {rule.route for rule in snapshot.rules.values() if rule.listener == listener.id}
    for parents in graph.parents.values():
        for parent in parents:
            problem = refusal_of(parent)
            if problem is None or str(parent.route.key) in served:
                continue
            taking = _first_taking(parent.route, request)
            if taking is not None:
                yield _unserved(graph, parent, taking, problem)


def refusal_of(parent: ParentNode) -> Problem | None:
    problems = (*parent.problems, *parent.route.problems)
    return next((problem for problem in problems if problem.condition == "Accepted"), None)


def _first_taking(route: RouteNode, request: Request) -> tuple[int, int] | None:
    """(rule, match) of a route's first match that would match the request."""
    hostnames = tuple(name.lower() for name in route.hostnames) or ("",)
    if best_hostname(hostnames, request.host) is None:
        return None
    for index, rule in enumerate(route.http_rules):
        for number, written in enumerate(rule.matches or (HTTPMatch(),)):
            if _would_take(written, request, rule.calls):
                return index, number
    return None


def _would_take(written: HTTPMatch, request: Request, calls: bool) -> bool:
    """Whether it would match. False if the path or a pattern is invalid, which may be the reason why the route is not
    served."""
    try:
        return not any(misses(_as_match(written), request, calls))
    except ValueError:
        return False


def _as_match(written: HTTPMatch) -> Match:
    """Converts a match of a route that is not served and therefore was not compiled."""
    path, type_ = written.path.value, written.path.type
    normal = path if type_ == "RegularExpression" else normalise_path(path)
    return Match(
        path=PathMatch(type_, normal.removesuffix("/") if type_ == "PathPrefix" else normal),
        method=written.method,
        headers=tuple(ValueMatch(header.name.lower(), header.value, header.type) for header in written.headers),
        query=tuple(ValueMatch(test.name, test.value, test.type) for test in written.query_params),
        rank=(),
    )


def _unserved(graph: Graph, parent: ParentNode, taking: tuple[int, int], problem: Problem) -> Considered:
    rule, match = taking
    kind, key = parent.holder
    section = parent.parent_ref.section_name
    name = parent.route.http_rules[rule].name or str(rule)
    return Considered(
        gateway=str(graph.holder(parent.holder).gateway),
        listener=section if section is None or kind == "Gateway" else f"{key}/{section}",
        route=str(parent.route.key),
        rule=name,
        match=match,
        reason=not_served_because(problem),
    )


def not_served_because(problem: Problem) -> str:
    status = "True" if problem.condition == "Conflicted" else "False"
    return f"not served: {problem.condition}={status}/{problem.reason}: {problem.message}"


# --- listeners


def passed_over(listeners: Iterable[Listener], reason: str) -> tuple[Considered, ...]:
    """Listeners that serve other requests, but not this one."""
    return tuple(
        considered_listener(
            listener.gateway,
            listener.name,
            f"the listener, {listener.scheme.upper()} {listener.hostname or '*'}:{listener.spec_port}, {reason}",
        )
        for listener in listeners
    )


def unserved_listeners(
    graph: Graph, port: int, gateways: Collection[str], *, udp: bool = False
) -> tuple[Considered, ...]:
    """Listeners of that port that do not serve, with the reason from their status."""
    return tuple(
        considered_listener(str(node.gateway), listener.label, not_served_because(problem))
        for node in graph.holders
        if is_meant(str(node.gateway), gateways)
        for listener in node.listeners
        if listener.source.port == port and (listener.source.protocol == "UDP") == udp and not listener.serves
        for problem in (*listener.problems, *node.problems)[:1]
    )


def considered_listener(gateway: str, listener: str, reason: str, route: str | None = None) -> Considered:
    return Considered(gateway=gateway, listener=listener, route=route, rule=None, match=None, reason=reason)
