"""A small API client for tests: objects are plain dictionaries.

It shares no code with the program under test. The official client is not used because its discovery takes longer than
most tests here.
"""

import base64
import json
import re
import ssl
import time
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import urllib3
import yaml

Object = dict[str, Any]

STARTING = 60  # tries of a request while the API server answers 429, "storage is (re)initializing"

CLUSTER_SCOPED = frozenset(
    (
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "GatewayClass",
        "Namespace",
        "Node",
        "PriorityClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
    )
)
VERSIONS = {
    "GatewayClass": "gateway.networking.k8s.io/v1",
    "Gateway": "gateway.networking.k8s.io/v1",
    "HTTPRoute": "gateway.networking.k8s.io/v1",
    "GRPCRoute": "gateway.networking.k8s.io/v1",
    "TCPRoute": "gateway.networking.k8s.io/v1",
    "TLSRoute": "gateway.networking.k8s.io/v1",
    "UDPRoute": "gateway.networking.k8s.io/v1",
    "ListenerSet": "gateway.networking.k8s.io/v1",
    "ReferenceGrant": "gateway.networking.k8s.io/v1",
    "BackendTLSPolicy": "gateway.networking.k8s.io/v1",
    "XTelemetryPolicy": "gateway.networking.x-k8s.io/v1alpha1",
    "Namespace": "v1",
    "Service": "v1",
    "Secret": "v1",
    "ConfigMap": "v1",
    "Pod": "v1",
    "Node": "v1",
    "Event": "v1",
    "ServiceAccount": "v1",
    "EndpointSlice": "discovery.k8s.io/v1",
    "Deployment": "apps/v1",
    "Lease": "coordination.k8s.io/v1",
    "CustomResourceDefinition": "apiextensions.k8s.io/v1",
}


class ApiError(Exception):
    """An error response of the API server: HTTP status, reason and message."""

    def __init__(self, status: int, text: str) -> None:
        self.status = status
        super().__init__(f"{status}: {text}")


class Api:
    """Sends requests to the server of a kubeconfig, with its token."""

    def __init__(self, kubeconfig: Path) -> None:
        config = yaml.safe_load(kubeconfig.read_text())
        cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
        self.server: str = cluster["server"]
        self.authority = base64.b64decode(cluster["certificate-authority-data"]).decode()
        trust = ssl.create_default_context(cadata=self.authority)
        self._fields = {"Authorization": f"Bearer {user['token']}"}
        self._pool = urllib3.PoolManager(maxsize=32, ssl_context=trust, retries=False, timeout=30.0)

    def request(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """The decoded response. Raises ApiError, or an error of urllib3 if there is no response."""
        data = None if body is None else json.dumps(body).encode()
        fields = {**self._fields, "Content-Type": kind}
        for _ in range(STARTING):
            answer = self._pool.request(method, self.server + path, body=data, headers=fields)
            if answer.status != 429:
                break
            time.sleep(1)
        if answer.status >= 400:
            raise ApiError(answer.status, answer.data.decode(errors="replace")[:5000])
        return json.loads(answer.data) if answer.data[:1] in (b"{", b"[") else answer.data.decode()

    def get(self, kind: str, namespace: str, name: str) -> Object:
        return self.request("GET", path(kind, namespace, name))

    def list(self, kind: str, namespace: str = "") -> list[Object]:
        return self.request("GET", path(kind, namespace))["items"]

    def create(self, one: Object) -> Object:
        return self.request("POST", _collection(one), one)

    def apply(self, *objects: Object) -> None:
        """Creates or updates objects, like `kubectl apply --server-side --force-conflicts`."""
        for one in objects:
            where = f"{_collection(one)}/{one['metadata']['name']}?fieldManager=test&force=true"
            self.request("PATCH", where, one, "application/apply-patch+yaml")

    def apply_text(self, text: str) -> None:
        self.apply(*documents(text))

    def patch(self, kind: str, namespace: str, name: str, patch: Mapping[str, Any], below: str = "") -> Object:
        """Sends a merge patch; `below`: "/status" for a status."""
        return self.request("PATCH", path(kind, namespace, name) + below, patch, "application/merge-patch+json")

    def delete(self, kind: str, namespace: str, name: str) -> None:
        """Deletes an object, if it exists."""
        try:
            self.request("DELETE", path(kind, namespace, name), {"propagationPolicy": "Background"})
        except ApiError as error:
            if error.status != 404:
                raise

    def token(self, namespace: str, account: str) -> str:
        """A token of a ServiceAccount, valid for one hour."""
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        where = f"{path('ServiceAccount', namespace, account)}/token"
        return str(self.request("POST", where, body)["status"]["token"])

    def kubeconfig_of(self, token: str, server: str = "") -> str:
        """The text of a kubeconfig with another token and, if given, another server URL."""
        authority = base64.b64encode(self.authority.encode()).decode()
        cluster = {"server": server or self.server, "certificate-authority-data": authority}
        return yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "current-context": "test",
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
                "users": [{"name": "user", "user": {"token": token}}],
                "clusters": [{"name": "test", "cluster": cluster}],
            }
        )

    @property
    def admin_token(self) -> str:
        return self._fields["Authorization"].removeprefix("Bearer ")


def documents(text: str) -> Iterator[Object]:
    """The objects in a stream of YAML documents; the items of Lists are returned one by one."""
    found: Iterable[Object] = (one for one in yaml.safe_load_all(text) if one)
    for one in found:
        if one["kind"] == "List":
            yield from one["items"]
        else:
            yield one


def path(kind: str, namespace: str = "", name: str = "") -> str:
    """The URL path of an object; without a name of all objects of a kind, without a namespace those in all of them."""
    within = f"/namespaces/{namespace}" if namespace and kind not in CLUSTER_SCOPED else ""
    return f"{_root(VERSIONS[kind])}{within}/{_plural(kind)}" + (f"/{name}" if name else "")


def _collection(one: Object) -> str:
    kind = one["kind"]
    namespace = one["metadata"].get("namespace", "default")
    within = "" if kind in CLUSTER_SCOPED else f"/namespaces/{namespace}"
    return f"{_root(one['apiVersion'])}{within}/{_plural(kind)}"


def _root(version: str) -> str:
    return f"/apis/{version}" if "/" in version else f"/api/{version}"


def _plural(kind: str) -> str:
    word = kind.lower()
    if re.search(r"[^aeiou]y$", word):
        return word[:-1] + "ies"
    return word + ("es" if word.endswith("s") else "s")
