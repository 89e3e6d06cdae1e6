"""How the engine prepares a request head for the backend: authority, Max-Forwards, spoofed fields."""

import msgspec
import pytest
import trio
from rig import OK, Peer, Rig, backends, chunked, connect, reporting, rule, running, saying

from fastroute import snapshot

pytestmark = pytest.mark.usefixtures("transport")

ANY = {"trusted_proxies": ("127.0.0.0/8",)}


async def sent_on(rig: Rig, report: list[bytes], request: bytes) -> list[str]:
    """The lines of the request that the backend received, field names in lower case."""
    client = await connect(rig.port)
    await client.send(request)
    assert (await client.response())[0] == 200
    head = report[-2].partition(b"\r\n\r\n")[0].decode()
    first, *fields = head.split("\r\n")
    return [first, *(f"{name.lower()}:{value}" for name, _, value in (field.partition(":") for field in fields))]


async def test_the_authority_of_the_target_replaces_host() -> None:
    """RFC 9112 section 3.2.2: for matching, for the backend and in the log."""
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b", hostname="a"), log=True) as rig:
        rig.put("b", backend.port)
        lines = await sent_on(rig, report, b"GET http://a/x HTTP/1.1\r\nHost: elsewhere\r\n\r\n")
        assert lines[:2] == ["GET /x HTTP/1.1", "host: a"]
        assert [line["host"] for line in rig.lines()] == ["a"]


async def test_a_rule_that_matches_host_sees_the_authority_of_the_target() -> None:
    """Else a client could choose a rule by one host and reach the backend with another."""
    match = snapshot.Match(
        path=snapshot.PathMatch("PathPrefix", ""), headers=(snapshot.ValueMatch("host", "b"),), rank=(0,)
    )
    async with running(msgspec.structs.replace(rule(), matches=(match,)), log=True) as rig:
        client = await connect(rig.port)
        for request in (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", b"GET http://a/ HTTP/1.1\r\nHost: b\r\n\r\n"):
            await client.send(request)
            await client.response()
        assert [line["reason"] for line in rig.lines()] == ["no_backend_refs", "no_rule"]


@pytest.mark.parametrize("target", [b"*", b"http://a"])
async def test_options_about_the_gateway_itself(target: bytes) -> None:
    """Answered without a rule; the connection stays open."""
    async with running(rule("b"), log=True) as rig:
        client = await connect(rig.port)
        for _ in range(2):
            await client.send(b"OPTIONS " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
            status, fields, _ = await client.response()
            assert (status, fields.get("connection")) == (200, None)
        lines = rig.lines()
        assert [(line["status"], line["reason"], line["route"]) for line in lines] == [
            (200, "options_asterisk", None)
        ] * 2
        assert all(line["gateway"] and line["listener"] for line in lines)


@pytest.mark.parametrize(("method", "status", "allow"), [(b"OPTIONS", 200, None), (b"TRACE", 405, "OPTIONS")])
async def test_the_last_forward_is_answered(method: bytes, status: int, allow: str | None) -> None:
    """RFC 9110 section 7.6.2."""
    async with running(rule("b"), log=True) as rig:
        client = await connect(rig.port)
        await client.send(method + b" / HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\r\n")
        got, fields, _ = await client.response()
        assert (got, fields.get("allow")) == (status, allow)
        [line] = rig.lines()
        assert (line["reason"], line["upstream"]) == ("max_forwards", None)
        assert line["route"]


@pytest.mark.parametrize(
    ("method", "received", "sent"),
    [
        ("OPTIONS", "1", "0"),
        ("TRACE", "100", "99"),
        ("OPTIONS", "9" * 30, "4294967294"),
        ("GET", "5", "5"),
        ("GET", "x", "x"),
    ],
)
async def test_max_forwards_is_counted_down(method: str, received: str, sent: str) -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        request = f"{method} / HTTP/1.1\r\nHost: a\r\nMax-Forwards: {received}\r\n\r\n"
        assert f"max-forwards: {sent}" in await sent_on(rig, report, request.encode())


SPOOFED = (
    "Forwarded", "X-Real-IP", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Forwarded-Server", "X-Forwarded-Scheme",
    "X-Forwarded-Ssl", "X-Forwarded-By", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP", "X-Original-URL",
    "X-Original-Host", "X-Rewrite-URL", "X-Client-Cert", "X-SSL-Client-Cert",
    "X-Forwarded", "X-Forwarded-User", "X-FORWARDED-whatever-comes-next", "X-SSL-Client-Verify", "Forwarded-For",
    "Client-IP", "X-Originating-IP", "X-Remote-IP", "X-Remote-Addr", "X-ProxyUser-IP", "CF-Connecting-IP",
    "CF-Connecting-IPv6", "Fastly-Client-IP", "Fly-Client-IP", "X-Azure-ClientIP", "X-Azure-SocketIP",
    "X-Envoy-External-Address", "X-Original-Forwarded-For", "X-Original-Remote-Addr", "Front-End-Https", "X-ARR-SSL",
    "X-Scheme", "X-Url-Scheme", "X-Original-Proto", "X-Host", "X-HTTP-Host-Override", "X-Original-Method",
    "X-Original-URI", "Client-Cert", "Client-Cert-Chain", "SSL-Client-Cert", "SSL-Client-Verify", "X-ARR-ClientCert",
)  # fmt: skip
INNOCENT = (
    "X-Forwarder", "X-Forward-For", "Proxied", "Proxy-Status", "X-Original-Filename", "X-Real-Estate", "X-User",
    "X-SSL-Clients", "Client-IPs", "Forwarder", "X-Hosts", "Via", "X", "X-",
)  # fmt: skip
NEVER = ("Proxy", "X-Forwarded-Client-Cert")


@pytest.mark.parametrize("trusted", [False, True])
async def test_fields_that_only_a_trusted_proxy_may_send(trusted: bool) -> None:
    report: list[bytes] = []
    options = ANY if trusted else {}
    async with backends(reporting(report)) as [backend], running(rule("b"), **options) as rig:
        rig.put("b", backend.port)
        fields = "".join(f"{name}: spoofed\r\n" for name in (*SPOOFED, *NEVER))
        lines = await sent_on(rig, report, f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        assert sorted(line for line in lines if "spoofed" in line) == sorted(
            f"{name.lower()}: spoofed" for name in (SPOOFED if trusted else ())
        )


async def test_fields_with_names_like_those_stay() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        fields = "".join(f"{name}: kept\r\n" for name in INNOCENT)
        lines = await sent_on(rig, report, f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode())
        assert [line for line in lines if "kept" in line] == [f"{name.lower()}: kept" for name in INNOCENT]


@pytest.mark.parametrize("trusted", [False, True])
async def test_what_cgi_takes_for_such_a_field_is_never_sent_on(trusted: bool) -> None:
    report: list[bytes] = []
    options = ANY if trusted else {}
    async with backends(reporting(report)) as [backend], running(rule("b"), keep_underscores=True, **options) as rig:
        rig.put("b", backend.port)
        names = [name.replace("-", "_") for name in (*SPOOFED, *NEVER) if "-" in name]
        fields = "".join(f"{name}: spoofed\r\n" for name in names)
        assert "spoofed" not in str(await sent_on(rig, report, f"GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n".encode()))


@pytest.mark.parametrize("keep", [False, True])
async def test_a_filter_is_not_evaded_by_an_underscore(keep: bool) -> None:
    """CGI and WSGI read X_User as X-User."""
    report: list[bytes] = []
    setting = snapshot.HeaderModifier(direction="request", set=(snapshot.HeaderValue("X-User", "guest"),))
    async with (
        backends(reporting(report)) as [backend],
        running(rule("b", filters=[setting]), keep_underscores=keep) as rig,
    ):
        rig.put("b", backend.port)
        lines = await sent_on(rig, report, b"GET / HTTP/1.1\r\nHost: a\r\nX_User: root\r\nx-user: root\r\n\r\n")
        assert "x-user: guest" in lines
        assert ("x_user: root" in lines) is keep
        assert "x-user: root" not in lines


@pytest.mark.parametrize(
    ("proto", "location"),
    [
        ("https", "https://b.example/x"),
        ("HTTPS, http", "https://b.example/x"),
        ("http", "http://b.example/x"),
    ],
)
async def test_a_redirect_keeps_the_scheme_of_the_client(proto: str, location: str, transport: str) -> None:
    """A redirect without a scheme uses the scheme that a trusted proxy sends, without a port of the gateway."""
    redirect = snapshot.Redirect(status=302, hostname="b.example")
    async with running(rule(filters=[redirect]), **ANY) as rig:
        client = await connect(rig.port)
        await client.send(f"GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: {proto}\r\n\r\n".encode())
        _, fields, _ = await client.response()
        own = transport == "tls" and location.startswith("https")  # the HTTPS listener of this test has port 80
        assert fields["location"] == (location.replace("example/", "example:80/") if own else location)


async def test_a_redirect_ignores_the_scheme_that_a_stranger_names(transport: str) -> None:
    redirect = snapshot.Redirect(status=302, hostname="b.example")
    async with running(rule(filters=[redirect])) as rig:
        client = await connect(rig.port)
        for proto in ("http", "https"):
            await client.send(f"GET /x HTTP/1.1\r\nHost: a\r\nX-Forwarded-Proto: {proto}\r\n\r\n".encode())
            _, fields, _ = await client.response()
            assert fields["location"].partition(":")[0] == ("http" if transport == "plain" else "https")


@pytest.mark.parametrize("keep", [False, True])
async def test_a_filter_is_not_evaded_by_a_trailer(keep: bool) -> None:
    """Trailers that a filter modifies, and by default those with '_', do not reach the backend."""
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        got.append(await peer.until(b"\r\n\r\n"))
        await peer.send(OK)

    of_rule = snapshot.HeaderModifier(direction="request", set=(snapshot.HeaderValue("X-User", "guest"),))
    of_backend = snapshot.HeaderModifier(direction="request", remove=("X-Role",))
    other = snapshot.HeaderModifier(direction="response", remove=("X-Kept",))
    target = snapshot.WeightedBackend(weight=1, backend="b", filters=(of_backend, other))
    trailers = b"X-User: root\r\nx_USER: root\r\nX-Role: admin\r\nX-Kept: 1\r\nX_Kept: 2\r\nX-Users: 3\r\n"
    request = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"x", trailer=trailers)
    async with backends(script) as [backend], running(rule(target, filters=[of_rule]), keep_underscores=keep) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(request)
        assert (await client.response())[0] == 200
    passed = b"X-Kept: 1\r\n" + (b"X_Kept: 2\r\n" if keep else b"") + b"X-Users: 3\r\n"
    assert got == [chunked(b"x", trailer=passed)]


LONG = b"X-Authenticated-Employee"  # 24 bytes
LONGEST = b"X-" + b"o" * 61  # 63, longer than every forbidden name


async def trailers_sent_on(trailers: bytes, cuts: bool) -> list[bytes]:
    """What of `trailers` reaches the backend: whole, and cut at every byte."""
    got: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.head()
            await peer.until(b"0\r\n")
            passed = b""
            while (line := await peer.until(b"\r\n")) != b"\r\n":
                passed += line
            got.append(passed)
            await peer.send(OK)

    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    body = chunked(b"x", trailer=trailers)
    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for cut in range(len(body) if cuts else 1):
            await client.send(head + body[:cut])
            await trio.sleep(0.001)
            await client.send(body[cut:])
            assert (await client.response())[0] == 200
    return got


async def test_trailers_with_an_underscore_anywhere_do_not_pass() -> None:
    kept = b"X-Sum: 1\r\n" + LONG + b"-Number: 1\r\n" + LONGEST + b"-oo: 1\r\n"
    dropped = LONG + b"_Number: 1\r\n" + LONGEST[:-1] + b"_: 1\r\n" + LONGEST + b"_oo: 1\r\n"
    assert set(await trailers_sent_on(dropped + kept + dropped, cuts=True)) == {kept}


async def test_trailers_that_only_a_proxy_may_send_do_not_pass() -> None:
    spoofed = "".join(f"{name}: 1\r\n{name.replace('-', '_')}: 1\r\n" for name in (*SPOOFED, *NEVER))
    kept = "".join(f"{name}: 1\r\n" for name in INNOCENT if name != "Via")
    assert await trailers_sent_on((spoofed + kept).encode(), cuts=False) == [kept.encode()]


async def test_trailers_with_an_underscore_late_in_a_very_long_name_do_not_pass() -> None:
    assert set(await trailers_sent_on(LONGEST + b"ooo_: 1\r\nX-Sum: 1\r\n", cuts=True)) == {b"X-Sum: 1\r\n"}


async def test_a_response_filter_is_not_evaded_by_a_trailer() -> None:
    secret = snapshot.HeaderModifier(direction="response", remove=("X-Secret",))
    answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    answer += chunked(b"x", trailer=b"X-Secret: 1\r\nX_Secret: 2\r\nX-Sum: 3\r\n")
    async with backends(saying(answer)) as [backend], running(rule("b", filters=[secret])) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await client.head()
        assert await client.until(b"\r\n\r\n") == chunked(b"x", trailer=b"X-Sum: 3\r\n")
