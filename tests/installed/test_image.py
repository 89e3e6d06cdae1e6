"""The container image suffices to serve a cluster: its fastroute runs in its own root folder, with a real API server.

The folder was unpacked by .ci/image, which tests/packaging runs. Skipped if it does not exist.
"""

import os
from pathlib import Path

import pytest
from cluster.account import LEASE, NAME, NAMESPACE, RIGHTS, account_kubeconfig
from cluster.echo import echo, eventually, ready_addresses
from cluster.gateway import CLASS, METRICS, is_ready
from cluster.process import Program
from cluster.programs import ROOT
from cluster.traffic import Ask, Client
from guides import tls_secret

from installed.release import Release

TREE = ROOT / ".cache" / "image" / "root"
ADDRESS = "127.0.4.1"
OFFSET = 8000  # because it runs as a user that may not bind ports below 1024
OBJECTS = """
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: web, namespace: imaged}
spec:
  gatewayClassName: fastroute
  listeners:
  - {name: http, port: 80, protocol: HTTP}
  - {name: https, port: 443, protocol: HTTPS, tls: {certificateRefs: [{name: any-tls}]}}
---
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: web, namespace: imaged}
spec:
  parentRefs: [{name: web}]
  rules: [{backendRefs: [{name: echo, port: 8080}]}]
"""
START = f"""
mount -t proc proc {TREE}/proc
mount --rbind /dev {TREE}/dev
exec chroot --userspec=10001:10001 {TREE} /opt/fastroute/bin/fastroute "$@"
"""


@pytest.fixture
def fastroute(release: Release, tmp_path: Path):
    """The image's program, with the rights in deploy/kustomize; its kubeconfig is a file in the image's folder."""
    if not (TREE / "opt" / "fastroute").is_dir() or os.getuid():
        pytest.skip("needs root and the image that `make image` builds")
    kubeconfig = TREE / "tmp" / "kubeconfig"
    kubeconfig.write_text(account_kubeconfig(release.cluster).read_text())
    options = ["--kubeconfig=/tmp/kubeconfig", f"--bind={ADDRESS}", f"--port-offset={OFFSET}", "--workers=1"]
    options += [f"--metrics={METRICS}", f"--status-lease={LEASE}"]
    words = ["unshare", "--mount", "sh", "-ec", START, "sh", "serve", "--kubernetes", *options]
    environment = {"PATH": "/opt/fastroute/bin:/usr/bin:/usr/sbin:/bin:/sbin", "PYTHONPATH": "", "TMPDIR": "/tmp"}
    program = Program(words, tmp_path / "fastroute.log", environment)
    try:
        program.wait_for(is_ready, 60)
        yield program
    finally:
        program.end(10)
        kubeconfig.unlink()
        release.kubectl("delete", "--filename", str(RIGHTS))  # or helm refuses to install over them
        release.api.delete("Lease", NAMESPACE, NAME)


def test_the_image_serves_a_cluster(release: Release, fastroute: Program) -> None:
    api = release.api
    api.apply(*echo("imaged"))
    api.apply(tls_secret("imaged", "any-tls", "any.test"))
    api.apply_text(CLASS)
    api.apply_text(OBJECTS)
    eventually(lambda: len(ready_addresses(api, "imaged")) == 1, 30)
    client = Client(ADDRESS, OFFSET)
    for ask in (Ask("any.test", "/"), Ask("any.test", "/", port=443, secure=True)):
        eventually(lambda ask=ask: client.ask(ask) == "imaged")
    client.close()
    eventually(lambda: programmed(release) == "True")
    for kind, namespace, name in (("Namespace", "", "imaged"), ("GatewayClass", "", "fastroute")):
        api.delete(kind, namespace, name)


def programmed(release: Release) -> str:
    status = release.api.get("Gateway", "imaged", "web").get("status", {})
    return next((one["status"] for one in status.get("conditions", ()) if one["type"] == "Programmed"), "")
