"""Rates, shares and latencies from two readings of the counters."""

from fastroute.view.traffic import NO_TRAFFIC, Flow, Reading, quantile, traffic_between

SERIES = {
    7: ("infra/web", "proxy", "", "", "", ""),
    8: ("infra/web", "proxy", "a/one", "HTTPRoute", "0", ""),
    9: ("infra/web", "proxy", "a/one", "HTTPRoute", "0", "a/x:80"),
    10: ("infra/web", "other", "a/one", "HTTPRoute", "0", "a/x:80"),
    11: ("infra/web", "raw", "a/two", "TCPRoute", "0", "a/y:80"),
}
HISTOGRAMS = {3: ("infra/web", "a/one", "HTTPRoute"), 4: ("infra/other", "a/one", "HTTPRoute")}
BOUNDS = (0.1, 0.2)


def reading(time, requests=None, calls=None, connections=None, durations=None):
    return Reading(time, requests or {}, calls or {}, connections or {}, durations or {})


def test_only_what_was_counted_between_the_readings_counts():
    old = reading(10.0, {(9, 200): 100, (8, 404): 1}, {}, {11: 2}, {3: (9, 5, 5, 5)})
    requests = {(7, 404): 3, (8, 404): 2, (9, 200): 130, (9, 503): 4, (10, 200): 10, (99, 200): 50}
    now = reading(15.0, requests, {(9, 14): 5, (9, 0): 9}, {11: 12}, {3: (9, 6, 5, 7), 4: (1, 1, 0, 0)})
    traffic = traffic_between(old, now, SERIES, HISTOGRAMS, BOUNDS)
    assert traffic.seconds == 5.0
    assert traffic.routes == {
        ("HTTPRoute", "a/one"): Flow(45, 9, (2, 0, 2)),  # 503, and calls with UNAVAILABLE
        ("TCPRoute", "a/two"): Flow(10, 0, ()),
    }
    assert traffic.shares["HTTPRoute", "a/one", "0"] == {"": 0, "a/x:80": 44}
    assert traffic.shares["TCPRoute", "a/two", "0"] == {"a/y:80": 10}
    assert traffic.listeners == {("infra/web", "proxy"): 38, ("infra/web", "other"): 10, ("infra/web", "raw"): 10}


def test_counters_that_decrease_do_not_count():
    """Only a broken worker writes such numbers, and it may write any."""
    old = reading(10.0, {(9, 200): 100, (8, 404): 1}, {(9, 14): 5}, {11: 2}, {3: (9, 5, 5, 5)})
    now = reading(15.0, {(9, 200): 0, (8, 404): 3}, {(9, 14): 9000, (8, 14): 1}, {11: 0}, {3: (9, 6, 0, 0)})
    traffic = traffic_between(old, now, SERIES, HISTOGRAMS, BOUNDS)
    assert traffic.routes == {("HTTPRoute", "a/one"): Flow(2, 2, (1, 0, 0))}  # never more failures than requests
    assert traffic.listeners == {("infra/web", "proxy"): 2}
    assert all(count >= 0 for shares in traffic.shares.values() for count in shares.values())


def test_without_readings_nothing_is_known():
    assert NO_TRAFFIC.seconds == 0
    assert quantile(0.5, (), BOUNDS) is None


def test_quantiles_are_those_of_prometheus():
    assert quantile(0.5, (10, 10, 0), BOUNDS) == 0.1
    assert quantile(0.75, (10, 10, 0), BOUNDS) == 0.1 + 0.1 * 5 / 10
    assert quantile(0.99, (1, 1, 98), BOUNDS) == 0.2
