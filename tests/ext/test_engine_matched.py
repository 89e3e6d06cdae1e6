"""Matches, CORS and sessions use only the fields that the backend gets."""

import msgspec
import pytest
from rig import Rig, backends, connect, reporting, rule, running

from fastroute import snapshot

CLIENTS = {"trusted_proxies": ()}
PROXIES = {"trusted_proxies": ("127.0.0.0/8",)}
KEY = bytes(range(16))


def guarded(*headers: tuple[str, str], name: str = "1") -> snapshot.Rule:
    """A rule for requests with these headers, before the rule 0 for all requests."""
    values = tuple(snapshot.ValueMatch(header, value, "RegularExpression") for header, value in headers)
    match = snapshot.Match(path=snapshot.PathMatch("PathPrefix", ""), headers=values, rank=(-int(name),))
    return msgspec.structs.replace(rule("b", name=name), matches=(match,))


async def answered_by(rig: Rig, *fields: str, method: str = "GET", minor: int = 1) -> str | None:
    """The name of the rule that a request with these fields got."""
    before = len(rig.lines())
    client = await connect(rig.port)
    lines = [f"{method} / HTTP/1.{minor}", "Host: a", *fields, "", ""]
    await client.send("\r\n".join(lines).encode())
    await client.response()
    await client.close()
    name: str | None = rig.lines()[before]["rule"]
    return name


REMOVED = [
    ("x-role", ["X-Role: admin", "Connection: x-role"]),
    ("x-role", ["Connection: close, X-ROLE", "x-role: admin"]),
    ("x-role", ["X-Role: admin", "x-role: user", "Connection: x-role"]),
    ("connection", ["Connection: x"]),
    ("keep-alive", ["Keep-Alive: timeout=1"]),
    ("proxy-connection", ["Proxy-Connection: close"]),
    ("te", ["TE: trailers"]),
    ("transfer-encoding", ["Transfer-Encoding: chunked"]),
    ("proxy-authorization", ["Proxy-Authorization: Basic eA=="]),
    ("proxy-authenticate", ["Proxy-Authenticate: Basic"]),
    ("proxy", ["Proxy: x"]),
    ("x-forwarded-client-cert", ["X-Forwarded-Client-Cert: Hash=1"]),
    ("upgrade", ["Upgrade: websocket"]),
    ("upgrade", ["Connection: upgrade", "Upgrade: h2c"]),
]
REPLACED = [
    ("x-forwarded-for", ["X-Forwarded-For: 10.0.0.1"]),
    ("x-forwarded-proto", ["X-Forwarded-Proto: https"]),
    ("x-forwarded-host", ["X-Forwarded-Host: admin"]),
    ("x-forwarded-prefix", ["X-Forwarded-Prefix: /x"]),
    ("x-request-id", ["X-Request-ID: mine"]),
    ("x-real-ip", ["X-Real-IP: 10.0.0.1"]),
    ("forwarded", ["Forwarded: for=10.0.0.1"]),
    ("x-ssl-client-verify", ["X-SSL-Client-Verify: SUCCESS"]),
]
FORWARDED = [
    ("x-role", ["X-Role: admin"]),
    ("x-role", ["X-Role: admin", "Connection: x-other"]),
    ("host", ["Connection: host"]),
    ("content-length", ["Content-Length: 0", "Connection: content-length"]),
    ("upgrade", ["Connection: upgrade", "Upgrade: websocket"]),
]


@pytest.mark.parametrize(("name", "fields"), REMOVED)
@pytest.mark.parametrize("options", [CLIENTS, PROXIES], ids=["client", "proxy"])
async def test_what_is_not_forwarded_is_not_matched(
    name: str, fields: list[str], options: dict[str, tuple[str, ...]]
) -> None:
    report: list[bytes] = []
    async with (
        backends(reporting(report)) as [backend],
        running(rule("b"), guarded((name, ".*")), log=True, **options) as rig,
    ):
        rig.put("b", backend.port)
        body = ["", "0"] if name == "transfer-encoding" else []
        assert await answered_by(rig, *fields, *body) == "0"
        if name not in ("te", "transfer-encoding"):  # the gateway writes its own
            assert b"\r\n" + fields[0].lower().encode() not in report[0].lower()


@pytest.mark.parametrize(("name", "fields"), REPLACED)
async def test_what_the_gateway_replaces_is_matched_only_from_a_trusted_proxy(name: str, fields: list[str]) -> None:
    for options, expected in ((CLIENTS, "0"), (PROXIES, "1")):
        report: list[bytes] = []
        async with (
            backends(reporting(report)) as [backend],
            running(rule("b"), guarded((name, ".*")), log=True, **options) as rig,
        ):
            rig.put("b", backend.port)
            assert await answered_by(rig, *fields) == expected
            assert (fields[0].lower().encode() in report[0].lower()) is (expected == "1")


@pytest.mark.parametrize(("name", "fields"), FORWARDED)
async def test_what_is_forwarded_is_matched(name: str, fields: list[str]) -> None:
    report: list[bytes] = []
    async with (
        backends(reporting(report)) as [backend],
        running(rule("b"), guarded((name, ".*")), log=True, **CLIENTS) as rig,
    ):
        rig.put("b", backend.port)
        assert await answered_by(rig, *fields) == "1"
        assert f"\r\n{name}:" in report[0].decode().lower()


async def test_the_lines_of_a_repeated_field_are_counted_without_those_that_are_removed() -> None:
    """Two X-Request-IDs of a trusted proxy: the first is forwarded and matched."""
    report: list[bytes] = []
    async with (
        backends(reporting(report)) as [backend],
        running(rule("b"), guarded(("x-request-id", "abc")), log=True, **PROXIES) as rig,
    ):
        rig.put("b", backend.port)
        assert await answered_by(rig, "X-Request-ID: abc", "X-Request-ID: def") == "1"
        assert await answered_by(rig, "X-Request-ID: " + 129 * "a", "X-Request-ID: abc") == "1"
        assert await answered_by(rig, "X-Request-ID: def", "X-Request-ID: abc") == "0"


CORS = snapshot.Cors(origins=("http://foo",), methods=("PUT",))
REMOVING = snapshot.HeaderModifier(direction="request", remove=("Origin",))


@pytest.mark.parametrize(
    ("filters", "fields", "status", "allowed"),
    [
        ((CORS,), [], 204, "http://foo"),
        ((CORS,), ["Connection: origin"], 200, None),
        ((CORS,), ["Connection: access-control-request-method"], 200, "http://foo"),
        ((REMOVING, CORS), [], 200, None),
        ((CORS, REMOVING), [], 204, "http://foo"),
    ],
)
async def test_cors_sees_no_removed_field(
    filters: tuple[snapshot.Filter, ...], fields: list[str], status: int, allowed: str | None
) -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b", filters=filters)) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        asked = ["Origin: http://foo", "Access-Control-Request-Method: PUT", *fields]
        await client.send("\r\n".join(["OPTIONS / HTTP/1.1", "Host: a", *asked, "", ""]).encode())
        got, answer, _ = await client.response()
        assert (got, answer.get("access-control-allow-origin")) == (status, allowed)


@pytest.mark.parametrize(
    "session", [snapshot.Session(name="sticky", key=KEY), snapshot.Session(name="X-Session", key=KEY, header=True)]
)
async def test_a_session_sees_no_nominated_field(session: snapshot.Session) -> None:
    """A filter that hides the token from the backend does not end the session."""
    name = session.name if session.header else "Cookie"
    hiding = snapshot.HeaderModifier(direction="request", remove=(name,))
    sticky = msgspec.structs.replace(rule("b", filters=(hiding,)), session=session)
    first: list[bytes] = []
    second: list[bytes] = []
    async with backends(reporting(first), reporting(second)) as [one, other], running(sticky) as rig:
        rig.put("b", one.port, other.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        _, fields, _ = await client.response()
        brought = f"X-Session: {fields['x-session']}" if session.header else f"Cookie: {fields['set-cookie']}"
        for connection, renewed in (("x", False), (name, True)):
            await client.send(f"GET / HTTP/1.1\r\nHost: a\r\n{brought}\r\nConnection: {connection}\r\n\r\n".encode())
            _, fields, _ = await client.response()
            assert (("x-session" if session.header else "set-cookie") in fields) is renewed
