"""Negative conditions of BackendTLSPolicies: one constructor for each, as for the other kinds (conditions.py)."""

from fastroute.graph.conditions import ACCEPTED, RESOLVED_REFS
from fastroute.graph.node import Problem
from fastroute.graph.spelling import reference_fix
from fastroute.listed import listed, shortened
from fastroute.resources.meta import Key


def invalid(message: str, field: str, fix: str | None = None) -> Problem:
    return Problem(condition=ACCEPTED, reason="Invalid", message=message, field=field, fix=fix)


def breaks_schema() -> Problem:
    return invalid(
        "The policy breaks the schema of its kind, so it cannot be fulfilled: correct the fields that are reported.",
        "spec.validation",
    )


def unknown_well_known(name: str, field: str) -> Problem:
    message = f"{field} is {shortened(name)}: only System is served, the CA certificates of the operating system."
    return invalid(message, field, "wellKnownCACertificates: System")


def unusable_uri(uri: str, field: str) -> Problem:
    message = f"{field} is {shortened(uri)}: no certificate contains a URI with spaces or characters beyond ASCII."
    return invalid(f"{message} Encode them with %.", field)


def unknown_option(option: str, field: str) -> Problem:
    message = f"{field}[{shortened(option)}] is unknown: fastroute has no options for BackendTLSPolicies. Remove it."
    return invalid(message, f"{field}[{option}]")


def unusable_option(option: str, why: str, field: str) -> Problem:
    return invalid(f"{field}[{option}] {why}. Correct or remove it.", f"{field}[{option}]")


def no_valid_authority(field: str) -> Problem:
    message = (
        f"None of {field} leads to CA certificates: the certificates of backends cannot be verified, and no request is "
        f"sent to them."
    )
    return Problem(condition=ACCEPTED, reason="NoValidCACertificate", message=message, field=field)


def no_system_authority(field: str) -> Problem:
    message = (
        f"{field} is System, but the gateway has no CA certificates of the operating system, so no certificate "
        f"of a backend can be verified. Install them (package ca-certificates) or set SSL_CERT_FILE, and restart it."
    )
    return Problem(condition=ACCEPTED, reason="NoValidCACertificate", message=message, field=field)


def too_many_authorities(count: int, most: int, field: str) -> Problem:
    message = f"{field} leads to {count:,} CA certificates (maximum {most:,}): name only those that issue certificates."
    return invalid(message, field)


def authority_of_other_kind(group: str, kind: str, field: str) -> Problem:
    message = (
        f'{field} refers to kind {kind} of group "{group}": only kind ConfigMap of group "" '
        f"and kind ClusterTrustBundle of group certificates.k8s.io are served."
    )
    fix = reference_fix(group, kind, "ConfigMap")
    return Problem(condition=RESOLVED_REFS, reason="InvalidKind", message=message, field=f"{field}.kind", fix=fix)


def bundles_not_served(why: str, field: str) -> Problem:
    message = f"{field} refers to a ClusterTrustBundle, but {why}. Use a ConfigMap with the CA certificates."
    return Problem(condition=RESOLVED_REFS, reason="InvalidKind", message=message, field=f"{field}.kind")


def authority_not_found(kind: str, key: Key, field: str) -> Problem:
    where = f" in namespace {key.namespace}" if key.namespace else ""
    message = f"{kind} {key.name} does not exist{where}."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCACertificateRef", message=message, field=f"{field}.name")


def invalid_authorities(kind: str, key: Key, mistake: str, field: str) -> Problem:
    """`mistake`: text that follows the name of the object."""
    message = f"{kind} {key} {mistake}."
    return Problem(condition=RESOLVED_REFS, reason="InvalidCACertificateRef", message=message, field=field)


def target_not_found(missing: list[str]) -> Problem:
    """`missing`: each target, and why it is none."""
    message = f"The policy applies to nothing: {listed(missing, separator='; ')}."
    return Problem(condition=ACCEPTED, reason="TargetNotFound", message=message, field="spec.targetRefs")


def conflicted(lost: list[str]) -> Problem:
    """`lost`: each target, and the policy that has precedence there."""
    message = (
        f"Other policies have precedence for every target: {listed(lost, separator='; ')}. The older policy is used, "
        f"then the one whose name comes first. Remove one of them, or name a port in sectionName."
    )
    return Problem(condition=ACCEPTED, reason="Conflicted", message=message, field="spec.targetRefs")


def no_room(most: int) -> Problem:
    message = (
        f"Together with the older policies of this namespace, the policy would take more than {most >> 20} MiB of "
        f"memory in each worker. Name only the CAs that issue certificates of these backends, and the same ConfigMaps "
        f"in several policies."
    )
    return invalid(message, "spec.validation.caCertificateRefs")
