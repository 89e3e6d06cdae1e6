"""The test cluster: it behaves like a real one, restarts with its objects, and leaves no process behind."""

import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3

from cluster import isolation
from cluster.api import Api, ApiError
from cluster.cluster import Cluster
from cluster.echo import echo, eventually, ready_addresses


def test_deployments_become_pods_that_answer(api: Api) -> None:
    api.apply(*echo("fruits", replicas=3))
    eventually(lambda: len(ready_addresses(api, "fruits")) == 3)
    answers = [
        urllib3.request("GET", f"http://{address}:3000/x", timeout=60.0).json()
        for address in ready_addresses(api, "fruits")
    ]
    assert len({answer["pod"] for answer in answers}) == 3
    assert {answer["path"] for answer in answers} == {"/x"}


def test_a_pods_log_is_served_by_the_api_server(api: Api) -> None:
    api.apply(*echo("logs"))
    eventually(lambda: len(ready_addresses(api, "logs")) == 1)
    (pod,) = api.list("Pod", "logs")
    assert "Starting server" in api.request("GET", f"/api/v1/namespaces/logs/pods/{pod['metadata']['name']}/log")


def test_an_account_has_its_rights_and_no_others(api: Api, cluster: Cluster, folder: Path) -> None:
    api.apply_text("""
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [services], verbs: [list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: reader}
subjects: [{kind: ServiceAccount, name: reader, namespace: default}]
""")
    kubeconfig = folder / "reader"
    kubeconfig.write_text(api.kubeconfig_of(api.token("default", "reader")))
    reader = Api(kubeconfig)
    assert reader.list("Service")
    with pytest.raises(ApiError, match=r"^403"):
        reader.list("Secret")


def test_a_killed_api_server_comes_back_with_all_objects(api: Api, cluster: Cluster) -> None:
    api.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "kept", "namespace": "default"}})
    before = api.get("ConfigMap", "default", "kept")
    cluster.kill()
    with pytest.raises(urllib3.exceptions.HTTPError):
        api.list("Namespace")
    cluster.start()
    assert api.get("ConfigMap", "default", "kept") == before


def test_nothing_is_left_of_a_namespace_whose_program_was_killed() -> None:
    way = isolation.way_in()
    assert way is not None
    program = "import subprocess, time; subprocess.Popen(['sleep', '987654']); print('up', flush=True); time.sleep(60)"
    outer = subprocess.Popen([*way, sys.executable, "-c", program], stdout=subprocess.PIPE)
    assert outer.stdout is not None
    assert outer.stdout.readline() == b"up\n"
    outer.kill()
    outer.wait()
    end = time.monotonic() + 60
    while _runs("sleep\x00987654"):
        assert time.monotonic() < end
        time.sleep(0.05)


def _runs(words: str) -> bool:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text())
        except OSError:
            continue
    return any(words in line for line in lines)
