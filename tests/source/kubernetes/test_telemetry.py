"""XTelemetryPolicies: of the experimental channel, so their CRD may be installed at any time, or not at all."""

import logging
from pathlib import Path

import pytest
from apiserver.standin import CRDS, EXPERIMENTAL, ApiServer
from source.kubernetes.followed import following, until

from fastroute.resources.meta import Key

POLICIES = f"/apis/{EXPERIMENTAL}/v1alpha1/xtelemetrypolicies"
KIND = "XTelemetryPolicy"
SPEC = {
    "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
    "tracing": {"mode": "Disabled"},
}


def install(api: ApiServer) -> None:
    api.telemetry = ("v1alpha1",)
    api.put_crd("xtelemetrypolicies", "v1.7.0", EXPERIMENTAL)


async def test_the_crd_comes_and_goes(api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Without it there is no warning: most API servers do not have it."""
    caplog.set_level(logging.WARNING, "fastroute")
    async with following(api, tmp_path) as seen:
        store = seen.source.store
        assert store.missing[KIND] == f"the CRD xtelemetrypolicies.{EXPERIMENTAL} is not installed"
        assert not any(path == POLICIES for path, _ in api.requests)
        assert caplog.text == ""
        api.put(POLICIES, "traced", spec=SPEC)
        install(api)
        await until(lambda: len(store.snapshot().telemetry_policies) == 1)
        [policy] = store.snapshot().telemetry_policies.values()
        assert policy.gateways == {Key("default", "edge")}
        assert seen.source.held(KIND, Key("default", "traced")) is not None
        api.telemetry = ()
        api.delete(CRDS, f"xtelemetrypolicies.{EXPERIMENTAL}", "")
        await until(lambda: not store.snapshot().telemetry_policies)
