"""Counters as Prometheus receives them."""

import pytest
from prometheus_client.parser import text_string_to_metric_families
from supervisor.published import Clock, listener, rule

from fastroute.exposition import Exemplar, render
from fastroute.ext.message.reason import REASONS
from fastroute.ext.reactor.counters import BOUNDS, CONNECT_SLOT, INSTALL_SLOT, NAMELESS_SLOT, OTHER_SLOT, TRAFFIC
from fastroute.metrics import Exemplars
from fastroute.supervisor.memory import counter_memory
from fastroute.supervisor.slots import REST
from fastroute.supervisor.tally import NO_EXEMPLARS, Tally, WorkerSample

REQUESTS = "fastroute_http_requests_total"
DURATIONS = "fastroute_http_request_duration_seconds_count"


@pytest.fixture
def maps():
    memories = [counter_memory(10) for _ in range(2)]
    yield [memory.counters for memory in memories]
    for memory in memories:
        memory.close()


def tally_of(maps, series=100, exemplars=NO_EXEMPLARS):
    return Tally(maps, REASONS, lambda: [WorkerSample(1, 7, 2.5, 4096)], series, exemplars)


def scrape(tally):
    """The value of every sample by its name and labels, as in a scrape."""
    families = text_string_to_metric_families(render(tally.collect()).decode())
    return {
        (sample.name, *sorted(sample.labels.items())): sample.value for family in families for sample in family.samples
    }


def requests(samples):
    found = [(dict(key[1:]), value) for key, value in samples.items() if key[0] == REQUESTS]
    return {(labels["route"], labels["backend"], labels["code"]): value for labels, value in found}


def counts(tally, name):
    """By route."""
    return {dict(key[1:])["route"]: value for key, value in scrape(tally).items() if key[0] == name}


def test_nothing_counted_is_no_series(maps):
    tally = tally_of(maps)
    tally.book.assign(rule("a/one", "a/x:80"))
    samples = scrape(tally)
    labelled = {key[0] for key, value in samples.items() if len(key) > 1 and value == 0}
    assert labelled <= {
        "fastroute_connections",
        "fastroute_http2_streams",
        "fastroute_worst_turn_seconds",
        "fastroute_worst_install_step_seconds",
        "fastroute_upstream_connect_seconds_bucket",
        "fastroute_tls_handshake_seconds_bucket",
        "fastroute_worker_install_seconds_bucket",
    }
    assert samples["fastroute_connections_accepted_total",] == 0


def test_workers_are_summed(maps):
    tally = tally_of(maps)
    slots = tally.book.assign(rule("a/one", "a/x:80"))
    for one, times in zip(maps, (2, 3), strict=True):
        for _ in range(times):
            one.count_request(slots.targets[0], 200)
    maps[1].count_request(slots.local, 500)
    assert requests(scrape(tally)) == {("a/one", "a/x:80", "200"): 5, ("a/one", "", "500"): 1}


def test_calls_of_grpc_are_counted_by_their_status(maps):
    tally = tally_of(maps)
    slots = tally.book.assign(rule("a/one", "a/x:80"))
    for one, status in zip(maps, (0, 14), strict=True):
        one.count_request(slots.targets[0], 200)
        one.count_call(slots.targets[0], status)
    maps[0].count_call(slots.targets[0], 0)
    found = {}
    for key, value in scrape(tally).items():
        if key[0] == "fastroute_grpc_requests_total":
            labels = dict(key[1:])
            found[labels["route"], labels["backend"], labels["grpc_code"]] = value
    assert found == {("a/one", "a/x:80", "0"): 2, ("a/one", "a/x:80", "14"): 1}


def test_an_ended_series_of_calls_leaves_its_counts_to_other(maps):
    tally = tally_of(maps)
    slot = tally.book.assign(rule("a/one", "a/x:80")).targets[0]
    maps[0].count_call(slot, 5)
    tally._rebase_requests(slot)
    samples = scrape(tally)
    [found] = [(dict(key[1:])["route"], value) for key, value in samples.items() if "grpc_requests" in key[0]]
    assert found == ("other", 1)


def test_connections_and_their_bytes_are_counted_by_backend(maps):
    tally = tally_of(maps)
    slots = tally.book.assign(rule("a/one", "a/x:80"))
    for one in maps:
        one.count_traffic(slots.targets[0], TRAFFIC["connections"], 1)
        one.count_traffic(slots.targets[0], TRAFFIC["received"], 2**40)
    maps[0].count_traffic(slots.targets[0], TRAFFIC["sent"], 7)
    found = {}
    for key, value in scrape(tally).items():
        if key[0].startswith("fastroute_tcp_"):
            labels = dict(key[1:])
            found[key[0], labels["route"], labels["backend"], labels.get("direction")] = value
    assert found == {
        ("fastroute_tcp_connections_total", "a/one", "a/x:80", None): 2,
        ("fastroute_tcp_bytes_total", "a/one", "a/x:80", "received"): 2**41,
        ("fastroute_tcp_bytes_total", "a/one", "a/x:80", "sent"): 7,
    }


def labels_of_requests(tally):
    return [dict(key[1:]) for key in scrape(tally) if key[0] == "fastroute_http_requests_total"]


def test_what_no_listener_took_has_empty_names(maps):
    maps[1].count_request(NAMELESS_SLOT, 404)
    assert requests(scrape(tally_of(maps))) == {("", "", "404"): 1}


def test_what_no_rule_took_has_the_names_of_its_listener(maps):
    tally = tally_of(maps)
    maps[1].count_request(tally.book.assign_listener(listener("a/gw", "http")), 404)
    [labels] = labels_of_requests(tally)
    empty = dict.fromkeys(("route", "route_kind", "rule", "backend"), "")
    assert labels == {"gateway": "a/gw", "listener": "http", "code": "404"} | empty


def test_a_listener_beyond_the_bound_is_other_and_one_that_is_gone_keeps_its_count(maps):
    tally = tally_of(maps, series=1)
    slots = [tally.book.assign_listener(listener("a/gw", name)) for name in ("one", "two")]
    for slot in slots:
        maps[0].count_request(slot, 404)
    assert [labels["listener"] for labels in labels_of_requests(tally)] == ["one", "other"]
    tally.book.release_listener(listener("a/gw", "one").id)
    assert [labels["listener"] for labels in labels_of_requests(tally)] == ["one", "other"]
    assert sum(requests(scrape(tally)).values()) == 2


def test_labels_are_those_of_the_access_log(maps):
    tally = tally_of(maps)
    maps[0].count_request(tally.book.assign(rule("a/one", "a/x:80")).targets[0], 204)
    [labels] = labels_of_requests(tally)
    assert labels == {
        "gateway": "a/gw",
        "listener": "http",
        "route": "a/one",
        "route_kind": "HTTPRoute",
        "rule": "0",
        "backend": "a/x:80",
        "code": "204",
    }


def test_more_series_than_the_bound_count_as_other_and_never_fall(maps):
    tally = tally_of(maps, series=3)
    slots = [tally.book.assign(rule(f"a/{name}", "a/x:80")).targets[0] for name in "vwxyz"]
    seen = {}
    for _ in range(3):
        for slot in slots:
            maps[0].count_request(slot, 200)
        samples = requests(scrape(tally))
        assert all(samples[series] >= value for series, value in seen.items())
        assert len(samples) == 4
        seen = samples
    assert seen["other", "other", "200"] == 6
    assert sum(seen.values()) == 15


def test_a_slot_with_a_new_owner_starts_at_zero_and_other_keeps_what_it_had(maps):
    clock, tally = Clock(), tally_of(maps, series=1)
    shelf = tally.book.requests
    shelf._clock, shelf._end = clock, shelf._next + 4
    named = tally.book.assign(rule("a/named", "a/x:80")).targets[0]
    rest = tally.book.assign(rule("a/rest", "a/x:80")).targets[0]
    maps[0].count_request(named, 200)
    maps[1].count_request(rest, 200)
    assert requests(scrape(tally)) == {("a/named", "a/x:80", "200"): 1, ("other", "other", "200"): 1}
    tally.book.release(rule("a/named").id)
    tally.book.release(rule("a/rest").id)
    clock.now = REST
    slots = tally.book.assign(rule("a/new", "a/x:80", "a/y:80", "a/z:80"))
    assert {named, rest} <= {slots.local, *slots.targets}
    assert requests(scrape(tally)) == {("other", "other", "200"): 1}
    maps[0].count_request(named, 404)
    assert sorted(requests(scrape(tally)).values()) == [1, 1]


def test_what_was_counted_as_other_stays_there_when_a_place_becomes_free(maps):
    """Of requests, and of durations."""
    clock, tally = Clock(), tally_of(maps, series=1)
    for shelf, size in ((tally.book.requests, 4), (tally.book.durations, 2)):
        shelf._clock, shelf._end = clock, shelf._next + size
    for route in ("a/first", "b/second"):
        slots = tally.book.assign(rule(route, "a/x:80"))
        for _ in range(3):
            maps[0].count_request(slots.targets[0], 200)
            maps[0].observe(slots.duration, 10)
    assert [counts(tally, name) for name in (REQUESTS, DURATIONS)] == [{"a/first": 3, "other": 3}] * 2
    tally.book.release(rule("a/first").id)
    clock.now = REST
    tally.book.assign(rule("c/new", "a/x:80"))
    maps[0].count_request(slots.targets[0], 200)
    maps[0].observe(slots.duration, 10)
    assert [counts(tally, name) for name in (REQUESTS, DURATIONS)] == [{"b/second": 1, "other": 3}] * 2


def test_durations_are_cumulative_buckets_in_seconds(maps):
    tally = tally_of(maps)
    slot = tally.book.assign(rule("a/one", "a/x:80")).duration
    for microseconds in (50, 100, 450, 70_000_000):
        maps[0].observe(slot, microseconds)
    samples = scrape(tally)
    labels = (("gateway", "a/gw"), ("route", "a/one"), ("route_kind", "HTTPRoute"))
    name = "fastroute_http_request_duration_seconds"

    def bucket(bound):
        return samples[(f"{name}_bucket", *sorted((*labels, ("le", bound))))]

    assert [bucket(str(bound)) for bound in BOUNDS[:5]] == [2, 2, 2, 3, 3]
    assert (bucket("60.0"), bucket("+Inf"), samples[(f"{name}_count", *labels)]) == (3, 4, 4)
    assert samples[(f"{name}_sum", *labels)] == pytest.approx(70.0006)


def test_the_last_sampled_request_of_a_route_is_the_exemplar(maps):
    exemplars = Exemplars(2)
    tally = tally_of(maps, exemplars=exemplars)
    series = ("a/gw", "a/one", "HTTPRoute")
    maps[0].observe(tally.book.assign(rule("a/one", "a/x:80")).duration, 400)
    for trace_id, seconds in (("a" * 32, 0.0001), ("b" * 32, 0.0004), ('"' * 32, 0.0004)):
        exemplars.note(series, Exemplar(trace_id, seconds, 1700000000.0))
    text = render(tally.collect(), openmetrics=True).decode()
    [line] = [line for line in text.splitlines() if "trace_id" in line]
    assert 'route="a/one"' in line
    assert line.endswith(f'le="0.0005"}} 1 # {{trace_id="{"b" * 32}"}} 0.0004 1700000000.000')
    for name in ("two", "three"):
        exemplars.note(("a/gw", f"a/{name}", "HTTPRoute"), Exemplar("c" * 32, 1.0, 1.0))
    assert exemplars.get(series) is None


def test_histograms_beyond_the_bound_are_other_too(maps):
    tally = tally_of(maps, series=1)
    for name in "abc":
        maps[1].observe(tally.book.assign(rule(f"a/{name}", "a/x:80")).duration, 10)
    maps[0].observe(OTHER_SLOT, 10)
    assert counts(tally, DURATIONS) == {"a/a": 1, "other": 3}


def test_a_histogram_with_a_new_owner_starts_at_zero(maps):
    clock, tally = Clock(), tally_of(maps)
    shelf = tally.book.durations
    shelf._clock, shelf._end = clock, shelf._next + 1
    slot = tally.book.assign(rule("a/old")).duration
    maps[0].observe(slot, 10)
    tally.book.release(rule("a/old").id)
    clock.now = REST
    assert tally.book.assign(rule("a/new")).duration == slot
    maps[1].observe(slot, 300)
    assert counts(tally, DURATIONS) == {"a/new": 1, "other": 1}


def test_fixed_counters_have_their_families(maps):
    for one in maps:
        for i, name in enumerate(one.fixed(), 1):
            one.count(name, i)
    maps[0].observe(CONNECT_SLOT, 250)
    for one in maps:
        one.observe(INSTALL_SLOT, 300)
    samples = scrape(tally_of(maps))
    fixed = {name: 2 * value for name, value in maps[0].fixed().items()}
    assert samples["fastroute_received_bytes_total",] == fixed["bytes_received"]
    assert samples["fastroute_retries_total", ("reason", "reused")] == fixed["retries_reused"]
    side, state = ("side", "upstream"), ("state", "idle")
    assert samples["fastroute_connections", side, state] == fixed["upstream_idle"]
    assert samples["fastroute_worst_turn_seconds", ("worker", "1")] == maps[1].fixed()["worst_turn"] / 1e6
    step = maps[1].fixed()["worst_install_step"] / 1e6
    assert samples["fastroute_worst_install_step_seconds", ("worker", "1")] == step
    assert samples["fastroute_upstream_connect_seconds_count",] == 1
    assert samples["fastroute_worker_install_seconds_count",] == 2
    worker = ("worker", "1")
    assert samples["fastroute_worker_config_version", worker] == 7
    assert samples["fastroute_worker_cpu_seconds_total", worker] == 2.5


def test_a_namespace_with_very_many_series_leaves_shares_for_the_others_and_nothing_falls(maps):
    """Series of z-team count later than all of a-team; what they displace counts as `other` for ever."""
    tally = tally_of(maps, series=4)
    slots = [tally.book.assign(rule(f"a-team/r{number}", "a/x:80")) for number in range(20)]
    for each in slots:
        maps[0].count_request(each.targets[0], 200)
        maps[0].observe(each.duration, 10)
    before = requests(scrape(tally))
    assert len(before) == 5
    late = [tally.book.assign(rule(f"z-team/r{number}", "a/x:80")) for number in range(20)]
    for each in late:
        maps[0].count_request(each.targets[0], 200)
        maps[0].observe(each.duration, 10)
    samples = scrape(tally)
    shown = requests(samples)
    assert sum(route.startswith("z-team/") for route, _, _ in shown) == 2
    assert sum(route.startswith("a-team/") for route, _, _ in shown) == 2
    assert shown["other", "other", "200"] == 36 > before["other", "other", "200"]
    durations = {key for key in samples if key[0] == DURATIONS}
    assert sum("z-team/" in str(key) for key in durations) == 2
    assert requests(scrape(tally)) == shown
