"""The status of a GatewayClass: whether it is accepted, and the supported features.

CRDs of an unknown version are served like the nearest known version: the class stays accepted, and SupportedVersion
reports the version.
"""

from fastroute.graph.conditions import ACCEPTED
from fastroute.graph.edition import KNOWN, edition_of, minor_version
from fastroute.graph.feature import supported_features
from fastroute.graph.node import GatewayClassNode
from fastroute.resources.status_patch import StatusPatch
from fastroute.status.condition import SUPPORTED_VERSION, Condition, condition, foreign_conditions, judged


def gateway_class_status(node: GatewayClassNode) -> StatusPatch:
    generation = node.source.metadata.generation
    features = supported_features(node.bundle_version, node.infrastructure)
    accepted = judged(ACCEPTED, node.problems, "Handled by fastroute.", generation)
    return StatusPatch(
        kind="GatewayClass",
        key=node.source.key,
        generation=generation,
        uid=node.source.metadata.uid,
        status={
            "conditions": [*foreign_conditions(node.source.status), accepted, _version(node, generation)],
            "supportedFeatures": [{"name": name} for name in features],
        },
    )


def _version(node: GatewayClassNode, generation: int) -> Condition:
    edition = edition_of(node.bundle_version).name
    if node.bundle_version is None or minor_version(node.bundle_version) in KNOWN:
        message = f"Gateway API {edition} is served."
        return condition(SUPPORTED_VERSION, "True", SUPPORTED_VERSION, message, generation)
    message = (
        f"The installed CRDs are of Gateway API {node.bundle_version}; supported are {' and '.join(KNOWN)}. "
        f"They are served as {edition}: features that it does not have are ignored."
    )
    return condition(SUPPORTED_VERSION, "False", "UnsupportedVersion", message, generation)
