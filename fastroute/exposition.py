"""The text of /metrics: the Prometheus text format, or OpenMetrics if the client asks for it.

The families of the workers have thousands of series. They are tables of label values and numbers here, and their text
is made from a template for each family, because an object for each sample would take ten times as long. All other
families are those of prometheus-client.
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from prometheus_client.core import Metric
from prometheus_client.samples import Sample
from prometheus_client.utils import floatToGoString

LABELS = "\0"  # in a template: where the labels are
OPENMETRICS = "application/openmetrics-text"
PLAIN = "text/plain"
CONTENT_TYPES = {  # whether OpenMetrics
    False: "text/plain; version=0.0.4; charset=utf-8",
    True: "application/openmetrics-text; version=1.0.0; charset=utf-8",
}


def written(number: float) -> str:
    """As Prometheus writes it."""
    text: str = floatToGoString(number)  # type: ignore[no-untyped-call]
    return text


class Exemplar(NamedTuple):
    """One request that a histogram measured."""

    trace_id: str
    value: float  # seconds
    time: float  # seconds since the epoch


class Table(Metric):
    """A counter or gauge with many series."""

    def __init__(self, name: str, text: str, kind: str, labels: Sequence[str]) -> None:
        super().__init__(name.removesuffix("_total") if kind == "counter" else name, text, kind)
        self.labels = tuple(labels)
        self.rows: list[tuple[tuple[str, ...], float]] = []

    def add(self, labels: tuple[str, ...], value: float) -> None:
        self.rows.append((labels, value))

    @property
    def samples(self) -> list[Sample]:
        """As prometheus-client has them."""
        name = self.name + ("_total" if self.type == "counter" else "")
        return [Sample(name, dict(zip(self.labels, values, strict=True)), value) for values, value in self.rows]

    @samples.setter
    def samples(self, samples: list[Sample]) -> None:
        """Metric sets it to nothing."""


class Histograms(Metric):
    """A histogram with many series, of values in microseconds. `samples` stays empty."""

    def __init__(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]) -> None:
        super().__init__(name, text, "histogram")
        self.labels = tuple(labels)
        self.bounds = (*map(written, bounds), "+Inf")
        self.rows: list[tuple[tuple[str, ...], Sequence[int], Exemplar | None]] = []

    def add(self, labels: tuple[str, ...], sums: Sequence[int], exemplar: Exemplar | None = None) -> None:
        """`sums`: the sum of the values, then the count of each bucket."""
        self.rows.append((labels, sums, exemplar))


def is_openmetrics(accept: str) -> bool:
    """Whether a client with this Accept prefers OpenMetrics (RFC 9110 section 12.5.1).

    >>> is_openmetrics("text/plain;q=0.5, application/openmetrics-text; version=1.0.0"), is_openmetrics("*/*")
    (True, False)
    """
    wanted = {OPENMETRICS: 0.0, PLAIN: 0.0}
    for part in accept.lower().split(","):
        kind, *parameters = (each.strip() for each in part.split(";"))
        quality = next((each[2:] for each in parameters if each.startswith("q=")), "1")
        if kind in wanted:
            wanted[kind] = max(wanted[kind], _number(quality))
    return wanted[OPENMETRICS] > 0 and wanted[OPENMETRICS] >= wanted[PLAIN]


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def render(families: Iterable[Metric], openmetrics: bool = False) -> bytes:
    """The page."""
    parts: list[str] = []
    for family in families:
        # The name of a counter has no "_total" in OpenMetrics, only its samples have it.
        name = family.name + ("_total" if family.type == "counter" and not openmetrics else "")
        parts.append(f"# HELP {name} {_escaped_help(family.documentation, openmetrics)}\n# TYPE {name} {family.type}\n")
        if isinstance(family, Table):
            parts.extend(_table(family))
        elif isinstance(family, Histograms):
            parts.extend(_histograms(family, openmetrics))
        else:
            parts.extend(map(_sample, family.samples))
    if openmetrics:
        parts.append("# EOF\n")
    return "".join(parts).encode()


def _sample(sample: Sample) -> str:
    labels = _labels(tuple(sample.labels), tuple(sample.labels.values()))
    return (
        f"{sample.name}{{{labels}}} {written(sample.value)}\n"
        if labels
        else (f"{sample.name} {written(sample.value)}\n")
    )


def _table(family: Table) -> Iterator[str]:
    name = family.name + ("_total" if family.type == "counter" else "")
    for labels, value in family.rows:
        yield f"{name}{{{_labels(family.labels, labels)}}} {value}\n" if labels else f"{name} {value}\n"


def _histograms(family: Histograms, openmetrics: bool) -> Iterator[str]:
    name, comma = family.name, "," if family.labels else ""
    buckets = "".join(f'{name}_bucket{{{LABELS}{comma}le="{bound}"}} %d\n' for bound in family.bounds)
    rest = f"{{{LABELS}}}" if family.labels else ""
    template = f"{buckets}{name}_count{rest} %d\n{name}_sum{rest} %s\n"
    for values, sums, exemplar in family.rows:
        counts = tuple(accumulate(sums[1:]))
        text = (template % (*counts, counts[-1], sums[0] / 1e6)).replace(LABELS, _labels(family.labels, values))
        yield _with_exemplar(text, family, exemplar) if exemplar and openmetrics else text


def _with_exemplar(text: str, family: Histograms, exemplar: Exemplar) -> str:
    """With the exemplar at the first bucket that contains it."""
    lines = text.splitlines(keepends=True)
    at = next(i for i, bound in enumerate(family.bounds) if exemplar.value <= float(bound))
    shown = f'# {{trace_id="{exemplar.trace_id}"}} {exemplar.value} {exemplar.time:.3f}'
    lines[at] = f"{lines[at].rstrip()} {shown}\n"
    return "".join(lines)


def _labels(names: tuple[str, ...], values: tuple[str, ...]) -> str:
    text = "".join(values)
    if '"' in text or "\\" in text or "\n" in text or LABELS in text:
        values = tuple(map(_escaped, values))
    return ",".join([f'{name}="{value}"' for name, value in zip(names, values, strict=True)])


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"").replace(LABELS, "")


def _escaped_help(text: str, openmetrics: bool) -> str:
    text = text.replace("\\", r"\\").replace("\n", r"\n")
    return text.replace('"', r"\"") if openmetrics else text
