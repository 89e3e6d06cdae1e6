"""The guides for other programs and for migrations: the manifests of their ```yaml blocks, and the objects they assume.

A guide shows only the manifests that a reader writes. The objects that they refer to are generated here: the
GatewayClass, namespaces, Services with an endpoint, and the Secrets of the certificates. Objects of kinds that belong
to other programs are parsed but not checked.
"""

import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from certificates import certificate

Object = dict[str, Any]

DOCS = Path(__file__).parent.parent / "docs"
GUIDES = ("migrating-from-ingress-nginx.md", "cert-manager.md", "external-dns.md", "argo-rollouts.md")
OURS = "gateway.networking.k8s.io/v1"
OTHERS = frozenset(
    (
        "networking.k8s.io/v1 Ingress",
        "rbac.authorization.k8s.io/v1 ClusterRole",
        "cert-manager.io/v1 ClusterIssuer",
        "cert-manager.io/v1 Certificate",
        "argoproj.io/v1alpha1 Rollout",
        "argoproj.io/v1alpha1 Application",
    )
)
_BLOCK = re.compile(r"^```yaml\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def manifests(guide: str) -> list[Object]:
    """All objects of a guide, in order."""
    text = (DOCS / guide).read_text()
    return [one for found in _BLOCK.finditer(text) for one in yaml.safe_load_all(found[1]) if one]


def served(guide: str) -> list[Object]:
    """The objects of a guide that the gateway reads."""
    return [one for one in manifests(guide) if one["apiVersion"] == OURS]


def assumed(guide: str) -> Iterator[Object]:
    """The objects that the guide refers to but does not contain."""
    found = served(guide)
    yield {
        "apiVersion": OURS,
        "kind": "GatewayClass",
        "metadata": {"name": "fastroute"},
        "spec": {"controllerName": "fastroute.dev/gateway"},
    }
    for name in sorted({one["metadata"]["namespace"] for one in found}):
        yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
    for namespace, name, port in sorted(set(services(found))):
        meta = {"name": name, "namespace": namespace}
        yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": [{"port": port}]}}
        yield {
            "apiVersion": "discovery.k8s.io/v1",
            "kind": "EndpointSlice",
            "metadata": {**meta, "labels": {"kubernetes.io/service-name": name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": ["198.51.100.7"]}],
            "ports": [{"port": port}],
        }
    yield from (tls_secret(*one) for one in secrets(found))


def services(objects: list[Object]) -> Iterator[tuple[str, str, int]]:
    """(namespace, name, port) of every backendRef."""
    for one in objects:
        for rule in one["spec"].get("rules", ()):
            for ref in rule.get("backendRefs", ()):
                yield ref.get("namespace", one["metadata"]["namespace"]), ref["name"], ref["port"]


def secrets(objects: list[Object]) -> Iterator[tuple[str, str, str]]:
    """(namespace, name, hostname) of every certificateRef."""
    for one in objects:
        for listener in one["spec"].get("listeners", ()):
            for ref in listener.get("tls", {}).get("certificateRefs", ()):
                yield ref.get("namespace", one["metadata"]["namespace"]), ref["name"], listener["hostname"]


def tls_secret(namespace: str, name: str, host: str, days: float = 30) -> Object:
    """A Secret in the form that cert-manager writes."""
    made = certificate(host, days=days)
    parts = {"tls.crt": made.chain, "tls.key": made.key, "ca.crt": made.chain}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "namespace": namespace,
            "annotations": {"cert-manager.io/certificate-name": name, "cert-manager.io/alt-names": host},
        },
        "type": "kubernetes.io/tls",
        "data": {key: base64.b64encode(value).decode() for key, value in parts.items()},
    }
