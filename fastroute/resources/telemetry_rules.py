"""Rules over several fields of an XTelemetryPolicy: the CEL rules of its CRD."""

from collections.abc import Iterator
from typing import Any

from fastroute.resources.gateway import EXPERIMENTAL
from fastroute.resources.rule import Rule, RuledField, attribute, must
from fastroute.resources.telemetry import ENABLED, KIND

_SPEC = (must("tracing must be set", lambda spec: spec.tracing is not None),)
_ONLY_ENABLED = ("samplingRate", "parentBasedSampling", "serviceName", "spanName", "attributes")


def _only_enabled(field: str) -> Rule:
    name = attribute(field)
    return must(
        f"{field} can only be set when mode is {ENABLED}",
        lambda part: getattr(part, name) is None or part.mode == ENABLED,
    )


_TRACING = (
    must(
        f"provider is required when mode is {ENABLED}, and must not be set otherwise",
        lambda tracing: (tracing.mode == ENABLED) is (tracing.provider is not None),
    ),
    *map(_only_enabled, _ONLY_ENABLED),
)
_FRACTION = (
    must("numerator must be at most denominator", lambda fraction: fraction.numerator <= fraction.denominator),
)


def _must_have_port(ref: Any) -> bool:
    return (ref.group, ref.kind) != ("", "Service") or ref.port is not None


def _must_have_no_port(ref: Any) -> bool:
    return (ref.group, ref.kind) != (EXPERIMENTAL, "XBackend") or ref.port is None


_BACKEND_REF = (
    must("port must be set for a Service", _must_have_port),
    must("port must not be set for an XBackend", _must_have_no_port),
)


def _value_is_there(source: str, field: str) -> Iterator[Rule]:
    name = attribute(field)
    yield must(
        f"{field} is required when sourceType is {source}, and must not be set otherwise",
        lambda one: (one.source_type == source) is (getattr(one, name) is not None),
    )


_ATTRIBUTE = (
    *_value_is_there("Header", "headerName"),
    *_value_is_there("Literal", "literalValue"),
    *_value_is_there("Attribute", "attributeKey"),
)
_TRACED = "spec.tracing"
TELEMETRY_RULED_FIELDS = (
    RuledField((KIND,), "spec", _SPEC),
    RuledField((KIND,), _TRACED, _TRACING),
    RuledField((KIND,), f"{_TRACED}.samplingRate", _FRACTION),
    RuledField((KIND,), f"{_TRACED}.parentBasedSampling", (_only_enabled("samplingRate"),)),
    RuledField((KIND,), f"{_TRACED}.parentBasedSampling.samplingRate", _FRACTION),
    RuledField((KIND,), f"{_TRACED}.provider.backendRef", _BACKEND_REF),
    RuledField((KIND,), f"{_TRACED}.attributes[]", _ATTRIBUTE),
)
