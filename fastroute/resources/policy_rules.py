"""Rules over several fields of a BackendTLSPolicy: the CEL rules of its CRD."""

from collections.abc import Iterator, Sequence
from typing import Any

from fastroute.resources.rule import Offenders, Rule, RuledField, must, unique


def _targeted(target: Any) -> tuple[str, ...]:
    return target.group, target.kind, target.name


def _unlike_targets(targets: Sequence[Any]) -> Offenders:
    """All targets that are the same object must set sectionName, or none of them."""
    forms: dict[tuple[str, ...], bool] = {}
    for index, target in enumerate(targets):
        form = bool(target.section_name)
        if forms.setdefault(_targeted(target), form) != form:
            yield (index,)


_TARGET_REFS = (
    Rule("is the same object as an earlier target: sectionName must be set in both", _unlike_targets),
    unique(
        "duplicates an earlier target: sectionName must differ",
        lambda target: (*_targeted(target), target.section_name or ""),
    ),
)
_VALIDATION = (
    must(
        "caCertificateRefs and wellKnownCACertificates must not both be set",
        lambda validation: not (validation.authorities and validation.well_known),
    ),
    must(
        "caCertificateRefs or wellKnownCACertificates must be set",
        lambda validation: bool(validation.authorities or validation.well_known),
    ),
)


def _name_is_there(kind: str, field: str) -> Iterator[Rule]:
    yield must(f"{field} must be set when type is {kind}", lambda name: name.type != kind or bool(getattr(name, field)))
    yield must(
        f"{field} must not be set unless type is {kind}", lambda name: name.type == kind or not getattr(name, field)
    )


_SUBJECT_ALT_NAME = (*_name_is_there("Hostname", "hostname"), *_name_is_there("URI", "uri"))

POLICY_RULED_FIELDS = (
    RuledField(("BackendTLSPolicy",), "spec.targetRefs", _TARGET_REFS),
    RuledField(("BackendTLSPolicy",), "spec.validation", _VALIDATION),
    RuledField(("BackendTLSPolicy",), "spec.validation.subjectAltNames[]", _SUBJECT_ALT_NAME),
)
