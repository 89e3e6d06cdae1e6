"""The micro benchmarks as a table: the results of pytest-benchmark divided by the iterations of the compiled loops."""

import json
from pathlib import Path

from fastroute.text import Table

# Iterations of the compiled loop in one round of the benchmark (ROUNDS in bench/micro/test_*.py); 1 if not listed.
LOOPS = {"test_request": 10_000, "test_response": 10_000, "test_match": 100_000, "test_pick": 100_000,
         "test_forwarded": 100_000}  # fmt: skip


def micro_table(results: Path) -> Table:
    """The best and median time of each benchmark, from the JSON of pytest-benchmark."""
    rows = []
    for each in json.loads(results.read_text())["benchmarks"]:
        name, _, parameters = each["name"].partition("[")
        loops = LOOPS.get(name, 1)
        part = name.removeprefix("test_").replace("_", " ")
        shown = [_shown(each["stats"][which] / loops) for which in ("min", "median")]
        rows.append((f"{part} ({parameters[:-1]})" if parameters else part, *shown))
    return Table(("PART", "BEST", "MEDIAN"), tuple(rows))


def _shown(seconds: float) -> str:
    for factor, unit in ((1, "s"), (1e3, "ms"), (1e6, "µs")):
        if seconds * factor >= 1:
            return f"{seconds * factor:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"
