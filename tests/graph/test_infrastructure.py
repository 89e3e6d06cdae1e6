"""The Service of a Gateway: names and labels within the limits of Kubernetes, and distinct."""

import re

import pytest
from graph.world import gateway

from fastroute.graph.infrastructure import (
    GATEWAY_CLASS_LABEL,
    GATEWAY_NAME_LABEL,
    InfrastructureService,
    infrastructure_service,
    label_value,
    service_name,
)


def test_labels_and_annotations():
    asked = {"labels": {"team": "fruit", GATEWAY_NAME_LABEL: "other"}, "annotations": {"a/b": "any thing"}}
    assert infrastructure_service(gateway("edge", spec={"infrastructure": asked})) == InfrastructureService(
        namespace="infra",
        name="edge-fastroute",
        labels={"team": "fruit", GATEWAY_NAME_LABEL: "edge", GATEWAY_CLASS_LABEL: "fastroute"},
        annotations={"a/b": "any thing"},
    )


def test_nothing_asked():
    made = infrastructure_service(gateway("edge"))
    assert made.labels == {GATEWAY_NAME_LABEL: "edge", GATEWAY_CLASS_LABEL: "fastroute"}
    assert made.annotations == {}


@pytest.mark.parametrize("name", ["a" * 253, "a" * 63 + ".b", "1st", "my.edge", "a-" * 126 + "b", "x" * 64, "x" * 63])
def test_names_are_fit(name):
    assert re.fullmatch(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?", service_name(name))
    assert re.fullmatch(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?", label_value(name))


def test_names_that_are_cut_stay_different():
    names = ["a" * 200, "a" * 201, "a.b", "a-b", "a" * 62 + ".c"]
    assert len({service_name(name) for name in names}) == len(names)
    assert len({label_value("a" * 64), label_value("a" * 65)}) == 2
