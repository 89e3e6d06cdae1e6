"""What the workers report about their confinement (worker/confinement.py): a metric, and one log line."""

import logging
from collections.abc import Mapping

from prometheus_client import Gauge

from fastroute.publication import CONFINEMENT

_log = logging.getLogger(__name__)


class Confinement:
    """The last report. All workers run on the same kernel, so a report is logged only if it differs from the last."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._missing: Mapping[str, str] | None = None

    def report(self, missing: Mapping[str, str]) -> None:
        """`missing`: what a worker could not apply, and the reasons."""
        for kind in CONFINEMENT:
            self._gauge.labels(kind).set(kind not in missing)
        if missing == self._missing:
            return
        self._missing = missing
        if missing:
            reasons = "; ".join(f"{kind}: {reason}" for kind, reason in missing.items())
            _log.warning("workers serve without a part of their confinement (%s)", reasons)
        else:
            _log.debug("workers are confined by %s", ", ".join(CONFINEMENT))
