"""The text form of a problem."""

import pytest

from fastroute.resources.problem import ManifestProblem, field_name, field_path

NAMES = [
    ((), None),
    (("spec",), "spec"),
    (("spec", "rules", 0, "backendRefs", 12, "weight"), "spec.rules[0].backendRefs[12].weight"),
    (("metadata", "labels", "example.com/app"), "metadata.labels[example.com/app]"),
    (("data", "tls.crt"), "data[tls.crt]"),
    ((0, "a"), "[0].a"),
]


@pytest.mark.parametrize(("path", "name"), NAMES)
def test_fields(path, name):
    assert field_name(path) == name
    assert field_path(name or "") == path


LINES = [
    ({}, "x.yaml: m"),
    ({"line": 3}, "x.yaml:3: m"),
    ({"line": 3, "column": 4, "field": "kind"}, "x.yaml:3:4: kind: m"),
    ({"kind": "Service", "namespace": "a", "name": "b"}, "x.yaml: Service a/b: m"),
    ({"kind": "GatewayClass", "namespace": "", "name": "b", "field": "spec"}, "x.yaml: GatewayClass b: spec: m"),
]


@pytest.mark.parametrize(("parts", "line"), LINES)
def test_lines(parts, line):
    assert str(ManifestProblem(file="x.yaml", message="m", **parts)) == line
