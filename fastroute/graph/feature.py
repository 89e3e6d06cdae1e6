"""Names of the supported features of the Gateway API conformance suite, for GatewayClass.status.supportedFeatures.

A name is listed once its behaviour is implemented; those of a kind of route are in the files of the kind. The bundle
version of the installed CRDs determines which names exist. Without a bundle version, the names of all versions are
reported (the suite ignores names that it does not know).
"""

from collections.abc import Mapping

from fastroute.graph.edition import edition_of
from fastroute.graph.route_stage import Features
from fastroute.graph.route_stages import STAGES
from fastroute.resources.route_kinds import ROUTES

_OTHERS: Features = {
    "BackendTLSPolicy": None,
    "BackendTLSPolicySANValidation": None,
    "Gateway": None,
    "GatewayAddressEmpty": None,
    "GatewayBackendClientCertificate": None,
    "GatewayFrontendClientCertificateValidation": None,
    "GatewayFrontendClientCertificateValidationInsecureFallback": None,
    "GatewayHTTPListenerIsolation": None,
    "GatewayHTTPSListenerDetectMisdirectedRequests": None,
    "GatewayInfrastructure": None,
    "GatewayInfrastructurePropagation": "v1.6",  # up to v1.6.2
    "GatewayPort8080": None,
    "GatewayRouteHostnameIntersectionPrecedence": "v1.7",
    "GatewayStaticAddresses": None,
    "ListenerSet": None,
    "ReferenceGrant": None,
}
_ALL = {
    name: only
    for features in (_OTHERS, *(stage.features for kind, stage in STAGES.items() if ROUTES[kind].is_served))
    for name, only in features.items()
}
SUPPORTED_FEATURES = tuple(sorted(_ALL))  # sorted as the API requires
ONLY_IN: Mapping[str, str] = {name: only for name, only in _ALL.items() if only is not None}
WITH_INFRASTRUCTURE = frozenset({"GatewayInfrastructure", "GatewayInfrastructurePropagation"})  # --infrastructure


def supported_features(bundle_version: str | None, infrastructure: bool) -> tuple[str, ...]:
    """`infrastructure`: whether a Service is created that carries a Gateway's `spec.infrastructure`."""
    edition = edition_of(bundle_version).name
    return tuple(
        name
        for name in SUPPORTED_FEATURES
        if (bundle_version is None or ONLY_IN.get(name, edition) == edition)
        and (infrastructure or name not in WITH_INFRASTRUCTURE)
    )
