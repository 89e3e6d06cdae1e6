"""A cluster with the CRDs of the standard channel: fastroute serves all its kinds and fields, and all written statuses
are kept.

All other tests use the experimental channel. The API server drops fields that a CRD does not have: fastroute would
write a status with such a field again and again.
"""

import time
from collections.abc import Iterator

import pytest

from cluster import fruits, isolation
from cluster.account import LEASE, account_kubeconfig
from cluster.api import Api, ApiError
from cluster.cluster import Cluster
from cluster.echo import eventually
from cluster.fruits import ADDRESS, ASKS
from cluster.gateway import POOL, scraped, start_gateway
from cluster.scratch import scratch
from cluster.traffic import Client
from cluster.truth import differences

QUIET = 3.0  # s; in this time a status that loses a field would be written 12 times
LISTENER_SET = """
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: more, namespace: infra}
spec:
  parentRef: {name: public}
  listeners: [{name: more, port: 82, protocol: HTTP}]
"""


@pytest.fixture(scope="module")
def standard() -> Iterator[Cluster]:
    if not isolation.is_inside():
        pytest.skip("needs a new network namespace, which `pytest tests/cluster` creates")
    isolation.enter()
    with scratch("standard") as folder:
        cluster = Cluster(folder, channel="standard")
        try:
            cluster.start()
            cluster.start_pods()
            yield cluster
        finally:
            cluster.stop()


def test_the_standard_channel_is_all_that_is_needed(standard: Cluster) -> None:
    api, log = standard.api, standard.folder / "fastroute.log"
    fruits.plant(api)
    api.apply_text(fruits.GATEWAY.replace("spec:", "spec:\n  allowedListeners: {namespaces: {from: Same}}"))
    api.apply_text(LISTENER_SET)
    options = ("--address-pool", POOL, "--workers", "1", "--status-lease", LEASE)
    program = start_gateway(account_kubeconfig(standard), log, options)
    try:
        eventually(lambda: differences(api, standard.folder, 0.0) == [])
        client = Client(ADDRESS)
        assert {ask: {client.ask(ask) for _ in range(8)} for ask in ASKS} == {ask: ask.right for ask in ASKS}
        client.close()
        [one] = api.list("ListenerSet", "infra")
        assert {each["type"]: each["status"] for each in one["status"]["conditions"]}["Programmed"] == "True"
        [its_class] = api.list("GatewayClass")
        assert its_class["status"]["supportedFeatures"]
        before = _written(api)
        time.sleep(QUIET)
        assert _written(api) == before
        assert "are not read" not in log.read_text()  # every kind exists
    finally:
        program.end(10)


@pytest.mark.parametrize("field", ["retry", "sessionPersistence"])
def test_what_the_channel_does_not_have_is_refused_by_the_api_server(standard: Cluster, field: str) -> None:
    one = fruits.route("wants-more", "apples", ("apples", 1))
    one["spec"]["rules"][0][field] = {}
    with pytest.raises(ApiError, match=rf"\.spec\.rules\[0\]\.{field}: field not declared in schema"):
        standard.api.apply(one)


def _written(api: Api) -> tuple[float, set[str]]:
    """The number of status writes, and the resource versions of the objects that have statuses."""
    count = next(
        float(line.split()[1]) for line in scraped().splitlines() if line.startswith("fastroute_status_writes_total ")
    )
    objects = [one for kind in ("GatewayClass", "Gateway", "ListenerSet", "HTTPRoute") for one in api.list(kind)]
    return count, {one["metadata"]["resourceVersion"] for one in objects}
