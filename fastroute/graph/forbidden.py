"""Endpoints that get no requests: the gateway's own addresses, and in a cluster addresses of the pod or node itself.

Every namespace may write EndpointSlices with any address. An endpoint that is a listener of this gateway would be a
loop, and one that is its metrics address would publish the metrics. Loopback and link-local addresses refer to the pod
or node of the gateway, not to that of the backend. Clouds provide credentials at metadata addresses. An IPv6 address
that contains an IPv4 address is judged as this IPv4 address.

The addresses change rarely and the ports often. So after a change of ports, only Services with such addresses are
examined.
"""

from collections.abc import Iterable, Iterator, Mapping
from ipaddress import ip_address

import msgspec

from fastroute.graph.conditions import OWN_ADDRESS
from fastroute.graph.endpoint import Offer, Piece, Slices
from fastroute.graph.node import GatewayNode, Holder, Refusal, TransportPort
from fastroute.graph.reach import LOOPBACK, Reached, plain, reach
from fastroute.place import Place, Transport
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings
from fastroute.snapshot import Endpoint


class Forbidden(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints are refused."""

    places: frozenset[Place] = frozenset()  # at own addresses
    ports: frozenset[TransportPort] = frozenset()  # bound at all addresses of this machine
    machine: frozenset[str] = frozenset()  # addresses of this machine
    local: bool = True  # loopback, link-local and metadata addresses are allowed

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses at which some ports are refused. Local addresses, which have a kind, are not included."""
        return self.machine | {place.address for place in self.places}

    def why(self, reached: Reached, transport: Transport, port: int) -> str | None:
        """What the endpoint is, if it is refused."""
        address, kind = reached
        here = address in self.machine or kind == LOOPBACK
        if Place(transport, address, port) in self.places or (here and (transport, port) in self.ports):
            return OWN_ADDRESS
        return None if self.local else kind


# --- addresses of the gateway itself


def find_forbidden(
    gateways: Mapping[Key, GatewayNode], holders: Iterable[Holder], settings: GraphSettings
) -> Forbidden:
    """`gateways`: all; `holders`: they and their ListenerSets."""
    places: set[Place] = set()
    ports: set[TransportPort] = set()
    operators = (Place(Transport.TCP, *operator) for operator in settings.operators)
    for transport, host, port in (*operators, *_listening(gateways, holders, settings.addressing.port_offset)):
        if plain(host).is_unspecified:
            ports.add((transport, port))
        else:
            places.add(Place(transport, reach(host).address, port))
    machine = frozenset(reach(address).address for address in settings.machine) if ports else frozenset()
    return Forbidden(places=frozenset(places), ports=frozenset(ports), machine=machine, local=settings.local_endpoints)


def _listening(gateways: Mapping[Key, GatewayNode], holders: Iterable[Holder], offset: int) -> Iterator[Place]:
    """Where listeners are bound, and where clients reach them: there, the port is that of the listener."""
    bound: dict[tuple[Key, tuple[str, ...]], set[TransportPort]] = {}
    for holder in holders:
        bound.setdefault((holder.gateway, holder.bind), set()).update(holder.ports)
    for (gateway, addresses), ports in bound.items():
        bind = frozenset(map(plain, addresses))
        reached = [one for one in gateways[gateway].addresses if _is_ip(one) and plain(one) not in bind]
        for transport, port in ports:
            yield from (Place(transport, address, port + offset) for address in addresses)
            yield from (Place(transport, address, port) for address in reached)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


# --- the endpoints


class Exclusion(msgspec.Struct, frozen=True, eq=False):
    """Which endpoints are refused, and the Services that may have some."""

    forbidden: Forbidden = Forbidden()
    suspects: frozenset[Key] = frozenset()  # Services with an endpoint at an address with refused ports


def exclude(slices: Slices, owners: Iterable[Key], forbidden: Forbidden, last: Exclusion) -> Exclusion:
    """`owners`: the Services whose EndpointSlices changed since `last`."""
    same = forbidden == last.forbidden
    if same and not owners:
        return last
    moved = (forbidden.addresses, forbidden.local) != (last.forbidden.addresses, last.forbidden.local)
    examined = slices.keys() | last.suspects if moved else frozenset(owners)
    found = {key for key in examined if _is_suspect(slices.get(key, ()), forbidden)}
    return Exclusion(last.forbidden if same else forbidden, (last.suspects - examined) | found)


def _is_suspect(pieces: Iterable[Piece], forbidden: Forbidden) -> bool:
    known = forbidden.addresses
    return any(piece.has_local or not piece.addresses.isdisjoint(known) for piece in pieces)


def refused_of(offers: Iterable[Offer], transport: Transport, forbidden: Forbidden) -> tuple[Refusal, ...]:
    """The refused endpoints, sorted; also those that are not ready."""
    found: set[Refusal] = set()
    for endpoints, numbers in offers:
        for one in endpoints:
            whys = ((number, forbidden.why(one.reached, transport, number)) for number in numbers)
            found.update(Refusal(Endpoint(one.address, number), why) for number, why in whys if why)
    return tuple(sorted(found))
