"""The addresses that each Gateway binds to, and its `status.addresses` (GatewaySpec.addresses).

Without a pool, all Gateways share the addresses of `--bind`, and may request some of the addresses at which fastroute
is reached. With `--address-pool`, each Gateway has its own: Gateways that hold an address keep it as long as they
exist, then Gateways that request one by value are served, then the others, oldest first in each step. If a Gateway
cannot have the address that it requests, it does not get another one instead.
"""

from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

import msgspec

from fastroute.difference import replaced
from fastroute.graph import conditions
from fastroute.graph.age import age
from fastroute.graph.node import Problem
from fastroute.listed import listed
from fastroute.resources.core import Service
from fastroute.resources.gateway import Gateway
from fastroute.resources.meta import Key
from fastroute.settings import Addressing

Network = IPv4Network | IPv6Network
SERVED_TYPE = "IPAddress"
SERVICE = "service/"  # prefix of an --address that refers to a Service


class Assignment(msgspec.Struct, frozen=True):
    """Of one Gateway. Without `bind` it cannot be served, and `problems` has the reason."""

    bind: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


def reached_at(addressing: Addressing, services: Mapping[Key, Service]) -> Addressing:
    """With Services replaced by their addresses; a Service without addresses stays as written."""
    addresses = (found for written in addressing.addresses for found in _addresses(written, services))
    return msgspec.structs.replace(addressing, addresses=tuple(dict.fromkeys(addresses)))


def _addresses(written: str, services: Mapping[Key, Service]) -> tuple[str, ...]:
    """The addresses of its load balancer and its externalIPs; the clusterIP only for type ClusterIP.

    External clients cannot reach the clusterIP of a LoadBalancer or NodePort Service, and external-dns would publish it
    from `status.addresses` while the load balancer's address is still pending.
    """
    service = services.get(named_service(written) or Key("", ""))
    if service is None:
        return (written,)
    balancer = service.status.get("loadBalancer")
    ingress = balancer.get("ingress") if isinstance(balancer, dict) else None
    points = [point for point in ingress if isinstance(point, dict)] if isinstance(ingress, list) else []
    balanced = tuple(str(point.get("ip") or point.get("hostname") or "") for point in points)
    found = tuple(filter(None, (*balanced, *service.spec.external_ips)))
    own = service.spec.cluster_ip if service.spec.type == "ClusterIP" else None
    inside = (own,) if own not in (None, "", "None") else ()
    return found or tuple(filter(None, inside)) or (written,)


def named_service(written: str) -> Key | None:
    """The Service of `service/NAMESPACE/NAME`; None for other text."""
    if not written.startswith(SERVICE):
        return None
    namespace, _, name = written.removeprefix(SERVICE).partition("/")
    return Key(namespace, name)


def assign(
    gateways: Mapping[Key, Gateway],
    addressing: Addressing,
    held: Mapping[Key, tuple[str, ...]],
    last: Mapping[Key, Assignment],
    concerned: frozenset[Key],
) -> Mapping[Key, Assignment]:
    """Assignments of all `gateways`. `last`: those with the same `addressing`; Gateways that are `concerned` or
    had no address to bind to are judged again. `held`: addresses that existing Gateways were given before, by this
    process or another."""
    if addressing.pool is None:
        changes = {key: _share(gateways[key], addressing) if key in gateways else None for key in concerned}
        return replaced(last, _same(last, changes))
    settled = {key: where for key, where in last.items() if where.bind and key not in concerned}
    ordered = sorted((one for key, one in gateways.items() if key not in settled), key=age)
    pool = _Pool(ip_network(addressing.pool, strict=False), held)
    pool.owners.update((address, key) for key, where in settled.items() for address in where.addresses)
    gone: dict[Key, Assignment | None] = dict.fromkeys(last.keys() - gateways.keys())
    return replaced(last, _same(last, {**gone, **pool.assign(ordered)}))


def unassigned(gateways: Mapping[Key, Gateway], last: Mapping[Key, Assignment], concerned: frozenset[Key]) -> list[Key]:
    """The Gateways whose previous addresses `assign` needs."""
    return [key for key in gateways if key in concerned or key not in last or not last[key].bind]


def _same(last: Mapping[Key, Assignment], changes: Mapping[Key, Assignment | None]) -> dict[Key, Assignment | None]:
    """`changes`, with assignments that are equal to the last one replaced by it."""
    return {key: last[key] if key in last and last[key] == new else new for key, new in changes.items()}


def _unsupported(gateway: Gateway) -> tuple[Problem, ...]:
    """Unsupported types and routability of the requested addresses."""
    found = []
    for index, address in enumerate(gateway.spec.addresses):
        field = f"spec.addresses[{index}]"
        if address.type not in (SERVED_TYPE, None):
            found.append(
                conditions.unsupported_address(f"{field}.type", f"{address.type} is not served: only IPAddress is")
            )
        if address.routability:
            found.append(conditions.unsupported_address(f"{field}.routability", "is not served yet: omit it"))
    return tuple(found)


def _asked(gateway: Gateway) -> tuple[str, ...]:
    return tuple(dict.fromkeys(canonical(address.value) for address in gateway.spec.addresses if address.value))


def canonical(address: str) -> str:
    """The canonical form of an IP address; other text unchanged."""
    try:
        return str(ip_address(address))
    except ValueError:
        return address


def is_wildcard(address: str) -> bool:
    return ip_address(address).is_unspecified


# --- Shared addresses


def _share(gateway: Gateway, addressing: Addressing) -> Assignment:
    if unsupported := _unsupported(gateway):
        return Assignment(problems=unsupported)
    everywhere = any(map(is_wildcard, addressing.bind))
    known = tuple(canonical(a) for a in addressing.addresses if not a.startswith(SERVICE))
    known = known or (() if everywhere else tuple(map(canonical, addressing.bind)))
    asked = _asked(gateway)
    if missing := [address for address in asked if address not in known]:
        has = (
            f"this gateway is reached at {', '.join(known)}" if known else "this gateway does not know its own address"
        )
        message = f"Address {listed(missing)} cannot be used: {has}. Request one of these, or omit the value."
        return Assignment(problems=(conditions.address_not_usable(message, "spec.addresses"),))
    bind = tuple(address for address in addressing.bind if canonical(address) in asked) or addressing.bind
    if not known:
        return Assignment(bind=bind, problems=(conditions.address_not_assigned(_not_assigned(addressing)),))
    return Assignment(bind=bind, addresses=asked or known)


def _not_assigned(addressing: Addressing) -> str:
    if addressing.addresses:
        names = ", ".join(addressing.addresses)
        return (
            f"No address of {names} is known. A Service of type LoadBalancer or NodePort has the addresses of "
            f"its load balancer and its externalIPs, one of type ClusterIP also its clusterIP. Wait for the load "
            f"balancer, check the Service with kubectl describe, or set the address that clients use with --address."
        )
    where = ", ".join(addressing.bind)
    return (
        f"Listeners bind to all addresses ({where}), so the address that clients use is not known: "
        f"set it with --address, or bind to a specific address with --bind."
    )


# --- One address each


class _Pool:
    """Assigns addresses of one network; records the owner of each while `assign` runs."""

    def __init__(self, network: Network, held: Mapping[Key, tuple[str, ...]]) -> None:
        self.network = network
        self.held = held
        self.owners: dict[str, Key] = {}
        self.free = iter(network.hosts())

    def assign(self, ordered: Sequence[Gateway]) -> dict[Key, Assignment]:
        for gateway in ordered:
            for address in self._kept(gateway):
                self.owners.setdefault(address, gateway.key)
        made = {gateway.key: self._one(gateway) for gateway in ordered if _asked(gateway)}
        made |= {gateway.key: self._one(gateway) for gateway in ordered if gateway.key not in made}
        return {gateway.key: made[gateway.key] for gateway in ordered}

    def _kept(self, gateway: Gateway) -> tuple[str, ...]:
        """The addresses that it holds and still wants."""
        asked = _asked(gateway)
        held = self.held.get(gateway.key, ())
        return tuple(address for address in held if address in self and (not asked or address in asked))

    def __contains__(self, address: str) -> bool:
        try:
            return ip_address(address) in self.network
        except ValueError:
            return False

    def _one(self, gateway: Gateway) -> Assignment:
        if unsupported := _unsupported(gateway):
            return Assignment(problems=unsupported)
        asked = _asked(gateway)
        if asked:
            return self._given(gateway.key, asked)
        kept = tuple(address for address in self._kept(gateway) if self.owners[address] == gateway.key)[:1]
        mine = kept or self._next(gateway.key)
        if not mine:
            message = f"Every address of the pool {self.network} is taken: widen --address-pool or remove a Gateway."
            return Assignment(problems=(conditions.address_not_assigned(message),))
        return Assignment(bind=mine, addresses=mine)

    def _given(self, key: Key, asked: tuple[str, ...]) -> Assignment:
        outside = [address for address in asked if address not in self]
        taken = [address for address in asked if self.owners.get(address, key) != key]
        if outside or taken:
            reasons = [f"{address} is not in the pool {self.network}" for address in outside]
            reasons += [f"{address} belongs to Gateway {self.owners[address]}" for address in taken]
            message = f"Address cannot be used: {listed(reasons, separator='; ')}. Request another, or omit the value."
            return Assignment(problems=(conditions.address_not_usable(message, "spec.addresses"),))
        self.owners.update((address, key) for address in asked)
        return Assignment(bind=asked, addresses=asked)

    def _next(self, key: Key) -> tuple[str, ...]:
        for candidate in map(str, self.free):
            if candidate not in self.owners:
                self.owners[candidate] = key
                return (candidate,)
        return ()
