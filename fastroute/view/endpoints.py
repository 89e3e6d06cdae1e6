"""Endpoints of the backends that routes use, with what their EndpointSlices say about them."""

from collections.abc import Iterator

from fastroute.graph.backend_id import find_port, parts_of
from fastroute.graph.endpoint import offers_of
from fastroute.graph.node import BackendNode, Graph
from fastroute.place import Place, Transport
from fastroute.snapshot import Endpoint, backend_label
from fastroute.view.answers import Backend, Backends, EndpointState
from fastroute.view.paging import Window, cut
from fastroute.view.state import State

MOST = 1_000  # endpoints of a backend in an answer
STATES = {True: "ready", False: "terminating", None: "not ready"}


def endpoints(state: State, window: Window) -> Backends:
    found = cut(state.graph.backends, window)
    items = tuple(_backend(state.graph, state.graph.backends[id_]) for id_ in found.keys)
    return Backends(version=state.outcome.version, total=found.total, next=found.next, items=items)


def _backend(graph: Graph, node: BackendNode) -> Backend:
    known = dict(_known(graph, node))
    used = frozenset(node.endpoints).union(*node.fewer.values())
    ordered = sorted(known)
    return Backend(
        id=node.id,
        backend=backend_label(node.id),
        protocol=node.protocol.value,
        tls_policy=str(node.applied.policy) if node.applied else None,
        endpoints=tuple(
            EndpointState(address=written(one), state=STATES[known[one]], used=one in used) for one in ordered[:MOST]
        ),
        endpoints_total=len(ordered),
        messages=tuple(concern.message for concern in node.concerns),
    )


def written(endpoint: Endpoint) -> str:
    return str(Place(Transport.TCP, endpoint.address, endpoint.port))


def _known(graph: Graph, node: BackendNode) -> Iterator[tuple[Endpoint, bool | None]]:
    """All endpoints of its EndpointSlices, and whether each is ready, as in a Candidate. An address may be in several
    slices: the first one that is ready counts."""
    key, number, transport = parts_of(node.id)
    service = graph.resources.services.get(key) if graph.resources else None
    port = find_port(service, number, transport) if service else None
    offered = offers_of(graph.slices.get(key, ())).get((port.name, port.protocol), ()) if port else ()
    found = [
        (Endpoint(one.address, target), one.ready)
        for offer in offered
        for target in offer.numbers
        for one in offer.endpoints
    ]
    yield from sorted(found, key=lambda pair: (pair[1] is not None, pair[1] is True))
