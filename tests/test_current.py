"""Gauges of objects that exist now."""

from fastroute.current import Current, CurrentEndpoints
from fastroute.place import Transport


def shown(collector):
    (family,) = collector.collect()
    return {tuple(sample.labels.values()): sample.value for sample in family.samples}


def test_a_series_exists_as_long_as_its_object():
    gauge = Current("name", "text", ("secret",), 10)
    gauge.change({("a/x",): 1, ("a/y",): 2})
    gauge.change({("a/x",): None, ("a/z",): None, ("a/y",): 3})
    assert shown(gauge) == {("a/y",): 3}
    gauge.change({("b/x",): 1}, anew=True)
    assert shown(gauge) == {("b/x",): 1}


def test_beyond_the_bound_other_has_what_the_rest_comes_to():
    for rest, expected in ((sum, 7), (min, 3)):
        gauge = Current("name", "text", ("secret",), 2, rest=rest)
        gauge.change({("a/x",): 1, ("a/y",): 3, ("a/z",): 4, ("b/x",): 2})
        assert shown(gauge) == {("a/x",): 1, ("b/x",): 2, ("other",): expected}


def label(id_):
    return id_.partition("@")[0]


def transport(id_):
    return Transport.UDP if id_.endswith("/udp") else Transport.TCP


def test_endpoints_are_ready_or_avoided_and_a_backend_without_any_is_shown():
    gauge = CurrentEndpoints("name", "text", 10)
    gauge.change({"a/x": (1, 2, 3), "a/y": ()}, label, transport)
    gauge.avoided = lambda: {Transport.TCP: frozenset((2, 9))}
    assert shown(gauge) == {("a/x", "ready"): 2, ("a/x", "avoided"): 1, ("a/y", "ready"): 0, ("a/y", "avoided"): 0}
    gauge.change({"a/x": None, "a/y": (4,), "a/z": None}, label, transport)
    assert shown(gauge) == {("a/y", "ready"): 1, ("a/y", "avoided"): 0}


def test_ids_of_one_backend_count_each_endpoint_once():
    gauge = CurrentEndpoints("name", "text", 10)
    gauge.change({"a/x": (1, 2), "a/x@s": (2, 3)}, label, transport)
    assert shown(gauge)["a/x", "ready"] == 3
    gauge.change({"a/x": None}, label, transport)
    assert shown(gauge)["a/x", "ready"] == 2


def test_endpoints_of_tcp_and_udp_are_told_apart():
    """Two backends of one Service port: one address and port of both are two endpoints."""
    gauge = CurrentEndpoints("name", "text", 10)
    gauge.change({"a/x": (1, 2), "a/x/udp": (1, 2)}, lambda _: "a/x", transport)
    gauge.avoided = lambda: {Transport.TCP: frozenset(), Transport.UDP: frozenset((1,))}
    assert shown(gauge) == {("a/x", "ready"): 3, ("a/x", "avoided"): 1}
    gauge.change({"a/x/udp": None}, lambda _: "a/x", transport)
    assert shown(gauge) == {("a/x", "ready"): 2, ("a/x", "avoided"): 0}


def test_more_backends_than_series_are_other():
    gauge = CurrentEndpoints("name", "text", 4)
    gauge.change({"a/x": (1,), "a/y": (2,), "a/z": (3, 4), "b/x": (5,)}, label, transport)
    gauge.avoided = lambda: {Transport.TCP: frozenset((4,))}
    found = shown(gauge)
    assert found["other", "ready"], found["other", "avoided"] == (2, 1)
    assert {name for name, _ in found} == {"a/x", "b/x", "other"}


class Hashed:
    """An endpoint that counts the computations of its hash."""

    count = 0

    def __hash__(self):
        Hashed.count += 1
        return id(self) >> 4


def test_reading_computes_no_hash_of_an_endpoint_also_if_one_is_avoided():
    endpoints = [Hashed() for _ in range(100)]
    gauge = CurrentEndpoints("name", "text", 10)
    gauge.change({"a/x": endpoints[:90], "a/y": endpoints[90:], "a/y@s": endpoints[95:]}, label, transport)
    avoided = frozenset((endpoints[0], endpoints[95]))
    gauge.avoided = lambda: {Transport.TCP: avoided}
    before = Hashed.count
    assert shown(gauge)["a/x", "avoided"] == shown(gauge)["a/y", "avoided"] == 1
    assert Hashed.count == before
