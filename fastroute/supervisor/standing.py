"""How workers stand: what the admin API and the metrics show of their processes."""

from collections.abc import Iterable, Mapping

from fastroute.ext.reactor.counters import CounterMap
from fastroute.place import Transport
from fastroute.snapshot import Endpoint
from fastroute.supervisor.process import Worker
from fastroute.view.state import Standing


def standing_of(worker: Worker, counters: CounterMap) -> Standing:
    """Any thread may call this."""
    fixed, usage = counters.fixed(), worker.usage()
    return Standing(
        slot=worker.slot,
        pid=worker.pid,
        version=worker.version,
        state=_state(worker),
        cpu=usage.cpu,
        memory=usage.memory,
        worst_turn=fixed["worst_turn"] / 1e6,
        worst_install_step=fixed["worst_install_step"] / 1e6,
        clients=fixed["downstream_active"] + fixed["downstream_idle"],
        backends=fixed["upstream_active"] + fixed["upstream_idle"],
    )


def avoided_by(workers: Iterable[Worker]) -> Mapping[Transport, frozenset[Endpoint]]:
    """The endpoints that at least one of the workers avoids."""
    reports = [one.avoided for one in workers]
    return {
        Transport.TCP: frozenset[Endpoint]().union(*(one.tcp for one in reports)),
        Transport.UDP: frozenset[Endpoint]().union(*(one.udp for one in reports)),
    }


def install_cpu(counters: Iterable[CounterMap]) -> list[float]:
    """Seconds of CPU time that the worker of each slot has spent on installations."""
    return [one.fixed()["install_cpu"] / 1e6 for one in counters]


def _state(worker: Worker) -> str:
    if worker.killed:
        return "ending"
    if not worker.version:
        return "starting"
    return "late" if worker.late else "serving"
