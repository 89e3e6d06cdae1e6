"""Tests with a real API server: `pytest tests/cluster` restarts itself in a new network and process namespace."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from cluster import isolation
from cluster.api import Api
from cluster.cluster import Cluster
from cluster.programs import CLUSTER, COLLECTOR, ECHO, H2SPEC, INTEROP, RELEASES, TOOLS, built, crds, suite
from cluster.scratch import scratch


def pytest_cmdline_main(config: pytest.Config) -> None:
    """Called before collection if this folder was given on the command line. Also builds what other tests need that
    can be given with it: nothing can be downloaded inside. The tools are first, because tests/deploy waits for them."""
    if not isolation.is_inside() and not hasattr(config, "workerinput"):
        for module in (TOOLS, CLUSTER, ECHO, H2SPEC, INTEROP, COLLECTOR, suite("v1.6.3")):
            built(module)
        for version in RELEASES:
            crds(version)
        isolation.enter()


@pytest.fixture
def folder() -> Iterator[Path]:
    with scratch("cluster") as path:
        yield path


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """One cluster for all tests of a file that do not break it; each test uses its own Kubernetes namespaces."""
    if not isolation.is_inside():
        pytest.skip("needs a new network namespace, which `pytest tests/cluster` creates")
    isolation.enter()
    with scratch("cluster") as path:
        one = Cluster(path)
        try:
            one.start()
            one.start_pods()
            yield one
        finally:
            one.stop()


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Api:
    return cluster.api
