"""The results as tables, and whether every requirement ("must") is met."""

import argparse
from collections.abc import Callable, Iterator, Sequence

import msgspec

from bench.before import BEFORE
from bench.churn import Churn
from bench.compare import OURS, Comparison, Cost, Effort
from bench.scale import Scale
from bench.secure import Secure
from fastroute.text import Block, Line, Table, write_page

MIB = 1 << 20
WORSE = 1.02  # the limit for the cost of a change, as a ratio to the commit before


class Must(msgspec.Struct, frozen=True):
    """One requirement: the measured number, its limit, and its target."""

    what: str
    number: float
    must: float
    aim: float
    unit: str = ""

    @property
    def row(self) -> tuple[str, str, str, str, str]:
        verdict = "aim" if self.number <= self.aim else "must" if self.number <= self.must else "MISSED"
        return (
            self.what,
            f"{self.number:.3g}{self.unit}",
            f"{self.must:g}{self.unit}",
            f"{self.aim:g}{self.unit}",
            verdict,
        )


def cost_table(costs: Sequence[Cost]) -> Table:
    return Table(
        ("MEASURE", "PROXY", "COST", "UNIT", "OURS/IT", "REQUESTS/S", "FAILED"),
        tuple(
            (cost.measure, cost.proxy, f"{cost.cost:.3g}", cost.unit, f"{cost.ours:.2f}", f"{cost.rate:,.0f}",
             str(cost.failures))
            for cost in costs
        ),
    )  # fmt: skip


def repeat_lines(costs: Sequence[Cost]) -> Iterator[Block]:
    """A hung load is not in the costs, so it is reported."""
    for cost in costs:
        if cost.repeats:
            yield Line(f"{cost.measure}, {cost.proxy}: {cost.repeats} loads hung and were repeated.", "red")


def print_costs(about: str | None, measure: Callable[[Effort], list[Cost]]) -> None:
    """The program of a module that measures costs."""
    words = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--rounds", type=int, default=Effort().rounds)
    words.add_argument("--seconds", type=int, default=Effort().seconds)
    chosen = words.parse_args()
    costs = measure(Effort(rounds=chosen.rounds, seconds=chosen.seconds))
    write_page([cost_table(costs), *repeat_lines(costs)])


def comparison_tables(found: Comparison) -> Iterator[Block]:
    yield cost_table(found.costs)
    yield Table(
        ("MEASURE", "PROXY", "P50 MS", "P99 MS", "FAILED"),
        tuple(
            (each.measure, each.proxy, f"{each.p50:.3f}", f"{each.p99:.3f}", str(each.failures))
            for each in found.latencies
        ),
    )
    yield Table(
        ("PROXY", "MANY ROUTES / ONE"), tuple((name, f"{ratio:.2f}") for name, ratio in found.many_to_one.items())
    )
    yield from verdicts(_comparison_musts(found))


def _comparison_musts(found: Comparison) -> Iterator[Must]:
    ours = {(cost.measure, cost.proxy): cost.ours for cost in found.costs}
    promised = (
        ("keep-alive", "nginx", 1.0, 0.8),
        ("keep-alive", "envoy", 0.35, 0.25),
        ("new connection", "nginx", 1.1, 1.0),
        ("1 MiB answers", "nginx", 1.1, 1.0),
        ("1 MiB uploads", "nginx", 1.1, 1.0),
    )
    for measure, proxy, must, aim in promised:
        if (measure, proxy) in ours:
            yield Must(f"{measure}, CPU vs {proxy}", ours[measure, proxy], must, aim)
    for (measure, proxy), ratio in ours.items():
        if proxy == BEFORE:
            yield Must(f"{measure}, CPU vs the commit before", ratio, WORSE, 1.0)
    yield Must("many routes vs one", found.many_to_one[OURS], 1.05, 1.0)
    failed = sum(cost.failures for cost in found.costs) + sum(each.failures for each in found.latencies)
    yield Must("failed requests, of all proxies", failed, 0, 0)


def secure_tables(found: Secure) -> Iterator[Block]:
    yield Table(
        ("MEASURE", "PROXY", "COST", "UNIT", "OURS/IT", "FAILED"),
        tuple(
            (each.measure, each.proxy, f"{each.cost:.3g}", each.unit, f"{each.ours:.2f}", str(each.failures))
            for each in found.costs
        ),
    )  # fmt: skip
    yield from verdicts(_secure_musts(found))


def _secure_musts(found: Secure) -> Iterator[Must]:
    promised = {
        "HTTPS keep-alive": (1.0, 0.85),
        "full handshake": (1 / 0.95, 1 / 1.1),
        "resumed handshake": (1 / 0.95, 1 / 1.1),
        "1 MiB over TLS": (1.1, 1.0),
    }
    for each in found.costs:
        must, aim = promised[each.measure]
        if each.proxy == "nginx":
            yield Must(f"{each.measure}, CPU vs nginx", each.ours, round(must, 2), round(aim, 2))
        if each.proxy == BEFORE:
            yield Must(f"{each.measure}, CPU vs the commit before", each.ours, WORSE, 1.0)
    yield Must("memory of an idle HTTPS connection", found.idle_bytes / 1024, 40, 24, " KiB")
    yield Must("failed requests, of all proxies", sum(each.failures for each in found.costs), 0, 0)


def scale_tables(found: Scale) -> Iterator[Block]:
    yield Table(
        ("WITH", "START TO READY S", "WORKER RSS MIB"),
        (
            ("1 route", f"{found.start_one_s:.2f}", f"{found.worker_one_bytes / MIB:.1f}"),
            (f"{found.routes} routes", f"{found.start_s:.2f}", f"{found.worker_bytes / MIB:.1f}"),
        ),
    )
    yield from verdicts(
        (
            Must(f"start to ready, {found.routes} routes", found.start_s, 6, 3, " s"),
            Must(f"RSS of a worker, {found.routes} routes", found.worker_bytes / 1e6, 60, 40, " MB"),
            Must("RSS per idle client connection", found.connection_bytes / 1024, 8, 4, " KiB"),
        )
    )


def churn_tables(found: Churn) -> Iterator[Block]:
    yield Table(
        ("EDITS", "OF ROUTES", "P50 MS", "P99 MS", "OWN P50 MS", "OWN P99 MS", "WORST TURN MS"),
        ((str(found.edits), str(found.routes), f"{found.p50:.1f}", f"{found.p99:.1f}", f"{found.own_p50:.1f}",
          f"{found.own_p99:.1f}", f"{found.worst_turn:.2f}"),),
    )  # fmt: skip
    yield from verdicts(
        (
            Must(f"file written to served, {found.routes} routes, p99", found.p99, 50, 50, " ms"),
            Must("time within fastroute, p99", found.own_p99, 20, 10, " ms"),
            Must("longest turn of the engine", found.worst_turn, 5, 5, " ms"),
        )
    )


def verdicts(musts: Iterator[Must] | tuple[Must, ...]) -> Iterator[Block]:
    rows = tuple(must.row for must in musts)
    yield Table(
        ("PROMISED", "MEASURED", "MUST", "AIM", "MET"), rows, tuple("red" if "MISSED" in row else "" for row in rows)
    )
    if any("MISSED" in row for row in rows):
        yield Line("Something promised is missed.", "bold red")
