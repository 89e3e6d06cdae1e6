"""Where a request comes in: on which sockets it may, and which listener it then belongs to.

A URL names a port as Gateways write it, or as it is bound. Without one the scheme's port is meant or, when nobody
listens there, the only one there is. Gateways with addresses of their own may share a port: then the first socket on
which a rule takes the request is meant, unless the URL's host is the address of one.
"""

from collections.abc import Collection, Iterable
from typing import NamedTuple

from fastroute.explain.matching import Found, find_listener, find_rule
from fastroute.explain.request import WELL_KNOWN_PORTS, Request
from fastroute.snapshot import Listener, Snapshot

_PROTOCOLS = {"http": "HTTP", "https": "HTTPS"}


class Arrival(NamedTuple):
    """The listener that has the request, and the rule of it that takes it, if one does."""

    listener: Listener
    found: Found | None
    misdirected: bool = False  # the listener is that of the client's TLS; the request's host belongs to another one


def usual_port(snapshot: Snapshot, scheme: str) -> int:
    """The port of a URL that names none."""
    ports = {listener.spec_port for listener in snapshot.listeners.values() if speaks(listener, scheme)}
    usual = WELL_KNOWN_PORTS[scheme]
    return ports.pop() if len(ports) == 1 and usual not in ports else usual


def speaks(listener: Listener, scheme: str) -> bool:
    return listener.protocol == _PROTOCOLS[scheme]


def is_meant(gateway: str, gateways: Collection[str]) -> bool:
    """Whether a Gateway is one of those asked about; none means all."""
    return not gateways or gateway in gateways


def listening(snapshot: Snapshot, request: Request, port: int, gateways: Collection[str]) -> list[Listener]:
    """The listeners of all sockets that the request may come in on."""
    spoken = [
        listener
        for listener in snapshot.listeners.values()
        if is_meant(listener.gateway, gateways) and speaks(listener, request.scheme)
    ]
    here = [listener for listener in spoken if listener.spec_port == port]
    here = here or [listener for listener in spoken if listener.port == port]
    return [listener for listener in here if listener.address == request.host.strip("[]")] or here


def arrive(snapshot: Snapshot, here: Iterable[Listener], request: Request) -> Arrival | None:
    """Among the sockets of the listeners `here`. None: no listener has the host."""
    arrivals = []
    for address, port in dict.fromkeys((listener.address, listener.port) for listener in here):
        listener = find_listener(snapshot, address, port, request.host)
        if listener is None:
            continue
        greeted = listener if request.asked is None else find_listener(snapshot, address, port, request.asked)
        if greeted is listener:
            arrivals.append(Arrival(listener, find_rule(snapshot, listener, request)))
        elif greeted is not None:
            arrivals.append(Arrival(greeted, None, misdirected=True))
    return next((arrival for arrival in arrivals if arrival.found is not None), arrivals[0] if arrivals else None)


def gets_tls(snapshot: Snapshot, here: Iterable[Listener], request: Request) -> bool:
    """Whether a listener has the name that the request's TLS asks for, if it asks: else the connection is closed."""
    name = request.asked
    return name is None or any(find_listener(snapshot, one.address, one.port, name) is not None for one in here)
