"""/metrics of a gateway after traffic and faults: every documented family exists, and the numbers are right."""

import re
import socket

import trio
from e2e.serving import GRANT, SERVICE, serving
from load import PATIENCE, Load, loaded, until

PROMISED = """
http_requests_total http_request_duration_seconds upstream_connect_seconds connections local_responses_total
retries_total config_version config_apply_seconds propagation_seconds endpoint_lag_seconds refused_references
reference_grant_changes_total status_writes_total worker_restarts_total build_info upstream_request_duration_seconds
endpoints certificate_expiry_timestamp_seconds objects http2_streams
""".split()  # noqa: SIM905
AVOIDED = 'fastroute_endpoints{backend="apples/apples:80",state="avoided"}'


def families(samples):
    """The names of families, without labels and without the suffixes of histograms."""
    return {re.sub(r"(_bucket|_count|_sum)?(\{.*)?$", "", name) for name in samples}


def labelled(samples, name):
    """The values of a family, by labels."""
    found = {}
    for sample, value in samples.items():
        if sample.startswith(f"fastroute_{name}{{"):
            found[frozenset(re.findall(r'(\w+)="([^"]*)"', sample))] = value
    return found


async def test_every_promised_family_counts(tmp_path):
    async with serving(tmp_path) as served:
        before = await served.metrics()
        async with loaded(Load(served.port, "/fruits"), 4) as load:
            await until(lambda: {"bananas", "apples"} <= set(load.sources()))
            async with served.applied():
                served.world.remove("grant")
            await until(lambda: "500" in load.sources())
            with socket.create_server(("127.0.0.1", 0)) as probe:
                dead = probe.getsockname()[1]
            async with served.applied():
                served.world.write("apples", SERVICE, name="apples", port=dead)
            await until(lambda: "503" in load.sources())
            with trio.fail_after(PATIENCE):  # a worker reports it within a second
                while (await served.metrics())[AVOIDED] != 1:  # noqa: ASYNC110
                    await trio.sleep(0.02)
        async with loaded(Load(served.port, "/nowhere"), 1) as lost:
            await lost.answered(2)
        samples = await served.metrics()
    # There was no other endpoint for a retry, and there is no certificate, so these have no series yet.
    missing = {"fastroute_retries_total", "fastroute_certificate_expiry_timestamp_seconds"}
    assert {f"fastroute_{name}" for name in PROMISED} - families(samples) == missing

    def grown(name):
        return samples[f"fastroute_{name}"] - before[f"fastroute_{name}"]

    assert grown("propagation_seconds_count") == 2
    assert grown("endpoint_lag_seconds_count") >= 1
    assert grown("reference_grant_changes_total") == 1
    assert grown("status_writes_total") == 1
    route = {("route", "apples/fruits"), ("route_kind", "HTTPRoute")}
    assert labelled(samples, "refused_references") == {frozenset(route): 1}
    assert labelled(before, "refused_references") == {}
    listener = {("gateway", "infra/edge"), ("listener", "proxy")}
    rule = route | listener | {("rule", "0")}
    counts = labelled(samples, "http_requests_total")
    bananas, apples = ({*rule, ("backend", f"{name}/{name}:80")} for name in ("bananas", "apples"))
    assert {frozenset(labels) for labels in counts} == {
        frozenset({*bananas, ("code", "200")}),
        frozenset({*bananas, ("code", "500")}),
        frozenset({*apples, ("code", "200")}),
        frozenset({*apples, ("code", "503")}),
        frozenset({*((name, "") for name, _ in bananas - listener), *listener, ("code", "404")}),
    }
    reasons = {value for labels in labelled(samples, "local_responses_total") for _, value in labels}
    assert reasons == {"reference_refused", "connect_failed", "no_rule"}
    times = labelled(samples, "upstream_request_duration_seconds_count")
    answered = {
        f"{name}/{name}:80": counts[frozenset({*labels, ("code", "200")})]
        for name, labels in (("bananas", bananas), ("apples", apples))
    }
    assert times == {frozenset({("backend", name)}): count for name, count in answered.items()}
    assert labelled(samples, "endpoints")[frozenset({("backend", "apples/apples:80"), ("state", "ready")})] == 0
    assert labelled(samples, "objects")[frozenset({("kind", "HTTPRoute")})] == 1
    assert frozenset({("kind", "ReferenceGrant")}) in labelled(samples, "objects")


async def test_more_series_than_allowed_count_as_other(tmp_path):
    async with serving(tmp_path, "--metrics-series", "1") as served:
        async with loaded(Load(served.port, "/fruits"), 4) as load:
            await load.answered(50)
        samples = await served.metrics()
        with trio.fail_after(PATIENCE):
            while sum(labelled(samples, "http_requests_total").values()) < len(load.answers):
                samples = await served.metrics()
    counts = labelled(samples, "http_requests_total")
    assert sum(counts.values()) == len(load.answers)
    assert len(counts) == 2
    assert any(("route", "other") in labels for labels in counts)


async def test_a_grant_that_changes_no_route_is_counted_and_publishes_nothing(tmp_path):
    async with serving(tmp_path) as served:
        served.world.write("grant", GRANT + "---\n", namespace="apples", service="bananas")
        served.world.write(
            "other", GRANT.replace("name: fruits", "name: other"), namespace="elsewhere", service="bananas"
        )
        with trio.fail_after(PATIENCE):
            while (await served.metrics())["fastroute_reference_grant_changes_total"] != 1:  # noqa: ASYNC110
                await trio.sleep(0.02)
        assert (await served.metrics())["fastroute_config_version"] == 1
