"""HTTPS on real sockets: which listener, certificate and settings serve a name."""

import contextlib
import ssl
from typing import Any

import pytest
import trio
import trio.lowlevel
from certificates import certificate, trusting
from https import SHOWN, greeting, of, request, serving, tls
from rig import GET, Peer, SecureStream, answering, backends, connect, listener, reporting, saying, soon

from fastroute.ext.reactor.counters import NAMELESS_SLOT
from fastroute.snapshot import Certificate, Redirect


def agreed_by(client: Peer) -> Any:
    """The TLS object of the Python ssl module for the connection of a client."""
    assert isinstance(client.stream, SecureStream)
    return client.stream.tls


def shown(client: Peer) -> str:
    """The first name of the certificate that the client received."""
    found = agreed_by(client).getpeercert()
    return str(found["subjectAltName"][0][1])


def key(client: Peer) -> str:
    return str(agreed_by(client).cipher()[0])


WORLD = {"a.example.com": tls("a"), "*.example.com": tls("wild"), "": tls("rest")}


@pytest.mark.parametrize(
    ("name", "certificate_name", "answerer"),
    [
        ("a.example.com", "a.example.com", b"a"),
        ("A.Example.COM", "a.example.com", b"a"),
        ("b.example.com", "*.example.com", b"wild"),
        ("x.b.example.com", "*.example.com", b"wild"),
        ("other.org", "other.org", b"rest"),
    ],
)
async def test_the_name_chooses_listener_and_certificate(name: str, certificate_name: str, answerer: bytes) -> None:
    def body(text: bytes) -> bytes:
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)

    scripts = [saying(body(text)) for text in (b"a", b"wild", b"rest")]
    rules = [of("a.example.com", "a"), of("*.example.com", "wild"), of("", "rest")]
    async with backends(*scripts) as found, serving(WORLD, SHOWN, *rules) as rig:
        for backend, one in zip(("a", "wild", "rest"), found, strict=True):
            rig.put(backend, one.port)
        client = await connect(rig.port, name, trusting())
        assert shown(client) == certificate_name
        await client.send(request(name))
        assert (await client.response())[2] == answerer


@pytest.mark.parametrize(
    ("asked", "host", "status", "reason"),
    [
        ("a.example.com", "a.example.com", 200, ""),
        ("b.example.com", "c.example.com", 200, ""),  # another name of the same listener
        ("b.example.com", "a.example.com", 421, "misdirected"),  # a more specific listener matches the host
        ("a.example.com", "b.example.com", 421, "misdirected"),  # another listener matches the host
        ("a.example.com", "nobody.net", 421, "misdirected"),  # the listener without a hostname matches the host
        ("other.org", "nobody.net", 200, ""),
        ("other.org", "a.example.com", 421, "misdirected"),
    ],
)
async def test_a_request_for_another_listener_is_misdirected(asked: str, host: str, status: int, reason: str) -> None:
    rules = [of(hostname, "b") for hostname in WORLD]
    async with backends(answering) as [backend], serving(WORLD, SHOWN, *rules) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, asked, trusting())
        for _ in range(2):  # the connection stays open
            await client.send(request(host))
            assert (await client.response())[0] == status
        if reason:
            assert rig.local(reason) == 2
            number = ["a.example.com", "b.example.com", "other.org"].index(asked)
            assert rig.counters.request_counts(10 + number) == {421: 2}  # for the listener of the connection


async def test_without_a_listener_for_every_name_nobody_has_a_host() -> None:
    world = {"a.example.com": tls("a")}
    async with backends(answering) as [backend], serving(world, SHOWN, of("a.example.com", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "a.example.com", trusting())
        await client.send(request("nobody.net"))
        assert (await client.response())[0] == 404
        assert rig.local("no_listener") == 1
        assert rig.counters.request_counts(NAMELESS_SLOT) == {404: 1}


@pytest.mark.parametrize(
    ("name", "first", "failure"),
    [
        ("nobody.net", None, "no_listener"),
        ("a.example.com", b"GET / HTTP/1.1\r\nHost: a.example.com\r\n\r\n", "no_client_hello"),
        ("empty.example.com", None, "no_certificate"),
    ],
)
async def test_a_client_that_nobody_serves_sees_a_plain_end(name: str, first: bytes | None, failure: str) -> None:
    world = {"a.example.com": tls("a"), "empty.example.com": tls("missing")}
    async with serving(world, SHOWN) as rig:
        client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        await client.send(first or await greeting(name))
        with contextlib.suppress(trio.BrokenResourceError):  # a reset is accepted too
            assert await client.rest() == b""
        assert rig.counters.fixed()[f"tls_{failure}"] == 1


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize(("ciphers", "kind"), [("ECDHE-RSA-AES128-GCM-SHA256", "rsa"), ("", "ecdsa")])
async def test_a_client_gets_the_kind_of_key_it_knows(most: ssl.TLSVersion, ciphers: str, kind: str) -> None:
    two = {"ec": certificate("a.example.com", kind="ecdsa"), "rsa": certificate("a.example.com", kind="rsa")}
    async with (
        backends(answering) as [backend],
        serving({"": tls("rsa", "ec")}, two, of("", "b")) as rig,
    ):
        rig.put("b", backend.port)
        client = await connect(rig.port, "a.example.com", trusting(most=most, ciphers=ciphers))
        if most == ssl.TLSVersion.TLSv1_2:
            assert ("RSA" in key(client).split("-")) == (kind == "rsa")
        await client.send(request("a.example.com"))
        assert (await client.response())[0] == 200


async def test_of_one_kind_the_certificate_with_the_name_is_shown() -> None:
    two = {"one": certificate("one.org"), "two": certificate("two.org")}
    async with serving({"": tls("one", "two")}, two) as rig:
        for name in ("one.org", "two.org"):
            assert shown(await connect(rig.port, name, trusting())) == name


@pytest.mark.parametrize(
    ("name", "shown_name"),
    [
        ("a.example.com", "exact"),
        ("b.example.com", "wild"),
        ("B.EXAMPLE.COM", "wild"),
        ("c.b.example.com", "first"),
        ("example.com", "first"),
        ("fa.partial.org", "first"),
        ("b.top", "first"),
        ("second.org", "first"),
    ],
)
async def test_a_name_of_a_certificate_is_exact_or_has_a_wildcard_for_one_label(name: str, shown_name: str) -> None:
    names = {
        "first": ["first", "second.org"],
        "exact": ["exact", "x.example.com", "A.example.com"],
        "wild": ["wild", "*.Example.com", "f*.partial.org", "*.top"],
        "second": ["second", "second.org"],
    }
    certificates = {id: certificate(*each) for id, each in names.items()}
    async with serving({"": tls(*certificates)}, certificates) as rig:
        context = trusting()
        context.check_hostname = False
        assert shown(await connect(rig.port, name, context)) == shown_name


@pytest.mark.parametrize(
    ("settings", "context", "agreed"),
    [
        ({"min_version": "1.3"}, trusting(most=ssl.TLSVersion.TLSv1_2), False),
        ({"min_version": "1.3"}, trusting(), True),
        ({"max_version": "1.2"}, trusting(), True),
        ({"ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"}, trusting(most=ssl.TLSVersion.TLSv1_2), True),
        (
            {"ciphers": "ECDHE-ECDSA-CHACHA20-POLY1305"},
            trusting(most=ssl.TLSVersion.TLSv1_2, ciphers="ECDHE-ECDSA-AES128-GCM-SHA256"),
            False,
        ),
        ({"ciphers": "TLS_AES_256_GCM_SHA384"}, trusting(), True),
        ({}, trusting(alpn=["http/1.1"]), True),
        ({"alpn": ("http/1.1",)}, trusting(alpn=["h2", "http/1.1"]), True),
        ({"alpn": ("http/1.1",)}, trusting(alpn=["h2"]), False),
        ({}, trusting(alpn=["http/1.0"]), False),
    ],
)
async def test_versions_ciphers_and_protocols(settings: dict[str, Any], context: ssl.SSLContext, agreed: bool) -> None:
    async with serving({"": tls("a", **settings)}, SHOWN) as rig:
        if not agreed:
            with pytest.raises(trio.BrokenResourceError):
                await connect(rig.port, "a.example.com", context)
            assert rig.counters.fixed()["tls_not_agreed"] == 1
            return
        client = await connect(rig.port, "a.example.com", context)
        stream = agreed_by(client)
        if "max_version" in settings:
            assert stream.version() == "TLSv1.2"
        if named := settings.get("ciphers"):
            assert key(client) == named
        assert stream.selected_alpn_protocol() in (None, "http/1.1")
        await client.send(request("a.example.com"))
        assert (await client.response())[0] == 404
        assert rig.counters.fixed()["tls_full"] == 1


async def test_settings_that_libssl_refuses_close_one_listener_only() -> None:
    world = {"a.example.com": tls("a", ciphers="NO-SUCH-CIPHER"), "*.example.com": tls("wild")}
    async with serving(world, SHOWN) as rig:
        with pytest.raises(trio.BrokenResourceError):
            await connect(rig.port, "a.example.com", trusting())
        await connect(rig.port, "b.example.com", trusting())
        assert rig.counters.fixed()["tls_no_certificate"] == 1


async def test_what_the_backend_is_told() -> None:
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "a.example.com", trusting())
        await client.send(request("a.example.com"))
        await client.response()
        assert b"x-forwarded-proto: https" in b"".join(report).lower()


async def test_redirects_keep_the_scheme() -> None:
    import msgspec

    sends = msgspec.structs.replace(of("", "b"), filters=(Redirect(status=302, full_path="/new"),), backends=())
    async with serving({"": tls("a")}, SHOWN, sends) as rig:
        client = await connect(rig.port, "a.example.com", trusting())
        await client.send(request("a.example.com"))
        status, fields, _ = await client.response()
        assert (status, fields["location"]) == (302, "https://a.example.com:80/new")


async def test_plain_clients_keep_what_they_had_and_get_no_route_of_https() -> None:
    """A port changes to HTTPS: existing connections continue without TLS, and never reach an HTTPS listener."""
    async with backends(answering) as [backend], serving({}, SHOWN) as rig:
        rig.put("b", backend.port)
        rig.install_all([listener(rig.port, "any")], of("", "b"))
        client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        await client.send(GET)
        assert (await client.response())[0] == 200
        rig.install_all([listener(rig.port, "any", "", tls("a"))], of("", "b"))
        await client.send(GET)
        assert (await client.response())[0] == 404


async def test_a_new_certificate_serves_new_handshakes_and_drops_nothing() -> None:
    async with backends(answering) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        old = await connect(rig.port, "a.example.com", trusting())
        rig.certificates.put("a", certificate("new.example.com", "a.example.com"))
        assert shown(await connect(rig.port, "a.example.com", trusting())) == "a.example.com"  # before the commit
        rig.certificates.commit()
        assert shown(await connect(rig.port, "a.example.com", trusting())) == "new.example.com"
        rig.certificates.remove("a")
        rig.certificates.commit()
        with pytest.raises(trio.BrokenResourceError):
            await connect(rig.port, "a.example.com", trusting())
        await old.send(request("a.example.com"))
        assert (await old.response())[0] == 200


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        (Certificate(b"", b""), "certificate 1 of the chain cannot be read"),
        (Certificate(certificate("a").chain, b"nothing"), "the private key cannot be read"),
        (Certificate(certificate("a").chain, certificate("b", kind="rsa").key), "not that of the certificate"),
        (certificate("weak", kind="rsa", size=1024), "the certificate is refused"),
    ],
)
async def test_certificates_that_cannot_be_shown(broken: Certificate, text: str) -> None:
    async with serving({"": tls("x")}, {}) as rig:
        with pytest.raises(ValueError, match=text):
            rig.certificates.put("x", broken)
        rig.certificates.commit()
        with pytest.raises(trio.BrokenResourceError):
            await connect(rig.port, "a", trusting())


async def test_after_close_notify_nothing_is_read_again() -> None:
    """A client that says the end of TLS has sent its last request: bytes of earlier reads are not taken for another."""
    report: list[bytes] = []
    async with backends(reporting(report)) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        other = await connect(rig.port, "a.example.com", trusting())
        client = await connect(rig.port, "a.example.com", trusting())
        for each in (client, other):
            await each.send(request("a.example.com"))
            assert (await each.response())[0] == 200
        with contextlib.suppress(trio.BrokenResourceError):
            await client.end_tls()
        await soon(lambda: rig.engine.statistics().downstream_idle == 1)
        assert len(report) == 4
        assert sum(rig.counters.request_counts(1).values()) == 2
