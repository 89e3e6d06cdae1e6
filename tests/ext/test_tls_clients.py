"""Listeners that verify the certificates of clients, on real sockets."""

import contextlib
import os
import ssl
from collections.abc import AsyncIterator

import msgspec
import pytest
import trio
from cryptography import x509
from https import SHOWN, of, request, serving, tls
from rig import OK, Peer, Rig, Script, backends, connect, listener, quiet, rule, soon
from visitors import SERVER, Issuer, accepting, issuer, long_key, showing, visitor

from fastroute.ext.memory.graveyard import collect
from fastroute.ext.routing.tables import TableBuilder, Upstreams
from fastroute.ext.tls.certificate import Certificates
from fastroute.ext.tls.identity import identity
from fastroute.ext.tls.ticket import KEY_SIZE, set_keys
from fastroute.snapshot import Certificate, ClientValidation, ListenerTLS, Mirror

FIELD = b"x-forwarded-client-cert"
HOST = "a.example.com"
ONE, TWO = issuer("one"), issuer("two")
MIDDLE = issuer("middle", "one")
VALID = visitor(ONE)
VERSIONS = pytest.mark.parametrize("most", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])


def recording(heads: list[bytes]) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            heads.append((await peer.request())[0])
            await peer.send(OK)

    return script


@contextlib.asynccontextmanager
async def verifying(clients: ClientValidation | None, **options: object) -> AsyncIterator[tuple[Rig, list[bytes]]]:
    """A listener with this validation, and the heads that its backend receives."""
    seen: list[bytes] = []
    async with (
        backends(recording(seen)) as [backend],
        serving({"": msgspec.structs.replace(tls("a"), clients=clients)}, SHOWN, of("", "b"), **options) as rig,
    ):
        rig.put("b", backend.port)
        yield rig, seen


def change(rig: Rig, clients: ClientValidation | None) -> None:
    rig.install_all([listener(rig.port, "any", "", msgspec.structs.replace(tls("a"), clients=clients))], of("", "b"))


def said(head: bytes) -> list[bytes]:
    """The values of X-Forwarded-Client-Cert in a head that a backend received."""
    lines = [line.partition(b":") for line in head.split(b"\r\n")[1:]]
    return [value.strip() for name, _, value in lines if name.lower() == FIELD]


async def asked(rig: Rig, context: ssl.SSLContext) -> tuple[int, Peer]:
    """The status of the response to a client that claims to be somebody; 0 if its certificate was refused."""
    client = await connect(rig.port, HOST, context)
    return await again(client), client


async def again(client: Peer, more: bytes = b"X-Forwarded-Client-Cert: Hash=0\r\n") -> int:
    try:
        await client.send(request(HOST)[:-2] + more + b"\r\n")
        return (await client.response())[0]
    except (ssl.SSLError, trio.BrokenResourceError, EOFError):
        return 0


# --- which certificates are accepted

REFUSED = {
    "missing": (None, "missing"),
    "of a CA that the listener does not know": (visitor(TWO), "untrusted"),
    "of a CA with the same name": (visitor(Issuer(ONE.certificate, TWO.key)), "invalid"),
    "whose issuer is not shown": (visitor(MIDDLE), "untrusted"),
    "expired": (visitor(ONE, days=-1), "expired"),
    "not valid yet": (visitor(ONE, since=1), "invalid"),
    "of a server": (visitor(ONE, purpose=SERVER), "invalid"),
    "issued by a client": (
        visitor(Issuer(x509.load_pem_x509_certificate(VALID.chain), ONE.key), more=[Issuer(ONE.certificate, ONE.key)]),
        "untrusted",
    ),
}


@VERSIONS
@pytest.mark.parametrize("which", REFUSED)
async def test_a_client_needs_a_valid_certificate(which: str, most: ssl.TLSVersion) -> None:
    shown, reason = REFUSED[which]
    async with verifying(accepting(ONE), log=True) as (rig, seen):
        try:
            status, _ = await asked(rig, showing(shown, most=most))
        except (ssl.SSLError, trio.BrokenResourceError):
            status = 0  # with TLS 1.2, the client's handshake ends after the server's verification
        assert (status, seen) == (0, [])
        await soon(lambda: rig.counters.fixed()["tls_client_certificate"] == 1)
        assert rig.counters.fixed()["tls_full"] == 0
        assert [line["reason"] for line in rig.lines()] == [f"client_certificate_{reason}"]


@VERSIONS
@pytest.mark.parametrize("which", REFUSED)
async def test_if_certificates_are_optional_only_valid_ones_identify(which: str, most: ssl.TLSVersion) -> None:
    async with verifying(accepting(ONE, optional=True)) as (rig, seen):
        assert (await asked(rig, showing(REFUSED[which][0], most=most)))[0] == 200
        assert said(seen[0]) == []


@VERSIONS
@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize(
    ("shown", "anchors"),
    [
        (VALID, (ONE,)),
        (VALID, (TWO, ONE)),
        (visitor(MIDDLE, more=[MIDDLE]), (ONE,)),
        (visitor(MIDDLE), (MIDDLE,)),  # a CA that is named needs no issuer
    ],
)
async def test_a_valid_certificate_identifies_the_client(
    shown: Certificate, anchors: tuple[Issuer, ...], optional: bool, most: ssl.TLSVersion
) -> None:
    async with verifying(accepting(*anchors, optional=optional)) as (rig, seen):
        status, client = await asked(rig, showing(shown, most=most))
        assert (status, await again(client)) == (200, 200)
        assert [said(head) for head in seen] == [[identity(shown.chain)]] * 2
        await client.close()
        await soon(lambda: rig.buffered() == 0)


@pytest.mark.parametrize("clients", [None, accepting(ONE), accepting(ONE, optional=True)])
@pytest.mark.parametrize("trusted", [(), ("127.0.0.0/8",)])
async def test_nobody_can_say_who_a_client_is(clients: ClientValidation | None, trusted: tuple[str, ...]) -> None:
    """Not even a trusted proxy."""
    async with verifying(clients, trusted_proxies=trusted) as (rig, seen):
        assert (await asked(rig, showing(VALID)))[0] == 200
        assert said(seen[0]) == ([identity(VALID.chain)] if clients else [])


async def test_the_listener_names_its_authorities() -> None:
    """A client with several certificates chooses by these names."""
    async with verifying(accepting(ONE, TWO)) as (rig, _):
        process = await trio.run_process(
            ["openssl", "s_client", "-connect", f"127.0.0.1:{rig.port}", "-servername", HOST],
            capture_stdout=True,
            capture_stderr=True,
            check=False,
        )
        assert b"Acceptable client certificate CA names\nCN = one\nCN = two\n" in process.stdout


async def test_if_the_authorities_cannot_be_read_nobody_is_served() -> None:
    async with verifying(ClientValidation(trust_anchors=b"no PEM")) as (rig, seen):
        for shown in (None, VALID):
            with pytest.raises((ssl.SSLError, trio.BrokenResourceError)):
                await asked(rig, showing(shown))
        assert rig.counters.fixed()["tls_no_certificate"] == 2
        assert seen == []


# --- what a certificate may cost

EXPENSIVE = {
    "too many": visitor(MIDDLE, more=[MIDDLE] * 6),
    "too long": visitor(ONE, "long", x509.DNSName("a" * 250), *(x509.DNSName(f"{i}.{'b' * 200}") for i in range(40))),
    "too many extensions": visitor(ONE, extensions=64),
    "names that are small, but many": visitor(ONE, "many", *[x509.DNSName("")] * 2100),
    "a subject with too many parts": visitor(ONE, x509.Name(list(issuer("x").certificate.subject) * 65)),
}


@pytest.mark.parametrize("optional", [False, True])
@pytest.mark.parametrize("which", [*EXPENSIVE, "an RSA key of more than 4,096 bits"])
async def test_an_expensive_certificate_is_refused(which: str, optional: bool) -> None:
    shown = EXPENSIVE.get(which) or visitor(ONE, key=long_key())
    async with verifying(accepting(ONE, optional=optional), log=True) as (rig, seen):
        assert (await asked(rig, showing(shown)))[0] == 0
        await soon(lambda: rig.counters.fixed()["tls_client_certificate"] == 1)
        assert [line["reason"] for line in rig.lines()] == ["client_certificate_invalid"]
        assert seen == []


async def test_more_certificates_than_a_handshake_may_have() -> None:
    shown = visitor(MIDDLE, more=[MIDDLE] * 60)
    async with verifying(accepting(ONE, optional=True)) as (rig, seen):
        assert (await asked(rig, showing(shown)))[0] == 0
        await soon(lambda: rig.counters.fixed()["tls_not_agreed"] == 1)
        assert seen == []


# --- sessions


async def visit(rig: Rig, context: ssl.SSLContext, session: ssl.SSLSession | None) -> tuple[bool, ssl.SSLSession]:
    """Whether a client resumed its session, and its session afterwards."""

    def speak() -> tuple[bool, ssl.SSLSession]:
        import socket

        with (
            socket.create_connection(("127.0.0.1", rig.port), timeout=60) as plain,
            context.wrap_socket(plain, server_hostname=HOST, session=session) as client,
        ):
            client.sendall(request(HOST))
            assert client.recv(1000).startswith(b"HTTP/1.1 200")
            assert client.session is not None
            return bool(client.session_reused), client.session

    return await trio.to_thread.run_sync(speak)


@VERSIONS
async def test_a_resumed_session_has_the_identity_of_its_client(most: ssl.TLSVersion) -> None:
    set_keys([os.urandom(KEY_SIZE)])
    async with verifying(accepting(ONE)) as (rig, seen):
        context = showing(VALID, most=most)
        _, session = await visit(rig, context, None)
        for _ in range(2):
            reused, session = await visit(rig, context, session)
            assert reused
        assert [said(head) for head in seen] == [[identity(VALID.chain)]] * 3
    set_keys([])


@VERSIONS
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (accepting(ONE), accepting(ONE, TWO)),
        (accepting(ONE, optional=True), accepting(ONE)),
        (accepting(ONE), accepting(ONE, optional=True)),
        (None, accepting(ONE)),
        (accepting(ONE), None),
    ],
)
async def test_a_ticket_is_of_no_use_after_a_change_of_the_validation(
    before: ClientValidation | None, after: ClientValidation | None, most: ssl.TLSVersion
) -> None:
    set_keys([os.urandom(KEY_SIZE)])
    async with verifying(before) as (rig, seen):
        context = showing(VALID, most=most)
        _, session = await visit(rig, context, None)
        change(rig, after)
        assert not (await visit(rig, context, session))[0]
        assert said(seen[1]) == ([identity(VALID.chain)] if after else [])
    set_keys([])


@VERSIONS
async def test_a_ticket_does_not_carry_a_client_past_a_changed_authority(most: ssl.TLSVersion) -> None:
    set_keys([os.urandom(KEY_SIZE)])
    async with verifying(accepting(ONE)) as (rig, seen):
        context = showing(VALID, most=most)
        _, session = await visit(rig, context, None)
        change(rig, accepting(TWO))
        with contextlib.suppress(OSError, AssertionError):
            await visit(rig, context, session)
        await soon(lambda: rig.counters.fixed()["tls_client_certificate"] == 1)
        assert (len(seen), rig.counters.fixed()["tls_resumed"]) == (1, 0)
    set_keys([])


# --- open connections


@pytest.mark.parametrize(
    ("before", "after", "status"),
    [
        (accepting(ONE), accepting(TWO), 421),
        (accepting(ONE), accepting(TWO, ONE), 200),
        (accepting(TWO, ONE), accepting(ONE), 200),
        (accepting(ONE), accepting(ONE, optional=True), 200),
        (accepting(ONE), accepting(TWO, optional=True), 200),
        (accepting(TWO, optional=True), accepting(ONE), 200),
        (accepting(ONE, optional=True), accepting(TWO), 421),
        (None, accepting(ONE), 421),
        (None, accepting(ONE, optional=True), 200),
        (accepting(ONE), None, 200),
    ],
)
@VERSIONS
async def test_a_change_concerns_the_next_request_of_an_open_connection(
    before: ClientValidation | None, after: ClientValidation | None, status: int, most: ssl.TLSVersion
) -> None:
    async with verifying(before, log=True) as (rig, seen):
        first, client = await asked(rig, showing(VALID, most=most))
        change(rig, after)
        assert (first, await again(client)) == (200, status)
        if status == 421:
            assert await client.rest() == b""  # the connection is closed
            assert (len(seen), rig.local("client_certificate")) == (1, 1)
            assert [line["reason"] for line in rig.lines()] == [None, "client_certificate"]
        else:
            known = after is not None and before is not None and ONE.pem in after.trust_anchors
            assert said(seen[1]) == ([identity(VALID.chain)] if known else [])
            assert await again(client) == 200
        await client.close()
        await soon(lambda: rig.buffered() == 0)


async def test_requests_after_a_refusal_are_not_served() -> None:
    async with verifying(accepting(ONE)) as (rig, seen):
        _, client = await asked(rig, showing(VALID))
        change(rig, accepting(TWO))
        await client.send(request(HOST) * 3)
        assert (await client.rest()).count(b"HTTP/1.1 421") == 1
        assert len(seen) == 1


async def test_a_request_in_progress_ends_in_spite_of_a_change() -> None:
    seen: list[bytes] = []
    go = trio.Event()

    async def late(peer: Peer) -> None:
        seen.append((await peer.request())[0])
        await go.wait()
        await peer.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    world = {"": msgspec.structs.replace(tls("a"), clients=accepting(ONE))}
    async with backends(late) as [backend], serving(world, SHOWN, of("", "b")) as rig:
        rig.put("b", backend.port)
        client = await connect(rig.port, HOST, showing(VALID))
        await client.send(request(HOST))
        await soon(lambda: seen)
        change(rig, accepting(TWO))
        await quiet()
        go.set()
        assert (await client.response())[0] == 200


@pytest.mark.parametrize("count", [1, 2, 5])
def test_authorities_that_no_listener_uses_any_more_are_released(count: int) -> None:
    """In a worker: a context is made before its listener is put, and released after the next publication."""
    certificates, upstreams = Certificates(), Upstreams()
    tables = None
    for round in range(3):
        builder = TableBuilder(upstreams, tables, round + 1, certificates)
        for number in range(count):
            settings = ListenerTLS(certificates=("a",), clients=accepting(issuer(f"{round} {number}")))
            for _ in certificates.preparing(settings):
                pass
            builder.put_listener(listener(1000 + number, str(number), "", settings), 0)
        while builder.step(1_000_000):
            pass
        waste, tables = [builder, tables], builder.finish()
        certificates.commit()
        for one in waste:
            for _ in one.discard() if one is not None else ():
                pass
        del one, builder, waste
        while collect(1_000_000):
            pass
        for _ in certificates.release():
            pass
        assert certificates.validations == count


# --- mirrors


async def test_a_mirror_learns_who_the_client_is() -> None:
    copies: list[bytes] = []
    seen: list[bytes] = []
    world = {"": msgspec.structs.replace(tls("a"), clients=accepting(ONE))}
    mirrored = msgspec.structs.replace(rule("b", filters=[Mirror(backend="m")]), listener="any")
    async with (
        backends(recording(seen), recording(copies)) as [backend, mirror],
        serving(world, SHOWN, mirrored) as rig,
    ):
        rig.put("b", backend.port)
        rig.put("m", mirror.port)
        assert (await asked(rig, showing(VALID)))[0] == 200
        await soon(lambda: copies)
        assert said(seen[0]) == said(copies[0]) == [identity(VALID.chain)]
