"""ClusterTrustBundles: a kind of Kubernetes that not every API server has."""

import logging
from pathlib import Path
from typing import Any

import pytest
from apiserver.standin import ApiServer
from source.kubernetes.followed import following, until

from fastroute.resources.core import MOST_AUTHORITIES, ClusterTrustBundle
from fastroute.resources.meta import Key
from fastroute.source.kubernetes import served

KIND = "ClusterTrustBundle"
BUNDLES = "/apis/certificates.k8s.io/v1beta1/clustertrustbundles"
NAME = "example.com:backends:v1"


def put(api: ApiServer, text: str, name: str = NAME, collection: str = BUNDLES) -> None:
    api.put(collection, name, "", spec={"signerName": "example.com/backends", "trustBundle": text})


def found(seen: Any) -> dict[Key, ClusterTrustBundle]:
    return dict(seen.source.store.snapshot().trust_bundles)


async def test_bundles_are_read_where_the_api_server_has_them(api: ApiServer, tmp_path: Path) -> None:
    api.bundles = ("v1alpha1", "v1beta1")
    put(api, "one")
    async with following(api, tmp_path) as seen:
        assert found(seen)[Key("", NAME)].data == {"spec.trustBundle": "one"}
        assert seen.source.served["ClusterTrustBundle"] == "v1beta1"
        assert "ClusterTrustBundle" not in seen.source.store.missing
        put(api, "two")
        await until(lambda: found(seen)[Key("", NAME)].data == {"spec.trustBundle": "two"})
        put(api, "x" * (MOST_AUTHORITIES + 1))
        await until(lambda: "maximum 524,288" in found(seen)[Key("", NAME)].omission)
        api.delete(BUNDLES, NAME, "")
        await until(lambda: not found(seen))


async def test_bundles_of_all_together_are_limited(api: ApiServer, tmp_path: Path) -> None:
    api.bundles = ("v1beta1",)
    async with following(api, tmp_path) as seen:
        for number in range(33):
            put(api, "x" * MOST_AUTHORITIES, f"b{number}")
        await until(lambda: len(found(seen)) == 33)
        [last] = [one for one in found(seen).values() if one.omission]
        assert "of the cluster have more than 16 MiB" in last.omission


@pytest.mark.parametrize("versions", [(), ("v1alpha1",)])
async def test_an_api_server_without_bundles(
    api: ApiServer, tmp_path: Path, versions: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Nothing is logged: most API servers have none."""
    caplog.set_level(logging.INFO, "fastroute")
    api.bundles = versions
    async with following(api, tmp_path) as seen:
        why = seen.source.store.missing["ClusterTrustBundle"]
        assert ("as v1alpha1; fastroute reads v1 and v1beta1" if versions else "does not serve") in why
        assert not any("clustertrustbundles" in path for path, _ in api.requests)
        assert "ClusterTrustBundle" not in caplog.text


async def test_bundles_that_disappear_from_discovery_are_kept_for_a_while(
    api: ApiServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An API server that has just started may not list everything yet."""
    api.bundles = ("v1", "v1beta1")
    put(api, "one", collection=BUNDLES.replace("v1beta1", "v1"))
    async with following(api, tmp_path) as seen:
        api.bundles = ()
        for number in range(3):
            api.served["grpcroutes"] = ("v1",) if number % 2 else ("v1alpha2",)
            api.put_crd("grpcroutes")
            await until(lambda: ("GRPCRoute" in seen.source.store.missing) == (number % 2 == 0))  # noqa: B023
        assert len(found(seen)) == 1
        monkeypatch.setattr(served, "BLIND_PATIENCE", 0.0)
        api.put_crd("grpcroutes")
        await until(lambda: not found(seen))
        assert "does not serve" in seen.source.store.missing["ClusterTrustBundle"]


async def test_bundles_that_may_not_be_read(api: ApiServer, tmp_path: Path) -> None:
    """As with the ClusterRole of an earlier release."""
    api.bundles = ("v1beta1",)
    api.refusals[BUNDLES] = 403
    async with following(api, tmp_path) as seen:
        missing = seen.source.store
        await until(lambda: "needs list and watch on clustertrustbundles" in missing.missing.get(KIND, ""))
        put(api, "one")
        del api.refusals[BUNDLES]
        await until(lambda: len(found(seen)) == 1)
        await until(lambda: KIND not in missing.missing)
