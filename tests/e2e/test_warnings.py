"""What a running gateway logs if no status can report it: each warning once, and a message when it is resolved."""

import json
import subprocess
import sys

from e2e.serving import GATEWAY, serving
from load import until

from fastroute import __version__

POLICY = """
apiVersion: example.com/v1
kind: RatePolicy
metadata: {{namespace: infra, name: slow}}
spec:
  targetRef: {{group: gateway.networking.k8s.io, kind: Gateway, name: edge}}
"""


async def test_a_missing_gateway_and_a_policy_that_is_not_served_are_logged_once(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "manifests"
    folder.mkdir()
    options = ("--gateway", "infra/edge", "--gateway", "infra/late", "--log-level", "info", "--log-format", "json")
    with log.open("wb") as file:
        async with serving(folder, *options, stderr=file, stdout=subprocess.DEVNULL) as served:
            served.world.write("policy", POLICY)
            await _told(log, "Policies of kind RatePolicy")
            late = GATEWAY.replace("name: edge", "name: late").replace("port: 80", "port: 81")
            served.world.write("late", late, allowed="{from: Same}")
            await _told(log, "is served now")
            served.world.remove("policy")
            await _told(log, "fixed")
    said = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    where = f"{folder}/policy.yaml:2: RatePolicy infra/slow: spec.targetRef"
    unserved = (
        f"{where}: Policies of kind RatePolicy (example.com) are not served: Gateway infra/edge is served as if this "
        f"one did not exist."
    )
    expected = [
        "--gateway names infra/late, which does not exist: it is not served",
        unserved,
        "Gateway infra/late, which --gateway names, is served now",
        f"fixed: {unserved}",
    ]
    assert [message for message in said if "--gateway" in message or "RatePolicy" in message] == expected


async def _told(log, words):
    await until(lambda: words in log.read_text())


async def test_the_start_says_what_is_served_and_where(tmp_path):
    log, folder = tmp_path / "log", tmp_path / "manifests"
    folder.mkdir()
    with log.open("wb") as file:
        async with serving(folder, "--log-level", "info", "--log-format", "json", stderr=file) as served:
            await _told(log, "serving 1 Gateway")
            served.world.remove("gateway")
            await _told(log, "nothing to serve: there is no Gateway")
    said = [json.loads(line)["message"] for line in log.read_text().splitlines()]
    where = f"listener proxy of Gateway infra/edge: http://127.0.0.1:{served.port}"
    wanted = [
        f"fastroute {__version__} (process {served.pid}, workers: 2) reads {folder}",
        f"metrics: http://127.0.0.1:{served.metrics_port}/metrics; also /healthz and /readyz",
        f"health: http://127.0.0.1:{served.health_port}/healthz and /readyz",
        where,
        "serving 1 Gateway, 1 route, 2 endpoints",
        f"not bound any more: {where}",
        "nothing to serve: there is no Gateway",
    ]
    assert [message for message in said if message in wanted] == wanted


def test_an_empty_folder_is_told_at_the_start(tmp_path):
    command = [sys.executable, "-m", "fastroute", "serve", "--manifests", str(tmp_path), "--metrics", "off"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        said = []
        try:
            while "nothing to serve" not in "".join(said):
                said.append(process.stderr.readline())
                assert said[-1], said
        finally:
            process.kill()
    assert f"{tmp_path}: contains no file of *.yaml, *.yml, *.json" in "".join(said)
    assert "nothing to serve: there is no Gateway" in said[-1]
