"""The trust anchors in a Backend or Listener: CA certificates that thousands of them may have in common, so that a
publication has equal ones once."""

from typing import TypeVar

import msgspec

from fastroute.snapshot import Backend, BackendTLS, ClientValidation, Listener, ListenerTLS

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
