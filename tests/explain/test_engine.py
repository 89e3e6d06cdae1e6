"""explain() compared with the compiled engine: for every request that a client sends for a URL, both decide the same.

The engine gets the bytes of the client over a socket; its decision is read from the access log.
"""

from urllib.parse import quote

import msgspec
import pytest
import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rig import Rig, answering, backends, connect, loopback, running
from worlds import GATEWAY, graph_of

from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.explanation import Explanation, explain
from fastroute.explain.request import parse_url
from fastroute.snapshot import Rule, Snapshot

ROUTES = """
kind: HTTPRoute
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: shop, namespace: infra}
spec:
  parentRefs: [{name: web}]
  hostnames: [shop.example, "*.shop.example"]
  rules:
    - matches: [{path: {value: /a}, method: GET}, {path: {value: /q}, queryParams: [{name: v, value: "1"}]}]
      backendRefs: [{name: s, port: 80}]
    - matches: [{path: {value: /x_y}, headers: [{name: X-User, value: me}]}]
      backendRefs: [{name: s, port: 80}]
    - matches:
        - {path: {value: /a}, headers: [{name: X-User, value: "me,you"}]}
        - {path: {value: /a}, headers: [{name: Connection, value: ".*", type: RegularExpression}]}
        - {path: {value: /a}, headers: [{name: Upgrade, value: websocket}]}
        - {path: {value: /a}, headers: [{name: TE, value: trailers}]}
        - {path: {value: /a}, headers: [{name: X-Forwarded-Proto, value: https}]}
        - {path: {value: /a}, headers: [{name: X-Request-ID, value: "1"}]}
        - {path: {value: /a}, headers: [{name: Forwarded, value: for=a}]}
        - {path: {value: /a}, headers: [{name: Content-Length, value: "0"}]}
      backendRefs: [{name: missing, port: 80}]
    - matches: [{path: {value: /gone}}]
      backendRefs: [{name: missing, port: 80}]
    - matches: [{path: {value: /old}}]
      filters: [{type: RequestRedirect, requestRedirect: {statusCode: 301, hostname: new.example}}]
---
kind: HTTPRoute
apiVersion: gateway.networking.k8s.io/v1
metadata: {name: rest, namespace: infra}
spec:
  parentRefs: [{name: web}]
  hostnames: [other.example]
  rules: [{backendRefs: [{name: s, port: 80}]}]
---
kind: Service
apiVersion: v1
metadata: {name: s, namespace: infra}
spec: {ports: [{port: 80}]}
---
kind: EndpointSlice
apiVersion: discovery.k8s.io/v1
metadata: {name: s, namespace: infra, labels: {kubernetes.io/service-name: s}}
addressType: IPv4
ports: [{port: 8000}]
endpoints: [{addresses: [127.0.0.1]}]
"""

METHODS = st.sampled_from(["GET", "HEAD", "POST", "OPTIONS", "TRACE", "get", "G T", "CONNECT", "GÉT", "X" * 40])
HOSTS = st.sampled_from(
    ["shop.example", "Shop.Example.", "x.shop.example", "other.example", "nobody.example", "a_b.shop.example"]
)
PIECES = st.sampled_from(
    ["/", "/a", "/%61", "/q", "/x_y", "/gone", "/old", "..", ".", "%2e%2e", "%zz", "%", "%00", "\\", "|", '"', " ", "é",
     "#f", "?v=1", "?v=1&v=2", "?V=1", "&", "x", "%2F", ";", "[", "x" * 9000]
)  # fmt: skip
HEADERS = st.sampled_from(
    [
        ("X-User", "me"), ("X_User", "me"), ("x-user", "you"), ("Host", "other.example"), ("Host", "a b"),
        ("Max-Forwards", "0"), ("Max-Forwards", "3"), ("Max-Forwards", "x"), ("X Y", "1"), ("Bad\x01", "1"),
        ("Connection", "x-user"), ("Connection", "upgrade, te"), ("Connection", "host"), ("Upgrade", "websocket"),
        ("TE", "trailers"), ("X-Forwarded-Proto", "https"), ("X-Request-ID", "1"), ("Forwarded", "for=a"),
        ("Content-Length", "0"), ("Content-Length", "x"), ("Transfer-Encoding", "gzip"), ("Cookie", "a_b=1"),
        ("X", "y" * 70_000),
    ]
)  # fmt: skip
ASKED = st.tuples(METHODS, HOSTS, st.lists(PIECES, max_size=4).map("".join), st.lists(HEADERS, max_size=3).map(tuple))
Asked = tuple[str, str, str, tuple[tuple[str, str], ...]]


def sent_by_client(method: str, url: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    """What curl sends: it escapes what is not visible, and leaves the rest as it is."""
    rest = url.removeprefix("http://").partition("#")[0]
    end = next((at for at, letter in enumerate(rest) if letter in "/?"), len(rest))
    host, target = rest[:end], rest[end:]
    target = quote(target if target.startswith("/") else "/" + target, "".join(map(chr, range(33, 127))))
    fields = headers if any(name.lower() == "host" for name, _ in headers) else (("Host", host), *headers)
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields), "", ""]
    return "\r\n".join(lines).encode()


def told_of(explanation: Explanation) -> tuple[int | None, str | None, str | None]:
    """Status, reason and route, as in the log if every backend answers 200."""
    status = 200 if explanation.decision == "forward" else explanation.status
    return status, explanation.reason, explanation.route


async def decided(rig: Rig, data: bytes) -> tuple[int | None, str | None, str | None]:
    client = await connect(rig.port)
    await client.send(data)
    assert await client.more()
    await client.close()
    while not (lines := rig.lines()):
        await trio.lowlevel.checkpoint()
    [line] = lines
    return line["status"], line["reason"], line["route"]


async def compare(snapshot: Snapshot, asked: list[Asked]) -> None:
    graph = graph_of(GATEWAY, ROUTES)
    for method, host, path, headers in asked:
        url = f"http://{host}{path if path.startswith(('/', '?', '#')) else '/' + path}"
        request, _ = parse_url(method, url, headers)
        explanation = told_of(explain(snapshot, graph, request, 8080))
        async with backends(answering) as [backend], running(log=True) as rig:
            install(rig, snapshot)
            rig.put("infra/s:80", backend.port)
            assert await decided(rig, sent_by_client(method, url, headers)) == explanation, (method, url, headers)


def install(rig: Rig, snapshot: Snapshot) -> None:
    [listener] = snapshot.listeners.values()
    rules: list[Rule] = list(snapshot.rules.values())
    rig.install_all([msgspec.structs.replace(listener, place=loopback(rig.port))], *rules)


@pytest.fixture(scope="module")
def snapshot() -> Snapshot:
    return compile_snapshot(graph_of(GATEWAY, ROUTES)).snapshot


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(asked=st.lists(ASKED, min_size=1, max_size=8))
def test_explain_decides_as_the_engine_does(snapshot: Snapshot, asked: list[Asked]) -> None:
    trio.run(compare, snapshot, asked)


HEADERS_OF_A = [
    [("X-User", "me"), ("x-user", "you")],
    [("X-User", "me"), ("x-user", "you"), ("Connection", "x-user")],
    [("Connection", "x-other")],
    [("Upgrade", "websocket"), ("Connection", "upgrade")],
    [("Upgrade", "websocket")],
    [("Upgrade", "h2c"), ("Connection", "upgrade")],
    [("TE", "trailers"), ("Connection", "te")],
    [("X-Forwarded-Proto", "https")],
    [("X-Request-ID", "1")],
    [("Forwarded", "for=a")],
    [("Content-Length", "0"), ("Connection", "content-length")],
]


@pytest.mark.parametrize("headers", HEADERS_OF_A)
def test_both_match_only_fields_that_are_forwarded(snapshot: Snapshot, headers: list[tuple[str, str]]) -> None:
    trio.run(compare, snapshot, [("GET", "shop.example", "/a", tuple(headers))])


@pytest.mark.parametrize("path", ["?v=1/", "/a\\b", "/%zz", "/..", "/a?%zz", "/a|b"])
def test_targets_that_clients_send_raw(snapshot: Snapshot, path: str) -> None:
    trio.run(compare, snapshot, [("GET", "shop.example", path, ())])
