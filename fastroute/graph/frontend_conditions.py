"""Negative conditions about the certificates of clients: one constructor for each, as for the other kinds
(conditions.py). They are conditions of listeners; the fields are those of the Gateway."""

import msgspec

from fastroute.graph.conditions import ACCEPTED, RESOLVED_REFS
from fastroute.graph.node import Problem
from fastroute.graph.spelling import reference_fix
from fastroute.resources.meta import Key

FIELD = "spec.tls.frontend"
NOT_SERVED = "HTTPS listeners with this validation are not served."


def no_valid_authority(field: str) -> Problem:
    message = f"No reference in {field} can be used. So no certificate of a client can be verified, and {NOT_SERVED}"
    return Problem(condition=ACCEPTED, reason="NoValidCACertificate", message=message, field=field)


def too_many_authorities(count: int, most: int, field: str) -> Problem:
    message = (
        f"{field} leads to {count:,} CA certificates (maximum {most:,}): name only those that issue certificates of "
        f"clients. {NOT_SERVED}"
    )
    return Problem(condition=ACCEPTED, reason="NoValidCACertificate", message=message, field=field)


def no_room(most: int) -> Problem:
    message = (
        f"Together with the older Gateways of this namespace, the CA certificates of {FIELD} would take more than "
        f"{most >> 20} MiB of memory in each worker. Name only the CAs that issue certificates of clients, and the "
        f"same objects for several ports."
    )
    return Problem(condition=ACCEPTED, reason="NoValidCACertificate", message=message, field=FIELD)


def authority_of_other_kind(group: str, kind: str, field: str) -> Problem:
    message = (
        f'{field} refers to kind {kind} of group "{group}": only kind ConfigMap of group "" '
        f"and kind ClusterTrustBundle of group certificates.k8s.io are served."
    )
    fix = reference_fix(group, kind, "ConfigMap")
    return Problem(
        condition=RESOLVED_REFS, reason="InvalidCACertificateKind", message=message, field=f"{field}.kind", fix=fix
    )


def bundles_not_served(why: str, field: str) -> Problem:
    message = f"{field} refers to a ClusterTrustBundle, but {why}. Use a ConfigMap with the CA certificates."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCACertificateKind", message=message, field=f"{field}.kind")


def authority_not_found(kind: str, key: Key, field: str) -> Problem:
    where = f" in namespace {key.namespace}" if key.namespace else ""
    message = f"{kind} {key.name} does not exist{where}."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCACertificateRef", message=message, field=f"{field}.name")


def invalid_authorities(kind: str, key: Key, mistake: str, field: str) -> Problem:
    """`mistake`: text that follows the name of the object."""
    message = f"{kind} {key} {mistake}."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCACertificateRef", message=message, field=field)


def of_gateway(problem: Problem, gateway: Key, namespace: str) -> Problem:
    """For a listener of a ListenerSet in this namespace: its owner cannot fix it, and in another namespace than the
    Gateway's, must not learn what exists where, nor how much of it."""
    said = problem.message
    if namespace != gateway.namespace:
        said = "CA certificates for clients that it names cannot be used. Ask its owner."
    message = f"Gateway {gateway}: {said}"
    return msgspec.structs.replace(problem, message=message, field=None, fix=None, reference=None)
