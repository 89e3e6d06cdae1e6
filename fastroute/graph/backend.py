"""Backends: the ports of Services that routes use, with their current endpoints."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Set
from typing import NamedTuple

from fastroute.difference import changed_keys, replaced
from fastroute.graph import conditions, ration
from fastroute.graph.age import age
from fastroute.graph.backend_id import (
    TRANSPORTS,
    as_raw,
    backend_id,
    find_port,
    is_over_http2,
    is_raw,
    over_http2,
    parts_of,
)
from fastroute.graph.change import kept
from fastroute.graph.dependency import CONCERNS, POLICIES
from fastroute.graph.endpoint import Offer, Offers, count, eligible, first, offers_of
from fastroute.graph.forbidden import refused_of
from fastroute.graph.memo import Memo
from fastroute.graph.node import BackendNode, Concern, Graph
from fastroute.graph.policies import concerned_services, tls_for
from fastroute.graph.protocol import Protocol, protocol_of
from fastroute.graph.ration import Cut, Demand, Rations
from fastroute.graph.unit import Made, Unit
from fastroute.graph.variant import Claim, Need, Users, Variant, variants_of
from fastroute.place import Transport
from fastroute.resources.core import Service, ServicePort
from fastroute.resources.meta import Key
from fastroute.resources.proxy_protocol import VERSION, proxy_protocol
from fastroute.resources.route_kinds import ROUTES
from fastroute.snapshot import Endpoint

_NO_RATIONS = Rations()


def _backend_ids(unit: Unit | None) -> Iterator[str]:
    if unit and unit.node and ROUTES[unit.node.kind].is_served:
        for rule in unit.node.rules:
            yield from (one.id for one in rule.references if one.resolved)


def count_users(last: Memo, made: Made) -> Users:
    users: dict[str, Mapping[Need, int]] = dict(last.users)
    for id_, unit in made.items():
        for one, more in ((unit, 1), (last.units.get(id_), -1)):
            shown = _shown_by(one).items()
            for backend in set(_backend_ids(one)):
                needs = {
                    Need(certificate or "" if backend in secured else "", id_[1].namespace)
                    for certificate, secured in shown
                }
                counts = Counter(users.get(backend, {}))
                counts.update(dict.fromkeys(needs, more))
                users[backend] = {need: count for need, count in counts.items() if count}
                if not users[backend]:
                    del users[backend]
    return users


def _shown_by(unit: Unit | None) -> Mapping[str | None, frozenset[str]]:
    """By certificate of a Gateway of the route: the backends to which it is shown. Only listeners that serve count."""
    attachments = unit.asked.attachments.values() if unit else ()
    return {one.client_certificate: one.secured for one in attachments if one.serves} or {None: frozenset()}


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
    rations = _ration_all(last, memo, stores, changed)
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
            yield from (id_, over_http2(id_), as_raw(id_)) if transport is Transport.TCP else (id_,)


def _find(id_: str, memo: Memo, stores: dict[Key, _Store]) -> tuple[_Store, ServicePort]:
    key, number, transport = parts_of(id_)
    store = stores.get(key)
    if store is None:
        offers = offers_of(memo.slices.get(key, ()))
        store = stores[key] = _Store(memo.resources.services[key], offers, key in memo.exclusion.suspects)
    return store, store.port(number, transport)


def _demands(id_: str, memo: Memo, stores: dict[Key, _Store]) -> dict[tuple[str, Claim], Demand]:
    """By the namespace that pays."""
    if id_ not in memo.users:
        return {}
    store, port = _find(id_, memo, stores)
    when, endpoints = age(store.service), count(store.offered(port))
    return {
        (payer, Claim(id_, one.certificate)): Demand(one.further, when, port.port, endpoints)
        for one in variants_of(id_, memo.users[id_])
        for payer in one.payers
    }


def _ration_all(last: Memo, memo: Memo, stores: dict[Key, _Store], changed: Set[str]) -> Mapping[str, Rations]:
    rations = last.rations
    changes: dict[str, dict[Claim, Demand | None]] = {}
    for id_ in changed:
        before = variants_of(id_, last.users.get(id_, ()))
        gone = {(payer, Claim(id_, one.certificate)): None for one in before for payer in one.payers}
        for (space, claim), demand in {**gone, **_demands(id_, memo, stores)}.items():
            if rations.get(space, _NO_RATIONS).demands.get(claim) != demand:
                changes.setdefault(space, {})[claim] = demand
    made = {space: ration.ration(rations.get(space, _NO_RATIONS), change) for space, change in changes.items()}
    return replaced(rations, {space: one if one.demands else None for space, one in made.items()})


def _moved(last: Mapping[str, Rations], now: Mapping[str, Rations]) -> Iterator[str]:
    """Backends of which another number of endpoints is used now, because of the limit of a namespace."""
    for space in changed_keys(last, now):
        was, here = (one.get(space, _NO_RATIONS).short for one in (last, now))
        yield from (claim.backend for claim in was.keys() | here.keys() if was.get(claim) != here.get(claim))


def _node(id_: str, memo: Memo, rations: Mapping[str, Rations], stores: dict[Key, _Store]) -> BackendNode:
    store, port = _find(id_, memo, stores)
    service, transport = store.service.key, TRANSPORTS[port.protocol]
    variants = variants_of(id_, memo.users[id_])
    cuts = _cuts(id_, variants, rations)
    most = max((cut.used for cut in cuts.values()), default=0) if len(cuts) == len(variants) else None
    offers = store.offered(port)
    offers = offers if most is None else tuple(first(offers, most))
    refused = refused_of(offers, transport, memo.exclusion.forbidden) if store.suspect else ()
    usable = _Usable(offers, frozenset(one.endpoint for one in refused))
    concerns = []
    if refused:
        concerns.append(conditions.endpoints_refused(service, refused))
    concerns += _shortages(variants, cuts, service, port.port)
    return BackendNode(
        id=id_,
        service=service,
        transport=transport,
        port=port.port,
        endpoints=usable.of(None),
        protocol=_spoken(id_, port),
        proxy_protocol=is_raw(id_) and transport is Transport.TCP and proxy_protocol(store.service) == VERSION,
        applied=tls_for(service, port, memo.indexes[POLICIES], memo.policies) if transport is Transport.TCP else None,
        concerns=tuple(concerns),
        certificates=tuple(one.certificate for one in variants),
        fewer={shown: usable.of(cut.used) for shown, cut in cuts.items() if cut.used != most},
    )


def _spoken(id_: str, port: ServicePort) -> Protocol:
    if is_raw(id_):
        return Protocol.RAW
    return Protocol.HTTP2 if is_over_http2(id_) else protocol_of(port)


class _Usable:
    """The endpoints that are used of the first offers."""

    def __init__(self, offers: Iterable[Offer], refused: frozenset[Endpoint]) -> None:
        self._offers, self._refused = offers, refused
        self._made: dict[int | None, tuple[Endpoint, ...]] = {}

    def of(self, most: int | None) -> tuple[Endpoint, ...]:
        if most not in self._made:
            offers = self._offers if most is None else first(self._offers, most)
            self._made[most] = eligible(offers, self._refused)
        return self._made[most]


def _cuts(id_: str, variants: tuple[Variant, ...], rations: Mapping[str, Rations]) -> dict[str, Cut]:
    """By certificate. A variant is as large as one of the namespaces that pay for it can afford."""
    cuts = {}
    for one in variants:
        claim = Claim(id_, one.certificate)
        known = [rations[payer].short.get(claim) for payer in one.payers]
        limited = [cut for cut in known if cut is not None]
        if len(limited) == len(known):
            cuts[one.certificate] = max(limited)
    return cuts


def _shortages(variants: tuple[Variant, ...], cuts: Mapping[str, Cut], service: Key, port: int) -> Iterator[Concern]:
    """One for each namespace at most: of the variant with the fewest endpoints that its routes need."""
    worst: dict[str, Cut] = {}
    for one in variants:
        if cut := cuts.get(one.certificate):
            worst.update((space, min(worst.get(space, cut), cut)) for space in one.namespaces)
    for cut in sorted(set(worst.values())):
        spaces = tuple(sorted(space for space, own in worst.items() if own == cut))
        concern = conditions.too_many_endpoints(service, port, cut)
        yield concern if len(variants) == 1 else concern._replace(namespaces=spaces)
