"""Support for versions of the Gateway API: names of supported features, and the edition that is installed.

GatewayClass.status.supportedFeatures contains names of the Gateway API conformance suite, sorted as the API requires. A
name is listed here once its behaviour is implemented. The bundle version of the installed CRDs determines the names,
and the behaviour where two versions contradict each other. Without a bundle version, the names of all versions are
reported (the suite ignores names that it does not know).
"""

import re
from collections.abc import Mapping

import msgspec

SUPPORTED_FEATURES = (
    "Gateway",
    "GatewayAddressEmpty",
    "GatewayHTTPListenerIsolation",
    "GatewayInfrastructure",
    "GatewayInfrastructurePropagation",
    "GatewayPort8080",
    "GatewayRouteHostnameIntersectionPrecedence",
    "GatewayStaticAddresses",
    "HTTPRoute",
    "HTTPRoute303RedirectStatusCode",
    "HTTPRoute307RedirectStatusCode",
    "HTTPRoute308RedirectStatusCode",
    "HTTPRouteBackendProtocolWebSocket",
    "HTTPRouteBackendRequestHeaderModification",
    "HTTPRouteBackendTimeout",
    "HTTPRouteBackendURLRewrite",
    "HTTPRouteCORS",
    "HTTPRouteDestinationPortMatching",
    "HTTPRouteHostRewrite",
    "HTTPRouteMethodMatching",
    "HTTPRouteNamedRouteRule",
    "HTTPRouteParentRefPort",
    "HTTPRoutePathRedirect",
    "HTTPRoutePathRewrite",
    "HTTPRoutePortRedirect",
    "HTTPRouteQueryParamMatching",
    "HTTPRouteRequestMirror",
    "HTTPRouteRequestMultipleMirrors",
    "HTTPRouteRequestPercentageMirror",
    "HTTPRouteRequestTimeout",
    "HTTPRouteResponseHeaderModification",
    "HTTPRouteRetry",
    "HTTPRouteRetryBackendTimeout",
    "HTTPRouteRetryCodes",
    "HTTPRouteSchemeRedirect",
    "ListenerSet",
    "ReferenceGrant",
)
ONLY_IN: Mapping[str, str] = {  # names that exist in one edition only
    "GatewayInfrastructurePropagation": "v1.6",  # up to v1.6.2
    "GatewayRouteHostnameIntersectionPrecedence": "v1.7",
    "HTTPRouteBackendURLRewrite": "v1.7",
    "HTTPRouteRetry": "v1.6",
    "HTTPRouteRetryBackendTimeout": "v1.6",
    "HTTPRouteRetryCodes": "v1.7",
}
WITH_INFRASTRUCTURE = frozenset({"GatewayInfrastructure", "GatewayInfrastructurePropagation"})  # --infrastructure
_VERSION = re.compile(r"v(\d+)\.(\d+)\.")


class Edition(msgspec.Struct, frozen=True, kw_only=True):
    """A minor version of the Gateway API, with the behaviour in which it contradicts another one."""

    name: str  # "v1.6"
    session_holds_backend: bool  # a session keeps its backend regardless of the weights (GEP-1619 before v1.7)


EDITIONS = (  # oldest first
    Edition(name="v1.6", session_holds_backend=True),
    Edition(name="v1.7", session_holds_backend=False),
)
KNOWN = tuple(edition.name for edition in EDITIONS)


def edition_of(bundle_version: str | None) -> Edition:
    """The edition that applies: the installed one, or the nearest known one; the oldest if none is installed.

    >>> edition_of("v1.7.0").name, edition_of("v1.4.1").name, edition_of("v0.0.0-dev").name, edition_of(None).name
    ('v1.7', 'v1.6', 'v1.7', 'v1.6')
    """
    minor = minor_version(bundle_version)
    if minor in KNOWN:
        return EDITIONS[KNOWN.index(minor)]
    older = minor is None or (minor != DEVELOPMENT and _number(minor) < _number(KNOWN[0]))
    return EDITIONS[0 if older else -1]


DEVELOPMENT = "v0.0"  # the version of unreleased CRDs


def minor_version(bundle_version: str | None) -> str | None:
    """
    >>> minor_version("v1.6.3"), minor_version("odd")
    ('v1.6', None)
    """
    found = _VERSION.match(bundle_version or "")
    return f"v{found[1]}.{found[2]}" if found else None


def _number(minor: str) -> tuple[int, ...]:
    return tuple(map(int, minor.removeprefix("v").split(".")))


def supported_features(bundle_version: str | None, infrastructure: bool) -> tuple[str, ...]:
    """`infrastructure`: whether a Service is created that carries a Gateway's `spec.infrastructure`."""
    edition = edition_of(bundle_version).name
    return tuple(
        name
        for name in SUPPORTED_FEATURES
        if (bundle_version is None or ONLY_IN.get(name, edition) == edition)
        and (infrastructure or name not in WITH_INFRASTRUCTURE)
    )
