"""The cost of a scrape of /metrics: `python -m bench.scrape [--series 2000] [--workers 2]`.

Each of as many routes as there are series has counted requests with one status, and has a backend; so there are as many
series of `http_requests_total`, of `http_request_duration_seconds` and of `upstream_request_duration_seconds` (25 lines
each). Prints the CPU time of the main process in milliseconds: to collect (in the main loop), and to render (in a
thread); and the size of the page. The workers do nothing for a scrape.
"""

import argparse
import json
import statistics
import time

from fastroute.exposition import render
from fastroute.ext.message.reason import REASONS
from fastroute.metrics import Metrics
from fastroute.snapshot import Match, PathMatch, Rule, WeightedBackend
from fastroute.supervisor.memory import counter_memory
from fastroute.supervisor.tally import Tally, WorkerSample

ROUNDS = 15


def a_rule(number: int) -> Rule:
    return Rule(
        id=f"L|HTTPRoute|team-{number % 50}/route-{number}|0",
        listener="L",
        hostnames=("",),
        gateway="infra/gateway",
        listener_name="https",
        route=f"team-{number % 50}/route-{number}",
        route_kind="HTTPRoute",
        name="0",
        matches=(Match(path=PathMatch("PathPrefix", f"/{number}"), rank=()),),
        backends=(WeightedBackend(weight=1, backend=f"team-{number % 50}/service-{number}:8080"),),
    )


def counted(series: int, workers: int, histograms: bool) -> Metrics:
    """The metrics of a gateway whose workers counted requests of `series` routes."""
    memories = [counter_memory(series) for _ in range(workers)]
    metrics = Metrics(series=series)
    samples = [WorkerSample(slot, 1, 1.0, 1 << 20) for slot in range(workers)]
    tally = Tally([memory.counters for memory in memories], REASONS, lambda: samples, series)
    for number in range(series):
        slots = tally.book.assign(a_rule(number))
        for memory in memories:
            memory.counters.count_request(slots.targets[0], 200)
            for microseconds in (90, 700, 15_000) if histograms else ():
                memory.counters.observe(slots.duration, microseconds)
                memory.counters.observe(slots.upstreams[0], microseconds)
    metrics.registry.register(tally)
    return metrics


def measured(metrics: Metrics, openmetrics: bool) -> dict[str, float]:
    collecting, rendering, size = [], [], 0
    for _ in range(ROUNDS):
        began = time.thread_time()
        families = list(metrics.registry.collect())
        between = time.thread_time()
        size = len(render(families, openmetrics))
        collecting.append(between - began)
        rendering.append(time.thread_time() - between)
    times = {"collect_ms": statistics.median(collecting), "render_ms": statistics.median(rendering)}
    rounded = {name: round(seconds * 1e3, 2) for name, seconds in times.items()}
    return rounded | {"page_kib": size // 1024}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--series", type=int, default=2_000)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    for histograms in (False, True):
        metrics = counted(arguments.series, arguments.workers, histograms)
        for openmetrics in (False, True):
            row = {"series": arguments.series, "workers": arguments.workers, "histograms": histograms}
            print(json.dumps(row | {"openmetrics": openmetrics} | measured(metrics, openmetrics)))


if __name__ == "__main__":
    main()
