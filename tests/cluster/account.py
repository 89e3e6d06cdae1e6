"""Who fastroute is in a test cluster: a ServiceAccount, with the rights that our manifests give it."""

from pathlib import Path

from cluster.api import Object, documents
from cluster.cluster import Cluster
from cluster.programs import ROOT

NAMESPACE = "fastroute-system"
NAME = "fastroute"
RIGHTS = ROOT / "deploy/kustomize/rbac.yaml"


def account_kubeconfig(cluster: Cluster) -> Path:
    """A kubeconfig of fastroute's ServiceAccount, which has what deploy/kustomize grants and nothing else."""
    api = cluster.api
    if not RIGHTS.exists():
        return cluster.kubeconfig
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    api.apply(*rights())
    path = cluster.folder / "fastroute.kubeconfig"
    path.write_text(api.kubeconfig_of(api.token(NAMESPACE, NAME)))
    return path


def rights() -> list[Object]:
    """ServiceAccount, roles and bindings."""
    return [_placed(one) for one in documents(RIGHTS.read_text())]


def _placed(one: Object) -> Object:
    """kustomize sets the namespace; here we do."""
    if not one["kind"].startswith("Cluster"):
        one["metadata"]["namespace"] = NAMESPACE
    for subject in one.get("subjects", ()):
        subject["namespace"] = NAMESPACE
    return one
