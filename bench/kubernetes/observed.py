"""`python -m bench.kubernetes.observed FILE serve ...`: runs fastroute, and writes to FILE how long changes took.

Each line has a namespace, and the seconds from the arrival of its first change in a pass until all workers serve it.
(These are the values of fastroute_propagation_seconds, which has no namespaces.)
"""

import sys
from collections.abc import Iterable
from typing import Any

from fastroute import cli, reconcile
from fastroute.source.store import Portion, Store


def observe_into(file: str) -> None:
    last = [Portion(Store().snapshot())]
    take, observe = Store.portion, reconcile.observe

    def portion(store: Store, most: int, now: float) -> Portion:
        last[0] = take(store, most, now)
        return last[0]

    def observed(metrics: Any, before: Any, made: Any, durations: Iterable[float]) -> None:
        known = list(durations)
        with open(file, "a") as lines:
            lines.writelines(f"{space} {one}\n" for space, one in zip(last[0].since, known, strict=False))
        observe(metrics, before, made, known)

    Store.portion = portion  # type: ignore[method-assign]  # observed, for this process only
    reconcile.observe = observed


if __name__ == "__main__":
    observe_into(sys.argv.pop(1))
    cli.main()
