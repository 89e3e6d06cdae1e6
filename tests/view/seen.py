"""A State of manifests, as a gateway that serves them has it."""

from fastroute.compiler.compile import compile_snapshot
from fastroute.graph.build import build_graph
from fastroute.resources.world import Resources
from fastroute.settings import GraphSettings
from fastroute.snapshot import Outcome
from fastroute.status import build_statuses, everything_bound
from fastroute.view.state import Standing, State

WORKER = Standing(0, 4711, 3, "serving", 0.5, 40_000_000, 0.001, 0.002, 5, 2)


def seen(resources: Resources, settings: GraphSettings | None = None, **more: object) -> State:
    graph = build_graph(resources, settings or GraphSettings())
    bound: Outcome = everything_bound(graph)
    return State(
        graph=graph,
        snapshot=compile_snapshot(graph).snapshot,
        outcome=bound,
        statuses=build_statuses(graph, bound).patches,
        workers=(WORKER,),
        **more,  # type: ignore[arg-type]
    )
