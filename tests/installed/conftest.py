"""Tests of an installed release: `pytest tests/installed` restarts itself in a new network and process namespace."""

from collections.abc import Iterator

import pytest
from cluster import isolation
from cluster.programs import CLUSTER, ECHO, TOOLS, built, crds, suite
from cluster.scratch import scratch

from installed.release import Release, released

BUNDLES = "certificates.k8s.io/v1beta1/clustertrustbundles"


def pytest_cmdline_main(config: pytest.Config) -> None:
    """Called before collection if this folder was given on the command line."""
    if not isolation.is_inside() and not hasattr(config, "workerinput"):
        for module in (CLUSTER, ECHO, TOOLS, suite("v1.6.3")):
            built(module)
        crds("v1.7.0")
        isolation.enter()


@pytest.fixture(scope="session")
def release() -> Iterator[Release]:
    """One cluster for all tests; each test removes what it installs."""
    if not isolation.is_inside():
        pytest.skip("needs a new network namespace, which `pytest tests/installed` creates")
    isolation.enter()
    # See test_rights.py. The documents run with WatchList, and without ClusterTrustBundles.
    flags = ("--feature-gates=WatchList=false,ClusterTrustBundle=true", f"--runtime-config={BUNDLES}=true")
    with scratch("installed") as folder, released(folder, flags) as one:
        yield one
