"""The TLS of everything that holds listeners, with the certificates it needs; only what was touched is resolved anew.

A Secret that no permitted reference names is never looked into. One whose content changes and stays good changes no
listener: listeners name certificates, `Graph.certificates` holds them.
"""

from collections.abc import Mapping

import msgspec

from fastroute.difference import replaced
from fastroute.graph.certificate import CertificateNode, Vault
from fastroute.graph.change import Touched, kept
from fastroute.graph.grant import Grants
from fastroute.graph.listenerset import parent_of
from fastroute.graph.node import HolderId
from fastroute.graph.tls import ResolvedTLS, TLSUnit, resolve_holder
from fastroute.resources.gateway import Gateway, ListenerSet
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

Sources = Mapping[HolderId, Gateway | ListenerSet]


class Secured(msgspec.Struct, frozen=True, eq=False):
    """What came of each holder's TLS, and of the Secrets that were looked at."""

    units: Mapping[HolderId, TLSUnit] = {}
    resolved: Mapping[HolderId, tuple[ResolvedTLS, ...]] = {}  # of each unit: one for each listener
    certificates: Mapping[Key, CertificateNode] = {}


def holding(gateways: list[Gateway], listener_sets: Mapping[Key, ListenerSet]) -> Sources:
    """`gateways`, which are ours, and the ListenerSets that name one of them."""
    found: dict[HolderId, Gateway | ListenerSet] = {("Gateway", gateway.key): gateway for gateway in gateways}
    for key, source in listener_sets.items():
        parent = parent_of(source)
        if parent and ("Gateway", parent) in found:
            found["ListenerSet", key] = source
    return found


def secure(sources: Sources, resources: Resources, grants: Grants, last: Secured, touched: Touched) -> Secured:
    """Holders that changed, or that looked at something that did."""
    spaces = {key.namespace for key in touched.grants}
    vault = Vault(resources.secrets, last.certificates)
    made: dict[HolderId, TLSUnit | None] = dict.fromkeys(last.units.keys() - sources.keys())
    for id_, source in sources.items():
        unit = last.units.get(id_)
        if unit is None or unit.source is not source or _has_seen(unit, touched.secrets, spaces):
            made[id_] = resolve_holder(id_, source, vault, grants)
    units = replaced(last.units, made)
    resolved = {id_: kept(last.resolved.get(id_), unit.resolved) if unit else None for id_, unit in made.items()}
    certificates = _certificates(units, vault, last.certificates, resources)
    return Secured(units, replaced(last.resolved, resolved), certificates)


def _has_seen(unit: TLSUnit, secrets: frozenset[Key], spaces: set[str]) -> bool:
    return not (secrets.isdisjoint(unit.secrets) and spaces.isdisjoint(unit.grant_spaces))


def _certificates(
    units: Mapping[HolderId, TLSUnit], vault: Vault, last: Mapping[Key, CertificateNode], resources: Resources
) -> Mapping[Key, CertificateNode]:
    """What is known of the Secrets that some holder looks at now."""
    wanted: set[Key] = set().union(*(unit.secrets for unit in units.values()))
    gone = [key for key in {**last, **vault.judged} if key not in wanted or key not in resources.secrets]
    return replaced(last, {**vault.judged, **dict.fromkeys(gone)})
