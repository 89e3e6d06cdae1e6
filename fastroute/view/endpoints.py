"""Endpoints of the backends that routes use, with what their EndpointSlices say about them."""

from collections.abc import Mapping
from functools import cache
from heapq import nsmallest
from itertools import product

from fastroute.graph.backend_id import find_port, parts_of, transport_of
from fastroute.graph.conditions import written
from fastroute.graph.endpoint import offers_of
from fastroute.graph.node import BackendNode, Graph
from fastroute.snapshot import Endpoint, backend_label
from fastroute.view.answers import Backend, Backends, EndpointState
from fastroute.view.certificates import moment
from fastroute.view.paging import Window, cut
from fastroute.view.state import FailedTries, State

MOST = 1_000  # endpoints of a backend in an answer
STATES = {True: "ready", False: "terminating", None: "not ready"}
GONE = "gone"
NONE = FailedTries(0, 0, 0.0, {})
RANKS = {True: 2, False: 1, None: 0}


def endpoints(state: State, window: Window) -> Backends:
    graph, offered, failing = state.graph, Offered(state.graph), Failing(state)
    wanted = frozenset(window.choice.backend)
    chosen = (id_ for id_ in graph.backends if not wanted or backend_label(id_) in wanted)
    found = cut(
        chosen, window, lambda id_: _backend(offered, failing, graph.backends[id_]), lambda one: 1 + len(one.endpoints)
    )
    return Backends(version=state.outcome.target, total=found.total, next=found.next, items=found.items)


class Failing:
    """What the workers say about endpoints."""

    def __init__(self, state: State) -> None:
        self._avoided = state.avoided
        self._failed: dict[str, dict[Endpoint, FailedTries]] = {}
        for (id_, endpoint), failed in state.failed.items():
            self._failed.setdefault(id_, {})[endpoint] = failed

    def failed(self, id_: str) -> Mapping[Endpoint, FailedTries]:
        """Of one backend."""
        return self._failed.get(id_, {})

    def avoided(self, id_: str) -> frozenset[Endpoint]:
        return self._avoided.get(transport_of(id_), frozenset())


class Offered:
    """What the EndpointSlices offer. Each Service is read once, however many of its ports are backends."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._offers = cache(lambda key: offers_of(graph.slices.get(key, ())))

    def known(self, node: BackendNode) -> Mapping[Endpoint, bool | None]:
        """All endpoints, and whether each is ready, as in a Candidate. An address may be in several slices: the first
        one that is ready counts."""
        key, number, transport = parts_of(node.id)
        services = self._graph.resources.services if self._graph.resources else {}
        port = find_port(services[key], number, transport) if key in services else None
        known: dict[Endpoint, bool | None] = {}
        for endpoints, numbers in self._offers(key).get((port.name, port.protocol), ()) if port else ():
            for one, target in product(endpoints, numbers):
                endpoint = Endpoint(one.address, target)
                if RANKS[one.ready] >= RANKS[known.get(endpoint)]:
                    known[endpoint] = one.ready
        return known


def _backend(offered: Offered, failing: Failing, node: BackendNode) -> Backend:
    known, failed, avoided = offered.known(node), failing.failed(node.id), failing.avoided(node.id)
    used = frozenset(node.endpoints).union(*node.fewer.values())
    every = [*known, *(endpoint for endpoint in failed if endpoint not in known)]
    shown = nsmallest(MOST, every, lambda one: (-failed.get(one, NONE).recent, one))
    return Backend(
        id=node.id,
        backend=backend_label(node.id),
        protocol=node.protocol.value,
        tls_policy=str(node.applied.policy) if node.applied else None,
        endpoints=tuple(
            _endpoint(
                one, STATES[known[one]] if one in known else GONE, one in used, one in avoided, failed.get(one, NONE)
            )
            for one in sorted(shown)
        ),
        endpoints_total=len(every),
        messages=tuple(concern.message for concern in node.concerns),
    )


def _endpoint(one: Endpoint, state: str, used: bool, avoided: bool, failed: FailedTries) -> EndpointState:
    return EndpointState(
        address=written(one),
        state=state,
        used=used,
        avoided=avoided,
        failures=failed.total,
        recent_failures=failed.recent,
        failure_reasons=dict(failed.reasons),
        last_failure=moment(failed.last) if failed.total else None,
    )
