"""Snapshots, rules and requests for the compiled data plane: built by hand, and drawn by hypothesis.

The drawn ones are small on purpose: few hostnames, path elements and values, so that rules meet, hide and fall through
to each other often.
"""

from collections.abc import Iterable

import msgspec
from hypothesis import strategies as st

from fastroute.compiler.precedence import rank
from fastroute.explain.request import Request
from fastroute.ext.tables import TableBuilder, Tables, Upstreams
from fastroute.publication import RuleSlots
from fastroute.snapshot import Filter, Listener, Match, PathMatch, Rule, Snapshot, ValueMatch, WeightedBackend

LISTENER = "infra/gateway/http@127.0.0.1"


def a_listener(name: str = "http", hostname: str = "", *, address: str = "127.0.0.1", port: int = 8080) -> Listener:
    return Listener(
        id=f"infra/gateway/{name}@{address}",
        gateway="infra/gateway",
        name=name,
        address=address,
        port=port,
        spec_port=port - 8000,
        hostname=hostname,
    )


def a_match(
    path: PathMatch,
    method: str | None = None,
    headers: tuple[ValueMatch, ...] = (),
    query: tuple[ValueMatch, ...] = (),
    place: tuple[int | str, ...] = (),
) -> Match:
    return Match(path=path, method=method, headers=headers, query=query, rank=rank(path, method, headers, query, place))


def a_rule(
    route: str = "apples/fruits",
    *matches: Match,
    listener: str = LISTENER,
    hostnames: tuple[str, ...] = ("",),
    index: int = 0,
    backends: tuple[WeightedBackend, ...] = (WeightedBackend(weight=1, backend="apples/apple:80"),),
    filters: tuple[Filter, ...] = (),
) -> Rule:
    """A rule; without matches it takes every path."""
    return Rule(
        id=f"{listener}|HTTPRoute|{route}|{index}",
        listener=listener,
        hostnames=hostnames,
        gateway="infra/gateway",
        listener_name="http",
        route=route,
        route_kind="HTTPRoute",
        name=str(index),
        matches=matches or (a_match(PathMatch("PathPrefix", ""), place=(route, index, 0)),),
        backends=backends,
        filters=filters,
    )


def prefix_rule(number: int, path: str, *, hostnames: tuple[str, ...] = ("",)) -> Rule:
    """One of thousands: the rule for one prefix, of a route of its own."""
    route = f"team-{number}/route"
    return a_rule(route, a_match(PathMatch("PathPrefix", path), place=(route, 0, 0)), hostnames=hostnames)


def build(
    listeners: Iterable[Listener],
    rules: Iterable[Rule],
    previous: Tables | None = None,
    upstreams: Upstreams | None = None,
) -> Tables:
    builder = TableBuilder(upstreams or Upstreams(), previous, 1)
    for listener in listeners:
        builder.put_listener(listener)
    for rule in rules:
        builder.put_rule(rule, RuleSlots())
    return builder.finish()


def look_up(tables: Tables, request: Request, listener: Listener) -> tuple[str | None, int, int, int, str]:
    """As `Tables.find` says it; the request came in where `listener` is bound."""
    return tables.find(
        tables.socket_index(listener.address, listener.port),
        request.method,
        request.path,
        request.authority,
        request.headers,
        query=request.query,
    )


# --- drawn ones

ELEMENTS = ("a", "b", "ab", "", "%2F")
HOSTS = ("example.com", "a.example.com", "b.a.example.com", "com", "x.org", "127.0.0.1", "[::1]", ".example.com", "")
HOSTNAMES = ("", "*.com", "*.example.com", "*.a.example.com", "example.com", "a.example.com", "x.org", "*.0.0.1")
PATTERNS = ("/a.*", "/ab/.*", "/a/.*b", "/[ab]+(/b)?", "/a|/b", ".*", "/a/b/?", "", "(?i)/A")
VALUES = ("1", "2", "1,2", "", "x y")
VALUE_PATTERNS = ("1|2", "[0-9,]*", ".+", "(1,)?2")
NAMES = ("x-one", "x-two", "host")
PARAMETERS = ("one", "two", "a.b")
METHODS = ("GET", "POST", "get", "PURGE")

prefixes = st.lists(st.sampled_from(ELEMENTS), max_size=3).map(lambda parts: "".join(f"/{part}" for part in parts))
paths = st.lists(st.sampled_from(ELEMENTS), min_size=1, max_size=4).map(
    lambda parts: "".join(f"/{part}" for part in parts)
)
path_matches = st.one_of(
    st.builds(PathMatch, st.just("PathPrefix"), prefixes),
    st.builds(PathMatch, st.just("Exact"), paths),
    st.builds(PathMatch, st.just("RegularExpression"), st.sampled_from(PATTERNS)),
)


def value_matches(names: Iterable[str]) -> st.SearchStrategy[tuple[ValueMatch, ...]]:
    one = st.one_of(
        st.builds(ValueMatch, st.sampled_from(sorted(names)), st.sampled_from(VALUES)),
        st.builds(
            ValueMatch, st.sampled_from(sorted(names)), st.sampled_from(VALUE_PATTERNS), st.just("RegularExpression")
        ),
    )
    return st.lists(one, max_size=2, unique_by=lambda test: test.name).map(tuple)


@st.composite
def rules(draw: st.DrawFn, listener: str, route: str) -> Rule:
    count = draw(st.integers(1, 3))
    return a_rule(
        route,
        *(
            a_match(
                draw(path_matches),
                draw(st.none() | st.sampled_from(METHODS)),
                draw(value_matches(NAMES)),
                draw(value_matches(PARAMETERS)),
                place=(draw(st.integers(-2, 2)), route, 0, number),
            )
            for number in range(count)
        ),
        listener=listener,
        hostnames=tuple(draw(st.lists(st.sampled_from(HOSTNAMES), min_size=1, max_size=3, unique=True))),
    )


@st.composite
def listeners(draw: st.DrawFn) -> dict[str, Listener]:
    """Up to four on two ports, with different hostnames on each."""
    places = draw(
        st.lists(
            st.tuples(st.sampled_from((8080, 8081)), st.sampled_from(HOSTNAMES)), min_size=1, max_size=4, unique=True
        )
    )
    found = [a_listener(f"l{number}", hostname, port=port) for number, (port, hostname) in enumerate(places)]
    return {listener.id: listener for listener in found}


@st.composite
def snapshots(draw: st.DrawFn) -> Snapshot:
    at = draw(listeners())
    numbers = draw(st.lists(st.integers(0, 9), max_size=8, unique=True))
    drawn = [draw(rules(draw(st.sampled_from(sorted(at))), f"ns/route{number}")) for number in numbers]
    return Snapshot(listeners=at, rules={rule.id: rule for rule in sorted(drawn, key=lambda rule: rule.id)})


@st.composite
def requests(draw: st.DrawFn) -> Request:
    host = draw(st.sampled_from(HOSTS)) + draw(st.sampled_from(("", ":8080")))
    query = st.lists(
        st.tuples(st.sampled_from(PARAMETERS), st.sampled_from(("", "=", "=1", "=2", "=x=y"))), max_size=3
    ).map(lambda pairs: "&".join(name + value for name, value in pairs))
    fields = st.lists(st.tuples(st.sampled_from(("X-One", "x-two", "X-TWO")), st.sampled_from(VALUES)), max_size=3)
    return Request(
        method=draw(st.sampled_from(METHODS)),
        scheme="http",
        authority=host,
        path=draw(paths),
        query=draw(st.none() | query),
        headers=(("Host", host), *draw(fields)),
    )


def without_rules_of(snapshot: Snapshot, listener: str) -> Snapshot:
    return msgspec.structs.replace(
        snapshot, rules={id: rule for id, rule in snapshot.rules.items() if rule.listener != listener}
    )
