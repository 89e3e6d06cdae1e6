"""Lint of annotations: those with fastroute's prefix that have no effect on objects of their kind."""

from collections.abc import Iterator, Mapping

from fastroute.graph.finding import Finding, warning
from fastroute.graph.node import Graph
from fastroute.nearest import nearest
from fastroute.resources import proxy_protocol, web_origins
from fastroute.resources.core import Service
from fastroute.resources.meta import Resource
from fastroute.resources.policy import UnservedPolicy
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.world import Resources

PREFIX = "fastroute.dev/"
READ_OF: Mapping[str, frozenset[str]] = {  # the kinds on which each annotation is read
    web_origins.ANNOTATION: frozenset(kind.name for kind in ROUTES.values() if kind.has_web_origins),
    proxy_protocol.ANNOTATION: frozenset({Service.__name__}),
}


def unknown_annotations(resources: Resources, graph: Graph) -> Iterator[Finding]:
    """A name that is misspelled, or an annotation on an object of another kind."""
    for objects in resources.kinds:
        for one in objects.values():
            if isinstance(one, UnservedPolicy):  # of another project
                continue
            kind = type(one).__name__
            for name in sorted(one.metadata.annotations):
                if name.startswith(PREFIX) and kind not in READ_OF.get(name, ()):
                    yield _unknown(kind, one, name)


def _unknown(kind: str, one: Resource, name: str) -> Finding:
    of_kind = [known for known, kinds in READ_OF.items() if kind in kinds]
    near = nearest(name, of_kind)
    if name in READ_OF:
        message = f"The annotation has an effect only on objects of kind {_kinds(name)}, not of kind {kind}."
    elif near:
        message = f"fastroute does not know the annotation, so it has no effect. Did you mean {near}?"
    else:
        known = ", and ".join(f"{each}, on a {_kinds(each)}" for each in READ_OF)
        message = (
            "fastroute does not know the annotation, so it has no effect. "
            f"The only annotations that fastroute reads are {known}."
        )
    return warning(kind, one, "UnknownAnnotation", message, f"metadata.annotations[{name}]")


def _kinds(name: str) -> str:
    return " or ".join(sorted(READ_OF[name]))
