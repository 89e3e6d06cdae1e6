"""TLS and certificates of all Gateways and ListenerSets; only what was touched is resolved again.

A Secret without a permitted reference is never read. If the content of a Secret changes and is still valid, no listener
changes: listeners refer to certificates by id, and `Graph.certificates` contains them.
"""

from collections.abc import Iterable, Mapping

import msgspec

from fastroute.difference import replaced
from fastroute.graph.certificate import CertificateNode, Vault
from fastroute.graph.change import kept
from fastroute.graph.dependency import SECRETS, Dependencies, Indexes, Reader
from fastroute.graph.node import HolderId
from fastroute.graph.tls import ResolvedTLS, TLSUnit, resolve_holder
from fastroute.resources.core import Secret
from fastroute.resources.gateway import Gateway, ListenerSet
from fastroute.resources.meta import Key

Changes = Mapping[HolderId, Gateway | ListenerSet | None]


class Secured(msgspec.Struct, frozen=True, eq=False):
    """The resolved TLS of each holder, and the Secrets that were read for it."""

    units: Mapping[HolderId, TLSUnit] = {}
    resolved: Mapping[HolderId, tuple[ResolvedTLS, ...]] = {}  # for each unit, one entry per listener
    certificates: Mapping[Key, CertificateNode] = {}


def secure(changes: Changes, indexes: Indexes, changed: Dependencies, last: Secured) -> Secured:
    """`changes`: holders that changed or were removed (None). Those that depend on `changed` are added here."""
    vault = Vault(last.certificates)
    stale: dict[HolderId, Gateway | ListenerSet | None] = dict(changes)
    if changed:
        depend = {id_: unit.source for id_, unit in last.units.items() if not changed.isdisjoint(unit.dependencies)}
        stale = {**depend, **stale}
    made = {
        id_: resolve_holder(id_, source, Reader(indexes), vault) if source else None for id_, source in stale.items()
    }
    units = replaced(last.units, made)
    resolved = {id_: kept(last.resolved.get(id_), unit.resolved) if unit else None for id_, unit in made.items()}
    certificates = last.certificates
    if vault.judged or SECRETS.keys_in(changed) or _secrets_of(made, units) != _secrets_of(made, last.units):
        certificates = _certificates(units, vault, last.certificates, indexes[SECRETS])
    return Secured(units, replaced(last.resolved, resolved), certificates)


def _secrets_of(ids: Iterable[HolderId], units: Mapping[HolderId, TLSUnit]) -> set[Key]:
    """The Secrets that were read for these holders."""
    return set[Key]().union(*(SECRETS.keys_in(units[id_].dependencies) for id_ in ids if id_ in units))


def _certificates(
    units: Mapping[HolderId, TLSUnit], vault: Vault, last: Mapping[Key, CertificateNode], secrets: Mapping[Key, Secret]
) -> Mapping[Key, CertificateNode]:
    """The nodes of the Secrets that at least one holder refers to now."""
    wanted = _secrets_of(units, units)
    gone = [key for key in {**last, **vault.judged} if key not in wanted or key not in secrets]
    return replaced(last, {**vault.judged, **dict.fromkeys(gone)})
