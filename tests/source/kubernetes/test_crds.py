"""CRDs of experimental kinds that are not served."""

from pathlib import Path

import pytest
from apiserver.standin import ApiServer
from source.kubernetes.followed import following, until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
BACKENDS, TRAFFIC = (f"{plural}.gateway.networking.x-k8s.io" for plural in ("xbackends", "xbackendtrafficpolicies"))


async def test_they_are_named_once(api: ApiServer, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    api.put(CRDS, BACKENDS, "")
    async with following(api, tmp_path):
        assert caplog.text.count("XBackends are not served") == 1
        api.put(CRDS, BACKENDS, "", metadata={"annotations": {"a": "b"}})
        api.put(CRDS, TRAFFIC, "")
        await until(lambda: "XBackendTrafficPolicies are not served" in caplog.text)
        assert caplog.text.count("XBackends are not served") == 1
