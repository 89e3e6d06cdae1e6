"""CORS: the compiled filter compared with the Python filter of explain, and tests over real sockets."""

import pytest
import trio
from filterings import Fields, cors_filters, joined, origins
from hypothesis import given, settings
from hypothesis import strategies as st
from rig import GET, OK, Peer, answering, backends, connect, rule, running, saying

from fastroute.explain.cors import admits, is_preflight
from fastroute.explain.filtering import Preflighted, filter_request, filter_response
from fastroute.explain.request import Request
from fastroute.ext.routing.filters import Filters
from fastroute.snapshot import Cors, HeaderModifier, HeaderValue, WeightedBackend

FOO = "https://www.foo.com"
CORS = Cors(
    origins=(FOO, "https://*.bar.com"),
    credentials=True,
    methods=("GET", "OPTIONS"),
    headers=("x-header-1", "x-header-2"),
    expose=("x-header-3", "x-header-4"),
    max_age=3600,
)
ANYONE = Cors(origins=("*",), methods=("PUT",))


def request_of(origin: str, method: str = "OPTIONS", *more: tuple[str, str]) -> Request:
    given = (*((("Origin", origin),) if origin else ()), *more)
    return Request(method=method, scheme="http", authority="a.com", path="/", headers=given)


# --- compared with the Python filter


@settings(max_examples=300, deadline=None)
@given(
    cors_filters,
    origins,
    st.sampled_from(("OPTIONS", "GET", "options")),
    st.sampled_from((None, "PUT", "GET")),
    st.sampled_from((None, "x-header-1, x-header-2")),
)
def test_requests_are_judged_as_plainly(
    cors: Cors, origin: str, method: str, asked: str | None, names: str | None
) -> None:
    fields = [("Origin", origin)] if origin else []
    fields += [("Access-Control-Request-Method", asked)] if asked else []
    fields += [("access-control-request-headers", names)] if names else []
    request = request_of(origin, method, *fields[1 if origin else 0 :])
    plain = filter_request((cors,), request, 0, 80)
    answer = Filters((cors,)).request(fields, method=method)[3]
    assert isinstance(plain, Preflighted) == is_preflight(request) == (answer is not None)
    if isinstance(plain, Preflighted) and answer is not None:
        assert (answer[0], joined(answer[1])) == (204, joined(plain.headers))


@settings(max_examples=300, deadline=None)
@given(
    cors_filters,
    origins,
    st.lists(
        st.sampled_from(
            (
                ("Access-Control-Allow-Origin", "*"),
                ("access-control-max-age", "1"),
                ("Vary", "Accept"),
                ("vary", "Accept-Encoding, origin"),
                ("Vary", "*"),
                ("X-A", "1"),
                ("Content-Type", "text/plain"),
            )
        ),
        max_size=4,
    ),
)
def test_responses_come_out_as_plainly(cors: Cors, origin: str, fields: Fields) -> None:
    request = request_of(origin, "GET")
    plain = filter_response((cors,), tuple(fields), request)
    got = Filters((cors,)).response(fields, origin=origin if admits(cors, origin) else "")
    assert joined(got) == joined(plain)
    assert sum(name.lower() == "access-control-allow-origin" for name, _ in got) <= 1


@settings(max_examples=100, deadline=None)
@given(cors_filters, origins)
def test_credentials_go_with_no_star(cors: Cors, origin: str) -> None:
    """Browsers ignore "*" in a response that allows credentials (Fetch standard, CORS protocol and credentials)."""
    fields = [("Origin", origin), ("Access-Control-Request-Method", "PUT"), ("Access-Control-Request-Headers", "x-a")]
    answer = Filters((cors,)).request(fields if origin else fields[1:], method="OPTIONS")[3]
    got = Filters((cors,)).response([("X-A", "1")], origin=origin)
    for said in (answer[1] if answer else [], got):
        if ("Access-Control-Allow-Credentials", "true") in said:
            assert "*" not in [value for name, value in said if name.startswith("Access-Control-")]


@pytest.mark.parametrize(
    ("origin", "admitted"),
    [
        (FOO, True),
        ("https://WWW.foo.com", True),
        ("https://www.bar.com", True),
        ("https://xpto.www.bar.com", True),
        ("https://bar.com", False),
        ("https://.bar.com", False),
        ("http://www.bar.com", False),
        ("https://www.bar.com:8443", False),
        ("https://foobar.com", False),
        ("https://a-1.b_2.bar.com", True),
        ("https://evil.org:1.bar.com", False),
        *((f"https://evil.org{mark}.bar.com", False) for mark in "/?#@\\[]%;,<>\"' \t\xe9"),
        ("null", False),
    ],
)
def test_origins(origin: str, admitted: bool) -> None:
    said = dict(
        Filters((CORS,)).request([("Origin", origin), ("Access-Control-Request-Method", "GET")], method="OPTIONS")[3][1]
    )
    assert said.get("Access-Control-Allow-Origin") == (origin if admitted else None)
    assert said["Vary"] == "Origin"


def test_a_full_arena_is_no_overrun() -> None:
    fields = [("Origin", FOO), ("Access-Control-Request-Method", "GET")]
    whole = Filters((CORS,)).request(fields, method="OPTIONS")
    outcomes = []
    for room in range(0, 2048, 8):
        try:
            outcomes.append(Filters((CORS,)).request(fields, method="OPTIONS", arena=room) == whole)
        except MemoryError:
            outcomes.append(None)
    assert set(outcomes) == {None, True}


# --- over sockets

BOTH = pytest.mark.usefixtures("transport")  # plain TCP and TLS

PREFLIGHT = (
    b"OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: %s\r\nAccess-Control-Request-Method: GET\r\n"
    b"Access-Control-Request-Headers: x-header-1, x-header-2\r\n\r\n"
)
SIMPLE = b"GET / HTTP/1.1\r\nHost: a\r\nOrigin: %s\r\n\r\n"


@BOTH
@pytest.mark.parametrize("where", ["rule", "backendRef"])
async def test_a_preflight_reaches_no_backend(where: str) -> None:
    async with backends(answering) as [backend]:
        on = {"filters": (CORS,)}
        target = WeightedBackend(weight=1, backend="apps/a:80", **(on if where == "backendRef" else {}))
        async with running(rule(target, **(on if where == "rule" else {})), log=True) as rig:
            rig.put("apps/a:80", backend.port)
            client = await connect(rig.port)
            await client.send(PREFLIGHT % FOO.encode() + PREFLIGHT % b"https://evil.org")
            status, fields, body = await client.response()
            assert (status, body) == (204, b"")
            assert {
                name: value for name, value in fields.items() if name.startswith(("access", "vary", "content"))
            } == {
                "access-control-allow-origin": FOO,
                "access-control-allow-credentials": "true",
                "access-control-allow-methods": "GET, OPTIONS",
                "access-control-allow-headers": "x-header-1, x-header-2",
                "access-control-expose-headers": "x-header-3, x-header-4",
                "access-control-max-age": "3600",
                "vary": "Origin",
            }
            status, fields, _ = await client.response()
            assert status == 204
            assert not [name for name in fields if name.startswith("access-control")]
            assert backend.connections == 0
            assert [line["reason"] for line in rig.lines()] == ["preflight", "preflight"]


@BOTH
async def test_a_response_has_our_fields_and_no_others() -> None:
    theirs = (
        b"HTTP/1.1 200 OK\r\nAccess-Control-Allow-Origin: *\r\nAccess-Control-Max-Age: 1\r\nContent-Length: 2\r\n\r\nok"
    )
    async with backends(saying(theirs)) as [backend], running(rule("apps/a:80", filters=(CORS,))) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        for origin, admitted in ((FOO, True), ("https://evil.org", False)):
            await client.send(SIMPLE % origin.encode())
            status, fields, body = await client.response()
            assert (status, body) == (200, b"ok")
            assert fields.get("access-control-allow-origin") == (origin if admitted else None)
            assert "access-control-max-age" not in fields
            assert fields["vary"] == "Origin"


@BOTH
async def test_answers_of_our_own_can_be_read_by_the_page() -> None:
    async with running(rule("apps/a:80", filters=(CORS,))) as rig:
        client = await connect(rig.port)
        await client.send(SIMPLE % FOO.encode())
        status, fields, _ = await client.response()
        assert (status, fields["access-control-allow-origin"]) == (503, FOO)


@BOTH
async def test_who_serves_all_says_so_to_all() -> None:
    async with backends(answering) as [backend], running(rule("apps/a:80", filters=(ANYONE,))) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        for request in (GET, SIMPLE % b"https://foobar.com:12345"):
            await client.send(request)
            status, fields, _ = await client.response()
            assert (status, fields["access-control-allow-origin"]) == (200, "*")
            assert not {"vary", "access-control-allow-credentials"} & fields.keys()


@BOTH
async def test_filters_act_in_their_order() -> None:
    later = HeaderModifier(
        direction="response", set=(HeaderValue("Access-Control-Allow-Origin", "https://other.org"),), remove=("Vary",)
    )
    async with backends(answering) as [backend], running(rule("apps/a:80", filters=(CORS, later))) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(SIMPLE % FOO.encode())
        _, fields, _ = await client.response()
        assert fields["access-control-allow-origin"] == "https://other.org"
        assert "vary" not in fields


@BOTH
async def test_options_without_a_preflight_goes_on() -> None:
    async with backends(answering) as [backend], running(rule("apps/a:80", filters=(CORS,))) as rig:
        rig.put("apps/a:80", backend.port)
        client = await connect(rig.port)
        await client.send(SIMPLE.replace(b"GET", b"OPTIONS") % FOO.encode())
        assert (await client.response())[0] == 200
        assert backend.connections == 1


@BOTH
async def test_the_origin_outlives_the_head() -> None:
    """The response arrives after the memory of the request head has been reused by other requests."""
    release = trio.Event()

    async def late(peer: Peer) -> None:
        await peer.request()
        await release.wait()
        await peer.send(OK)

    async with (
        backends(late, answering) as [slow, fast],
        running(rule("apps/a:80", filters=(CORS,)), rule("apps/b:80", name="1", path="/b", filters=(CORS,))) as rig,
    ):
        rig.put("apps/a:80", slow.port)
        rig.put("apps/b:80", fast.port)
        waiting, other = await connect(rig.port), await connect(rig.port)
        await waiting.send(SIMPLE % FOO.encode())
        for number in range(50):
            await other.send((SIMPLE % b"https://n%d.bar.com" % number).replace(b"GET /", b"GET /b"))
            assert (await other.response())[1]["access-control-allow-origin"] == f"https://n{number}.bar.com"
        release.set()
        assert (await waiting.response())[1]["access-control-allow-origin"] == FOO
