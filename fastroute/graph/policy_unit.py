"""What one BackendTLSPolicy demands (GEP-1897): how connections to its targets use TLS, or why it cannot be fulfilled.

A policy that cannot be fulfilled still applies: its targets get no requests, and nothing is sent in cleartext instead.
If only some caCertificateRefs resolve, the policy is fulfilled with these: a backend whose certificate was issued by
another CA is not trusted.
"""

from collections.abc import Iterator
from sys import intern
from typing import NamedTuple

import msgspec

from fastroute.ext.tls.anchors import ANCHORS_MOST
from fastroute.graph import policy_conditions
from fastroute.graph.authorities import BUNDLE, AuthoritiesNode, Shelf
from fastroute.graph.dependency import CONFIG_MAPS, TRUST_BUNDLES, Dependencies, Reader
from fastroute.graph.node import Problem, Withheld
from fastroute.graph.tls import PREFIX
from fastroute.resources.core import CERTIFICATES, WithAuthorities
from fastroute.resources.meta import Key
from fastroute.resources.policy import BackendTLSPolicy, LocalReference, Validation
from fastroute.snapshot import BackendTLS

REASON = "backend_tls_policy"  # in logs and metrics (ext/message/reason)
SYSTEM = "System"


class PolicyUnit(msgspec.Struct, frozen=True, eq=False):
    """Either `tls` or `withheld` is set. The trust anchors of `tls` are in `anchors` until the policy is admitted
    (policies.py): policies share the content of a ConfigMap, but not what several of them are together."""

    source: BackendTLSPolicy
    tls: BackendTLS | None
    withheld: Withheld | None
    problems: tuple[Problem, ...]
    dependencies: Dependencies
    anchors: tuple[bytes, ...] = ()  # CA certificates as PEM, of each object; empty: those of the operating system


class Sources(NamedTuple):
    """Where trust anchors may come from, beside ConfigMaps."""

    has_system: bool  # there are CA certificates of the operating system
    no_bundles: str = ""  # like that of Shelf


def resolve_policy(source: BackendTLSPolicy, reader: Reader, shelf: Shelf, sources: Sources) -> PolicyUnit:
    validation = source.spec.validation
    if validation is None:
        return _unfulfilled(source, (policy_conditions.breaks_schema(),), reader)
    anchors, unresolved = _anchors(source.metadata.namespace, validation, Finder(reader, shelf, sources))
    if not sources.has_system and validation.well_known == SYSTEM:
        unresolved.append(policy_conditions.no_system_authority("spec.validation.wellKnownCACertificates"))
    mistakes = (*_mistakes(validation), *_option_problems(source.spec.options), *unresolved)
    if any(problem.condition == "Accepted" for problem in mistakes):
        return _unfulfilled(source, mistakes, reader)
    names = validation.subject_alt_names
    tls = BackendTLS(
        server_name=validation.hostname,
        subject_names=tuple(name.hostname for name in names if name.hostname is not None),
        subject_uris=tuple(name.uri for name in names if name.uri is not None),
    )
    return PolicyUnit(source, tls, None, mistakes, reader.dependencies, anchors)


def _unfulfilled(source: BackendTLSPolicy, problems: tuple[Problem, ...], reader: Reader) -> PolicyUnit:
    return PolicyUnit(source, None, withheld_for(source, problems), problems, reader.dependencies)


def withheld_for(source: BackendTLSPolicy, problems: tuple[Problem, ...]) -> Withheld:
    why = " ".join(dict.fromkeys(problem.message for problem in problems))
    message = f"BackendTLSPolicy {source.key} cannot be fulfilled, and nothing is sent in cleartext instead. {why}"
    return Withheld(reason=REASON, message=intern(message))


def _mistakes(validation: Validation) -> Iterator[Problem]:
    if validation.well_known not in (None, SYSTEM):
        yield policy_conditions.unknown_well_known(validation.well_known, "spec.validation.wellKnownCACertificates")
    for index, name in enumerate(validation.subject_alt_names):
        if name.uri is not None and not (name.uri.isascii() and name.uri.isprintable() and " " not in name.uri):
            yield policy_conditions.unusable_uri(name.uri, f"spec.validation.subjectAltNames[{index}].uri")


def _option_problems(options: dict[str, str]) -> Iterator[Problem]:
    for option in options:
        if option.startswith(PREFIX):
            yield policy_conditions.unknown_option(option, "spec.options")


class Finder(NamedTuple):
    """What a reference is resolved with."""

    reader: Reader
    shelf: Shelf
    sources: Sources


def _anchors(home: str, validation: Validation, finder: Finder) -> tuple[tuple[bytes, ...], list[Problem]]:
    """The trust anchors, and what is wrong with the references."""
    field = "spec.validation.caCertificateRefs"
    problems: list[Problem] = []
    found: dict[bytes, int] = {}  # how many certificates each PEM has
    for index, ref in enumerate(validation.authorities):
        one = _resolve(home, ref, f"{field}[{index}]", finder)
        if isinstance(one, Problem):
            problems.append(one)
        else:
            found[one.pem] = one.count
    if not validation.authorities:
        return (), problems
    if not found:
        return (), [*problems, policy_conditions.no_valid_authority(field)]
    if (count := sum(found.values())) > ANCHORS_MOST:
        return (), [*problems, policy_conditions.too_many_authorities(count, ANCHORS_MOST, field)]
    return tuple(found), problems


def _resolve(home: str, ref: LocalReference, field: str, finder: Finder) -> AuthoritiesNode | Problem:
    if (ref.group, ref.kind) == (CERTIFICATES, BUNDLE):
        if finder.sources.no_bundles:
            return policy_conditions.bundles_not_served(finder.sources.no_bundles, field)
        return _judged(ref.kind, Key("", ref.name), finder.reader.find(TRUST_BUNDLES, Key("", ref.name)), field, finder)
    if (ref.group, ref.kind) != ("", "ConfigMap"):
        return policy_conditions.authority_of_other_kind(ref.group, ref.kind, field)
    key = Key(home, ref.name)
    return _judged(ref.kind, key, finder.reader.find(CONFIG_MAPS, key), field, finder)


def _judged(
    kind: str, key: Key, source: WithAuthorities | None, field: str, finder: Finder
) -> AuthoritiesNode | Problem:
    if source is None:
        return policy_conditions.authority_not_found(kind, key, field)
    found = finder.shelf.authorities(source)
    return found if found.mistake is None else policy_conditions.invalid_authorities(kind, key, found.mistake, field)
