"""References to certificates: those of listeners, and the one that a Gateway shows to backends.

The order of checks is that of backendRefs: kind, grant, existence, content. A Secret that no grant allows is refused
before its existence is checked.

A Gateway whose clientCertificateRef cannot be used is served, and it connects to backends without a certificate: the
Gateway API demands only a condition, and a backend that insists on a certificate refuses the connection.
"""

from typing import NamedTuple

from fastroute.graph import conditions
from fastroute.graph.certificate import CertificateNode, Vault
from fastroute.graph.dependency import SECRETS, Reader
from fastroute.graph.grant import Reference
from fastroute.graph.node import HolderId, Problem
from fastroute.graph.permission import refusal
from fastroute.resources.gateway import Gateway, SecretObjectReference
from fastroute.resources.meta import Key

FIELD = "spec.tls.backend.clientCertificateRef"


class Credential(NamedTuple):
    """How a Gateway identifies itself to backends. Without `certificate`, it does not."""

    certificate: str | None = None  # id
    problems: tuple[Problem, ...] = ()


NO_CREDENTIAL = Credential()


def client_certificate_ref(gateway: Gateway) -> SecretObjectReference | None:
    tls = gateway.spec.tls
    return tls.backend.client_certificate_ref if tls is not None and tls.backend is not None else None


def resolve_credential(gateway: Gateway, reader: Reader, vault: Vault) -> Credential:
    ref = client_certificate_ref(gateway)
    if ref is None:
        return NO_CREDENTIAL
    found = resolve_certificate(("Gateway", gateway.key), ref, FIELD, reader, vault)
    if isinstance(found, CertificateNode):
        return Credential(found.id)
    return Credential(problems=(conditions.no_client_certificate(found),))


def resolve_certificate(
    holder: HolderId, ref: SecretObjectReference, field: str, reader: Reader, vault: Vault
) -> CertificateNode | Problem:
    """The certificate, or the reason why it is not served."""
    if (ref.group, ref.kind) != ("", "Secret"):
        return conditions.certificate_of_other_kind(ref.group, ref.kind, field)
    kind, owner = holder
    key = Key(ref.namespace or owner.namespace, ref.name)
    reference = Reference(
        kind=kind,
        namespace=owner.namespace,
        to_group="",
        to_kind="Secret",
        to_namespace=key.namespace,
        to_name=key.name,
    )
    if refused := refusal(reference, field, reader):
        return refused
    secret = reader.find(SECRETS, key)
    if secret is None:
        return conditions.secret_not_found(key, field)
    found = vault.certificate(secret)
    return found if found.mistake is None else conditions.invalid_certificate(key, found.mistake, field)
