"""Endpoints that get no requests: the gateway's own addresses, and in a cluster addresses of the pod or node itself.

Every namespace may write EndpointSlices with any address. An endpoint that is a listener of this gateway would be a
loop, and one that is its metrics address would publish the metrics. Loopback and link-local addresses refer to the pod
or node of the gateway, not to that of the backend. Clouds provide credentials at metadata addresses.

The addresses change rarely and the ports often. So after a change of ports, only Services with such addresses are
examined.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address

import msgspec

from fastroute.difference import replaced
from fastroute.graph.address import canonical, is_wildcard
from fastroute.graph.backend import ADDRESS_TYPES, PORTS, Slices, usable_address
from fastroute.graph.conditions import OWN_ADDRESS
from fastroute.graph.node import GatewayNode, Holder, Refusal, Refusals
from fastroute.resources.core import EndpointSlice
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings
from fastroute.snapshot import Endpoint

LOOPBACK, LINK_LOCAL, METADATA = "a loopback address", "a link-local address", "a metadata address"
METADATA_ADDRESSES = frozenset(
    map(ip_address, ("169.254.169.254", "fd00:ec2::254", "fd20:ce::254", "100.100.100.200", "168.63.129.16"))
)


class Forbidden(msgspec.Struct, frozen=True, kw_only=True):
    """Which endpoints are refused."""

    places: frozenset[tuple[str, int]] = frozenset()  # own addresses, each with a port
    ports: frozenset[int] = frozenset()  # bound at all addresses of this machine
    machine: frozenset[str] = frozenset()  # addresses of this machine
    local: bool = True  # loopback, link-local and metadata addresses are allowed

    @property
    def addresses(self) -> frozenset[str]:
        """The addresses at which some ports are refused. Local addresses, which have a kind, are not included."""
        return self.machine | {address for address, _ in self.places}

    def why(self, written: str, port: int) -> str | None:
        """What the endpoint is, if it is refused."""
        address, kind = _judge(written)
        here = address in self.machine or kind == LOOPBACK
        if (address, port) in self.places or (here and port in self.ports):
            return OWN_ADDRESS
        return None if self.local else kind


def kind_of(address: str) -> str | None:
    """LOOPBACK, LINK_LOCAL, METADATA or None."""
    return _judge(address)[1]


@lru_cache(maxsize=16_384)
def _judge(written: str) -> tuple[str, str | None]:
    """The canonical address, and its kind if it is local or a metadata address."""
    found: IPv4Address | IPv6Address = ip_address(written)
    if isinstance(found, IPv6Address) and found.ipv4_mapped:
        found = found.ipv4_mapped
    if found.is_loopback or found.is_unspecified:  # a connection to 0.0.0.0 or :: is one to this machine
        return str(found), LOOPBACK
    if found in METADATA_ADDRESSES:
        return str(found), METADATA
    return str(found), LINK_LOCAL if found.is_link_local else None


# --- addresses of the gateway itself


def find_forbidden(
    gateways: Mapping[Key, GatewayNode], holders: Iterable[Holder], settings: GraphSettings
) -> Forbidden:
    """`gateways`: all; `holders`: they and their ListenerSets."""
    places: set[tuple[str, int]] = set()
    ports: set[int] = set()
    for host, port in (*settings.operators, *_listening(gateways, holders, settings.addressing.port_offset)):
        if is_wildcard(host):
            ports.add(port)
        else:
            places.add((host, port))
    machine = frozenset(map(canonical, settings.machine)) if ports else frozenset()
    return Forbidden(places=frozenset(places), ports=frozenset(ports), machine=machine, local=settings.local_endpoints)


def _listening(
    gateways: Mapping[Key, GatewayNode], holders: Iterable[Holder], offset: int
) -> Iterator[tuple[str, int]]:
    """Where listeners are bound, and where clients reach them: there, the port is that of the listener."""
    for holder in holders:
        bind = tuple(map(canonical, holder.bind))
        reached = [one for one in map(canonical, gateways[holder.gateway].addresses) if one not in bind and _is_ip(one)]
        for listener in holder.listeners:
            if listener.serves:
                yield from ((address, listener.source.port + offset) for address in bind)
                yield from ((address, listener.source.port) for address in reached)


def _is_ip(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


# --- the endpoints


class Exclusion(msgspec.Struct, frozen=True, eq=False):
    """The refused endpoints, and what the next build needs to find them again."""

    forbidden: Forbidden = Forbidden()
    suspects: frozenset[Key] = frozenset()  # Services with an endpoint at an address with refused ports
    refusals: Refusals = {}


def exclude(slices: Slices, owners: Iterable[Key], forbidden: Forbidden, last: Exclusion) -> Exclusion:
    """`owners`: the Services whose EndpointSlices changed since `last`."""
    same = forbidden == last.forbidden
    if same and not owners:
        return last
    moved = (forbidden.addresses, forbidden.local) != (last.forbidden.addresses, last.forbidden.local)
    examined = slices.keys() | last.suspects if moved else frozenset(owners)
    found = {key for key in examined if _is_suspect(slices.get(key, ()), forbidden)}
    suspects = (last.suspects - examined) | found
    judged = examined if same else suspects | examined
    changes = {key: _refused(slices.get(key, ()), forbidden) if key in suspects else () for key in judged}
    kept = {key: last.refusals[key] if last.refusals.get(key) == new else new for key, new in changes.items()}
    refusals = replaced(last.refusals, {key: new or None for key, new in kept.items()})
    return Exclusion(last.forbidden if same else forbidden, suspects, refusals)


def _is_suspect(pieces: Iterable[EndpointSlice], forbidden: Forbidden) -> bool:
    known = forbidden.addresses
    return any(_judge(address)[1] or _judge(address)[0] in known for _, address in _addresses(pieces))


def _addresses(pieces: Iterable[EndpointSlice]) -> Iterator[tuple[EndpointSlice, str]]:
    """The usable addresses of all endpoints, also of those that are not ready."""
    for piece in pieces:
        if piece.address_type in ADDRESS_TYPES:
            for endpoint in piece.endpoints or ():
                yield from ((piece, address) for address in map(usable_address, endpoint.addresses) if address)


def _refused(pieces: Iterable[EndpointSlice], forbidden: Forbidden) -> tuple[Refusal, ...]:
    found: set[Refusal] = set()
    for piece, address in _addresses(pieces):
        for port in piece.ports or ():
            number = port.port
            if number is not None and number in PORTS and (why := forbidden.why(address, number)):
                found.add(Refusal(port.name, port.protocol, Endpoint(address, number), why))
    return tuple(sorted(found))
