"""The TLS of everything that holds listeners, with the certificates it needs; only what was touched is resolved anew.

A Secret that no permitted reference names is never looked into. One whose content changes and stays good changes no
listener: listeners name certificates, `Graph.certificates` holds them.
"""

from collections.abc import Iterable, Mapping

import msgspec

from fastroute.difference import replaced
from fastroute.graph.certificate import CertificateNode, Vault
from fastroute.graph.change import Touched, kept
from fastroute.graph.grant import Grants
from fastroute.graph.node import HolderId
from fastroute.graph.tls import ResolvedTLS, TLSUnit, resolve_holder
from fastroute.resources.gateway import Gateway, ListenerSet
from fastroute.resources.meta import Key
from fastroute.resources.world import Resources

Changes = Mapping[HolderId, Gateway | ListenerSet | None]


class Secured(msgspec.Struct, frozen=True, eq=False):
    """What came of each holder's TLS, and of the Secrets that were looked at."""

    units: Mapping[HolderId, TLSUnit] = {}
    resolved: Mapping[HolderId, tuple[ResolvedTLS, ...]] = {}  # of each unit: one for each listener
    certificates: Mapping[Key, CertificateNode] = {}


def secure(changes: Changes, resources: Resources, grants: Grants, last: Secured, touched: Touched) -> Secured:
    """`changes`: holders that changed, or are gone (None). Those that looked at something that changed are found."""
    spaces = {key.namespace for key in touched.grants}
    vault = Vault(resources.secrets, last.certificates)
    stale: dict[HolderId, Gateway | ListenerSet | None] = dict(changes)
    if touched.secrets or spaces:
        seen = {id_: unit.source for id_, unit in last.units.items() if _has_seen(unit, touched.secrets, spaces)}
        stale = {**seen, **stale}
    made = {id_: resolve_holder(id_, source, vault, grants) if source else None for id_, source in stale.items()}
    units = replaced(last.units, made)
    resolved = {id_: kept(last.resolved.get(id_), unit.resolved) if unit else None for id_, unit in made.items()}
    certificates = last.certificates
    if vault.judged or touched.secrets or _secrets_of(made, units) != _secrets_of(made, last.units):
        certificates = _certificates(units, vault, last.certificates, resources)
    return Secured(units, replaced(last.resolved, resolved), certificates)


def _secrets_of(ids: Iterable[HolderId], units: Mapping[HolderId, TLSUnit]) -> set[Key]:
    """That these holders look at."""
    return set[Key]().union(*(units[id_].secrets for id_ in ids if id_ in units))


def _has_seen(unit: TLSUnit, secrets: frozenset[Key], spaces: set[str]) -> bool:
    return not (secrets.isdisjoint(unit.secrets) and spaces.isdisjoint(unit.grant_spaces))


def _certificates(
    units: Mapping[HolderId, TLSUnit], vault: Vault, last: Mapping[Key, CertificateNode], resources: Resources
) -> Mapping[Key, CertificateNode]:
    """What is known of the Secrets that some holder looks at now."""
    wanted: set[Key] = set().union(*(unit.secrets for unit in units.values()))
    gone = [key for key in {**last, **vault.judged} if key not in wanted or key not in resources.secrets]
    return replaced(last, {**vault.judged, **dict.fromkeys(gone)})
