"""The rules of L4 routes as Bodies: backends, and nothing else."""

from fastroute.compiler.backends import plain_backends_of
from fastroute.compiler.body import Body
from fastroute.graph.node import RouteNode


def l4_bodies(route: RouteNode) -> tuple[Body, ...]:
    """The rule of an accepted route."""
    return tuple(
        Body(
            index=node.index,
            name=written.name or str(node.index),
            calls=False,
            matches=(),
            filters=(),
            backends=plain_backends_of(node),
            request_timeout_ms=0,
            backend_timeout_ms=0,
            retry=None,
            session=None,
        )
        for written, node in zip(route.l4_rules, route.rules, strict=True)
    )
