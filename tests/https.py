"""A Rig whose listeners terminate TLS, and requests for it."""

import contextlib
import ssl
from collections.abc import AsyncIterator

import msgspec
import trio
from certificates import certificate, trusting
from rig import Rig, listener, rule

from fastroute.settings import Limits
from fastroute.snapshot import Certificate, ListenerTLS, Rule

# Certificates by id.
SHOWN = {
    "a": certificate("a.example.com", "x.a.example.com"),
    "wild": certificate("*.example.com", "*.b.example.com"),
    "rest": certificate("other.org", "*.org"),
}


def tls(*ids: str, **settings: str) -> ListenerTLS:
    return ListenerTLS(certificates=ids, **settings)  # type: ignore[arg-type]


@contextlib.asynccontextmanager
async def serving(
    listeners: dict[str, ListenerTLS],
    certificates: dict[str, Certificate],
    *rules: Rule,
    limits: Limits | None = None,
    **options: object,
) -> AsyncIterator[Rig]:
    """A Rig with HTTPS listeners (by hostname) on one port. A rule belongs to the listener with the rule's hostname."""
    rig = Rig(limits, **options)
    rig.listen()
    for id, one in certificates.items():
        rig.certificates.put(id, one)
    made = [listener(rig.port, hostname or "any", hostname, settings) for hostname, settings in listeners.items()]
    rig.install_all(made, *rules)
    rig.certificates.commit()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(rig.turn_forever)
        try:
            yield rig
        finally:
            nursery.cancel_scope.cancel()
            rig.close()


def of(hostname: str, backend: str) -> Rule:
    """A rule of the listener with this hostname, for all requests."""
    id = hostname or "any"
    return msgspec.structs.replace(rule(backend), id=f"{id}|HTTPRoute|apps/{id}|0", listener=id, hostnames=(hostname,))


def request(host: str, path: str = "/") -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()


async def greeting(name: str) -> bytes:
    """A real ClientHello."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting().wrap_bio(incoming, outgoing, server_hostname=name)
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
