"""Gauges of objects that exist now: one series for each object, and none for an object that is gone.

Whoever knows the objects says which of them changed, so that a change of one among thousands costs little. The number
of series is bounded: if there are too many, the namespaces take turns, and the others are shown together, as `other`.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Mapping
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from fastroute.fairness import fair_part
from fastroute.place import Transport

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
    """The number of endpoints of each backend: those that are ready, and those that a worker avoids because connections
    to them failed. One address and port of TCP and of UDP are two endpoints."""

    def __init__(self, name: str, text: str, series: int) -> None:
        self._name, self._text, self._backends = name, text, series // 2  # each has two series
        # By backend, transport and id. A set keeps the hashes, so that none is computed when the metrics are read.
        self._known: dict[str, dict[tuple[Transport, str], frozenset[Hashable]]] = {}
        # The endpoints that at least one worker avoids.
        self.avoided: Callable[[], Mapping[Transport, frozenset[Any]]] = dict

    def change(
        self,
        endpoints: Mapping[str, Collection[Hashable] | None],
        backend: Callable[[str], str],
        transport: Callable[[str], Transport],
    ) -> None:
        """`endpoints` by id, distinct ones, of the ids that changed; None: there is no such id. `backend`: the label of
        an id."""
        for id_, now in endpoints.items():
            label, key = backend(id_), (transport(id_), id_)
            if now is not None:
                self._known.setdefault(label, {})[key] = frozenset(now)
            elif label in self._known:
                self._known[label].pop(key, None)
                if not self._known[label]:
                    del self._known[label]

    def collect(self) -> Iterable[Metric]:
        family = GaugeMetricFamily(self._name, self._text, labels=("backend", "state"))
        avoided, rest = self.avoided(), [0, 0]
        shown: Collection[str] = self._known
        if len(shown) > self._backends:
            shown = set(fair_part(sorted(shown), self._backends, _space))
        for label, ids in self._known.items():
            ready, lost = _counted(ids, avoided)
            if label in shown:
                family.add_metric((label, READY), ready)
                family.add_metric((label, AVOIDED), lost)
            else:
                rest = [rest[0] + ready, rest[1] + lost]
        if len(shown) < len(self._known):
            family.add_metric((OTHER, READY), rest[0])
            family.add_metric((OTHER, AVOIDED), rest[1])
        yield family


def _counted(
    ids: Mapping[tuple[Transport, str], frozenset[Any]], avoided: Mapping[Transport, frozenset[Any]]
) -> tuple[int, int]:
    """How many of the endpoints are ready, and how many are avoided."""
    total = lost = 0
    for transport in dict.fromkeys(transport for transport, _ in ids):
        sets = [endpoints for (one, _), endpoints in ids.items() if one is transport]
        endpoints = sets[0] if len(sets) == 1 else frozenset[Any]().union(*sets)
        total += len(endpoints)
        if failing := avoided.get(transport):
            lost += len(failing & endpoints)  # visits the smaller of both
    return total - lost, lost


def _space(name: str) -> str:
    """The namespace in "ns/name"."""
    return name.partition("/")[0]
