"""Distinct: which listeners of a Gateway and its ListenerSets have a port and hostname first (GEP-1713).

A ListenerSet is examined as a whole if nobody before it has one of its ports with another protocol, or one of its
hostnames. So it costs other ListenerSets little that a Gateway has thousands of listeners.
"""

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from fastroute.graph.hostname import ANY
from fastroute.graph.mode import port_of
from fastroute.graph.node import HolderId, TransportPort
from fastroute.resources.gateway import Listener

PORT_FAMILY = {"HTTP": "HTTP", "HTTPS": "TLS", "TLS": "TLS", "TCP": "TCP", "UDP": "UDP"}

Name = tuple[TransportPort, str]  # port and hostname


class Claim(NamedTuple):
    """What a listener asks for."""

    port: TransportPort
    name: Name
    family: str  # of its protocol
    holder: HolderId
    listener: str
    counts: bool  # it gets the name if nobody has it; otherwise, it has another fault

    def __str__(self) -> str:
        return f"{self.listener} of {self.holder[0]} {self.holder[1]}"


def claim(listener: Listener, holder: HolderId, *, counts: bool) -> Claim | None:
    """None: the protocol is unknown."""
    if listener.protocol not in PORT_FAMILY:
        return None
    hostname = "" if listener.protocol in ("TCP", "UDP") else (listener.hostname or ANY).lower()
    port = port_of(listener)
    return Claim(port, (port, hostname), PORT_FAMILY[listener.protocol], holder, listener.name, counts)


class Claims(NamedTuple):
    """Those of a ListenerSet."""

    each: tuple[Claim | None, ...]  # of every listener
    names: Mapping[Name, Claim]  # those that count
    ports: Mapping[TransportPort, Claim]  # the first that counts
    others: tuple[Claim, ...]  # those that do not count
    agree: bool  # no two of them conflict


def claims_of(each: Iterable[Claim | None]) -> Claims:
    each = tuple(each)
    counting = [one for one in each if one and one.counts]
    names = {one.name: one for one in reversed(counting)}
    ports = {one.port: one for one in reversed(counting)}
    others = tuple(one for one in each if one and not one.counts)
    agree = len(names) == len(counting) and all(ports[one.port].family == one.family for one in counting)
    return Claims(each, names, ports, others, agree)


Winners = tuple[Claim | None, ...]


class Taken:
    """The ports and hostnames of the listeners so far."""

    def __init__(self, claims: Iterable[Claim]) -> None:
        self._ports: dict[TransportPort, Claim] = {}
        self._names: dict[Name, Claim] = {}
        for one in claims:
            self._add(one)

    def take(self, claims: Claims) -> Winners:
        """Adds what is free. Returns for each claim the one that has precedence over it, if there is one; or nothing if
        there is none at all."""
        if claims.agree and not claims.others and self._are_free(claims):
            self._names.update(claims.names)
            for port, one in claims.ports.items():
                self._ports.setdefault(port, one)
            return ()
        winners = tuple(self._take(one) if one else None for one in claims.each)
        return winners if any(winners) else ()

    def _are_free(self, claims: Claims) -> bool:
        known = self._ports
        families = all(known.get(port, one).family == one.family for port, one in claims.ports.items())
        return families and self._names.keys().isdisjoint(claims.names)

    def _take(self, one: Claim) -> Claim | None:
        first = self._ports.get(one.port)
        winner = first if first is None or first.family != one.family else self._names.get(one.name)
        if winner is None and one.counts:
            self._add(one)
        return winner

    def _add(self, one: Claim) -> None:
        self._ports.setdefault(one.port, one)
        self._names.setdefault(one.name, one)
