"""Certificates of clients on connections of HTTP/2, which carry many requests."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from certificates import certificate
from http2.client import Session, client
from http2.conftest import Towards
from rig import OK, Peer, Rig, Script, listener, rule, running, soon
from visitors import accepting, issuer, showing, visitor

from fastroute.ext.tls.identity import identity
from fastroute.snapshot import ClientValidation, Listener, ListenerTLS, Mirror

ONE, TWO = issuer("one"), issuer("two")
VALID = visitor(ONE)


def recording(heads: list[bytes]) -> Script:
    async def script(peer: Peer) -> None:
        while True:
            head, _ = await peer.request()
            if head.startswith(b"GET"):  # the end of a stream is an empty head
                heads.append(head)
                await peer.send(OK)

    return script


def said(heads: list[bytes]) -> list[list[bytes]]:
    lines = [[line.partition(b": ") for line in head.split(b"\r\n")] for head in heads]
    return [[value for name, _, value in head if name.lower() == b"x-forwarded-client-cert"] for head in lines]


def put(rig: Rig, **validations: ClientValidation | None) -> None:
    """One listener for each name, with the certificate of both."""

    def made(name: str, clients: ClientValidation | None) -> Listener:
        return listener(rig.port, name, f"{name}.example.com", ListenerTLS(certificates=("c",), clients=clients))

    rules = [
        msgspec.structs.replace(
            rule("b", name=str(number), filters=[Mirror(backend="m")]),
            listener=name,
            hostnames=(f"{name}.example.com",),
        )
        for number, name in enumerate(validations)
    ]
    rig.certificates.put("c", certificate("one.example.com", "two.example.com"))
    rig.install_all([made(name, clients) for name, clients in validations.items()], *rules)
    rig.certificates.commit()


@asynccontextmanager
async def serving(
    heads: list[bytes], copies: list[bytes], towards: Towards | None = None, **validations: ClientValidation | None
) -> AsyncIterator[tuple[Rig, Session]]:
    to = towards or Towards("h1")
    async with to.backends(recording(heads), recording(copies)) as [backend, mirror], running(log=True) as rig:
        to.put(rig, "b", backend.port)
        to.put(rig, "m", mirror.port)
        put(rig, **validations)
        async with client(rig.port, name="one.example.com", context=showing(VALID, alpn=["h2"])) as session:
            yield rig, session


def fields(name: str) -> list[tuple[str, str]]:
    host = f"{name}.example.com"
    head = [(":method", "GET"), (":scheme", "https"), (":authority", host), (":path", "/")]
    return [*head, ("x-forwarded-client-cert", "Hash=0")]


async def asked(session: Session, name: str) -> int:
    return (await (await session.ask_with(fields(name))).response())[0]


async def test_each_request_and_each_copy_says_who_the_client_is(towards: Towards) -> None:
    heads: list[bytes] = []
    copies: list[bytes] = []
    async with serving(heads, copies, towards, one=accepting(ONE)) as (_, session):
        assert [await asked(session, "one") for _ in range(3)] == [200] * 3
        await soon(lambda: len(copies) == 3)
        assert said(heads) == said(copies) == [[identity(VALID.chain)]] * 3


async def test_a_coalesced_connection_does_not_avoid_another_validation() -> None:
    """The certificate of the server has both names, so the client uses its connection for both."""
    heads: list[bytes] = []
    async with serving(heads, [], one=None, two=accepting(TWO)) as (rig, session):
        assert [await asked(session, name) for name in ("one", "two", "one")] == [200, 421, 200]
        assert said(heads) == [[], []]
        put(rig, two=accepting(TWO))  # now nobody has the other name
        assert await asked(session, "two") in (404, 421)
        assert len(heads) == 2


async def test_a_name_that_moves_to_a_listener_with_another_validation() -> None:
    """The name with which the connection was opened."""
    heads: list[bytes] = []
    async with serving(heads, [], one=accepting(ONE), two=None) as (rig, session):
        assert await asked(session, "one") == 200
        put(rig, one=None, two=None)
        assert await asked(session, "one") == 200
        put(rig, one=accepting(ONE, TWO), two=None)
        assert await asked(session, "one") == 200
        assert said(heads) == [[identity(VALID.chain)], [], [identity(VALID.chain)]]
        assert session.goaways == []
        put(rig, one=accepting(TWO), two=None)
        assert await asked(session, "one") == 421
        await soon(lambda: session.goaways)
        assert len(heads) == 3
        assert [line["reason"] for line in rig.lines()][-1] == "client_certificate"
