"""A rolling restart of two replicas behind a load balancer, under load: no request fails."""

import pytest
import trio
from cluster.echo import echo, eventually, ready_addresses
from load import Load, loaded

from installed.release import ADDRESS, NAMESPACE, Release, balancer

WORLD = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: rollout}
spec:
  gatewayClassName: fastroute
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: echo, namespace: rollout}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 8080}]}]
"""
KEEPING, OPENING = 16, 4  # clients that keep their connection, and clients that open a new one for each request


@pytest.fixture
def installed(release: Release):
    release.install()
    release.api.apply(*echo("rollout", replicas=2))
    release.api.apply_text(WORLD)
    eventually(lambda: len(ready_addresses(release.api, "rollout")) == 2)
    with balancer(release) as cloud:
        release.kubectl("wait", "-n", "rollout", "--for=condition=Programmed", "gateway/edge", "--timeout=120s")
        yield cloud
    release.kubectl("delete", "namespace", "rollout", "--wait=false")
    release.run("helm", "uninstall", "fastroute", f"--namespace={NAMESPACE}", "--wait")


def pods(release: Release) -> set[str]:
    return {one["metadata"]["name"] for one in release.api.list("Pod", NAMESPACE)}


def restart(release: Release) -> None:
    """Returns when the new pods are ready and the old ones are gone."""
    before = pods(release)
    release.kubectl("-n", NAMESPACE, "rollout", "restart", "deployment/fastroute")
    release.kubectl("-n", NAMESPACE, "rollout", "status", "deployment/fastroute", "--timeout=120s")
    eventually(lambda: not before & pods(release), 60)


async def both(*loads: Load) -> None:
    """Waits until each load has received 300 more responses."""
    for load in loads:
        await load.answered(300)


@pytest.mark.timeout(300)
async def test_a_rolling_restart_loses_no_request(release: Release, installed) -> None:
    keeping, opening = Load(80, address=ADDRESS), Load(80, address=ADDRESS, keep=False)
    async with loaded(keeping, KEEPING), loaded(opening, OPENING):
        await both(keeping, opening)
        await trio.to_thread.run_sync(restart, release)
        await both(keeping, opening)
    assert installed.refused == 0
    for load in (keeping, opening):
        assert load.breaks == []
        assert {answer.status for answer in load.answers} == {200}
    assert keeping.closing >= KEEPING  # at least as many responses with `Connection: close` as clients
