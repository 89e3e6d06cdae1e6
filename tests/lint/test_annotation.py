"""Annotations with the prefix of fastroute that have no effect."""

from typing import Any

import msgspec
import pytest
from graph.world import gateway, make, ref, route, service

from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.meta import Resource
from fastroute.resources.proxy_protocol import ANNOTATION as PROXY_PROTOCOL
from fastroute.resources.web_origins import ANNOTATION

from .judged import found

ORIGIN = "https://app.example.com"
READ = (
    "has no effect. The only annotations that fastroute reads are fastroute.dev/grpc-web-origins, on a GRPCRoute, and "
    "fastroute.dev/proxy-protocol, on a Service."
)


def call_route(name: str) -> Any:
    return annotated(make(GRPCRoute, "red", "r", spec={"rules": []}), name)


def annotated(one: Resource, name: str) -> Any:
    return msgspec.structs.replace(one, metadata=msgspec.structs.replace(one.metadata, annotations={name: ORIGIN}))


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (call_route("fastroute.dev/grpc-web-origin"), f"Did you mean {ANNOTATION}?"),
        (call_route("fastroute.dev/rate-limit"), READ),
        (
            annotated(route("r", "red", ref("s")), ANNOTATION),
            "only on objects of kind GRPCRoute, not of kind HTTPRoute.",
        ),
        (annotated(service("s", "red"), "fastroute.dev/x"), READ),
        (annotated(gateway(), "fastroute.dev/x"), READ),
        (annotated(service("s", "red"), "fastroute.dev/proxy-protocl"), f"Did you mean {PROXY_PROTOCOL}?"),
        (annotated(gateway(), PROXY_PROTOCOL), "only on objects of kind Service, not of kind Gateway."),
    ],
)
def test_an_annotation_without_effect(one: Any, said: str) -> None:
    [warning] = found("UnknownAnnotation", one)
    [name] = one.metadata.annotations
    assert warning.field == f"metadata.annotations[{name}]"
    assert warning.message.endswith(said)
    assert warning.kind == type(one).__name__


@pytest.mark.parametrize(
    "one",
    [
        call_route(ANNOTATION),
        annotated(service("s", "red"), PROXY_PROTOCOL),
        annotated(service("s", "red"), "example.com/grpc-web-origins"),
    ],
)
def test_annotations_that_have_an_effect_or_belong_to_others(one: Any) -> None:
    assert found("UnknownAnnotation", one) == []
