"""Finds the places at which a request can arrive, and the listener that it belongs to.

A URL names the port as it is written in Gateways, or the port that is bound. If it names none, the default port of the
scheme is used or, if no listener has it, the only port there is. Gateways with different addresses can share a port:
then the first place with a matching rule is used, unless the URL's host is one of the addresses.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from fastroute.explain.matching import Found, find_listener, find_rule
from fastroute.explain.request import WELL_KNOWN_PORTS, Request
from fastroute.snapshot import Listener, Snapshot


class Arrival(NamedTuple):
    """The listener that the request belongs to, and its rule for the request, if any."""

    listener: Listener
    found: Found | None
    misdirected: bool = False  # the listener matches the server name (SNI), but not the host of the request


def usual_port(snapshot: Snapshot, scheme: str) -> int:
    """The port of a URL without a port."""
    ports = {listener.spec_port for listener in snapshot.listeners.values() if listener.scheme == scheme}
    usual = WELL_KNOWN_PORTS[scheme]
    return ports.pop() if len(ports) == 1 and usual not in ports else usual


def is_meant(gateway: str, gateways: Collection[str]) -> bool:
    """Whether a Gateway is one of `gateways`; an empty collection means all."""
    return not gateways or gateway in gateways


def listening(snapshot: Snapshot, request: Request, port: int, gateways: Collection[str]) -> list[Listener]:
    """The listeners of all places at which the request can arrive."""
    spoken = [
        listener
        for listener in snapshot.listeners.values()
        if is_meant(listener.gateway, gateways) and listener.scheme == request.scheme
    ]
    here = [listener for listener in spoken if listener.spec_port == port]
    here = here or [listener for listener in spoken if listener.place.port == port]
    return [listener for listener in here if listener.place.address == request.host.strip("[]")] or here


def arrive(snapshot: Snapshot, here: Iterable[Listener], request: Request) -> Arrival | None:
    """The arrival at one of the places of the listeners `here`. None: no listener matches the host."""
    arrivals = []
    for place in dict.fromkeys(listener.place for listener in here):
        listener = find_listener(snapshot, place, request.host)
        if listener is None:
            continue
        greeted = listener if request.asked is None else find_listener(snapshot, place, request.asked)
        if greeted is not None and greeted.scheme != request.scheme:
            continue  # it takes no requests
        if greeted is listener:
            arrivals.append(Arrival(listener, find_rule(snapshot, listener, request)))
        elif greeted is not None:
            arrivals.append(Arrival(greeted, None, misdirected=True))
    return next((arrival for arrival in arrivals if arrival.found is not None), arrivals[0] if arrivals else None)


def gets_tls(snapshot: Snapshot, here: Iterable[Listener], request: Request) -> bool:
    """Whether a listener for requests matches the server name (SNI) of the request, if it has one: otherwise the
    connection is closed, or its bytes are passed on."""
    name = request.asked
    return name is None or any(one.scheme == request.scheme for one in greeting(snapshot, here, name))


def greeting(snapshot: Snapshot, here: Iterable[Listener], name: str) -> list[Listener]:
    """The listeners that match a server name, one at each place."""
    found = (find_listener(snapshot, place, name) for place in dict.fromkeys(one.place for one in here))
    return [one for one in found if one is not None]
