"""Backends: what is spoken to them, and their current endpoints.

Separate from the rules, so that changes of Services and Pods do not change rules. A Snapshot has a backend once for
each client certificate that Gateways show to it (graph/variant.py): connections with different ones are not
exchangeable.
"""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec.structs import replace

from fastroute.graph.backend_id import PASSED, showing
from fastroute.graph.certificate import CertificateNode
from fastroute.graph.node import BackendNode
from fastroute.graph.protocol import Protocol
from fastroute.place import Transport
from fastroute.snapshot import Backend, Endpoint

SPOKEN = {Protocol.HTTP1: Backend(protocol="h1"), Protocol.HTTP2: Backend(protocol="h2")}
SPOKEN_IN_TLS = {Protocol.HTTP1: "h1", Protocol.TLS: "h1", Protocol.HTTP2: "h2", Protocol.HTTP2_TLS: "h2"}


class Rows(NamedTuple):
    """Changed entries of a Snapshot, by id; None: removed."""

    backends: dict[str, Backend | None]
    endpoints: dict[str, tuple[Endpoint, ...] | None]  # in the order of the node


def changed_rows(
    nodes: Mapping[str, tuple[BackendNode | None, BackendNode | None]], certificates: Mapping[str, CertificateNode]
) -> Rows:
    """`nodes`: before and now, by id."""
    rows = Rows({}, {})
    for id_, (old, new) in nodes.items():
        for certificate in old.certificates if old else ():
            rows.backends[showing(id_, certificate)] = rows.endpoints[showing(id_, certificate)] = None
        if new is None:
            continue
        for certificate in new.certificates:
            backend = _backend_showing(new, certificate, certificates)
            if backend is not None:
                row = showing(id_, certificate)
                rows.backends[row] = backend
                rows.endpoints[row] = new.fewer.get(certificate, new.endpoints)
    return rows


def _backend_showing(
    node: BackendNode, certificate: str, certificates: Mapping[str, CertificateNode]
) -> Backend | None:
    if certificate == PASSED:
        return _raw(node)
    backend = _backend(node)
    return None if backend is None else _showing(backend, certificates.get(certificate))


def _showing(backend: Backend, node: CertificateNode | None) -> Backend:
    """Without TLS, or without a certificate, the same."""
    if backend.tls is None or node is None or node.certificate is None:
        return backend
    return replace(backend, tls=replace(backend.tls, client_certificate=node.certificate))


def _backend(node: BackendNode) -> Backend | None:
    """None: no rule forwards anything to it: what it speaks is not served, or its policy cannot be fulfilled."""
    if node.protocol is Protocol.RAW:
        backend = _raw(node)
        if node.applied is None:
            return backend
        return replace(backend, tls=node.applied.tls) if node.applied.tls else None
    if node.transport is not Transport.TCP:
        return None
    if node.applied is None:
        return SPOKEN.get(node.protocol)
    protocol = SPOKEN_IN_TLS.get(node.protocol)
    return Backend(protocol=protocol, tls=node.applied.tls) if protocol and node.applied.tls else None


def _raw(node: BackendNode) -> Backend:
    return Backend(protocol="raw", proxy_protocol=node.proxy_protocol)
