"""`make conformance`: builds the suite of a release, runs it against fastroute, reports what failed and why.

An unfiltered run writes the suite's own report, unedited, to docs/conformance/RELEASE-PROFILES.yaml; RELEASE-all.yaml
has all profiles. The suite runs in its default mode: it tests core and the extended features in our GatewayClass's
`status.supportedFeatures`.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from cluster import isolation
from cluster.account import LEASE, account_kubeconfig
from cluster.api import Api, ApiError, Object
from cluster.cluster import Cluster
from cluster.echo import eventually
from cluster.gateway import CLASS, POOL, start_gateway
from cluster.process import NotReadyError, Program
from cluster.programs import CACHE, CLUSTER, ECHO, ROOT, built, crds, suite
from cluster.scratch import scratch
from deploy.audit import AUDIT_LOG, audit_flags, rights_used, verdict_of

import fastroute
from conformance.summary import outcomes, text

RELEASES = ("v1.6.3", "v1.7.0")
PROFILES = "GATEWAY-HTTP,GATEWAY-GRPC,GATEWAY-TLS,GATEWAY-TCP,GATEWAY-UDP"
# Addresses for GatewayStaticAddresses: one that is in the pool, one that is not available (RFC 5737).
USABLE, UNUSABLE = "127.0.1.200", "192.0.2.9"
TIMEOUT = "40m"
WITHOUT_STREAMS = "--feature-gates=WatchList=false"  # the API server supports only paged lists, as older ones do
WITH_BUNDLES = (  # or the right to read ClusterTrustBundles would not be used
    "--feature-gates=ClusterTrustBundle=true",
    "--runtime-config=certificates.k8s.io/v1beta1/clustertrustbundles=true",
)
JUDGED = """
apiVersion: v1
kind: Namespace
metadata: {name: rights}
---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: edge, namespace: rights}
spec:
  gatewayClassName: fastroute
  infrastructure: {labels: {team: one}}
  listeners: [{name: http, port: 80, protocol: HTTP}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: GRPCRoute
metadata: {name: calls, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TLSRoute
metadata: {name: bytes, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  hostnames: [echo.example.com]
  rules: [{backendRefs: [{name: echo, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: TCPRoute
metadata: {name: bytes, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 80}]}]
---
apiVersion: gateway.networking.k8s.io/v1
kind: UDPRoute
metadata: {name: bytes, namespace: rights}
spec:
  parentRefs: [{name: edge}]
  rules: [{backendRefs: [{name: echo, port: 80}]}]
---
apiVersion: v1
kind: Service
metadata: {name: echo, namespace: rights}
spec: {ports: [{port: 80}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: echo, namespace: rights}
spec:
  targetRefs: [{group: "", kind: Service, name: echo}]
  validation: {hostname: echo, caCertificateRefs: [{group: "", kind: ConfigMap, name: ca}]}
"""
# Its CRD is of v1.7. With v1.6.3 it is installed after the suite has run, or the right to read it would not be used.
TELEMETRY = "gateway.networking.x-k8s.io_xtelemetrypolicies.yaml"
TRACED = {
    "apiVersion": "gateway.networking.x-k8s.io/v1alpha1",
    "kind": "XTelemetryPolicy",
    "metadata": {"name": "traced", "namespace": "rights"},
    "spec": {
        "targetRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "edge"}],
        "tracing": {"mode": "ImplementationDefault"},
    },
}
TRACED_AT = "/apis/gateway.networking.x-k8s.io/v1alpha1/namespaces/rights/xtelemetrypolicies/traced"
JUDGED_AT = tuple(
    f"/apis/gateway.networking.k8s.io/v1/namespaces/rights/{where}"
    for where in ("grpcroutes/calls", "tlsroutes/bytes", "tcproutes/bytes", "udproutes/bytes")
)


def main() -> int:
    """The exit code: 0 if all tests passed and, in an unfiltered run, each right was used and none was missing."""
    arguments = _arguments()
    for module in (CLUSTER, ECHO, suite(arguments.api)):
        built(module)  # before entering the namespace, which has no network for downloads
    crds(RELEASES[-1])
    isolation.enter()
    logs = CACHE / "conformance" / time.strftime(f"{arguments.api}-%Y%m%d-%H%M%S")
    logs.mkdir(parents=True)
    with scratch("conformance") as folder:
        pages = (WITHOUT_STREAMS,) if arguments.pages else ()
        cluster = Cluster(folder, arguments.api, flags=(*audit_flags(logs), *WITH_BUNDLES, *pages))
        try:
            cluster.start()
            cluster.start_pods()
            code = _judge(cluster, arguments, logs)
        finally:
            cluster.stop()
            for name in ("apiserver.log", "kubelet.log"):
                (logs / name).write_bytes((folder / name).read_bytes())
    print(f"logs: {logs.relative_to(ROOT)}")
    return code


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--api", default=RELEASES[0], choices=RELEASES)
    parser.add_argument("--profiles", default=PROFILES, help="comma-separated")
    parser.add_argument("--test", default="", help="only these tests, comma-separated; no report")
    parser.add_argument("--parallel", type=int, default=4, help="tests at a time, of those that the suite lets")
    parser.add_argument("--pages", action="store_true", help="an older API server's way: lists in pages, not streamed")
    parser.add_argument("--report", type=Path, default=ROOT / "docs/conformance", help="folder of the report")
    parser.add_argument("--log-level", default="info", help="fastroute's")
    return parser.parse_args()


def _judge(cluster: Cluster, arguments: argparse.Namespace, logs: Path) -> int:
    cluster.api.apply_text(CLASS)
    kubeconfig = account_kubeconfig(cluster, infrastructure=True)
    options = ["--address-pool", POOL, "--status-lease", LEASE, "--infrastructure", "--log-level", arguments.log_level]
    options += ["--access-log", str(logs / "access.log")]
    gateway = start_gateway(kubeconfig, logs / "fastroute.log", options)
    try:
        suite_log = logs / "suite.log"
        code = _run_suite(cluster, arguments, suite_log)
    finally:
        gateway.end()
    if not arguments.test:
        _live_without_streams(cluster, lambda: start_gateway(kubeconfig, logs / "fastroute.log", options))
    with suite_log.open(errors="replace") as lines:
        found = outcomes(lines)
    said = text(found)
    if not arguments.test:  # some of the tests use only some of the rights
        verdict = verdict_of(logs / AUDIT_LOG, infrastructure=True)
        said += f"\n{rights_used(verdict)}"
        code = code or int(bool(verdict.refused or verdict.unused))
    (logs / "summary.txt").write_text(said + "\n")
    print(said)
    if not found:
        print("\n".join(suite_log.read_text(errors="replace").splitlines()[-20:]))
    return code


def _live_without_streams(cluster: Cluster, start: Callable[[], Program]) -> None:
    """Uses the rights that the suite does not need, so that they are in the audit log: restarts fastroute on the same
    objects after restarting the API server without WatchList, creates a BackendTLSPolicy and routes of all kinds, and
    edits labels."""
    if WITHOUT_STREAMS not in cluster.flags:
        cluster.kill()
        cluster.flags.append(WITHOUT_STREAMS)
        cluster.start()
    cluster.api.apply_text((crds(RELEASES[-1]) / "experimental" / TELEMETRY).read_text())
    cluster.api.apply_text(JUDGED)
    eventually(lambda: _is_applied(cluster.api, TRACED))  # the API server does not serve a new kind at once
    gateway = start()
    try:
        for where in JUDGED_AT:
            eventually(lambda at=where: bool(cluster.api.request("GET", at).get("status", {}).get("parents")), 30)
        eventually(lambda: bool(cluster.api.request("GET", TRACED_AT).get("status", {}).get("ancestors")), 30)
        for team in ("one", "two"):
            labels = {"spec": {"infrastructure": {"labels": {"team": team}}}}
            cluster.api.patch("Gateway", "rights", "edge", labels)
            eventually(lambda wanted=team: _team(cluster.api) == wanted)
    finally:
        gateway.end()


def _is_applied(api: Api, one: Object) -> bool:
    try:
        api.apply(one)
    except ApiError:
        return False
    return True


def _team(api: Api) -> str:
    """The label of the Gateway's Service."""
    return "".join(one["metadata"].get("labels", {}).get("team", "") for one in api.list("Service", "rights"))


def _run_suite(cluster: Cluster, arguments: argparse.Namespace, log: Path) -> int:
    words = [str(built(suite(arguments.api)) / "suite"), "-test.v", f"-test.timeout={TIMEOUT}"]
    words += [f"-test.parallel={arguments.parallel}", "-gateway-class=fastroute"]
    words += [f"-conformance-profiles={arguments.profiles}"]
    words += [f"-usable-address={USABLE}", f"-unusable-address={UNUSABLE}"]
    if arguments.test:
        names = "|".join(arguments.test.split(","))
        words += ["-test.run", f"TestConformance/^({names})$"]
    else:
        words += _report(arguments)
    with log.open("wb") as output:
        environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
        return subprocess.run(words, env=environment, stdout=output, stderr=subprocess.STDOUT, check=False).returncode


def _report(arguments: argparse.Namespace) -> list[str]:
    """The suite writes a report only if all of these flags are given."""
    arguments.report.mkdir(parents=True, exist_ok=True)
    profiles = "all" if arguments.profiles == PROFILES else arguments.profiles.replace(",", "-").lower()
    name = f"{arguments.api}-{profiles}.yaml"
    return [
        f"-report-output={arguments.report / name}",
        "-organization=fastroute",
        "-project=fastroute",
        "-url=https://github.com/fastroute/fastroute",
        f"-version=v{fastroute.__version__}",
        "-contact=https://github.com/fastroute/fastroute/issues",
    ]


if __name__ == "__main__":
    try:
        sys.exit(main())
    except NotReadyError as error:
        sys.exit(f"make conformance: {error}")
