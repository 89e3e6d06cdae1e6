"""Features and behaviour that depend on the version of the installed CRDs."""

import pytest

from fastroute.graph.feature import (
    ONLY_IN,
    SUPPORTED_FEATURES,
    edition_of,
    supported_features,
)


@pytest.mark.parametrize(
    ("version", "has", "lacks"),
    [
        ("v1.6.3", "HTTPRouteRetry", "HTTPRouteRetryCodes"),
        ("v1.7.0", "HTTPRouteRetryCodes", "HTTPRouteRetry"),
        ("v1.8.1", "HTTPRouteRetryCodes", "HTTPRouteRetry"),
        ("v1.5.1", "HTTPRouteRetry", "HTTPRouteRetryCodes"),
        ("v0.0.0-dev", "HTTPRouteRetryCodes", "HTTPRouteRetry"),
        ("odd", "HTTPRouteRetry", "HTTPRouteRetryCodes"),
    ],
)
def test_names_by_version(version: str, has: str, lacks: str) -> None:
    names = supported_features(version, infrastructure=True)
    assert has in names
    assert lacks not in names
    assert {"HTTPRoute", "GRPCRoute"} <= set(names)
    assert ("GRPCRouteRequestHeaderModifier" in names) is (has == "HTTPRouteRetryCodes")


def test_manifests_have_the_names_of_all() -> None:
    assert supported_features(None, infrastructure=True) == SUPPORTED_FEATURES
    assert edition_of(None).name == "v1.6"


@pytest.mark.parametrize("version", ["v1.6.3", "v1.7.0", None])
def test_infrastructure_is_claimed_only_where_something_carries_it(version: str | None) -> None:
    more = set(supported_features(version, infrastructure=True)) - set(
        supported_features(version, infrastructure=False)
    )
    assert "GatewayInfrastructure" in more
    assert all("Infrastructure" in name for name in more)


def test_the_table() -> None:
    assert list(SUPPORTED_FEATURES) == sorted(set(SUPPORTED_FEATURES))
    assert len(SUPPORTED_FEATURES) <= 64
    assert ONLY_IN.keys() <= set(SUPPORTED_FEATURES)
