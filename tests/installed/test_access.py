"""Who may write grants, and what a grant may contain: the Role of docs/deploy.md, fastroute's rights, the admission
policy."""

import subprocess

import pytest
from cluster.echo import eventually

from installed.release import Release

GRANT = """
apiVersion: gateway.networking.k8s.io/{version}
kind: ReferenceGrant
metadata: {{name: grant, namespace: {namespace}}}
spec:
  from: [{{group: gateway.networking.k8s.io, kind: HTTPRoute, namespace: infra}}]
  to: [{{group: "", kind: {kind}{name}}}]
"""
POLICY = ("helm", "template", "fastroute", "deploy/helm/fastroute", "--namespace=fastroute")


def grant(namespace: str, kind: str = "Service", name: str = ", name: echo", version: str = "v1") -> str:
    return GRANT.format(namespace=namespace, kind=kind, name=name, version=version)


def can(release: Release, verb: str, what: str, namespace: str, *who: str) -> bool:
    """The result of a SubjectAccessReview."""
    words = ["kubectl", "auth", "can-i", verb, what, "-n", namespace, *who]
    ended = subprocess.run(words, env=release.environment, capture_output=True, text=True, check=False)
    assert ended.stdout.strip() in ("yes", "no"), ended.stderr
    return ended.stdout.strip() == "yes"


@pytest.fixture(scope="module")
def platform_team(release: Release):
    """The Role of docs/deploy.md, bound to the group named there."""
    for name in ("shared-services", "apples"):
        release.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    release.kubectl("apply", "-f", "docs/shared-services/referencegrant-admin.yaml")
    return ("--as=ada", "--as-group=platform-team")


@pytest.mark.parametrize("verb", ["create", "update", "delete", "get", "list", "watch"])
def test_the_platform_team_administers_grants_in_its_namespace_only(release, platform_team, verb):
    assert can(release, verb, "referencegrants", "shared-services", *platform_team)
    assert not can(release, verb, "referencegrants", "apples", *platform_team)
    assert not can(release, verb, "referencegrants", "shared-services", "--as=tom", "--as-group=tenant-a")


def test_a_tenant_who_tries_is_refused_by_the_server(release, platform_team):
    release.kubectl("create", *platform_team, "-f", "-", text=grant("shared-services"))
    with pytest.raises(subprocess.CalledProcessError):
        release.kubectl(
            "create", "--as=tom", "-f", "-", text=grant("shared-services").replace("name: grant", "name: own")
        )


def test_a_grant_without_a_namespace_it_is_from_is_refused(release):
    """There is no wildcard, and omitting the namespace does not mean all namespaces."""
    release.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "apples"}})
    ended = subprocess.run(
        ["kubectl", "create", "-f", "-"],
        input=grant("apples").replace(", namespace: infra}", "}"),
        env=release.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode != 0
    assert "spec.from[0].namespace: Required value" in ended.stderr


@pytest.fixture(scope="module")
def ourselves(release: Release):
    """The kubectl option to act as the gateway's ServiceAccount."""
    release.kubectl("apply", "-f", "deploy/kustomize/namespace.yaml", "-f", "deploy/kustomize/base/rbac.yaml")
    yield ("--as=system:serviceaccount:fastroute:fastroute",)
    release.kubectl("delete", "-f", "deploy/kustomize/base/rbac.yaml", "-f", "deploy/kustomize/namespace.yaml")


READ = (
    "namespaces services secrets configmaps endpointslices.discovery.k8s.io referencegrants backendtlspolicies "
    "gateways httproutes gatewayclasses"
)


@pytest.mark.parametrize("what", READ.split())
def test_the_gateway_reads_everywhere_and_writes_nothing_of_it(release, ourselves, what):
    assert can(release, "list", what, "apples", *ourselves)
    assert can(release, "watch", what, "apples", *ourselves)
    for verb in ("create", "update", "patch", "delete", "deletecollection"):
        assert not can(release, verb, what, "apples", *ourselves), verb


def test_the_gateway_writes_statuses_and_no_workload(release, ourselves):
    for what in ("gateways", "httproutes", "gatewayclasses", "listenersets", "backendtlspolicies"):
        assert can(release, "update", f"{what}.gateway.networking.k8s.io", "apples", "--subresource=status", *ourselves)
    for what in (
        "pods",
        "deployments.apps",
        "pods/exec",
        "nodes",
        "clusterroles.rbac.authorization.k8s.io",
    ):
        for verb in ("get", "list", "create", "update", "delete"):
            assert not can(release, verb, what, "apples", *ourselves), (verb, what)


def test_the_gateway_has_one_lease_in_its_own_namespace(release, ourselves):
    assert can(release, "update", "leases.coordination.k8s.io/fastroute", "fastroute", *ourselves)
    assert not can(release, "update", "leases.coordination.k8s.io/other", "fastroute", *ourselves)
    assert not can(release, "create", "leases.coordination.k8s.io", "apples", *ourselves)


@pytest.fixture(scope="module")
def policy(release: Release):
    """The ValidatingAdmissionPolicy in effect, and a namespace with its label."""
    text = release.run(*POLICY, "--set=grantPolicy.enabled=true", "--show-only=templates/grantpolicy.yaml")
    release.kubectl("apply", "-f", "-", text=text)
    labels = {"fastroute.dev/reference-grants": "allowed"}
    release.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "labelled", "labels": labels}})
    release.api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "unlabelled"}})
    yield
    release.kubectl("delete", "-f", "-", text=text)


def refusal(release: Release, text: str) -> str:
    """The API server's error message for an object; "" if it accepts the object."""
    words = ["kubectl", "create", "--dry-run=server", "-f", "-"]
    ended = subprocess.run(words, input=text, env=release.environment, capture_output=True, text=True, check=False)
    return ended.stderr if ended.returncode else ""


@pytest.mark.parametrize("version", ["v1", "v1beta1"])
def test_the_policy_holds_grants_to_services_by_name_in_labelled_namespaces(release, policy, version):
    eventually(
        lambda: "only allowed in namespaces with the label" in refusal(release, grant("unlabelled", version=version))
    )
    assert refusal(release, grant("labelled", version=version)) == ""
    assert "only allow references to Services" in refusal(release, grant("labelled", kind="Secret", version=version))
    assert "must name each Service" in refusal(release, grant("labelled", name="", version=version))
