"""Backends: what is spoken to them, and their current endpoints.

Separate from the rules, so that changes of Services and Pods do not change rules. Both functions take the last result
and the changed nodes (None: removed).
"""

from collections.abc import Mapping

from fastroute.difference import replaced
from fastroute.graph.node import BackendNode
from fastroute.graph.protocol import Protocol
from fastroute.place import Transport
from fastroute.snapshot import Backend, Endpoint

SPOKEN = {Protocol.HTTP1: Backend(protocol="h1"), Protocol.HTTP2: Backend(protocol="h2")}
SPOKEN_IN_TLS = {Protocol.HTTP1: "h1", Protocol.TLS: "h1", Protocol.HTTP2: "h2", Protocol.HTTP2_TLS: "h2"}


def backends_of(last: Mapping[str, Backend], changed: Mapping[str, BackendNode | None]) -> Mapping[str, Backend]:
    return replaced(last, {id: _backend(node) for id, node in changed.items()}, in_order=True)


def endpoints_of(
    last: Mapping[str, tuple[Endpoint, ...]], changed: Mapping[str, BackendNode | None]
) -> Mapping[str, tuple[Endpoint, ...]]:
    """By backend; the order of the endpoints is kept."""
    made = {id: node.endpoints if node and _backend(node) else None for id, node in changed.items()}
    return replaced(last, made, in_order=True)


def _backend(node: BackendNode | None) -> Backend | None:
    """None: no rule forwards requests to it: what it speaks is not served, or its policy cannot be fulfilled."""
    if node is None or node.transport is not Transport.TCP:
        return None
    if node.applied is None:
        return SPOKEN.get(node.protocol)
    protocol = SPOKEN_IN_TLS.get(node.protocol)
    return Backend(protocol=protocol, tls=node.applied.tls) if protocol and node.applied.tls else None
