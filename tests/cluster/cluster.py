"""A cluster: the API server (with etcd and controllers in the same program), and a substitute kubelet that runs pods.

The ports are fixed because every cluster has its own network namespace (isolation.py). All files are in one folder.
"""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import urllib3

from cluster.api import Api
from cluster.process import Program
from cluster.programs import CACHE, CLUSTER, ECHO, built, suite

API_PORT = 16443
ETCD_PORT = 23790


class Cluster:
    """A cluster on `folder`, with the CRDs of release `version` and one channel. `start` starts it."""

    def __init__(
        self,
        folder: Path,
        version: str = "v1.6.3",
        *,
        channel: str = "experimental",
        etcd_through: str = "",
        flags: Sequence[str] = (),
    ) -> None:
        self.folder = folder
        self.programs = built(CLUSTER)
        self.crds = built(suite(version)) / channel
        self.flags = list(flags)
        self.etcd_through = etcd_through
        self._api: Program | None = None
        self._kubelet: Program | None = None

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig, valid as long as the folder exists."""
        return self.folder / "kubeconfig"

    @property
    def api(self) -> Api:
        """A client with the administrator's rights."""
        return Api(self.kubeconfig)

    def start(self, *, crds: bool = True) -> None:
        """Starts the API server; returns when it is ready and, with `crds`, its CRDs are established."""
        self.folder.mkdir(parents=True, exist_ok=True)
        words = [str(self.programs / "apiserver"), "-dir", str(self.folder)]
        words += ["-port", str(API_PORT), "-etcd-port", str(ETCD_PORT)]
        words += ["-crds", str(self.crds)] if crds else []
        words += ["-etcd-through", self.etcd_through] if self.etcd_through else []
        self._api = Program([*words, "--", *self.flags], self.folder / "apiserver.log")
        self._api.wait_for(self._api.says("ready"))

    def start_pods(self, images: Sequence[str] = ()) -> None:
        """Starts the kubelet. `images`: PART-OF-IMAGE=COMMAND, in addition to the suite's echo server."""
        known = [f"/echo-basic:={built(ECHO) / 'echo-basic'}", *images]
        words = [str(self.programs / "kubelet"), "-kubeconfig", str(self.kubeconfig), "-dir", str(self.folder)]
        words += [word for image in known for word in ("-image", image)]
        self._kubelet = Program(words, self.folder / "kubelet.log")
        self._kubelet.wait_for(self._kubelet.says("ready"))

    def kill(self) -> None:
        """Kills the API server and etcd, as in a power failure. `start` restarts them with all objects."""
        assert self._api is not None
        self._api.kill()

    def compact(self) -> None:
        """Compacts etcd to the newest revision: a watch that starts at an older one gets 410."""
        address = f"http://127.0.0.1:{ETCD_PORT}/v3"
        said = _post(f"{address}/kv/range", {"key": "AA=="})
        _post(f"{address}/kv/compaction", {"revision": said["header"]["revision"], "physical": True})

    def keep_logs(self, name: str) -> None:
        """Copies the logs of the programs to .cache/logs/NAME, for debugging."""
        kept = CACHE / "logs" / name
        kept.mkdir(parents=True, exist_ok=True)
        for path in self.folder.glob("*.log"):
            (kept / path.name).write_bytes(path.read_bytes())

    def stop(self) -> None:
        """Stops all programs."""
        for program in (self._kubelet, self._api):
            if program is not None:
                program.end(5)
        if self._kubelet is not None:  # the kubelet's bridge remains after the kubelet ended
            subprocess.run(["ip", "link", "delete", "br0"], check=False)


def _post(url: str, body: object) -> Any:
    answer = urllib3.request("POST", url, json=body, timeout=10.0)
    assert answer.status == 200, answer.data
    return answer.json()


def run(words: Sequence[str], kubeconfig: Path) -> str:
    """The output of a command that runs with this cluster's KUBECONFIG. Raises CalledProcessError."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig)}
    return subprocess.run(list(words), env=environment, check=True, capture_output=True, text=True).stdout
