"""fastroute's identity in a test cluster: a ServiceAccount with the rights that deploy/kustomize grants."""

from pathlib import Path

from cluster.api import Object, documents
from cluster.cluster import Cluster
from cluster.programs import ROOT

NAMESPACE = "fastroute"
NAME = "fastroute"
LEASE = f"{NAMESPACE}/{NAME}"  # the Lease that the Role of deploy/kustomize names
RIGHTS = ROOT / "deploy/kustomize/base/rbac.yaml"
INFRASTRUCTURE = ROOT / "deploy/kustomize/infrastructure/rbac.yaml"  # applied for --infrastructure


def account_kubeconfig(cluster: Cluster, *, infrastructure: bool = False, server: str = "") -> Path:
    """A kubeconfig of fastroute's ServiceAccount, which has the rights that deploy/kustomize grants and no others.

    `server`: the URL of the API server.
    """
    api = cluster.api
    api.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    api.apply(*rights(infrastructure=infrastructure))
    path = cluster.folder / "fastroute.kubeconfig"
    path.write_text(api.kubeconfig_of(api.token(NAMESPACE, NAME), server))
    return path


def rights(*, infrastructure: bool = False) -> list[Object]:
    """The ServiceAccount, its roles and bindings."""
    files = (RIGHTS, INFRASTRUCTURE) if infrastructure else (RIGHTS,)
    return [one for file in files for one in documents(file.read_text())]
