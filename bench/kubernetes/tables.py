"""The results on the cluster as tables, and whether every requirement ("must") is met."""

from collections.abc import Iterator
from statistics import median

from bench.kubernetes.attached import Attached
from bench.kubernetes.disturbed import Disturbed
from bench.kubernetes.idle import Idle
from bench.kubernetes.neighbour import Neighbour
from bench.kubernetes.served import Delay, Served
from bench.report import Must, verdicts
from fastroute.text import Block, Table


def served_tables(found: Served, routes: int) -> Iterator[Block]:
    rows = (
        ("route created to served", found.created),
        ("endpoint ready to its first request", found.gained),
        ("endpoint terminating to its last request", found.lost),
    )
    yield Table(("FROM THE API SERVER'S ANSWER", "P50 MS", "P99 MS", "WORST MS"), tuple(_row(*row) for row in rows))
    yield from verdicts(
        (
            Must(f"route created to served, {routes} routes, p99", found.created.p99, 20, 10, " ms"),
            Must("endpoint ready to its first request, p99", found.gained.p99, 20, 10, " ms"),
            Must("endpoint terminating to its last request, p99", found.lost.p99, 20, 10, " ms"),
            Must("wrong answers during these changes", found.wrong, 0, 0),
        )
    )


def _row(what: str, delay: Delay) -> tuple[str, ...]:
    return (what, f"{delay.p50:.1f}", f"{delay.p99:.1f}", f"{delay.worst:.1f}")


def attached_tables(found: Attached) -> Iterator[Block]:
    yield from verdicts(
        (
            Must(f"{found.routes} routes attached at once, all Accepted", found.seconds, 3, 1, " s"),
            Must("statuses written per route", found.writes, 1.1, 1.05),
        )
    )


def idle_tables(found: Idle) -> Iterator[Block]:
    yield from verdicts(
        (
            Must(f"start to ready, {found.routes} routes", found.ready_s, 8, 4, " s"),
            Must(f"RSS of the main process, {found.routes} routes", found.main_bytes / 1e6, 350, 200, " MB"),
            Must(f"RSS of a worker, {found.routes} routes", found.worker_bytes / 1e6, 60, 40, " MB"),
            Must("CPU while others renew Leases", found.cpu_percent, 0.5, 0.2, " %"),
        )
    )


def neighbour_tables(found: Neighbour) -> Iterator[Block]:
    rows = [("quiet", found.quiet), *((name, each) for name, each in found.attacks.items())]
    yield Table(
        (
            "ANOTHER NAMESPACE",
            "SERVED P50 MS",
            "P90 MS",
            "STATUS P50 MS",
            "P90 MS",
            "WORST MS",
            "CHANGES/S",
            "OWN P50 MS",
            "P90 MS",
        ),
        tuple(
            (name, *(f"{value:.0f}" for value in (*each.served[:2], *each.stated, each.changes, *each.own[:2])))
            for name, each in rows
        ),
    )
    limit = 2 * found.quiet.own[1] + 50
    for name, each in found.attacks.items():
        yield from verdicts(
            (
                Must(f"change served after its arrival, {name}, p90", each.own[1], limit, limit / 2, " ms"),
                Must(f"its status, {name}, p90", each.stated[1], 1_000, 500, " ms"),
            )
        )


def disturbed_tables(found: Disturbed) -> Iterator[Block]:
    spells = (("without changes", found.quiet), ("with changes", found.disturbed))
    yield Table(
        ("AT 1000 REQUESTS/S", "P50 MS", "P99 MS", "FAILED"),
        tuple(
            (name, f"{median(one.p50 for one in each):.3f}", f"{median(one.p99 for one in each):.3f}",
             str(sum(one.failures for one in each)))
            for name, each in spells
        ),
    )  # fmt: skip
    yield from verdicts(
        (
            Must(f"p99 with {found.changes:.0f} changes/s, relative to p99 without", found.ratio, 1.3, 1.1),
            Must(f"wrong answers, {found.asked} requests for changing routes", found.wrong, 0, 0),
        )
    )
