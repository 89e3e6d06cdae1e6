"""Backends: the ports of Services that routes use, with their current endpoints."""

from collections.abc import Iterable, Iterator, Mapping

from fastroute.difference import changed_keys, replaced
from fastroute.graph.backend_ref import tcp_port
from fastroute.graph.change import kept
from fastroute.graph.endpoint import eligible, slice_owners
from fastroute.graph.memo import Memo
from fastroute.graph.node import BackendNode, Graph, Refusal
from fastroute.graph.unit import Made, Unit
from fastroute.resources.core import EndpointSlice, Service, ServicePort
from fastroute.resources.meta import Key


def _backend_ids(unit: Unit | None) -> Iterator[str]:
    if unit and unit.node:
        for rule in unit.node.rules:
            yield from (ref.id for ref in rule.backend_refs if ref.resolved)
            yield from (mirror.id for mirror in rule.mirrors if mirror.resolved)


def count_users(last: Memo, made: Made) -> Mapping[str, int]:
    users = dict(last.users)
    for id_, unit in made.items():
        for backend in _backend_ids(unit):
            users[backend] = users.get(backend, 0) + 1
        for backend in _backend_ids(last.units.get(id_)):
            users[backend] -= 1
            if not users[backend]:
                del users[backend]
    return users


def build_backends(
    memo: Memo, last: Memo, before: Graph, slices: Iterable[Key], made: Made
) -> Mapping[str, BackendNode]:
    """Backends whose use or endpoints changed are rebuilt, the others reused. `slices`: those that changed.

    A changed Service needs no special case: routes that depend on it are in `made`.
    """
    ids = {backend for id_, unit in made.items() for u in (unit, last.units.get(id_)) for backend in _backend_ids(u)}
    services = memo.resources.services
    owners = slice_owners(last.resources, memo.resources, slices)
    for owner in owners | changed_keys(last.exclusion.refusals, memo.exclusion.refusals):
        if owner in services:
            ids |= {f"{owner}:{port.port}" for port in services[owner].spec.ports}
    return replaced(before.backends, {id_: _build_backend(id_, memo, before.backends.get(id_)) for id_ in ids})


def _build_backend(id_: str, memo: Memo, old: BackendNode | None) -> BackendNode | None:
    if id_ not in memo.users:
        return None
    namespace, _, rest = id_.partition("/")
    name, _, number = rest.rpartition(":")
    service = memo.resources.services[Key(namespace, name)]
    port = tcp_port(service, int(number))
    assert port is not None, "a reference resolves only to a TCP port that exists"
    pieces, refused = memo.slices.get(service.key, ()), memo.exclusion.refusals.get(service.key, ())
    return kept(old, _backend(service, port, pieces, refused))


def _backend(
    service: Service, port: ServicePort, slices: tuple[EndpointSlice, ...], refused: tuple[Refusal, ...]
) -> BackendNode:
    return BackendNode(
        id=f"{service.key}:{port.port}",
        service=service.key,
        port=port.port,
        endpoints=eligible(port, slices, frozenset(one.endpoint for one in refused)),
        app_protocol=port.app_protocol,
    )
