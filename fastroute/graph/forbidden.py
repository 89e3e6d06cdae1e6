"""Endpoints that get no requests: the gateway's own addresses, and in a cluster addresses of the pod or node itself.

Every namespace may write EndpointSlices with any address. An endpoint that is a listener of this gateway would be a
loop, and one that is its metrics address would publish the metrics. Loopback and link-local addresses refer to the pod
or node of the gateway, not to that of the backend. Clouds provide credentials at metadata addresses. An IPv6 address
that contains an IPv4 address is judged as this IPv4 address.

The addresses change rarely and the ports often. So after a change of ports, only Services with such addresses are
examined.
"""

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import msgspec

from fastroute.graph.conditions import OWN_ADDRESS
from fastroute.graph.endpoint import ADDRESS_TYPES, Offer, Slices, address_of
from fastroute.graph.node import GatewayNode, Holder, Refusal
from fastroute.resources.core import EndpointSlice
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings
from fastroute.snapshot import Endpoint

LOOPBACK, LINK_LOCAL, METADATA = "a loopback address", "a link-local address", "a metadata address"
MULTICAST = tuple(map(ip_network, ("224.0.0.0/24", "ff01::/16", "ff02::/16")))  # of the machine or the link
# IPv6 addresses that contain an IPv4 address in the last 32 bits, and reach it: IPv4-mapped and IPv4-compatible ones
# (RFC 4291 section 2.5.5), and those of NAT64 (RFC 6052 section 2.1, RFC 8215).
EMBEDDING = tuple(map(ip_network, ("::ffff:0:0/96", "::/96", "64:ff9b::/96", "64:ff9b:1::/48")))
ITSELF: dict[IPv4Address | IPv6Address, IPv4Address | IPv6Address] = {
    IPv4Address("0.0.0.0"): IPv4Address("127.0.0.1"),  # noqa: S104
    IPv6Address("::"): IPv6Address("::1"),
}
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
    """The address that a connection to it reaches, and its kind if it is local or a metadata address."""
    found = _plain(written)
    found = ITSELF.get(found, found)
    if found.is_loopback:
        return str(found), LOOPBACK
    if found in METADATA_ADDRESSES:
        return str(found), METADATA
    local = found.is_link_local or (found.is_multicast and any(found in network for network in MULTICAST))
    return str(found), LINK_LOCAL if local else None


def _plain(written: str) -> IPv4Address | IPv6Address:
    """The address, or the IPv4 address that it contains."""
    found = ip_address(written)
    if found.version == 6 and int(found) > 1 and any(found in network for network in EMBEDDING):
        return IPv4Address(int(found) & 0xFFFFFFFF)
    return found


# --- addresses of the gateway itself


def find_forbidden(
    gateways: Mapping[Key, GatewayNode], holders: Iterable[Holder], settings: GraphSettings
) -> Forbidden:
    """`gateways`: all; `holders`: they and their ListenerSets."""
    places: set[tuple[str, int]] = set()
    ports: set[int] = set()
    for host, port in (*settings.operators, *_listening(gateways, holders, settings.addressing.port_offset)):
        if _plain(host).is_unspecified:
            ports.add(port)
        else:
            places.add((_judge(host)[0], port))
    machine = frozenset(_judge(address)[0] for address in settings.machine) if ports else frozenset()
    return Forbidden(places=frozenset(places), ports=frozenset(ports), machine=machine, local=settings.local_endpoints)


def _listening(
    gateways: Mapping[Key, GatewayNode], holders: Iterable[Holder], offset: int
) -> Iterator[tuple[str, int]]:
    """Where listeners are bound, and where clients reach them: there, the port is that of the listener."""
    for holder in holders:
        bind = frozenset(map(_plain, holder.bind))
        reached = [one for one in gateways[holder.gateway].addresses if _is_ip(one) and _plain(one) not in bind]
        for listener in holder.listeners:
            if listener.serves:
                yield from ((address, listener.source.port + offset) for address in holder.bind)
                yield from ((address, listener.source.port) for address in reached)


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


def _is_suspect(pieces: Iterable[EndpointSlice], forbidden: Forbidden) -> bool:
    known = forbidden.addresses
    endpoints = (one for piece in pieces if piece.address_type in ADDRESS_TYPES for one in piece.endpoints or ())
    addresses = filter(None, map(address_of, endpoints))
    return any(kind or address in known for address, kind in map(_judge, addresses))


def refused_of(offers: Iterable[Offer], forbidden: Forbidden) -> tuple[Refusal, ...]:
    """The refused endpoints, sorted; also those that are not ready."""
    found: set[Refusal] = set()
    for endpoints, numbers in offers:
        for address in filter(None, map(address_of, endpoints)):
            whys = ((number, forbidden.why(address, number)) for number in numbers)
            found.update(Refusal(Endpoint(address, number), why) for number, why in whys if why)
    return tuple(sorted(found))
