"""Lint of annotations: those with fastroute's prefix that have no effect on objects of their kind."""

from collections.abc import Iterator

from fastroute.graph.finding import Finding, warning
from fastroute.graph.node import Graph
from fastroute.nearest import nearest
from fastroute.resources.meta import Resource
from fastroute.resources.policy import UnservedPolicy
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.web_origins import ANNOTATION
from fastroute.resources.world import Resources

PREFIX = "fastroute.dev/"
READ_OF = {kind.name for kind in ROUTES.values() if kind.has_web_origins}  # the only annotation is that of origins


def unknown_annotations(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """A name that is misspelled, or an annotation on an object of another kind."""
    for field in resources.__struct_fields__:
        for one in getattr(resources, field).values():
            if isinstance(one, UnservedPolicy):  # of another project
                continue
            kind = type(one).__name__
            for name in sorted(one.metadata.annotations):
                if name.startswith(PREFIX) and not (name == ANNOTATION and kind in READ_OF):
                    yield _unknown(kind, one, name)


def _unknown(kind: str, one: Resource, name: str) -> Finding:
    kinds = " or ".join(sorted(READ_OF))
    if name == ANNOTATION:
        message = f"The annotation has an effect only on objects of kind {kinds}, not of kind {kind}."
    elif kind in READ_OF and nearest(name, [ANNOTATION]):
        message = f"fastroute does not know the annotation, so it has no effect. Did you mean {ANNOTATION}?"
    else:
        message = (
            "fastroute does not know the annotation, so it has no effect. "
            f"The only annotation that fastroute reads is {ANNOTATION}, on a {kinds}."
        )
    return warning(kind, one, "UnknownAnnotation", message, f"metadata.annotations[{name}]")
