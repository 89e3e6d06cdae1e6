"""A real API server accepts the objects rendered by helm and kustomize, under the restricted Pod Security standard."""

import subprocess

import pytest
from cluster.echo import eventually

from installed.release import NAMESPACE, Release

OBJECTS = 11  # of the base: the number in docs/deploy.md, and the namespace


@pytest.fixture(scope="module")
def namespace(release: Release):
    """An empty namespace `fastroute` with the restricted standard."""
    release.kubectl("apply", "-f", "deploy/kustomize/namespace.yaml")
    yield NAMESPACE
    release.kubectl("delete", "namespace", NAMESPACE, "--wait=true", "--timeout=60s")


def test_the_base_passes_a_dry_run_of_the_server(release: Release, namespace: str) -> None:
    said = release.kubectl("apply", "--dry-run=server", "-k", "deploy/kustomize").splitlines()
    assert len(said) == OBJECTS
    assert all(line.endswith("(server dry run)") for line in said)


def test_the_base_is_applied_and_again_without_a_change(release: Release, namespace: str) -> None:
    release.kubectl("apply", "-k", "deploy/kustomize")
    try:
        release.kubectl("diff", "-k", "deploy/kustomize")  # fails if there is a difference
        eventually(lambda: len(release.api.list("Pod", NAMESPACE)) == 2)  # admitted to a restricted namespace
    finally:
        release.kubectl("delete", "-k", "deploy/kustomize/base", "--wait=true", "--timeout=60s")


def test_the_chart_is_installed_changed_and_taken_away(release: Release, namespace: str) -> None:
    chart = ("deploy/helm/fastroute", f"--namespace={NAMESPACE}")
    release.run("helm", "install", "fastroute", *chart, "--dry-run=server")
    release.run("helm", "install", "fastroute", *chart)
    switches = ("autoscaling.enabled", "grantPolicy.enabled", "infrastructure.enabled")
    release.run("helm", "upgrade", "fastroute", *chart, *(f"--set={one}=true" for one in switches))
    assert release.kubectl("get", "hpa", "-n", NAMESPACE, "-o", "name").split() == [
        "horizontalpodautoscaler.autoscaling/fastroute"
    ]
    release.run("helm", "uninstall", "fastroute", f"--namespace={NAMESPACE}", "--wait")
    left = release.kubectl("get", "clusterrole,clusterrolebinding,gatewayclass,validatingadmissionpolicy", "-o", "name")
    assert [name for name in left.split() if "/fastroute" in name] == []


def test_a_pod_that_may_gain_privileges_is_refused_there(release: Release, namespace: str) -> None:
    """The standard is enforced: an ordinary pod is refused, so the pods of fastroute comply with it."""
    with pytest.raises(subprocess.CalledProcessError):
        release.kubectl("run", "any", "--image=any", "-n", NAMESPACE)
