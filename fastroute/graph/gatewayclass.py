"""GatewayClasses with our controllerName. If no GatewayClass exists, one is implied."""

from collections.abc import Mapping

from fastroute.graph import conditions
from fastroute.graph.node import GatewayClassNode, Problem
from fastroute.resources.gateway import GatewayClass, GatewayClassSpec
from fastroute.resources.meta import Key, Metadata
from fastroute.settings import GraphSettings


def build_classes(classes: Mapping[Key, GatewayClass], settings: GraphSettings) -> dict[Key, GatewayClassNode]:
    if not classes and settings.class_name is not None:
        implied = GatewayClass(
            metadata=Metadata(name=settings.class_name),
            spec=GatewayClassSpec(controller_name=settings.controller_name),
        )
        node = GatewayClassNode(source=implied, implied=True, bundle_version=settings.bundle_version, problems=())
        return {implied.key: node}
    return {
        key: GatewayClassNode(
            source=classes[key],
            bundle_version=settings.bundle_version,
            infrastructure=settings.infrastructure,
            problems=_problems(classes[key]),
        )
        for key in sorted(classes)
        if classes[key].spec.controller_name == settings.controller_name
    }


def _problems(source: GatewayClass) -> tuple[Problem, ...]:
    parameters = source.spec.parameters_ref
    if parameters is None:
        return ()
    message = (
        f"spec.parametersRef names {parameters.kind} {parameters.name}, but fastroute does not support parameters: "
        f"remove it, and set options where fastroute is started."
    )
    return (conditions.invalid_parameters(message, "spec.parametersRef"),)
