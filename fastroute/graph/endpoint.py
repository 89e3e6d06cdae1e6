"""Endpoints of Services: EndpointSlices by Service, and which of their endpoints may get requests.

Endpoints come only from EndpointSlices: selected by the label with the Service's name, matched by port *name*, merged
over several slices, IPv4 and IPv6 only. The API server accepts invalid port numbers, and IPv4 addresses with leading
zeros; workers do not, and one slice must not break the configuration of all.
"""

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from ipaddress import ip_address
from typing import NamedTuple

from fastroute.graph.reach import Reached, reach
from fastroute.resources.core import SERVICE_NAME_LABEL, EndpointConditions, EndpointSlice
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.snapshot import Endpoint

ADDRESS_TYPES = frozenset({"IPv4", "IPv6"})
PORTS = range(1, 65_536)
ZEROS = re.compile(r"(?<![0-9a-fA-F])0+(?=[0-9]+\.)|(?<=\.)0+(?=[0-9])")  # leading zeros in an IPv4 address


class Candidate(NamedTuple):
    """An endpoint of a slice, at any port."""

    address: str
    ready: bool | None  # False: it serves while terminating; None: it gets no requests
    reached: Reached


class Piece(NamedTuple):
    """What workers can use of an EndpointSlice: made once, so a change costs as much as the slices that changed."""

    key: Key
    endpoints: tuple[Candidate, ...]
    ports: Mapping[tuple[str, str], list[int]]  # numbers by name and protocol
    addresses: frozenset[str]  # that its endpoints reach
    has_local: bool  # one of them is a loopback, link-local or metadata address


Slices = Mapping[Key, tuple[Piece, ...]]  # by the Service that they belong to


def build_slices(old: Resources, new: Resources, touched: frozenset[Key], last: Slices) -> Slices:
    """The index of `new`; `last`: that of `old`; `touched`: the slices that differ."""
    if not touched:
        return last
    if not old.endpoint_slices:
        return index_slices(new.endpoint_slices)
    return move_slices(last, old.endpoint_slices, new.endpoint_slices, touched)


def slice_owners(old: Resources, new: Resources, touched: Iterable[Key]) -> set[Key]:
    """The Services that the slices `touched` belong to now or did before."""
    return set[Key]().union(*(_owners(old.endpoint_slices.get(key), new.endpoint_slices.get(key)) for key in touched))


def index_slices(slices: Mapping[Key, EndpointSlice]) -> Slices:
    """Group by the Service that they belong to."""
    grouped: dict[Key, list[Piece]] = {}
    for key in sorted(slices):
        if owner := slice_owner(slices[key]):
            grouped.setdefault(owner, []).append(piece_of(slices[key]))
    return {owner: tuple(members) for owner, members in grouped.items()}


def move_slices(
    index: Slices, before: Mapping[Key, EndpointSlice], after: Mapping[Key, EndpointSlice], touched: Iterable[Key]
) -> Slices:
    """The index of `after`: that of `before` with only the touched slices updated."""
    moved = dict(index)
    for key in touched:
        if key in before and (owner := slice_owner(before[key])):
            moved[owner] = tuple(member for member in moved[owner] if member.key != key)
        if key in after and (owner := slice_owner(after[key])):
            moved[owner] = tuple(sorted((*moved.get(owner, ()), piece_of(after[key])), key=_key))
        for owner in _owners(before.get(key), after.get(key)):
            if not moved.get(owner):
                moved.pop(owner, None)
    return moved


def _key(piece: Piece) -> Key:
    return piece.key


def _owners(*pieces: EndpointSlice | None) -> set[Key]:
    return {owner for piece in pieces if piece is not None and (owner := slice_owner(piece))}


def slice_owner(piece: EndpointSlice) -> Key | None:
    """The Service that the slice belongs to."""
    name = piece.metadata.labels.get(SERVICE_NAME_LABEL)
    return Key(piece.metadata.namespace, name) if name else None


def piece_of(source: EndpointSlice) -> Piece:
    usable = source.endpoints or () if source.address_type in ADDRESS_TYPES else ()
    ports: dict[tuple[str, str], list[int]] = {}
    for port in source.ports or ():
        if port.port is not None and port.port in PORTS:
            ports.setdefault((port.name, port.protocol), []).append(port.port)
    # The first address of each endpoint: all its addresses belong to the same Pod.
    made = [_candidate(one.addresses[0], _readiness(one.conditions)) for one in usable if one.addresses]
    found = tuple([one for one in made if one])
    addresses = frozenset([one.reached.address for one in found])
    return Piece(source.key, found, ports, addresses, any(one.reached.kind for one in found))


@lru_cache(maxsize=16_384)
def _candidate(written: str, ready: bool | None) -> Candidate | None:
    """None if the address is invalid. Cached because most endpoints of a changed slice are not new."""
    address = usable_address(written)
    return None if address is None else Candidate(address, ready, reach(address))


class Offer(NamedTuple):
    """Endpoints of one slice, with the numbers that a port has there."""

    endpoints: tuple[Candidate, ...]
    numbers: list[int]


Offers = Mapping[tuple[str, str], Iterable[Offer]]  # by name and protocol of the port


def offers_of(pieces: Iterable[Piece]) -> Offers:
    """All slices of one Service."""
    offers: dict[tuple[str, str], list[Offer]] = {}
    for piece in pieces:
        for named, numbers in piece.ports.items():
            offers.setdefault(named, []).append(Offer(piece.endpoints, numbers))
    return offers


def count(offers: Iterable[Offer]) -> int:
    """How many endpoints there are, ready or not."""
    return sum(len(offer.endpoints) * len(offer.numbers) for offer in offers)


def first(offers: Iterable[Offer], most: int) -> Iterable[Offer]:
    """The first endpoints, at most `most`."""
    for offer in offers:
        taken = offer.endpoints[: most // len(offer.numbers)]
        most -= len(taken) * len(offer.numbers)
        yield Offer(taken, offer.numbers)


def eligible(offers: Iterable[Offer], refused: frozenset[Endpoint] = frozenset()) -> tuple[Endpoint, ...]:
    """Endpoints that may get requests, sorted: ready ones; if none is ready, those that serve while terminating."""
    ready: set[Endpoint] = set()
    draining: set[Endpoint] = set()
    for endpoints, numbers in offers:
        for number in numbers:
            ready.update(Endpoint(one.address, number) for one in endpoints if one.ready)
            draining.update(Endpoint(one.address, number) for one in endpoints if one.ready is False)
    return tuple(sorted((ready - refused) or (draining - refused)))


def usable_address(written: str) -> str | None:
    """The address in a form that every parser accepts, decimal as in Kubernetes; None if it is invalid.

    >>> usable_address("192.168.001.010"), usable_address("fd00::1"), usable_address("10.0.0.256")
    ('192.168.1.10', 'fd00::1', None)
    """
    address = ZEROS.sub("", written)
    try:
        return None if getattr(ip_address(address), "scope_id", None) else address
    except ValueError:
        return None


def _readiness(conditions: EndpointConditions) -> bool | None:
    """As in Candidate."""
    if conditions.ready is not False:
        return True
    return False if conditions.serving is True and conditions.terminating is True else None
