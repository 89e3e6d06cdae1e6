"""The Service that is created for each Gateway: it carries `spec.infrastructure` (GEP-1762, GEP-1867).

fastroute serves all Gateways from the same pods, so the Service exists only for its metadata: tools that search for
objects of a Gateway by label find it. Names and label values have at most 63 characters, while the name of a Gateway
can have 253. A name that is longer, or not a valid Service name, is shortened and ends with a hash of the whole name.
"""

import hashlib
import re
from collections.abc import Mapping

import msgspec

from fastroute.resources.gateway import Gateway, GatewayInfrastructure

GATEWAY_NAME_LABEL = "gateway.networking.k8s.io/gateway-name"
GATEWAY_CLASS_LABEL = "gateway.networking.k8s.io/gateway-class-name"
LONGEST = 63  # maximum number of characters of a Service's name, and of a label's value
_HASH = 10  # hex digits
_SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")


class InfrastructureService(msgspec.Struct, frozen=True, kw_only=True):
    """The Service that should exist in the Gateway's namespace."""

    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]


def infrastructure_service(gateway: Gateway) -> InfrastructureService:
    """Its labels name the Gateway and its class; they have precedence over labels of `spec.infrastructure`."""
    asked = gateway.spec.infrastructure or GatewayInfrastructure()
    own = {
        GATEWAY_NAME_LABEL: label_value(gateway.metadata.name),
        GATEWAY_CLASS_LABEL: label_value(gateway.spec.gateway_class_name),
    }
    return InfrastructureService(
        namespace=gateway.metadata.namespace,
        name=service_name(f"{gateway.metadata.name}-{gateway.spec.gateway_class_name}"),
        labels={**asked.labels, **own},
        annotations=dict(asked.annotations),
    )


def label_value(name: str) -> str:
    """
    >>> label_value("edge"), len(label_value("a" * 253))
    ('edge', 63)
    """
    return name if len(name) <= LONGEST else _cut(name, name)


def service_name(name: str) -> str:
    """
    >>> service_name("edge-fastroute"), service_name("my.edge-x")
    ('edge-fastroute', 'my-edge-x-6c2a76c2eb')
    """
    if len(name) <= LONGEST and _SERVICE_NAME.fullmatch(name):
        return name
    plain = re.sub(r"[^a-z0-9-]", "-", name.lower())
    return _cut(plain if plain[0].isalpha() else f"g-{plain}", name)


def _cut(text: str, whole: str) -> str:
    """`text` and a hash of `whole`, in at most 63 characters."""
    digest = hashlib.sha256(whole.encode()).hexdigest()[:_HASH]
    return f"{text[: LONGEST - _HASH - 1].rstrip('-.')}-{digest}"
