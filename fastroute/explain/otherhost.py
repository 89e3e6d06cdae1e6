"""Near misses by hostname: routes that would take a request or connection if it were for another hostname.

Each route is named once for each listener, the most similar hostnames first.
"""

from collections.abc import Callable, Iterable, Iterator
from heapq import nsmallest
from ipaddress import ip_address

from fastroute.explain.considered import Considered, considered_rule
from fastroute.explain.matching import best_hostname, misses, takes_host
from fastroute.explain.request import Request
from fastroute.snapshot import Listener, Rule, Snapshot

AT_MOST = 10  # leaves room for near misses of other types

Takes = Callable[[Rule], int | None]  # the index of the match that would take it; None: none would
Near = tuple[tuple[int, int, str], Considered]  # sort key


def other_hosts(snapshot: Snapshot, here: Iterable[Listener], request: Request) -> tuple[Considered, ...]:
    """`here`: the listeners of all places at which the request can arrive."""

    def takes(rule: Rule) -> int | None:
        missing = (any(misses(match, request, rule.calls)) for match in rule.matches)
        return next((index for index, missed in enumerate(missing) if not missed), None)

    return _nearest(snapshot, here, request.host, takes)


def other_server_names(snapshot: Snapshot, here: Iterable[Listener], name: str) -> tuple[Considered, ...]:
    """The same for a connection with a server name."""
    return _nearest(snapshot, here, name, lambda rule: 0)


def _nearest(snapshot: Snapshot, here: Iterable[Listener], host: str, takes: Takes) -> tuple[Considered, ...]:
    found = nsmallest(AT_MOST, _all(snapshot, {one.id: one for one in here}, host, takes), key=lambda near: near[0])
    return tuple(considered for _, considered in found)


def _all(snapshot: Snapshot, here: dict[str, Listener], host: str, takes: Takes) -> Iterator[Near]:
    told: set[tuple[str, str, str]] = set()
    for rule in snapshot.rules.values():
        listener, id_ = here.get(rule.listener), (rule.listener, rule.route_kind, rule.route)
        if listener is None or id_ in told or (index := takes(rule)) is None:
            continue
        told.add(id_)
        names = tuple(name or listener.hostname for name in rule.hostnames)
        if best_hostname(names, host) is None:
            name = min(names, key=lambda name: distance(name, host))
            yield (*distance(name, host), rule.route), considered_rule(rule, _why_not(name, host), index)
        else:
            reason = f"its listener does not get what is for {host}: the hostname of another listener is more specific"
            yield (*distance(host, host), rule.route), considered_rule(rule, reason, index)


def distance(name: str, host: str) -> tuple[int, int]:
    """Sort key: hostnames with more of the last labels of `host` come first, then those with fewer labels.

    >>> sorted(("x.org", "*.example.com", "b.example.com"), key=lambda name: distance(name, "a.b.example.com"))
    ['b.example.com', '*.example.com', 'x.org']
    """
    labels, wanted = name.split(".")[::-1], host.split(".")[::-1]
    same = next((at for at, (one, other) in enumerate(zip(labels, wanted, strict=False)) if one != other), None)
    return -(min(len(labels), len(wanted)) if same is None else same), len(labels)


def _why_not(name: str, host: str) -> str:
    text = f"hostname {name} does not match {host or 'a connection without a server name'}"
    if name.startswith("*.") and host == name[2:]:
        return f"{text}: a wildcard matches names below {host}, not {host} itself"
    if _is_address(host):
        return f"{text}, which is an address"
    if takes_host(f"*.{name}", host):
        return f"{text}: only a wildcard (*.{name}) matches names below it"
    return text


def _is_address(host: str) -> bool:
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
