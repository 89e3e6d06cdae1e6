"""HTTPS on real sockets: which listener and certificate serve a name, and how connections begin and end."""

import contextlib
import os
import random
import socket
import ssl
from typing import Any

import pytest
import trio
import trio.lowlevel
from certificates import certificate, trusting
from https import of, request, serving, tls
from rig import GET, Peer, Rig, SecureStream, answering, backends, connect, listener, quiet, reporting, saying, soon

from fastroute.ext.counters import NAMELESS_SLOT
from fastroute.ext.ticket import KEY_SIZE, set_keys
from fastroute.settings import Limits
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
SHOWN = {
    "a": certificate("a.example.com", "x.a.example.com"),
    "wild": certificate("*.example.com", "*.b.example.com"),
    "rest": certificate("other.org", "*.org"),
}


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
            place = ["a.example.com", "b.example.com", "other.org"].index(asked)
            assert rig.counters.request_counts(10 + place) == {421: 2}  # for the listener of the connection


async def test_without_a_listener_for_every_name_nobody_has_a_host() -> None:
    world = {"a.example.com": tls("a")}
    async with backends(answering) as [backend], serving(world, SHOWN, of("a.example.com", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "a.example.com", trusting())
        await client.send(request("nobody.net"))
        assert (await client.response())[0] == 404
        assert rig.local("no_listener") == 1
        assert rig.counters.request_counts(NAMELESS_SLOT) == {404: 1}


async def greeting(name: str) -> bytes:
    """A real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


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
        ({}, trusting(alpn=["h2", "http/1.1"]), True),
        ({}, trusting(alpn=["h2"]), False),
    ],
)
async def test_versions_ciphers_and_protocols(settings: dict[str, str], context: ssl.SSLContext, agreed: bool) -> None:
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


# --- sessions


async def resumed(rig: Rig, session: ssl.SSLSession | None, context: ssl.SSLContext) -> tuple[bool, ssl.SSLSession]:
    """Whether a client with a ticket resumed its session, and its ticket afterwards."""

    def speak() -> tuple[bool, ssl.SSLSession]:
        with (
            socket.create_connection(("127.0.0.1", rig.port), timeout=10) as plain,
            context.wrap_socket(plain, server_hostname="a.example.com", session=session) as client,
        ):
            client.sendall(request("a.example.com"))
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            found = client.session
            assert found is not None
            return bool(client.session_reused), found

    return await trio.to_thread.run_sync(speak)


@pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_tickets_open_sessions_as_long_as_their_key_is_known(most: ssl.TLSVersion) -> None:
    first, second, third = (os.urandom(KEY_SIZE) for _ in range(3))
    context = trusting(most=most)
    async with backends(answering) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        set_keys([first])
        reused, session = await resumed(rig, None, context)
        assert not reused
        assert (await resumed(rig, session, context))[0]
        set_keys([second, first])  # rotated: the old ticket is still accepted, and the client gets one with the new key
        reused, newer = await resumed(rig, session, context)
        assert reused
        set_keys([third, second])
        assert (await resumed(rig, newer, context))[0]
        assert not (await resumed(rig, session, context))[0]
        assert rig.counters.fixed()["tls_resumed"] == 3
        set_keys([])


async def test_a_ticket_of_one_listener_opens_no_other() -> None:
    context = trusting()
    world = {"a.example.com": tls("a"), "*.example.com": tls("wild")}
    set_keys([os.urandom(KEY_SIZE)])
    async with backends(answering) as [backend], serving(world, SHOWN, *(of(name, "b") for name in world)) as rig:
        rig.put("b", backend.port)
        session = (await resumed(rig, None, context))[1]
        rig.install_all([listener(rig.port, "*.example.com", "*.example.com", tls("a"))], of("*.example.com", "b"))
        assert not (await resumed(rig, session, context))[0]
    set_keys([])


def test_keys_that_are_none() -> None:
    with pytest.raises(ValueError, match="80 bytes"):
        set_keys([b"short"])


# --- failed handshakes


async def test_handshakes_end_in_time() -> None:
    async with serving({"": tls("a")}, SHOWN, limits=Limits(head_timeout=1)) as rig:
        rig.engine.hold_clock()
        silent = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        stuck = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        await stuck.send(await greeting("a.example.com"))
        await rig.passes(0.9)
        assert rig.counters.fixed()["tls_timeout"] == 0
        await rig.passes(0.2)
        assert (await stuck.rest())[:1] == b"\x16"
        assert await silent.rest() == b""
        assert rig.counters.fixed()["tls_timeout"] == 2
        assert rig.engine.statistics().downstream_idle == 0


async def test_the_oldest_of_too_many_handshakes_gives_way() -> None:
    async with serving({"": tls("a")}, SHOWN, limits=Limits(max_handshakes=2)) as rig:
        stuck = []
        for _ in range(4):
            stuck.append(Peer(await trio.open_tcp_stream("127.0.0.1", rig.port)))
            await stuck[-1].send(await greeting("a.example.com"))
            await stuck[-1].exactly(5)
        for one in stuck[:2]:
            await one.rest()
        assert rig.counters.fixed()["tls_crowded"] == 2
        await connect(rig.port, "a.example.com", trusting())
        assert rig.counters.fixed()["tls_crowded"] == 3


@pytest.mark.parametrize("cut", [1, 7, 100])
async def test_a_handshake_in_pieces(cut: int) -> None:
    async with serving({"": tls("a")}, SHOWN) as rig:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
        client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        while True:
            try:
                session.do_handshake()
                break
            except ssl.SSLWantReadError:
                data = outgoing.read()
                for at in range(0, len(data), cut):
                    await client.send(data[at : at + cut])
                    await trio.lowlevel.checkpoint()
                await client.more()
                incoming.write(client.buffer)
                client.buffer = b""
        data = outgoing.read()
        for at in range(0, len(data), cut):
            await client.send(data[at : at + cut])
        session.write(request("a.example.com"))
        await client.send(outgoing.read())
        while b"404" not in client.buffer:
            await client.more()
            incoming.write(client.buffer)
            client.buffer = b""
            with contextlib.suppress(ssl.SSLWantReadError):
                client.buffer = session.read(1000)


CLOSING = request("a.example.com").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")


@pytest.mark.parametrize(
    ("early", "late", "says_end", "answers"),
    [
        (CLOSING, [], False, 1),
        (CLOSING, [], True, 1),
        (CLOSING[:20], [CLOSING[20:]], False, 1),
        (CLOSING[:20], [CLOSING[20:]], True, 1),
        (request("a.example.com"), [CLOSING], False, 2),
        (request("a.example.com") + CLOSING[:20], [CLOSING[20:-2], CLOSING[-2:]], False, 2),
        (request("a.example.com") * 3 + CLOSING, [], True, 4),
    ],
)
async def test_what_comes_with_the_end_of_the_handshake(
    early: bytes, late: list[bytes], says_end: bool, answers: int
) -> None:
    """In the segment of the client Finished message: a request, a part of one, several requests, or the end too."""
    async with serving({"": tls("a")}, SHOWN) as rig:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        session = trusting().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
        client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        with contextlib.suppress(ssl.SSLWantReadError):
            session.do_handshake()
        await client.send(outgoing.read())
        await client.more()
        incoming.write(client.buffer)
        client.buffer = b""
        session.do_handshake()
        session.write(early)
        for piece in late:
            await client.send(outgoing.read())
            await quiet()
            session.write(piece)
        if says_end:
            with contextlib.suppress(ssl.SSLWantReadError):
                session.unwrap()
        await client.send(outgoing.read())
        incoming.write(await client.rest())
        got = b""
        with contextlib.suppress(ssl.SSLZeroReturnError, ssl.SSLSyscallError):
            while data := session.read(65536):
                got += data
        assert got.count(b"HTTP/1.1 404") == answers


async def test_the_proxy_header_comes_before_tls() -> None:
    report: list[bytes] = []
    async with (
        backends(reporting(report)) as [backend],
        serving({"": tls("a")}, SHOWN, of("", "b"), proxy_protocol=True, trusted_proxies=("127.0.0.0/8",)) as rig,
    ):
        rig.put("b", backend.port)
        stream = await trio.open_tcp_stream("127.0.0.1", rig.port)
        await stream.send_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 1000 443\r\n")
        client = Peer(SecureStream(stream, trusting(), "a.example.com"))
        await client.send(request("a.example.com"))
        assert (await client.response())[0] == 200
        assert b"x-forwarded-for: 192.0.2.7" in b"".join(report).lower()


async def test_drain_ends_clients_that_never_spoke() -> None:
    async with serving({"": tls("a")}, SHOWN, limits=Limits(head_timeout=60)) as rig:
        rig.engine.hold_clock()
        silent = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
        await quiet()
        rig.engine.drain()
        await rig.passes(1.1)
        assert await silent.rest() == b""
        await soon(lambda: rig.engine.statistics().drained)


async def test_a_large_answer_and_upload_pass() -> None:
    big = bytes(range(256)) * 8192
    sent = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(big), big)
    report: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            report.append((await peer.request())[1])
            await peer.send(sent)

    async with backends(script) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, "a.example.com", trusting())
        for _ in range(2):
            async with trio.open_nursery() as nursery:
                head = b"POST / HTTP/1.1\r\nHost: a.example.com\r\nContent-Length: %d\r\n\r\n" % len(big)
                nursery.start_soon(client.send, head + big)
                assert (await client.response())[2] == big
        assert report == [big, big]


async def test_mutated_clients_end_nobody_else() -> None:
    """Clients whose first flights have mutated bytes: every connection ends, and the next client is served."""
    chance = random.Random(5)
    async with backends(answering) as [backend], serving({"": tls("a")}, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        for _ in range(150):
            incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
            session = trusting().wrap_bio(incoming, outgoing, server_hostname="a.example.com")
            client = Peer(await trio.open_tcp_stream("127.0.0.1", rig.port))
            spoiled = chance.randrange(3)  # the number of the mutated flight
            with contextlib.suppress(ssl.SSLError, trio.BrokenResourceError):
                for flight in range(3):
                    with contextlib.suppress(ssl.SSLWantReadError):
                        session.do_handshake()
                        session.write(request("a.example.com"))
                    data = bytearray(outgoing.read())
                    for _ in range(chance.randrange(1, 4) if flight == spoiled and data else 0):
                        data[chance.randrange(len(data))] = chance.randrange(256)
                    await client.send(bytes(data))
                    with trio.move_on_after(0.05):
                        await client.more()
                    incoming.write(client.buffer)
                    client.buffer = b""
            await client.close()
        served = await connect(rig.port, "a.example.com", trusting())
        await served.send(request("a.example.com"))
        assert (await served.response())[0] == 200
        await served.close()
        await soon(lambda: rig.engine.statistics().downstream_idle == 0)
