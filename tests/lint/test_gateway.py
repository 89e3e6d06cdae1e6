"""Gateways: those that are not served because of their class, and their certificate for backends."""

import pytest
import yaml
from graph.secrets import secret
from graph.world import gateway, make, world

from fastroute.graph.build import build_graph
from fastroute.lint import lint
from fastroute.resources.gateway import GatewayClass
from fastroute.settings import GraphSettings

from .judged import found


@pytest.mark.parametrize(("name", "fix"), [("fastroutes", {"gatewayClassName": "fastroute"}), ("nginx", None)])
def test_a_class_that_does_not_exist(name: str, fix: object) -> None:
    [warning] = found("UnknownGatewayClass", gateway(class_name=name))
    assert (yaml.safe_load(warning.fix) if warning.fix else None) == fix


@pytest.mark.parametrize(
    ("controller", "message"),
    [
        ("example.com/other", "belongs to controller example.com/other, not fastroute.dev/gateway."),
        (
            "fastroute.dev/gatewy",
            "belongs to controller fastroute.dev/gatewy, not fastroute.dev/gateway (did you mean that one?).",
        ),
    ],
)
def test_a_class_of_another_controller(controller: str, message: str) -> None:
    theirs = make(GatewayClass, "", "theirs", {"controllerName": controller})
    [warning] = found("ForeignGatewayClass", gateway(class_name="theirs"), theirs)
    assert warning.message == f"Not served: GatewayClass theirs {message}"
    assert (warning.field, warning.fix) == ("spec.gatewayClassName", None)


def test_a_class_of_ours() -> None:
    ours = make(GatewayClass, "", "ours", {"controllerName": "fastroute.dev/gateway"})
    for reason in ("UnknownGatewayClass", "ForeignGatewayClass"):
        assert found(reason, gateway(class_name="ours"), ours) == []


@pytest.mark.parametrize("expired", [False, True])
def test_certificates_for_backends_out_of_time(expired: bool) -> None:
    tls = {"backend": {"clientCertificateRef": {"name": "c"}}}
    resources = world(gateway("gw", "infra", spec={"tls": tls}), secret("c", "infra"))
    graph = build_graph(resources, GraphSettings())
    (node,) = graph.certificates.values()
    found = list(lint(resources, graph, node.not_after + (1 if expired else -1)))
    assert [(one.reason, one.field) for one in found] == (
        [("CertificateOutOfTime", "spec.tls.backend.clientCertificateRef")] if expired else []
    )
    assert all("backends will reject it" in one.message for one in found)
