"""Lints of Services that routes use: no ready endpoint, unused addresses, no EndpointSlices, unknown appProtocol."""

from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

import msgspec

from fastroute.graph.backend_id import is_over_http2, is_raw
from fastroute.graph.conditions import TOO_MANY_ENDPOINTS, written
from fastroute.graph.endpoint import slice_owner
from fastroute.graph.finding import Finding, warning
from fastroute.graph.node import BackendNode, Graph
from fastroute.graph.protocol import is_unknown
from fastroute.graph.reach import LINK_LOCAL, METADATA, kind_of
from fastroute.listed import listed
from fastroute.resources.core import SERVICE_NAME_LABEL
from fastroute.resources.endpoints import EndpointAddress, Endpoints, EndpointSubset
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources


def _ports(graph: Graph) -> Iterator[BackendNode]:
    """The backends, one for each port of a Service. (HTTP/2 may be spoken to a port that others use with HTTP/1.1.)"""
    return iter({(one.service, one.transport, one.port): one for one in graph.backends.values()}.values())


def backends_without_endpoints(resources: Resources, graph: Graph) -> Iterator[Finding]:
    for backend in _ports(graph):
        if not backend.endpoints and not any(one.reason == TOO_MANY_ENDPOINTS for one in backend.concerns):
            share = "is refused" if is_raw(backend.id) else "of the requests is answered with 503"
            message = f"Port {backend.port} has no ready endpoint: its share {share}."
            yield warning("Service", resources.services[backend.service], "NoEndpoints", message, "spec.ports")


def endpoints_refused_in_clusters(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Link-local and metadata addresses. Loopback addresses are usual in manifests."""
    for backend in _ports(graph):
        found = [(one, kind_of(one.address)) for one in backend.endpoints]
        refused = [f"{written(one)} ({kind})" for one, kind in found if kind in (LINK_LOCAL, METADATA)]
        if refused:
            named = listed(refused)
            message = f"In a cluster these endpoints get no requests unless --allow-local-endpoints is set: {named}."
            yield warning("Service", resources.services[backend.service], "LocalEndpoint", message, "spec.ports")


def addresses_not_used(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Of the addresses of an endpoint, only the first is used."""
    used = {backend.service for backend in graph.backends.values()}
    for piece in resources.endpoint_slices.values():
        if slice_owner(piece) in used:
            several = [index for index, one in enumerate(piece.endpoints or ()) if len(one.addresses) > 1]
            if several:
                message = (
                    f"{len(several)} endpoints have several addresses: only the first one of each is used. Addresses "
                    f"of different Pods need an endpoint each."
                )
                yield warning("EndpointSlice", piece, "AddressesNotUsed", message, f"endpoints[{several[0]}].addresses")


def unknown_app_protocols(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Ports that routes use and whose appProtocol is an unknown prefixed name: they are served as HTTP/1.1."""
    for backend in graph.backends.values():
        if is_over_http2(backend.id) or is_raw(backend.id):
            continue
        service = resources.services[backend.service]
        for index, port in enumerate(service.spec.ports):
            if port.port == backend.port and port.protocol == backend.transport.name and is_unknown(port):
                message = f"appProtocol {port.app_protocol} is unknown: port {port.port} is served with HTTP/1.1."
                yield warning("Service", service, "UnknownAppProtocol", message, f"spec.ports[{index}].appProtocol")


def endpoints_not_read(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """Endpoints of a Service that a route uses and that has no EndpointSlice."""
    used = {backend.service for backend in graph.backends.values()}
    sliced = {
        Key(key.namespace, slice_.metadata.labels.get(SERVICE_NAME_LABEL, ""))
        for key, slice_ in resources.endpoint_slices.items()
    }
    for key, endpoints in resources.endpoints.items():
        if key in used - sliced:
            message = (
                f"Endpoints are not read: Service {key} needs EndpointSlices with the label {SERVICE_NAME_LABEL}. "
                f"A cluster creates them from Endpoints; manifests must contain them."
            )
            yield warning("Endpoints", endpoints, "EndpointsNotRead", message, "subsets", fix=_slices(endpoints))


def _slices(endpoints: Endpoints) -> str | None:
    """The equivalent EndpointSlices, in YAML."""
    documents = [
        _slice(endpoints, subset, f"{endpoints.key.name}-{number}{'-ipv6' if version == 6 else ''}", version)
        for number, subset in enumerate(endpoints.subsets, 1)
        for version in (4, 6)
        if _endpoints(subset, version)
    ]
    return "---\n".join(msgspec.yaml.encode(document).decode() for document in documents) or None


def _slice(endpoints: Endpoints, subset: EndpointSubset, name: str, version: int) -> dict[str, Any]:
    home, owner = endpoints.key
    ports = [
        {"port": port.port, "protocol": port.protocol, **({"name": port.name} if port.name else {})}
        for port in subset.ports
    ]
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": home, "labels": {SERVICE_NAME_LABEL: owner}},
        "addressType": f"IPv{version}",
        "endpoints": _endpoints(subset, version),
        "ports": ports,
    }


def _endpoints(subset: EndpointSubset, version: int) -> list[dict[str, Any]]:
    """The endpoints with an address of this IP version."""
    ready = [{"addresses": [address.ip]} for address in subset.addresses if _is(version, address)]
    unready = [
        {"addresses": [address.ip], "conditions": {"ready": False}}
        for address in subset.not_ready_addresses
        if _is(version, address)
    ]
    return [*ready, *unready]


def _is(version: int, address: EndpointAddress) -> bool:
    try:
        return ip_address(address.ip).version == version
    except ValueError:
        return False
