"""The status of a GatewayClass: accepted or not, and what its Gateways can do."""

from fastroute.graph.conditions import ACCEPTED
from fastroute.graph.feature import SUPPORTED_FEATURES
from fastroute.graph.node import GatewayClassNode
from fastroute.resources.status_patch import StatusPatch
from fastroute.status.condition import SUPPORTED_VERSION, condition, foreign_conditions, judged


def gateway_class_status(node: GatewayClassNode) -> StatusPatch:
    generation = node.source.metadata.generation
    accepted = judged(ACCEPTED, node.problems, "Handled by fastroute.", generation)
    version = condition(SUPPORTED_VERSION, "True", SUPPORTED_VERSION, "Gateway API v1.6 is served.", generation)
    return StatusPatch(
        kind="GatewayClass",
        key=node.source.key,
        generation=generation,
        status={
            "conditions": [*foreign_conditions(node.source.status), accepted, version],
            "supportedFeatures": [{"name": name} for name in SUPPORTED_FEATURES],
        },
    )
