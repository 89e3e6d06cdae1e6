"""The certificates in a Backend or Listener that thousands of them may have in common, so that a publication has equal
ones once: the trust anchors, and the client certificate of the gateway."""

from typing import TypeVar

import msgspec

from fastroute.snapshot import Backend, BackendTLS, Certificate, ClientValidation, Listener, ListenerTLS

AnchoredT = TypeVar("AnchoredT", Backend, Listener)


def anchors_of(one: object) -> bytes:
    """As PEM; empty if it has none."""
    match one:
        case (
            Backend(tls=BackendTLS(trust_anchors=pem))
            | Listener(tls=ListenerTLS(clients=ClientValidation(trust_anchors=pem)))
        ):
            return pem
    return b""


def with_anchors(one: AnchoredT, pem: bytes) -> AnchoredT:
    """With these instead of its own, if it verifies certificates."""
    replace = msgspec.structs.replace
    if isinstance(one, Backend):
        return one if one.tls is None else replace(one, tls=replace(one.tls, trust_anchors=pem))
    if one.tls is None or one.tls.clients is None:
        return one
    return replace(one, tls=replace(one.tls, clients=replace(one.tls.clients, trust_anchors=pem)))


def certificate_of(backend: Backend) -> Certificate | None:
    return backend.tls.client_certificate if backend.tls is not None else None


def with_certificate(backend: Backend, certificate: Certificate | None) -> Backend:
    """With this one instead of its own, if it uses TLS."""
    if backend.tls is None:
        return backend
    return msgspec.structs.replace(backend, tls=msgspec.structs.replace(backend.tls, client_certificate=certificate))
