"""Finds the rule for a request: a simple matcher, written for readability. It is the oracle of ext/routing/router.

A request belongs only to the most specific listener of the port whose hostname matches the host. In that listener, a
call of gRPC is matched first with the rules that take only calls. Rules are tried by their own hostnames, most specific
first; if no rule for one hostname matches, the next hostname is tried. For one hostname the order is: Exact path,
longest PathPrefix, regular expressions, then the ranks of the matches. Of rules that take only calls, the order is:
Exact path, PathPrefix with a service, then the ranks of all others.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import msgspec

from fastroute.explain.request import Request
from fastroute.ext.routing.regex import PATH_LIMIT, VALUE_LIMIT, Regex
from fastroute.place import Place
from fastroute.secrecy import is_credential
from fastroute.snapshot import Cors, Listener, Match, Rule, Snapshot, ValueMatch


class Found(msgspec.Struct, frozen=True):
    """A rule that matches the request, with the matching hostname and match."""

    rule: Rule
    hostname: str
    index: int  # of the match in the rule

    @property
    def match(self) -> Match:
        return self.rule.matches[self.index]


def find_listener(snapshot: Snapshot, place: Place, host: str) -> Listener | None:
    """The listener for a request for `host` that arrived at `place`."""
    taking = (
        listener
        for listener in snapshot.listeners.values()
        if listener.place == place and takes_host(listener.hostname, host)
    )
    return max(taking, key=lambda listener: specificity(listener.hostname), default=None)


def find_rule(snapshot: Snapshot, listener: Listener, request: Request) -> Found | None:
    """The rule of `listener` that gets the request, or None."""
    found = min(takers(snapshot, listener, request), key=precedence, default=None)
    if found is None or not found.rule.calls or request.is_call or _names_origins(found.rule):
        return found
    others = (taker for taker in takers(snapshot, listener, request) if not taker.rule.calls)
    return min(others, key=precedence, default=None)


def _names_origins(rule: Rule) -> bool:
    """Whether it answers the preflights of calls."""
    return any(isinstance(one, Cors) for one in rule.filters)


def takers(snapshot: Snapshot, listener: Listener, request: Request) -> Iterator[Found]:
    """All matches of rules of `listener` for the request, in no particular order."""
    for rule in snapshot.rules.values():
        if rule.listener != listener.id:
            continue
        hostname = best_hostname(rule.hostnames, request.host)
        if hostname is None:
            continue
        for index, match in enumerate(rule.matches):
            if not any(misses(match, request, rule.calls)):
                yield Found(rule, hostname, index)


def precedence(found: Found) -> tuple[object, ...]:
    """Sort key: the smallest wins."""
    kind, length = specificity(found.hostname)
    return (not found.rule.calls, -kind, -length, path_order(found), found.match.rank)


def takes_host(hostname: str, host: str) -> bool:
    """Whether a hostname matches `host`: "*.example.com" matches names at any depth below, but not "example.com"."""
    if hostname.startswith("*."):
        return host.endswith(hostname[1:]) and len(host) >= len(hostname)
    return hostname in ("", host)


def specificity(hostname: str) -> tuple[int, int]:
    """Sort key, the greatest is most specific: exact, then the longest wildcard, then none."""
    if not hostname:
        return (0, 0)
    return (1, len(hostname)) if hostname.startswith("*.") else (2, 0)


def best_hostname(hostnames: Iterable[str], host: str) -> str | None:
    """The most specific of a rule's hostnames that matches `host`."""
    return max((name for name in hostnames if takes_host(name, host)), key=specificity, default=None)


def path_order(found: Found) -> tuple[int, int]:
    """Sort key, the smallest is tried first. Of several prefixes of one path, the longer has more elements."""
    path = found.match.path
    kind = ("Exact", "PathPrefix", "RegularExpression").index(path.type)
    if path.type != "PathPrefix":
        return (kind, 0)
    return (kind, -len(path.value)) if path.value or not found.rule.calls else (kind + 1, 0)


# --- whether a match matches the request, and what is missing


def misses(match: Match, request: Request, calls: bool = False) -> Iterator[str]:
    """Why `match` does not match the request: one text for each unmet condition, nothing if it matches. `calls`: of a
    rule that takes only calls of gRPC."""
    method = request.grpc_method if calls else request.method
    if calls and not (request.is_call or request.asks_for_call):
        yield (
            "the request is not a call of gRPC, which is a POST request with Content-Type: application/grpc or "
            "application/grpc-web"
        )
    if match.path.type == "RegularExpression" and len(request.path) > PATH_LIMIT:
        yield f"the path has more than {PATH_LIMIT} bytes, so that no regular expression matches it"
    elif not PATHS[match.path.type](match.path.value, request.path):
        yield f"path {match.path.type} {match.path.value or '/'} does not match {request.path}"
    if match.method not in (None, method):
        yield f"method {match.method} is not {method}"
    for test in match.headers:
        if test.name in request.removed:
            yield f"header {test.name} is not forwarded, so no match sees it"
        else:
            yield from _value_misses("header", test, request.header(test.name))
    for test in match.query:
        yield from _value_misses("query parameter", test, request.parameter(_as_received(test.name)))


def _as_received(text: str) -> str:
    """The text as it is in a Request, whose characters are bytes."""
    return text.encode().decode("latin-1")


def _value_misses(what: str, test: ValueMatch, value: str | None) -> Iterator[str]:
    if value is None:
        yield f"{what} {test.name} is missing"
    elif is_credential(test.name):
        if not _passes(test, value):
            yield f"{what} {test.name} has another value"
    elif test.type == "RegularExpression":
        if len(value) > VALUE_LIMIT:
            yield f"{what} {test.name} has more than {VALUE_LIMIT} bytes, so that no regular expression matches it"
        elif not matches_whole(test.value, value.encode("latin-1")):
            yield f"{what} {test.name}: {value!r} does not match the regular expression {test.value!r}"
    elif _as_received(test.value) != value:
        yield f"{what} {test.name}: {value!r} is not {test.value!r}"


def _passes(test: ValueMatch, value: str) -> bool:
    if test.type == "RegularExpression":
        return len(value) <= VALUE_LIMIT and matches_whole(test.value, value.encode("latin-1"))
    return _as_received(test.value) == value


def covers(prefix: str, path: str) -> bool:
    """Compares whole path elements: "/foo" covers "/foo" and "/foo/bar", not "/foobar"; "" covers everything."""
    return path == prefix or path.startswith(prefix + "/")


def path_matches_whole(pattern: str, path: str) -> bool:
    return matches_whole(pattern, path.encode("latin-1"))


def matches_whole(pattern: str, text: bytes) -> bool:
    """Uses RE2, so that a pattern has the same meaning as in workers."""
    return _regex(pattern).fullmatch(text)


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> Regex:
    return Regex(pattern)


PATHS: dict[str, Callable[[str, str], bool]] = {
    "Exact": str.__eq__,
    "PathPrefix": covers,
    "RegularExpression": path_matches_whole,
}
