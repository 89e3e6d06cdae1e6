"""The text of /metrics, as the parsers of prometheus-client read it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.openmetrics.exposition import generate_latest as generate_openmetrics
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_plain

import fastroute.metrics  # noqa: F401 (switches series named _created off)
from fastroute.exposition import Exemplar, Histograms, Table, is_openmetrics, render

READERS = {False: read_plain, True: read_openmetrics}
VALUES = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=5)


def samples(text, openmetrics):
    return {
        (one.name, *sorted(one.labels.items())): one.value
        for family in READERS[openmetrics](text.decode())
        for one in family.samples
    }


@pytest.mark.parametrize("openmetrics", [False, True])
def test_families_of_prometheus_client_are_written_as_it_writes_them(openmetrics):
    registry = CollectorRegistry()
    Gauge("one", 'with "quotes", \\ and\na line', ["a"], registry=registry).labels('x"\\\n').set(2.5)
    Counter("two", "a counter", registry=registry).inc()
    Histogram("three", "a histogram", buckets=(0.5, 1), registry=registry).observe(0.7)
    theirs = generate_openmetrics(registry) if openmetrics else generate_latest(registry)
    ours = render(registry.collect(), openmetrics)
    assert samples(ours, openmetrics) == samples(theirs, openmetrics)
    told = {line for line in ours.decode().splitlines() if line.startswith("#")}
    assert told == {line for line in theirs.decode().splitlines() if line.startswith("#")}


@pytest.mark.parametrize("openmetrics", [False, True])
@given(rows=st.dictionaries(st.tuples(VALUES, VALUES), st.integers(0, 2**60), max_size=3))
def test_tables_are_read_as_they_are(openmetrics, rows):
    table = Table("things_total", "Things", "counter", ("one", "other"))
    for labels, value in rows.items():
        table.add(labels, value)
    wanted = {("things_total", ("one", one), ("other", other)): value for (one, other), value in rows.items()}
    assert samples(render([table], openmetrics), openmetrics) == wanted


@pytest.mark.parametrize("openmetrics", [False, True])
@pytest.mark.parametrize("labels", [(), ("50%",), ('a"b',)])
def test_histograms_are_cumulative_and_in_seconds(openmetrics, labels):
    family = Histograms("time_seconds", "Time", ("name",)[: len(labels)], (0.1, 2.0))
    family.add(labels, (2_500_000, 3, 0, 1))
    names = tuple(zip(family.labels, labels, strict=True))
    assert samples(render([family], openmetrics), openmetrics) == {
        **{
            ("time_seconds_bucket", *sorted((*names, ("le", le)))): count
            for le, count in ((("0.1", 3), ("2.0", 3), ("+Inf", 4)))
        },
        ("time_seconds_count", *names): 4,
        ("time_seconds_sum", *names): 2.5,
    }


@pytest.mark.parametrize(("value", "bound"), [(0.05, "0.1"), (0.1, "0.1"), (0.5, "2.0"), (9, "+Inf")])
def test_an_exemplar_is_at_the_bucket_of_its_value_in_openmetrics_only(value, bound):
    family = Histograms("time_seconds", "Time", ("name",), (0.1, 2.0))
    family.add(("x",), (0, 1, 1, 1), Exemplar("ab" * 16, value, 1700000000.25))
    found = {
        one.labels["le"]: one.exemplar
        for each in read_openmetrics(render([family], True).decode())
        for one in each.samples
        if one.exemplar
    }
    [(le, exemplar)] = found.items()
    assert le == bound
    assert (exemplar.labels, exemplar.value) == ({"trace_id": "ab" * 16}, value)
    assert float(exemplar.timestamp) == 1700000000.25
    assert b"trace_id" not in render([family])


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", False),
        ("*/*", False),
        ("text/plain", False),
        ("application/openmetrics-text", True),
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", True),
        (
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,"
            "text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            True,
        ),
        ("text/plain, application/openmetrics-text;q=0.5", False),
        ("application/openmetrics-text;q=0", False),
        ("application/openmetrics-text;q=x", False),
    ],
    ids=lambda value: "" if isinstance(value, bool) else value[:40] or "none",
)
def test_the_format_is_the_one_that_the_client_prefers(accept, expected):
    assert is_openmetrics(accept) is expected
