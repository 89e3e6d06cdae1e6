"""Gauges of objects that exist now: one series for each object, and none for an object that is gone.

Whoever knows the objects says which of them changed, so that a change of one among thousands costs little. The number
of series is bounded: if there are too many, the namespaces take turns, and the others are shown together, as `other`.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fastroute.fairness import fair_part

OTHER = "other"  # the label value for everything counted after the maximum number of series is reached
READY, AVOIDED = "ready", "avoided"


class Current(Collector):
    """A gauge with one value for each object."""

    def __init__(
        self,
        name: str,
        text: str,
        labels: tuple[str, ...],
        series: int,
        *,
        rest: Callable[[Iterable[float]], float] = sum,
    ) -> None:
        """The first label is "ns/name". `rest`: the value of `other`, from those that are not shown."""
        self._name, self._text, self._labels = name, text, labels
        self._series, self._rest = series, rest
        self._values: dict[tuple[str, ...], float] = {}

    def change(self, values: Mapping[tuple[str, ...], float | None], *, anew: bool = False) -> None:
        """`values` by labels, of the objects that changed; None: there is none. `anew`: there are no others."""
        if anew:
            self._values.clear()
        for labels, value in values.items():
            if value is None:
                self._values.pop(labels, None)
            else:
                self._values[labels] = value

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=self._labels)
        values = self._values
        shown: Collection[tuple[str, ...]] = values
        if len(values) > self._series:
            shown = set(fair_part(sorted(values), self._series, lambda labels: _space(labels[0])))
            family.add_metric(
                (OTHER,) * len(self._labels), self._rest(value for key, value in values.items() if key not in shown)
            )
        for labels, value in values.items():
            if labels in shown:
                family.add_metric(labels, value)
        yield family


class CurrentEndpoints(Collector):
    """The number of endpoints of each backend: those that are ready, and those that a worker avoids because its last
    connection to them failed."""

    def __init__(self, name: str, text: str, series: int) -> None:
        self._name, self._text, self._backends = name, text, series // 2  # each has two series
        # By backend and id. A set keeps the hashes, so that none is computed when the metrics are read.
        self._known: dict[str, dict[str, frozenset[Hashable]]] = {}
        self.avoided: Callable[[], frozenset[Any]] = frozenset  # the endpoints that at least one worker avoids

    def change(self, endpoints: Mapping[str, Collection[Hashable] | None], backend: Callable[[str], str]) -> None:
        """`endpoints` by id, distinct ones, of the ids that changed; None: there is no such id. `backend`: the label of
        an id."""
        for id_, now in endpoints.items():
            label = backend(id_)
            if now is not None:
                self._known.setdefault(label, {})[id_] = frozenset(now)
            elif label in self._known:
                self._known[label].pop(id_, None)
                if not self._known[label]:
                    del self._known[label]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=("backend", "state"))
        avoided, rest = self.avoided(), [0, 0]
        shown: Collection[str] = self._known
        if len(shown) > self._backends:
            shown = set(fair_part(sorted(shown), self._backends, _space))
        for label, ids in self._known.items():
            endpoints = next(iter(ids.values())) if len(ids) == 1 else frozenset[Hashable]().union(*ids.values())
            lost = len(avoided & endpoints) if avoided else 0  # visits the smaller of both
            if label in shown:
                family.add_metric((label, READY), len(endpoints) - lost)
                family.add_metric((label, AVOIDED), lost)
            else:
                rest = [rest[0] + len(endpoints) - lost, rest[1] + lost]
        if len(shown) < len(self._known):
            family.add_metric((OTHER, READY), rest[0])
            family.add_metric((OTHER, AVOIDED), rest[1])
        yield family


def _space(name: str) -> str:
    """The namespace in "ns/name"."""
    return name.partition("/")[0]
