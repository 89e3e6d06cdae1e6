"""TLS towards backends over real sockets: what is verified, what is sent, and what happens if it fails."""

import ssl
from typing import Any

import msgspec
import pytest
import trio
from certificates import authority, certificate
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from rig import GET, OK, Peer, Rig, answering, backends, connect, free_port, quiet, rule, running, saying, soon
from securebackend import CA, address, beside, dns, issued, secured, showing, tls_to, uri

from fastroute import snapshot
from fastroute.settings import Limits

FAILED, INVALID = "upstream_tls_failed", "upstream_certificate_invalid"
A = "a.example.com"


async def answer(rig: Rig, path: bytes = b"/") -> tuple[int, dict[str, str], bytes]:
    client = await connect(rig.port)
    await client.send(GET.replace(b"/", path, 1))
    found = await client.response()
    await client.close()
    return found


@pytest.mark.parametrize(
    ("shown", "settings", "reason"),
    [
        (issued(dns(A)), {}, None),
        (issued(dns("A.Example.com")), {}, None),
        (issued(dns("*.example.com")), {}, None),
        (issued(dns("other.org"), dns(A)), {}, None),
        (issued(dns("b.example.com")), {}, INVALID),
        (issued(dns("*.a.example.com")), {}, INVALID),
        (issued(dns("*.com")), {}, INVALID),
        (issued(dns("a*.example.com")), {}, INVALID),  # only a whole label
        (issued(common=A), {}, INVALID),  # the common name is never looked at
        (issued(dns("b.example.com"), common=A), {}, INVALID),
        (issued(uri("https://a.example.com")), {}, INVALID),
        (issued(address("10.1.2.3")), {"name": "10.1.2.3"}, None),
        (issued(address("10.1.2.4")), {"name": "10.1.2.3"}, INVALID),
        (issued(dns("10.1.2.3")), {"name": "10.1.2.3"}, INVALID),
        (issued(dns(A), days=-1), {}, INVALID),
        # With a long exponent, a signature costs as much to verify as to make, and a chain has up to ten.
        (issued(dns(A), exponent=4294967291), {}, None),
        (issued(dns(A), exponent=(1 << 521) - 1), {}, INVALID),
        (beside(RSAPublicNumbers(65537, 1 << 4103 | 1).public_key()), {}, INVALID),
        (beside(X25519PrivateKey.generate().public_key()), {}, None),  # no path to an anchor has this kind of key
        (issued(dns(A), own=True), {}, INVALID),
        (issued(dns(A), own=True), {"trust_anchors": CA + issued(dns(A), own=True).chain}, None),
        (issued(dns(A)), {"trust_anchors": issued(dns(A), own=True).chain}, INVALID),
        # Subject names instead of the server name.
        (issued(dns("b.org")), {"subject_names": ("b.org",)}, None),
        (issued(dns("b.org")), {"subject_names": ("c.org", "b.org")}, None),
        (issued(dns("*.b.org")), {"subject_names": ("x.b.org",)}, None),
        (issued(dns("*.b.org")), {"subject_names": ("*.b.org",)}, None),
        (issued(dns("x.b.org")), {"subject_names": ("*.b.org",)}, None),
        (issued(dns("x.y.b.org")), {"subject_names": ("*.b.org",)}, INVALID),
        (issued(dns("b.org")), {"subject_names": ("*.b.org",)}, INVALID),
        (issued(dns(A)), {"subject_names": ("b.org",)}, INVALID),
        (issued(common="b.org"), {"subject_names": ("b.org",)}, INVALID),
        (issued(uri("spiffe://x/y")), {"subject_uris": ("spiffe://x/y",)}, None),
        (
            issued(dns("b.org"), uri("spiffe://x/y")),
            {"subject_names": ("z.org",), "subject_uris": ("spiffe://x/y",)},
            None,
        ),
        (issued(uri("spiffe://x/y/z")), {"subject_uris": ("spiffe://x/y",)}, INVALID),
        (issued(uri("spiffe://x/y")), {"subject_uris": ("spiffe://x/z",)}, INVALID),
        (issued(dns(A)), {"subject_uris": ("spiffe://x/y",)}, INVALID),
        (issued(dns("b.org"), uri("spiffe://x/y")), {"subject_names": ("spiffe://x/y",)}, INVALID),
        (issued(dns("b.org"), days=-1), {"subject_names": ("b.org",)}, INVALID),
    ],
)
@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_what_is_a_valid_certificate(
    shown: snapshot.Certificate, settings: dict[str, Any], reason: str | None, most: ssl.TLSVersion
) -> None:
    script = secured(showing(shown, most=most), answering)
    async with backends(script) as [backend], running(rule("b"), log=True) as rig:
        rig.upstreams.speak("b", tls_to(**{"name": A, **settings}))
        rig.put("b", backend.port)
        for _ in range(2):  # the second one may resume
            assert (await answer(rig))[0] == (502 if reason else 200)
        assert rig.local(reason or INVALID) == (2 if reason else 0)
        assert [line["reason"] for line in rig.lines()] == [reason] * 2
        assert rig.engine.tls_faults()[0] == (2 if reason else 0)


async def test_the_server_name_and_the_protocol_are_sent() -> None:
    names: list[str | None] = []
    for name, sent in ((A, A), ("10.1.2.3", None)):
        context = showing(issued(dns(A), address("10.1.2.3")), alpn=["h2", "http/1.1"])
        context.sni_callback = lambda _, name, __: names.append(name)
        seen: list[ssl.SSLObject] = []
        async with backends(secured(context, answering, seen)) as [backend], running(rule("b")) as rig:
            rig.upstreams.speak("b", tls_to(name, subject_names=()))
            rig.put("b", backend.port)
            assert (await answer(rig))[0] == 200
            assert names.pop() == sent
            assert seen[0].selected_alpn_protocol() == "http/1.1"
            assert seen[0].version() == "TLSv1.3"


async def test_the_subject_names_do_not_change_the_server_name() -> None:
    names: list[str | None] = []
    context = showing(issued(dns("b.org")))
    context.sni_callback = lambda _, name, __: names.append(name)
    async with backends(secured(context, answering)) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to(subject_names=("b.org",)))
        rig.put("b", backend.port)
        assert (await answer(rig))[0] == 200
        assert names == [A]


@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_client_certificate(given: bool, most: ssl.TLSVersion) -> None:
    seen: list[Any] = []
    script = secured(showing(most=most, clients=True), answering, seen)
    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to(client_certificate=certificate("gateway") if given else None))
        rig.put("b", backend.port)
        status = (await answer(rig))[0]
        assert status == (200 if given else 502)
        if given:
            assert seen[0].getpeercert()["subjectAltName"] == (("DNS", "gateway"),)


async def cleartext(peer: Peer) -> None:
    await peer.send(OK)
    await peer.rest()


async def silent(peer: Peer) -> None:
    await peer.rest()


async def closing(peer: Peer) -> None:
    pass


def recording(report: list[bytes], script: Any) -> Any:
    async def recorded(peer: Peer) -> None:
        await peer.more()
        report.append(peer.buffer)
        await script(peer)

    return recorded


@pytest.mark.parametrize("script", [cleartext, closing])
async def test_a_backend_without_tls_gets_nothing_but_a_hello(script: Any) -> None:
    report: list[bytes] = []
    async with backends(recording(report, script)) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", backend.port)
        assert (await answer(rig))[0] == 502
        assert rig.local(FAILED) == 1
        assert report[0][:1] == b"\x16"
        assert b"HTTP" not in report[0]


async def test_the_handshake_is_a_part_of_the_connect_timeout() -> None:
    limits = Limits(connect_timeout=3.0)
    async with backends(silent) as [backend], running(rule("b"), limits=limits, held=True) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", backend.port)
        (status, _, _), took = await rig.timed(lambda: answer(rig))
        assert status == 503
        assert rig.local("connect_timeout") == 1
        assert 2.9 < took < 3.3


async def test_another_endpoint_is_tried_and_the_failed_one_is_avoided() -> None:
    bad = secured(showing(issued(dns("other.org"))), answering)
    good = secured(showing(), answering)
    async with backends(bad, good) as [one, two], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", one.port, two.port)
        for _ in range(20):
            assert (await answer(rig))[0] == 200
        assert one.connections <= 2
        failures = {label: failures for label, _, failures in rig.upstreams.statistics()["b"]}
        assert failures == {f"127.0.0.1:{one.port}": one.connections, f"127.0.0.1:{two.port}": 0}


async def test_a_policy_that_fails_does_not_harm_other_backends_of_the_address() -> None:
    """Who lists the addresses of others with a policy that cannot be fulfilled changes nothing for their requests."""
    rules = rule("own", path="/own"), rule("other", path="/other", name="1")
    async with backends(secured(showing(), answering)) as [backend], running(*rules) as rig:
        rig.upstreams.speak("own", tls_to())
        rig.upstreams.speak("other", tls_to(name="b.example.com"))
        closed = free_port()
        for name in ("own", "other"):
            rig.put(name, backend.port, closed)
        for _ in range(20):
            assert (await answer(rig, b"/other"))[0] in (502, 503)  # by the endpoint that was tried last
        failures = {label: failures for label, _, failures in rig.upstreams.statistics()["own"]}
        assert failures[f"127.0.0.1:{backend.port}"] == 0
        assert failures[f"127.0.0.1:{closed}"] > 0  # that TCP fails is true for all


async def test_connections_and_sessions_are_reused() -> None:
    seen: list[Any] = []
    script = secured(showing(), answering, seen)
    async with backends(script) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", backend.port)
        for _ in range(3):
            assert (await answer(rig))[0] == 200
        assert backend.connections == 1  # tickets that arrived on the idle connection did not end it
        rig.put("b")
        rig.put("b", backend.port)
        rig.engine.wake()
        await soon(lambda: backend.open == 0)
        assert (await answer(rig))[0] == 200
        assert [each.session_reused for each in seen] == [False, True]


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_session_is_resumed_only_with_the_same_key(most: ssl.TLSVersion) -> None:
    """One address behind two policies, which change: neither a connection nor a session of one serves the other."""
    seen: list[Any] = []
    script = secured(showing(issued(dns(A), dns("b.example.com")), most=most), saying(OK, close=True), seen)
    async with backends(script) as [backend], running(rule("a", path="/a"), rule("b", path="/b", name="1")) as rig:
        rig.upstreams.speak("a", tls_to(A))
        rig.upstreams.speak("b", tls_to("b.example.com"))
        rig.put("a", backend.port)
        rig.put("b", backend.port)
        for path in (b"/a", b"/b", b"/a", b"/b"):
            assert (await answer(rig, path))[0] == 200
        assert [each.session_reused for each in seen] == [False, False, True, True]
        rig.upstreams.speak("b", tls_to("b.example.com", trust_anchors=issued(dns(A), own=True).chain))
        assert (await answer(rig, b"/b"))[0] == 502
        assert rig.local(INVALID) == 1
        rig.upstreams.speak("b", snapshot.Backend())
        assert (await answer(rig, b"/a"))[0] == 200
        assert (await answer(rig, b"/b"))[0] == 502  # cleartext to a backend with TLS
        assert rig.local("upstream_closed") == 1


async def test_the_idle_connection_that_the_backend_ends_is_not_used() -> None:
    async def once(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK)
        await trio.sleep(0.01)

    async with backends(secured(showing(), once)) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", backend.port)
        for _ in range(3):
            client = await connect(rig.port)
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx")
            assert (await client.response())[0] == 200
            await soon(lambda: backend.open == 0)
            await quiet()
        assert backend.connections == 3


@pytest.mark.parametrize("polite", [True, False])
async def test_an_answer_that_the_close_ends_needs_close_notify(polite: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello")
        if polite:
            await peer.end_tls()
        else:
            await peer.end_of_writing()
        await trio.sleep_forever()

    async with backends(secured(showing(), script)) as [backend], running(rule("b"), log=True) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(GET)
        if polite:
            assert (await client.response())[2] == b"hello"
        else:
            with pytest.raises((EOFError, trio.BrokenResourceError)):
                await client.response()
        await soon(lambda: len(rig.lines()) == 1)
        assert rig.lines()[0]["reason"] == (None if polite else "upstream_truncated")


@pytest.mark.parametrize("size", [10, 3_000_000])
async def test_bodies_pass_in_both_directions(size: int) -> None:
    body = bytes(range(256)) * (size // 256 + 1)

    async def echo(peer: Peer) -> None:
        while True:
            _, got = await peer.request()
            await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(got) + got)

    async with backends(secured(showing(), echo)) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", backend.port)
        client = await connect(rig.port)
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(
                    client.send, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body) + body
                )
                assert (await client.response())[2] == body
        assert backend.connections == 1


async def test_a_mirror_uses_tls() -> None:
    report: list[bytes] = []

    async def keep(peer: Peer) -> None:
        while True:
            report.append((await peer.request())[1])
            await peer.send(OK)

    mirror = rule("b", filters=[snapshot.Mirror(backend="m", numerator=1, denominator=1)])
    async with backends(answering, secured(showing(), keep)) as [one, two], running(mirror) as rig:
        rig.put("b", one.port)
        rig.upstreams.speak("m", tls_to())
        rig.put("m", two.port)
        for number in range(3):
            client = await connect(rig.port)
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\n%d" % number)
            assert (await client.response())[0] == 200
            await soon(lambda number=number: len(report) == number + 1)  # type: ignore[misc]
            await quiet()
        assert report == [b"0", b"1", b"2"]
        assert two.connections == 1


async def test_a_mirror_to_a_backend_without_tls_gets_nothing_but_a_hello() -> None:
    report: list[bytes] = []
    mirror = rule("b", filters=[snapshot.Mirror(backend="m", numerator=1, denominator=1)])
    async with backends(answering, recording(report, closing)) as [one, two], running(mirror) as rig:
        rig.put("b", one.port)
        rig.upstreams.speak("m", tls_to())
        rig.put("m", two.port)
        assert (await answer(rig))[0] == 200
        await soon(lambda: bool(report) and two.open == 0)
        assert report[0][:1] == b"\x16"
        assert b"Host:" not in report[0]


@pytest.mark.parametrize(
    "broken",
    [
        {"trust_anchors": b"nothing"},
        {"trust_anchors": CA[:-40]},
        {"subject_names": ("",)},
        {"client_certificate": snapshot.Certificate(b"no", b"no")},
    ],
)
async def test_tls_that_is_not_possible_fails_every_connection(broken: dict[str, Any]) -> None:
    wanted = tls_to(**broken)
    async with backends(secured(showing(), answering)) as [backend], running(rule("b")) as rig:
        with pytest.raises(ValueError, match=r"."):
            for _ in rig.upstreams.preparing(wanted):
                pass
        rig.upstreams.speak("b", wanted)
        rig.put("b", backend.port)
        assert (await answer(rig))[0] == 502
        assert rig.local(FAILED) == 1


async def test_the_anchors_of_the_operating_system() -> None:
    async with backends(secured(showing(), answering)) as [backend], running(rule("b")) as rig:
        rig.upstreams.trust(authority().pem.encode())
        rig.upstreams.speak("b", tls_to(trust_anchors=b""))
        rig.put("b", backend.port)
        assert (await answer(rig))[0] == 200


async def test_keys_and_anchors_that_nothing_uses_are_freed() -> None:
    async with backends(secured(showing(), answering)) as [backend], running(rule("b")) as rig:
        rig.put("b", backend.port)
        for number in range(20):
            rig.upstreams.speak("b", tls_to(f"x{number}.org", subject_names=(A,)))
            assert (await answer(rig))[0] == 200
        rig.engine.wake()
        await soon(lambda: backend.open <= 1)
        await quiet()
        for _ in rig.upstreams.tidying():
            pass
        assert rig.upstreams.pool_keys == 2


def test_equal_content_is_one_key() -> None:
    assert msgspec.structs.replace(tls_to()) == tls_to()
    assert hash(tls_to()) == hash(tls_to())


async def test_a_tunnel_over_tls() -> None:
    async def upgrade(peer: Peer) -> None:
        await peer.head()
        await peer.send(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello")
        while await peer.more():
            data, peer.buffer = peer.buffer, b""
            await peer.send(data.upper())
        await peer.end_tls()

    async with backends(secured(showing(), upgrade)) as [backend], running(rule("b")) as rig:
        rig.upstreams.speak("b", tls_to())
        rig.put("b", backend.port)
        client = await connect(rig.port)
        await client.send(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n")
        assert b" 101 " in await client.head()
        assert await client.exactly(5) == b"hello"
        await client.send(b"x" * 100_000)
        assert await client.exactly(100_000) == b"X" * 100_000
        await client.end_of_writing()
        assert await client.rest() == b""
        await soon(lambda: backend.open == 0)
