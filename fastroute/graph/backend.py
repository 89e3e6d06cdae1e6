"""Backends: the ports of Services that routes use, with their current endpoints."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple

from fastroute.difference import changed_keys, replaced
from fastroute.graph import conditions, ration
from fastroute.graph.age import age
from fastroute.graph.backend_id import TRANSPORTS, backend_id, find_port, is_over_http2, over_http2, parts_of
from fastroute.graph.change import kept
from fastroute.graph.dependency import CONCERNS, POLICIES
from fastroute.graph.endpoint import Offer, Offers, count, eligible, first, offers_of
from fastroute.graph.forbidden import refused_of
from fastroute.graph.memo import Memo
from fastroute.graph.node import BackendNode, Concern, Graph
from fastroute.graph.policies import concerned_services, tls_for
from fastroute.graph.protocol import Protocol, protocol_of
from fastroute.graph.ration import Demand, Rations
from fastroute.graph.unit import Made, Unit
from fastroute.place import Transport
from fastroute.resources.core import Service, ServicePort
from fastroute.resources.meta import Key

_NO_RATIONS = Rations()


def _backend_ids(unit: Unit | None) -> Iterator[str]:
    if unit and unit.node:
        for rule in unit.node.rules:
            yield from (ref.id for ref in rule.backend_refs if ref.resolved)
            yield from (mirror.id for mirror in rule.mirrors if mirror.resolved)


Users = Mapping[str, Mapping[str, int]]  # by backend, then by client certificate: how many references need it


def count_users(last: Memo, made: Made) -> Users:
    users: dict[str, Mapping[str, int]] = dict(last.users)
    for id_, unit in made.items():
        for one, more in ((unit, 1), (last.units.get(id_), -1)):
            certificates = _certificates_of(one)
            for backend in _backend_ids(one):
                counts = Counter(users.get(backend, {}))
                counts.update(dict.fromkeys(certificates, more))
                users[backend] = {certificate: count for certificate, count in counts.items() if count}
                if not users[backend]:
                    del users[backend]
    return users


def _certificates_of(unit: Unit | None) -> frozenset[str]:
    """Ids of the certificates that the Gateways of a route have for backends; "": one has none, or there is none."""
    attachments = unit.asked.attachments.values() if unit else ()
    return frozenset(one.client_certificate or "" for one in attachments) or frozenset(("",))


class Supply(NamedTuple):
    """All backends, and what their routes report about them."""

    backends: Mapping[str, BackendNode]
    rations: Mapping[str, Rations]  # by namespace
    concerns: Mapping[str, tuple[Concern, ...]]


class _Store(NamedTuple):
    """A Service and what its EndpointSlices contain."""

    service: Service
    offers: Offers
    suspect: bool  # some endpoints may be refused

    def port(self, number: int, transport: Transport) -> ServicePort:
        port = find_port(self.service, number, transport)
        assert port is not None, "a reference resolves only to a port that exists"
        return port

    def offered(self, port: ServicePort) -> Iterable[Offer]:
        return self.offers.get((port.name, port.protocol), ())


def build_backends(memo: Memo, last: Memo, before: Graph, owners: Set[Key], made: Made) -> Supply:
    """Backends whose use or endpoints changed are rebuilt, the others reused. `owners`: as in `exclude`."""
    stores: dict[Key, _Store] = {}
    changed = _changed(memo, last, owners, made)
    demands = {id_: _demand(id_, memo, stores) if id_ in memo.users else None for id_ in changed}
    rations = _ration_all(last.rations, demands)
    short = _moved(last.rations, rations)
    ids = changed | {id_ for id_ in short if id_ in memo.users}
    nodes = {id_: _node(id_, memo, rations, stores) if id_ in memo.users else None for id_ in ids}
    nodes = {id_: kept(before.backends.get(id_), node) if node else None for id_, node in nodes.items()}
    concerns: Mapping[str, tuple[Concern, ...]] = last.indexes.get(CONCERNS, {})
    said = {id_: node.concerns if node and node.concerns else None for id_, node in nodes.items()}
    said = {id_: kept(concerns.get(id_), one) if one else None for id_, one in said.items()}
    return Supply(replaced(before.backends, nodes), rations, replaced(concerns, said))


def _changed(memo: Memo, last: Memo, owners: Set[Key], made: Made) -> Set[str]:
    ids = {backend for id_, unit in made.items() for u in (unit, last.units.get(id_)) for backend in _backend_ids(u)}
    services, exclusion = memo.resources.services, memo.exclusion
    owners = owners | changed_keys(last.resources.services, services)
    old, new = last.indexes.get(POLICIES, {}), memo.indexes[POLICIES]
    owners |= concerned_services(last.policies, memo.policies, old, new)
    if exclusion.forbidden is not last.exclusion.forbidden:
        owners |= exclusion.suspects | last.exclusion.suspects
    for owner in owners:
        if owner in services:
            ids |= {id_ for id_ in _ids_of(services[owner]) if id_ in memo.users}
    return ids


def _ids_of(service: Service) -> Iterator[str]:
    """The ids that backends of this Service can have."""
    for port in service.spec.ports:
        if (transport := TRANSPORTS.get(port.protocol)) is not None:
            id_ = backend_id(service.key, port.port, transport)
            yield from (id_, over_http2(id_))


def _find(id_: str, memo: Memo, stores: dict[Key, _Store]) -> tuple[_Store, ServicePort]:
    key, number, transport = parts_of(id_)
    store = stores.get(key)
    if store is None:
        offers = offers_of(memo.slices.get(key, ()))
        store = stores[key] = _Store(memo.resources.services[key], offers, key in memo.exclusion.suspects)
    return store, store.port(number, transport)


def _demand(id_: str, memo: Memo, stores: dict[Key, _Store]) -> Demand:
    store, port = _find(id_, memo, stores)
    return Demand(age(store.service), port.port, count(store.offered(port)) * len(memo.users[id_]))


def _ration_all(rations: Mapping[str, Rations], demands: Mapping[str, Demand | None]) -> Mapping[str, Rations]:
    changes: dict[str, dict[str, Demand | None]] = {}
    for id_, demand in demands.items():
        space = id_.partition("/")[0]
        if rations.get(space, _NO_RATIONS).demands.get(id_) != demand:
            changes.setdefault(space, {})[id_] = demand
    made = {space: ration.ration(rations.get(space, _NO_RATIONS), change) for space, change in changes.items()}
    return replaced(rations, {space: one if one.demands else None for space, one in made.items()})


def _moved(last: Mapping[str, Rations], now: Mapping[str, Rations]) -> Iterator[str]:
    """Backends of which another number of endpoints is used now, because of the limit of their namespace."""
    for space in changed_keys(last, now):
        was, here = (one.get(space, _NO_RATIONS).short for one in (last, now))
        yield from (id_ for id_ in was.keys() | here.keys() if was.get(id_) != here.get(id_))


def _node(id_: str, memo: Memo, rations: Mapping[str, Rations], stores: dict[Key, _Store]) -> BackendNode:
    store, port = _find(id_, memo, stores)
    service = store.service.key
    offers = store.offered(port)
    cut = rations[service.namespace].short.get(id_)
    certificates = tuple(sorted(memo.users[id_]))
    if cut is not None:
        offers = first(offers, cut.used // len(certificates))
    refused = refused_of(offers, TRANSPORTS[port.protocol], memo.exclusion.forbidden) if store.suspect else ()
    concerns = []
    if refused:
        concerns.append(conditions.endpoints_refused(service, refused))
    if cut is not None:
        concerns.append(conditions.too_many_endpoints(service, port.port, cut))
    return BackendNode(
        id=id_,
        service=service,
        transport=TRANSPORTS[port.protocol],
        port=port.port,
        endpoints=eligible(offers, frozenset(one.endpoint for one in refused)),
        protocol=Protocol.HTTP2 if is_over_http2(id_) else protocol_of(port),
        applied=tls_for(service, port, memo.indexes[POLICIES], memo.policies),
        concerns=tuple(concerns),
        certificates=certificates,
    )
