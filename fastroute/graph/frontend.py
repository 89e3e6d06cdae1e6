"""How a Gateway verifies the certificates of clients (GEP-91): `spec.tls.frontend`, resolved for each port.

An entry of `perPort` replaces the default as a whole. It concerns the HTTPS listeners of that port, also those of
ListenerSets. If no caCertificateRef leads to CA certificates, these listeners are not served: no client could be
verified, and the owner wants only verified clients. If only some do, clients are verified with these.

A worker has the certificates of each distinct set of CAs once. Objects with CAs can be combined in any way, so a
namespace could fill the memory of all workers: the oldest Gateways whose CAs fit are served. Before this is known, CAs
of several objects are not joined, because the joined ones would take memory also for Gateways that are refused.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import msgspec

from fastroute.ext.tls.anchors import ANCHORS_MOST
from fastroute.graph import frontend_conditions
from fastroute.graph.age import age
from fastroute.graph.authorities import BUNDLE, AuthoritiesNode, Shelf, memory_of, merged
from fastroute.graph.dependency import CONFIG_MAPS, TRUST_BUNDLES, Reader
from fastroute.graph.grant import Reference
from fastroute.graph.node import Problem
from fastroute.graph.permission import refusal
from fastroute.resources.core import CERTIFICATES, WithAuthorities
from fastroute.resources.gateway import FrontendValidation, Gateway, ParametersReference
from fastroute.resources.meta import Key
from fastroute.snapshot import ClientValidation

INSECURE = "AllowInsecureFallback"
MOST = 64 * 1024 * 1024  # bytes for the Gateways of a namespace


class Validation(NamedTuple):
    """Without `clients` and without `problems`, clients are not asked for certificates. Without `clients`, and with
    problems, no client can be served. The trust anchors of `clients` are in `anchors` until the Gateway is admitted."""

    clients: ClientValidation | None = None
    problems: tuple[Problem, ...] = ()
    anchors: tuple[bytes, ...] = ()  # CA certificates as PEM, of each object; sorted, so that equal sets are equal


class Frontend(msgspec.Struct, frozen=True):
    """The validation of each port."""

    default: Validation = Validation()
    ports: Mapping[int, Validation] = {}

    def of(self, port: int) -> Validation:
        return self.ports.get(port, self.default)

    @property
    def all(self) -> Iterable[Validation]:
        return (self.default, *self.ports.values())

    def each(self, change: Callable[[Validation], Validation]) -> "Frontend":
        return Frontend(change(self.default), {port: change(one) for port, one in self.ports.items()})


NO_FRONTEND = Frontend()


def resolve_frontend(gateway: Gateway, reader: Reader, shelf: Shelf) -> Frontend:
    tls = gateway.spec.tls
    if tls is None or tls.frontend is None:
        return NO_FRONTEND
    field = "spec.tls.frontend"
    default = _resolve(gateway.key, tls.frontend.default.validation, f"{field}.default", reader, shelf)
    ports = {
        entry.port: _resolve(gateway.key, entry.tls.validation, f"{field}.perPort[{index}].tls", reader, shelf)
        for index, entry in enumerate(tls.frontend.per_port)
    }
    return Frontend(default, ports)


def _resolve(
    gateway: Key, validation: FrontendValidation | None, field: str, reader: Reader, shelf: Shelf
) -> Validation:
    if validation is None:
        return Validation()
    field = f"{field}.validation.caCertificateRefs"
    problems: list[Problem] = []
    found: dict[bytes, int] = {}  # how many certificates each PEM has
    for index, ref in enumerate(validation.ca_certificate_refs):
        one = _authorities(gateway, ref, f"{field}[{index}]", reader, shelf)
        if isinstance(one, Problem):
            problems.append(one)
        else:
            found[one.pem] = one.count
    if not found:
        return Validation(None, (*problems, frontend_conditions.no_valid_authority(field)))
    if (count := sum(found.values())) > ANCHORS_MOST:
        return Validation(None, (*problems, frontend_conditions.too_many_authorities(count, ANCHORS_MOST, field)))
    clients = ClientValidation(trust_anchors=b"", optional=validation.mode == INSECURE)
    return Validation(clients, tuple(problems), tuple(sorted(found)))


def _authorities(
    gateway: Key, ref: ParametersReference, field: str, reader: Reader, shelf: Shelf
) -> AuthoritiesNode | Problem:
    """The CA certificates, or why they cannot be used. As for certificateRefs: kind, grant, existence, content. A
    ClusterTrustBundle has no namespace, and needs no grant (GEP-5075)."""
    if (ref.group, ref.kind) == (CERTIFICATES, BUNDLE):
        if shelf.no_bundles:
            return frontend_conditions.bundles_not_served(shelf.no_bundles, field)
        key = Key("", ref.name)
        return _judged(ref.kind, key, reader.find(TRUST_BUNDLES, key), field, shelf)
    if (ref.group, ref.kind) != ("", "ConfigMap"):
        return frontend_conditions.authority_of_other_kind(ref.group, ref.kind, field)
    reference = reference_to(gateway, ref)
    if refused := refusal(reference, field, reader):
        return refused
    key = Key(reference.to_namespace, ref.name)
    return _judged(ref.kind, key, reader.find(CONFIG_MAPS, key), field, shelf)


def _judged(kind: str, key: Key, source: WithAuthorities | None, field: str, shelf: Shelf) -> AuthoritiesNode | Problem:
    if source is None:
        return frontend_conditions.authority_not_found(kind, key, field)
    node = shelf.authorities(source)
    return node if node.mistake is None else frontend_conditions.invalid_authorities(kind, key, node.mistake, field)


def reference_to(gateway: Key, ref: ParametersReference) -> Reference:
    return Reference(
        kind="Gateway",
        namespace=gateway.namespace,
        to_group="",
        to_kind=ref.kind,
        to_namespace=ref.namespace or gateway.namespace,
        to_name=ref.name,
    )


def authority_refs(gateway: Gateway) -> Iterable[ParametersReference]:
    """All caCertificateRefs."""
    if gateway.spec.tls is None or (frontend := gateway.spec.tls.frontend) is None:
        return ()
    validations = (frontend.default.validation, *(entry.tls.validation for entry in frontend.per_port))
    return (ref for one in validations if one is not None for ref in one.ca_certificate_refs)


def insecure_ports(gateway: Gateway) -> list[str]:
    """The fields with a validation whose mode is AllowInsecureFallback."""
    if gateway.spec.tls is None or (frontend := gateway.spec.tls.frontend) is None:
        return []
    named = [("spec.tls.frontend.default", frontend.default)]
    named += [(f"spec.tls.frontend.perPort[{i}]", entry.tls) for i, entry in enumerate(frontend.per_port)]
    return [field for field, tls in named if tls.validation is not None and tls.validation.mode == INSECURE]


# --- memory


def fitted(
    frontends: Mapping[Key, Frontend], gateways: Mapping[Key, Gateway], last: Mapping[Key, Frontend]
) -> Mapping[Key, Frontend]:
    """The frontends of one namespace with their trust anchors, without the validations for which there is no room.
    `last`: those of the build before, whose trust anchors are used again."""
    fitting: dict[Key, Frontend] = {}
    before = (one for key in frontends for one in last.get(key, NO_FRONTEND).all)
    joined = {one.anchors: one.clients.trust_anchors for one in before if one.clients}
    seen: set[tuple[bytes, ...]] = set()
    taken = 0
    for key in sorted(frontends, key=lambda key: age(gateways[key])):
        sets = {one.anchors for one in frontends[key].all if one.clients} - seen
        size = sum(map(memory_of, sets))
        if taken + size > MOST:
            fitting[key] = frontends[key].each(_refused)
        else:
            taken += size
            seen |= sets
            fitting[key] = frontends[key].each(lambda one: _with_anchors(one, joined))
    return fitting


def _refused(one: Validation) -> Validation:
    return Validation(None, (*one.problems, frontend_conditions.no_room(MOST))) if one.clients else one


def _with_anchors(one: Validation, joined: dict[tuple[bytes, ...], bytes]) -> Validation:
    if one.clients is None:
        return one
    if one.anchors not in joined:
        joined[one.anchors] = merged(one.anchors)
    return one._replace(clients=msgspec.structs.replace(one.clients, trust_anchors=joined[one.anchors]))
