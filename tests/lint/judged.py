"""The warnings of all lints for a few objects."""

from graph.world import world

from fastroute.graph.build import build_graph
from fastroute.graph.finding import Finding
from fastroute.lint import lint
from fastroute.resources.meta import Resource
from fastroute.settings import GraphSettings


def found(reason: str, *objects: Resource) -> list[Finding]:
    """The warnings with this reason."""
    resources = world(*objects)
    return [one for one in lint(resources, build_graph(resources, GraphSettings())) if one.reason == reason]


def fields(reason: str, *objects: Resource) -> list[tuple[str, str | None]]:
    return [(str(one.key), one.field) for one in found(reason, *objects)]
