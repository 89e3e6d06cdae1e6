"""Which rule takes a request: the obvious matcher, written to be read. It is the oracle of ext/router.

The listener is the most specific one of the port whose hostname takes the host; a request belongs to it alone. In it,
rules are tried by their own hostnames, the most specific first, and a request that no rule of one hostname takes falls
through to the next. For one hostname: Exact path, longest PathPrefix, regular expressions, then the matches' ranks.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

import msgspec

from fastroute.explain.request import Request
from fastroute.ext.regex import Regex
from fastroute.snapshot import Listener, Match, PathMatch, Rule, Snapshot, ValueMatch


class Found(msgspec.Struct, frozen=True):
    """A rule that takes the request, by which of its hostnames and matches."""

    rule: Rule
    hostname: str
    index: int  # of the match in the rule

    @property
    def match(self) -> Match:
        return self.rule.matches[self.index]


def find_listener(snapshot: Snapshot, address: str, port: int, host: str) -> Listener | None:
    """The listener that a request for `host` belongs to, when it came in on (address, port)."""
    taking = (
        listener
        for listener in snapshot.listeners.values()
        if (listener.address, listener.port) == (address, port) and takes_host(listener.hostname, host)
    )
    return max(taking, key=lambda listener: specificity(listener.hostname), default=None)


def find_rule(snapshot: Snapshot, listener: Listener, request: Request) -> Found | None:
    """The rule of `listener` that takes the request."""
    return min(takers(snapshot, listener, request), key=precedence, default=None)


def takers(snapshot: Snapshot, listener: Listener, request: Request) -> Iterator[Found]:
    """Every way in which a rule of `listener` takes the request, in no order."""
    for rule in snapshot.rules.values():
        if rule.listener != listener.id:
            continue
        hostname = best_hostname(rule.hostnames, request.host)
        if hostname is None:
            continue
        for index, match in enumerate(rule.matches):
            if not any(misses(match, request)):
                yield Found(rule, hostname, index)


def precedence(found: Found) -> tuple[object, ...]:
    """The smaller is served."""
    kind, length = specificity(found.hostname)
    return (-kind, -length, path_order(found.match.path), found.match.rank)


def takes_host(hostname: str, host: str) -> bool:
    """Whether a hostname of a listener or route takes `host`: "*.example.com" any depth below, not "example.com"."""
    if hostname.startswith("*."):
        return host.endswith(hostname[1:]) and len(host) >= len(hostname)
    return hostname in ("", host)


def specificity(hostname: str) -> tuple[int, int]:
    """The greater is more specific: exact, then the longest wildcard, then none."""
    if not hostname:
        return (0, 0)
    return (1, len(hostname)) if hostname.startswith("*.") else (2, 0)


def best_hostname(hostnames: Iterable[str], host: str) -> str | None:
    """The most specific of a rule's own hostnames that takes `host`."""
    return max((name for name in hostnames if takes_host(name, host)), key=specificity, default=None)


def path_order(path: PathMatch) -> tuple[int, int]:
    """The smaller is tried first. Among prefixes that cover one path the longer has more elements."""
    kind = ("Exact", "PathPrefix", "RegularExpression").index(path.type)
    return (kind, -len(path.value) if path.type == "PathPrefix" else 0)


# --- does one match take the request, and what is missing


def misses(match: Match, request: Request) -> Iterator[str]:
    """Why `match` does not take the request, a sentence for each condition that is not met; nothing when it does."""
    if not PATHS[match.path.type](match.path.value, request.path):
        yield f"path {match.path.type} {match.path.value or '/'} does not match {request.path}"
    if match.method not in (None, request.method):
        yield f"method {match.method} is not {request.method}"
    for test in match.headers:
        yield from _value_misses("header", test, request.header(test.name))
    for test in match.query:
        yield from _value_misses("query parameter", test, request.parameter(test.name))


def _value_misses(what: str, test: ValueMatch, value: str | None) -> Iterator[str]:
    if value is None:
        yield f"{what} {test.name} is missing"
    elif test.type == "RegularExpression":
        if not matches_whole(test.value, value.encode()):
            yield f"{what} {test.name}: {value!r} does not match the regular expression {test.value!r}"
    elif test.value != value:
        yield f"{what} {test.name}: {value!r} is not {test.value!r}"


def covers(prefix: str, path: str) -> bool:
    """Whole elements: "/foo" covers "/foo" and "/foo/bar", not "/foobar"; "" covers everything."""
    return path == prefix or path.startswith(prefix + "/")


def path_matches_whole(pattern: str, path: str) -> bool:
    return matches_whole(pattern, path.encode("latin-1"))


def matches_whole(pattern: str, text: bytes) -> bool:
    """RE2, so that a pattern means here what it means to a worker."""
    return _regex(pattern).fullmatch(text)


@lru_cache(maxsize=4096)
def _regex(pattern: str) -> Regex:
    return Regex(pattern)


PATHS: dict[str, Callable[[str, str], bool]] = {
    "Exact": str.__eq__,
    "PathPrefix": covers,
    "RegularExpression": path_matches_whole,
}
