"""TLS and certificates of all Gateways and ListenerSets; only what was touched is resolved again.

A Secret without a permitted reference is never read. If the content of a Secret changes and is still valid, no listener
changes: listeners refer to certificates by id, and `Graph.certificates` contains them.
"""

from collections.abc import Iterable, Mapping

import msgspec

from fastroute.difference import replaced
from fastroute.graph.authorities import AuthoritiesNode, Shelf
from fastroute.graph.certificate import CertificateNode, Vault
from fastroute.graph.change import kept
from fastroute.graph.credential import NO_CREDENTIAL, Credential
from fastroute.graph.dependency import CONFIG_MAPS, SECRETS, TRUST_BUNDLES, Dependencies, Indexes, Reader
from fastroute.graph.frontend import NO_FRONTEND, Frontend, fitted
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
    frontends: Mapping[Key, Frontend] = {}  # by Gateway; only of those that verify the certificates of clients
    authorities: Mapping[Key, AuthoritiesNode] = {}  # the ConfigMaps and ClusterTrustBundles that were read for them
    credentials: Mapping[Key, Credential] = {}  # by Gateway; only of those with a clientCertificateRef


def secure(
    changes: Changes, indexes: Indexes, changed: Dependencies, last: Secured, *, no_bundles: str = ""
) -> Secured:
    """`changes`: holders that changed or were removed (None). Those that depend on `changed` are added here.
    `no_bundles`: like that of Shelf."""
    vault, shelf = Vault(last.certificates), Shelf(last.authorities, no_bundles)
    stale: dict[HolderId, Gateway | ListenerSet | None] = dict(changes)
    if changed:
        depend = {id_: unit.source for id_, unit in last.units.items() if not changed.isdisjoint(unit.dependencies)}
        stale = {**depend, **stale}
    made = {
        id_: resolve_holder(id_, source, Reader(indexes), vault, shelf) if source else None
        for id_, source in stale.items()
    }
    units = replaced(last.units, made)
    resolved = {id_: kept(last.resolved.get(id_), unit.resolved) if unit else None for id_, unit in made.items()}
    certificates = last.certificates
    if vault.judged or SECRETS.keys_in(changed) or _secrets_of(made, units) != _secrets_of(made, last.units):
        certificates = _certificates(units, vault, last.certificates, indexes[SECRETS])
    frontends, authorities = last.frontends, last.authorities
    if spaces := {id_[1].namespace for id_ in made if _verifies(units.get(id_)) or _verifies(last.units.get(id_))}:
        frontends = _frontends(spaces, units, last)
        authorities = _authorities(units, shelf, last.authorities, indexes)
    credentials = {
        key: kept(last.credentials.get(key), unit.credential) if unit and unit.credential is not NO_CREDENTIAL else None
        for (kind, key), unit in made.items()
        if kind == "Gateway"
    }
    return Secured(
        units=units,
        resolved=replaced(last.resolved, resolved),
        certificates=certificates,
        frontends=frontends,
        authorities=authorities,
        credentials=replaced(last.credentials, credentials),
    )


def _verifies(unit: TLSUnit | None) -> bool:
    return unit is not None and unit.frontend is not NO_FRONTEND


def _frontends(spaces: set[str], units: Mapping[HolderId, TLSUnit], last: Secured) -> Mapping[Key, Frontend]:
    """Those of the Gateways in `spaces` are judged again: there may be room now, or no longer."""
    made: dict[Key, Frontend | None] = {key: None for key in last.frontends if key.namespace in spaces}
    found: dict[str, dict[Key, TLSUnit]] = {space: {} for space in spaces}
    for (_, key), unit in units.items():
        if key.namespace in spaces and _verifies(unit):
            found[key.namespace][key] = unit
    for verifying in found.values():
        sources = {key: unit.source for key, unit in verifying.items() if isinstance(unit.source, Gateway)}
        demanded = {key: unit.frontend for key, unit in verifying.items()}
        for key, frontend in fitted(demanded, sources, last.frontends).items():
            made[key] = kept(last.frontends.get(key), frontend)
    return replaced(last.frontends, made)


def _authorities(
    units: Mapping[HolderId, TLSUnit],
    shelf: Shelf,
    last: Mapping[Key, AuthoritiesNode],
    indexes: Indexes,
) -> Mapping[Key, AuthoritiesNode]:
    """The nodes of the ConfigMaps and ClusterTrustBundles that at least one Gateway refers to now."""
    kinds = (CONFIG_MAPS, TRUST_BUNDLES)
    read = (kind.keys_in(unit.dependencies) for unit in units.values() if _verifies(unit) for kind in kinds)
    wanted = {key for key in set[Key]().union(*read) if any(key in indexes[kind] for kind in kinds)}
    gone = [key for key in {**last, **shelf.judged} if key not in wanted]
    return replaced(last, {**shelf.judged, **dict.fromkeys(gone)})


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
