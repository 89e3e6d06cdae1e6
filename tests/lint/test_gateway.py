"""Gateways that are not served because of their class."""

import pytest
import yaml
from graph.world import gateway, make

from fastroute.resources.gateway import GatewayClass

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
