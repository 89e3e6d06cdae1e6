"""Every route that the schema and the graph accept can be compiled, sent and installed, and the compiled tables and the
Python code match and filter its requests in the same way.

Routes are generated as users write them, including unusual values; a route with a problem is not served.
"""

import json
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import APPLES, GATEWAY

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.filtering import Redirected, filter_request
from fastroute.explain.matching import Found, find_listener, find_rule
from fastroute.explain.request import Request, normalise_path
from fastroute.explain.share import covered
from fastroute.ext.routing.filters import Filters
from fastroute.ext.routing.tables import TableBuilder, Tables, Upstreams
from fastroute.graph.build import build_graph
from fastroute.publication import Downward, SetEndpoints, UpsertListener, UpsertRule, difference
from fastroute.resources.decode import decode
from fastroute.settings import GraphSettings
from fastroute.snapshot import Snapshot, WeightedBackend
from fastroute.source.store import Apply, Store
from fastroute.wire import Decoder, encode

SEGMENTS = ["a", "b", "a%20b", "%61", "%2e", "%2E%2e", ";x", "~", "A", "%3b", "a:b@c", "..", "", "*", "$&'()+,="]
PATHS = st.lists(st.sampled_from(SEGMENTS), max_size=4).map(lambda segments: "/" + "/".join(segments))
PATTERNS = st.sampled_from(["/a.*", "/[ab]+", ".*", "", "/(a|b)/?", "(?i)/A", "\\", "(", "/a{1,1000000}", "/ä", "^/a$"])
MATCH_TYPES = [{}, {"type": "Exact"}, {"type": "PathPrefix"}]
PATH_MATCHES = st.one_of(
    st.builds(lambda kind, value: {**kind, "value": value}, st.sampled_from(MATCH_TYPES), PATHS),
    PATTERNS.map(lambda value: {"type": "RegularExpression", "value": value}),
)
NAMES = st.sampled_from(["X-A", "x-a", "x-b", "Host", "Accept"])
VALUES = st.sampled_from(["1", "2", "1,2", "[0-9]+", "a b", "("])


def conditions(names: st.SearchStrategy[str]) -> st.SearchStrategy[list[dict[str, str]]]:
    one = st.fixed_dictionaries(
        {"name": names, "value": VALUES}, optional={"type": st.sampled_from(["Exact", "RegularExpression"])}
    )
    return st.lists(one, max_size=2, unique_by=lambda test: test["name"])


MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "path": PATH_MATCHES,
        "method": st.sampled_from(["GET", "POST", "HEAD"]),
        "headers": conditions(NAMES),
        "queryParams": conditions(st.sampled_from(["q", "Q", "v"])),
    },
)
FIELDS = st.lists(st.fixed_dictionaries({"name": NAMES, "value": VALUES}), min_size=1, max_size=2, unique_by=str)
MODIFIERS = st.fixed_dictionaries({}, optional={"set": FIELDS, "add": FIELDS, "remove": st.lists(NAMES, max_size=2)})
NEW_PATHS = st.one_of(
    st.builds(lambda value: {"type": "ReplaceFullPath", "replaceFullPath": value}, PATHS),
    st.builds(lambda value: {"type": "ReplacePrefixMatch", "replacePrefixMatch": value}, PATHS),
)
HOSTS = st.sampled_from(["a.example", "b.a.example", "other.org"])
MIRRORS = st.fixed_dictionaries(
    {"backendRef": st.builds(lambda name: {"name": name, "port": 80}, st.sampled_from(["apple-echo", "missing"]))},
    optional={
        "percent": st.sampled_from([0, 1, 100]),
        "fraction": st.sampled_from([{"numerator": 0}, {"numerator": 2**31 - 1, "denominator": 2**31 - 1}]),
    },
)
FILTERS = st.lists(
    st.one_of(
        MODIFIERS.map(lambda value: {"type": "RequestHeaderModifier", "requestHeaderModifier": value}),
        MODIFIERS.map(lambda value: {"type": "ResponseHeaderModifier", "responseHeaderModifier": value}),
        st.fixed_dictionaries({}, optional={"hostname": HOSTS, "path": NEW_PATHS}).map(
            lambda value: {"type": "URLRewrite", "urlRewrite": value}
        ),
        MIRRORS.map(lambda value: {"type": "RequestMirror", "requestMirror": value}),
        st.fixed_dictionaries({}, optional={"hostname": HOSTS, "path": NEW_PATHS, "port": st.integers(1, 65_535)}).map(
            lambda value: {"type": "RequestRedirect", "requestRedirect": value}
        ),
    ),
    max_size=2,
)
BACKENDS = st.lists(
    st.fixed_dictionaries(
        {"name": st.sampled_from(["apple-echo", "missing"]), "port": st.sampled_from([80, 81])},
        optional={"weight": st.sampled_from([0, 1, 1_000_000]), "filters": FILTERS},
    ),
    max_size=3,
)
RULES = st.fixed_dictionaries(
    {},
    optional={
        "matches": st.lists(MATCHES, max_size=3),
        "filters": FILTERS,
        "backendRefs": BACKENDS,
        "retry": st.fixed_dictionaries(
            {},
            optional={
                "attempts": st.sampled_from([0, 1, 10**30]),
                "codes": st.lists(st.integers(400, 599), max_size=3),
                "backoff": st.sampled_from(["0s", "1ms", "99999h"]),
            },
        ),
        "timeouts": st.fixed_dictionaries({}, optional={"request": st.sampled_from(["0s", "1h2m3s4ms", "99999h"])}),
    },
)
HOSTNAMES = st.lists(st.sampled_from(["a.example", "*.example", "*.a.example", "other.org"]), max_size=2, unique=True)
ROUTES = st.lists(
    st.fixed_dictionaries({"hostnames": HOSTNAMES}, optional={"rules": st.lists(RULES, min_size=1, max_size=3)}),
    min_size=1,
    max_size=3,
)
REQUESTS = st.lists(
    st.builds(
        lambda method, host, path, query, headers: Request(
            method=method, scheme="http", authority=host, path=path, query=query, headers=headers
        ),
        st.sampled_from(["GET", "POST", "get"]),
        HOSTS,
        PATHS.map(lambda path: _normal(path) or "/"),
        st.sampled_from([None, "", "q=1", "Q=2&q=1", "v=a b&v=1", "q"]),
        st.lists(st.tuples(NAMES.filter(lambda name: name != "Host"), VALUES), max_size=3).map(tuple),
    ),
    max_size=12,
)


def _normal(path: str) -> str | None:
    try:
        return normalise_path(path)
    except ValueError:
        return None


def resources_of(specs: list[dict[str, Any]]) -> Store:
    store = Store()
    parent = {"name": "web", "namespace": "infra"}
    documents = [
        json.dumps(
            {
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": {"name": f"r{number}", "namespace": "apples"},
                "spec": {"parentRefs": [parent], **spec},
            }
        )
        for number, spec in enumerate(specs)
    ]
    for text in (GATEWAY, APPLES, *documents):
        entries = decode(text, "any.yaml", json=text.startswith("{"))
        store.apply([Apply(entry.resource) for entry in entries if entry.resource is not None])
    return store


def installed(snapshot: Snapshot) -> Tables:
    """The tables that a worker builds from the encoded messages of this snapshot."""
    decoder = Decoder[Downward](Downward)
    decoder.feed(b"".join(map(encode, difference(None, snapshot))))
    upstreams = Upstreams()
    builder = TableBuilder(upstreams, None, 1)
    for message in decoder:
        match message:
            case SetEndpoints():
                upstreams.update(message.backend, [(each.address, each.port) for each in message.endpoints])
            case UpsertListener():
                builder.put_listener(message.listener)
            case UpsertRule():
                builder.put_rule(message.rule, message.slots)
    while builder.step(1000):
        pass
    return builder.finish()


@settings(max_examples=150, deadline=None)
@given(ROUTES, REQUESTS)
def test_what_is_accepted_routes_alike(specs: list[dict[str, Any]], requests: list[Request]) -> None:
    snapshot = compile_snapshot(build_graph(resources_of(specs).snapshot(), GraphSettings())).snapshot
    assert msgspec.msgpack.encode(snapshot)
    tables = installed(snapshot)
    [listener] = snapshot.listeners.values()
    socket = tables.socket_index(listener.place)
    for request in requests:
        assert find_listener(snapshot, listener.place, request.host) == listener
        found = find_rule(snapshot, listener, request)
        told = (found.rule.id, found.index) if found else (None, 0)
        answer = tables.find(socket, request.method, request.path, request.host, request.headers, query=request.query)
        assert answer[:2] == told
        if found is not None:
            for backend in (None, *found.rule.backends):
                assert compiled_filters(found, request, backend) == plain_filters(found, request, backend)


def compiled_filters(found: Found, request: Request, backend: WeightedBackend | None) -> tuple[Any, ...]:
    fields, path, authority, redirect = Filters((found.rule if backend is None else backend).filters).request(
        request.headers,
        path=request.path,
        query=request.query,
        host=request.authority,
        prefix=covered(found),
        port=8080,
    )
    return ("redirect", *redirect) if redirect else (tuple(map(tuple, fields)), path, authority)


def plain_filters(found: Found, request: Request, backend: WeightedBackend | None) -> tuple[Any, ...]:
    after = filter_request((found.rule if backend is None else backend).filters, request, covered(found), 8080)
    if isinstance(after, Redirected):
        return ("redirect", after.status, after.location)
    return (after.headers, after.path, after.authority)
