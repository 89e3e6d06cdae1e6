"""A cluster in which fastroute is installed as by users: the chart, its pods, and a cloud load balancer in front of
them.

Each pod runs in a separate network namespace, without capabilities, with the rights of its ServiceAccount.
"""

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import yaml
from cluster.cluster import API_PORT, Cluster
from cluster.echo import eventually
from cluster.programs import ROOT, TOOLS, built
from cluster.relay import Relay
from deploy.audit import AUDIT_LOG, audit_flags

from installed.cloud import LoadBalancer, ready_pods

NAME = NAMESPACE = "fastroute"
NODE = "10.244.0.1"  # the API server's address for pods
ADDRESS = "127.0.3.1"  # the address that the cloud assigns to the Service
CHART = "deploy/helm/fastroute"


class Release:
    """A cluster with the commands that users run. `install` installs the chart."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.api = cluster.api
        self.environment = {
            **os.environ,
            "KUBECONFIG": str(cluster.kubeconfig),
            "PATH": f"{built(TOOLS)}:{os.environ['PATH']}",
            "HOME": str(cluster.folder),
        }

    def run(self, *words: str, text: str | None = None) -> str:
        """The output of a command run in the repository with `text` as its input. Raises CalledProcessError."""
        ended = subprocess.run(
            list(words), cwd=ROOT, env=self.environment, input=text, capture_output=True, text=True, check=False
        )
        if ended.returncode:
            print(ended.stdout, ended.stderr, sep="\n", file=sys.stderr)
            ended.check_returncode()
        return ended.stdout

    def kubectl(self, *words: str, text: str | None = None) -> str:
        return self.run("kubectl", *words, text=text)

    def install(self, *arguments: str) -> None:
        """Installs the chart; returns when its pods are ready and behind the load balancer."""
        self.run("helm", "install", NAME, CHART, f"--namespace={NAMESPACE}", "--create-namespace", *arguments)
        self.admit()

    def admit(self) -> None:
        """Gives the pods the token of their ServiceAccount, and waits until two are ready."""
        text = self.api.kubeconfig_of(self.api.token(NAMESPACE, NAME), f"https://{NODE}:{API_PORT}")
        config = yaml.safe_load(text)
        config["clusters"][0]["cluster"]["tls-server-name"] = "127.0.0.1"
        config["contexts"][0]["context"]["namespace"] = NAMESPACE
        pod_kubeconfig(self.cluster.folder).write_text(yaml.safe_dump(config))
        eventually(lambda: len(ready_pods(self.api, NAMESPACE, NAME)) >= 2, 60)


def pod_kubeconfig(folder: Path) -> Path:
    return folder / "pod.kubeconfig"


def audit_log(folder: Path) -> Path:
    """The API server's log of the gateway's requests."""
    return folder / AUDIT_LOG


@contextmanager
def released(folder: Path, flags: Sequence[str] = ()) -> Iterator[Release]:
    """A cluster that can run the image `fastroute`, without an installation. `flags`: more flags for kube-apiserver."""
    variables = (f"KUBECONFIG={pod_kubeconfig(folder)}", f"PYTHONPATH={ROOT}", "TMPDIR=/nonexistent")
    image = " ".join(("fastroute:=env", *variables, sys.executable, "-m", "fastroute"))
    cluster = Cluster(folder, flags=[*audit_flags(folder), *flags])
    try:
        cluster.start()
        cluster.start_pods([image])
        with Relay((NODE, API_PORT), ("127.0.0.1", API_PORT)):
            yield Release(cluster)
    finally:
        cluster.stop()


def balancer(release: Release) -> LoadBalancer:
    """The cloud's load balancer for the installed Service."""
    return LoadBalancer(release.api, NAMESPACE, NAME, ADDRESS)
