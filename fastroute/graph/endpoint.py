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

from fastroute.resources.core import SERVICE_NAME_LABEL, EndpointSlice, SliceEndpoint
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources
from fastroute.snapshot import Endpoint

Slices = Mapping[Key, tuple[EndpointSlice, ...]]  # by the Service that they belong to

ADDRESS_TYPES = frozenset({"IPv4", "IPv6"})
PORTS = range(1, 65_536)
ZEROS = re.compile(r"(?<![0-9a-fA-F])0+(?=[0-9]+\.)|(?<=\.)0+(?=[0-9])")  # leading zeros in an IPv4 address


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
    grouped: dict[Key, list[EndpointSlice]] = {}
    for key in sorted(slices):
        if owner := slice_owner(slices[key]):
            grouped.setdefault(owner, []).append(slices[key])
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
            moved[owner] = tuple(sorted((*moved.get(owner, ()), after[key]), key=_key))
        for owner in _owners(before.get(key), after.get(key)):
            if not moved.get(owner):
                moved.pop(owner, None)
    return moved


def _key(piece: EndpointSlice) -> Key:
    return piece.key


def _owners(*pieces: EndpointSlice | None) -> set[Key]:
    return {owner for piece in pieces if piece is not None and (owner := slice_owner(piece))}


def slice_owner(piece: EndpointSlice) -> Key | None:
    """The Service that the slice belongs to."""
    name = piece.metadata.labels.get(SERVICE_NAME_LABEL)
    return Key(piece.metadata.namespace, name) if name else None


class Offer(NamedTuple):
    """Endpoints of one slice, with the numbers that a port has there."""

    endpoints: tuple[SliceEndpoint, ...]
    numbers: list[int]


Offers = Mapping[tuple[str, str], Iterable[Offer]]  # by name and protocol of the port


def offers_of(slices: Iterable[EndpointSlice]) -> Offers:
    """Everything that the slices of one Service contain and that workers can use."""
    offers: dict[tuple[str, str], list[Offer]] = {}
    for piece in slices:
        if piece.address_type not in ADDRESS_TYPES or not piece.endpoints:
            continue
        numbers: dict[tuple[str, str], list[int]] = {}
        for port in piece.ports or ():
            if port.port is not None and port.port in PORTS:
                numbers.setdefault((port.name, port.protocol), []).append(port.port)
        for named, found in numbers.items():
            offers.setdefault(named, []).append(Offer(piece.endpoints, found))
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
        for endpoint in endpoints:
            chosen = ready if _is_ready(endpoint) else draining if _drains(endpoint) else None
            if chosen is not None and (address := address_of(endpoint)):
                chosen.update(Endpoint(address, number) for number in numbers)
    return tuple(sorted((ready - refused) or (draining - refused)))


def address_of(endpoint: SliceEndpoint) -> str | None:
    """The first address, as in kube-proxy: all addresses of an endpoint belong to the same Pod."""
    return usable_address(endpoint.addresses[0]) if endpoint.addresses else None


@lru_cache(maxsize=16_384)
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


def _is_ready(endpoint: SliceEndpoint) -> bool:
    return endpoint.conditions.ready is not False


def _drains(endpoint: SliceEndpoint) -> bool:
    return endpoint.conditions.serving is True and endpoint.conditions.terminating is True
