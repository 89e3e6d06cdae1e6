"""Manifests of a gateway with something of each kind that the alerts and the dashboard show."""

import base64
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from graph.secrets import secret

GROUP = "gateway.networking.k8s.io"
DAY = timedelta(days=1)


def _object(kind: str, name: str, spec: Mapping[str, Any], namespace: str = "team", version: str = "v1") -> Any:
    meta = {"namespace": namespace, "name": name}
    return {"apiVersion": f"{GROUP}/{version}", "kind": kind, "metadata": meta, "spec": spec}


class World:
    """One file for each object."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str, *objects: Any) -> None:
        path = self.folder / f".{name}"
        path.write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": objects}))
        path.rename(self.folder / f"{name}.json")

    def remove(self, name: str) -> None:
        (self.folder / f"{name}.json").unlink()

    def gateway(self, ports: Mapping[str, int]) -> None:
        """`ports` by protocol."""
        listeners: list[Any] = [
            {
                "name": protocol.lower(),
                "port": port,
                "protocol": protocol,
                "allowedRoutes": {"namespaces": {"from": "All"}},
            }
            for protocol, port in ports.items()
        ]
        listeners[list(ports).index("HTTPS")]["tls"] = {"certificateRefs": [{"name": "web"}]}
        spec = {"gatewayClassName": "fastroute", "listeners": listeners}
        self.write("gateway", _object("Gateway", "edge", spec, "infra"))

    def certificate(self, days: float) -> None:
        """The certificate of the HTTPS listener, which expires in `days`."""
        now = datetime.now(UTC)
        made = secret("web", "infra", "example.com", start=now - 400 * DAY, end=now + days * DAY)
        meta = {"namespace": "infra", "name": "web"}
        self.write(
            "secret", {"apiVersion": "v1", "kind": "Secret", "metadata": meta, "type": made.type, "data": made.data}
        )

    def service(self, name: str, *ports: int, namespace: str = "team", protocol: str = "TCP") -> None:
        """A Service whose endpoints listen on these ports of 127.0.0.1."""
        meta = {"namespace": namespace, "name": name}
        service = {"apiVersion": "v1", "kind": "Service", "metadata": meta}
        service["spec"] = {"ports": [{"port": 80, "protocol": protocol}]}
        slices = [
            {
                "apiVersion": "discovery.k8s.io/v1",
                "kind": "EndpointSlice",
                "metadata": {**meta, "name": f"{name}-{port}", "labels": {"kubernetes.io/service-name": name}},
                "addressType": "IPv4",
                "ports": [{"port": port, "protocol": protocol}],
                "endpoints": [{"addresses": ["127.0.0.1"]}],
            }
            for port in ports
        ]
        self.write(f"service-{name}", service, *slices)

    def route(self, name: str, service: str, namespace: str = "team") -> None:
        """Requests for /NAME go to the Service."""
        rule = {
            "matches": [{"path": {"type": "PathPrefix", "value": f"/{name}"}}],
            "backendRefs": [{"name": service, "namespace": namespace, "port": 80}],
        }
        self.write(f"route-{name}", _object("HTTPRoute", name, {"parentRefs": PARENTS, "rules": [rule]}))

    def l4_route(self, kind: str, name: str, service: str) -> None:
        rule = {"backendRefs": [{"name": service, "port": 80}]}
        parents = [{**PARENTS[0], "sectionName": kind[:3].lower()}]
        self.write(f"route-{name}", _object(kind, name, {"parentRefs": parents, "rules": [rule]}, version="v1alpha2"))

    def grant(self) -> None:
        spec = {
            "from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": "team"}],
            "to": [{"group": "", "kind": "Service"}],
        }
        self.write("grant", _object("ReferenceGrant", "all", spec, "other", "v1beta1"))


PARENTS = [{"name": "edge", "namespace": "infra"}]


def unreachable(folder: Path, port: int) -> Path:
    """A kubeconfig for an API server at a port on which nothing listens."""
    server = {"server": f"http://127.0.0.1:{port}"}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "one",
        "contexts": [{"name": "one", "context": {"cluster": "one", "user": "one"}}],
        "clusters": [{"name": "one", "cluster": server}],
        "users": [{"name": "one", "user": {"token": base64.b64encode(b"none").decode()}}],
    }
    (folder / "kubeconfig").write_text(json.dumps(content))
    return folder / "kubeconfig"
