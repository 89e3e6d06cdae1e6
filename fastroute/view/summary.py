"""The status of the gateway in short, and its workers."""

from fastroute import __version__
from fastroute.view.answers import Status, Worker, Workers
from fastroute.view.certificates import moment
from fastroute.view.findings import said
from fastroute.view.paging import Window, cut
from fastroute.view.problems import present_counts
from fastroute.view.state import Standing, State


def status(state: State, window: Window) -> Status:
    """`window` does not matter: it is one item."""
    found, counts = said(state), present_counts(state)
    traffic, graph = state.traffic, state.graph
    return Status(
        fastroute=__version__,
        time=moment(state.now),
        ready=state.ready,
        version=state.outcome.version,
        target=state.outcome.target,
        workers=tuple(map(_worker, state.workers)),
        workers_wanted=state.slots,
        gateways=len(graph.gateways),
        listeners=sum(len(holder.listeners) for holder in graph.holders),
        routes=len(graph.routes),
        backends=len(graph.backends),
        certificates=len(graph.certificates),
        problems=len(found.problems),
        not_bound=counts["not_bound"],
        failing_routes=counts["failing"],
        certificates_ending=counts["certificate"],
        refused_references=found.refused,
        refused=found.first_refused,
        window_seconds=traffic.seconds,
        rate=sum(traffic.listeners.values()) / traffic.seconds if traffic.seconds else 0.0,
    )


def workers(state: State, window: Window) -> Workers:
    standing = {f"{one.slot:04}": one for one in state.workers}
    found = cut(standing, window, lambda key: _worker(standing[key]))
    return Workers(version=state.outcome.target, total=found.total, next=found.next, items=found.items)


def _worker(standing: Standing) -> Worker:
    return Worker(
        slot=standing.slot,
        pid=standing.pid,
        state=standing.state,
        version=standing.version,
        cpu_seconds=standing.cpu,
        memory_bytes=standing.memory,
        worst_turn_seconds=standing.worst_turn,
        worst_install_step_seconds=standing.worst_install_step,
        client_connections=standing.clients,
        backend_connections=standing.backends,
    )
