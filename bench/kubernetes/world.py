"""The objects that the benchmarks create: a Gateway, Services with real endpoints, thousands of routes.

Endpoints are nginx on addresses of 10.244.0.0/16, which are local to the loopback interface of the namespace: an API
server rejects endpoints in 127.0.0.0/8. Each responds with its own name.
"""

import subprocess
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from cluster.api import Api, path

from bench.certificate import NAMESPACE, secret
from bench.peers import Running, running

HOSTS = {"a": "10.244.0.1", "b": "10.244.0.2"}  # the endpoints, by their responses
PORT = 8080
GATEWAY = "edge"
GROUP = "gateway.networking.k8s.io"

_NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off; keepalive_requests 1000000000; keepalive_timeout 600s;
  server {{ listen 127.0.0.1:{port}; location / {{ return 200 "here"; }} }}
  {servers}
}}
"""
_SERVER = 'server {{ listen {host}:{port}; location / {{ return 200 "{name}"; }} }}'


@contextmanager
def endpoints_answering(folder: Path, core: int) -> Iterator[Running]:
    """Runs nginx on every address of HOSTS."""
    subprocess.run(["ip", "route", "add", "local", "10.244.0.0/16", "dev", "lo"], check=True)
    servers = "\n  ".join(_SERVER.format(host=host, port=PORT, name=name) for name, host in HOSTS.items())
    config = folder / "nginx.conf"
    config.write_text(_NGINX.format(folder=folder, port=PORT, servers=servers))
    command = ["nginx", "-p", str(folder), "-c", str(config), "-e", str(folder / "error.log")]
    with running("endpoints", command, PORT, core) as endpoints:
        yield endpoints


def world() -> list[dict[str, Any]]:
    """A namespace, a GatewayClass, a Gateway with ports 80 and 443, the Services `still` (a, b) and `moving` (a)."""
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "GatewayClass",
            "metadata": {"name": "fastroute"},
            "spec": {"controllerName": "fastroute.dev/gateway"},
        },
        secret("turning"),
        gateway(GATEWAY, 80, https("turning")),
        *service("still", ("a", "b")),
        *service("moving", ("a",)),
        route("still", "/still", "still"),
        route("moving", "/moving", "moving"),
    ]


def gateway(name: str, port: int, *more: dict[str, Any]) -> dict[str, Any]:
    """`more`: listeners in addition to the HTTP listener on `port`."""
    listener = {"name": "http", "port": port, "protocol": "HTTP"}
    return _object("Gateway", name, {"gatewayClassName": "fastroute", "listeners": [listener, *more]})


def https(secret: str) -> dict[str, Any]:
    """A listener on port 443 with the certificate of `secret`."""
    return {"name": "https", "port": 443, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": secret}]}}


def service(name: str, hosts: Iterable[str]) -> Iterator[dict[str, Any]]:
    """A Service without a selector, and its only EndpointSlice."""
    meta = {"namespace": NAMESPACE, "name": name}
    ports = [{"name": "http", "port": 80, "targetPort": PORT}]
    yield {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"ports": ports}}
    yield {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**meta, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": endpoints(hosts),
        "ports": [{"name": "http", "port": PORT}],
    }


def endpoints(ready: Iterable[str]) -> list[dict[str, Any]]:
    """All of HOSTS as endpoints of an EndpointSlice: `ready` or terminating."""
    chosen = set(ready)
    return [
        {"addresses": [host], "conditions": {"ready": name in chosen, "terminating": name not in chosen}}
        for name, host in HOSTS.items()
    ]


def route(name: str, prefix: str, backend: str, *, parent: str = GATEWAY, mark: int | None = None) -> dict[str, Any]:
    """An HTTPRoute by path; with `mark` its responses contain `x-mark: MARK`."""
    marked = {"set": [{"name": "x-mark", "value": str(mark)}]}
    filters = [] if mark is None else [{"type": "ResponseHeaderModifier", "responseHeaderModifier": marked}]
    rule = {
        "matches": [{"path": {"type": "PathPrefix", "value": prefix}}],
        "filters": filters,
        "backendRefs": [{"name": backend, "port": 80}],
    }
    return _object("HTTPRoute", name, {"parentRefs": [{"name": parent}], "rules": [rule]})


def _object(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    meta = {"namespace": NAMESPACE, "name": name}
    return {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": meta, "spec": spec}


def create_all(api: Api, objects: Iterable[dict[str, Any]]) -> None:
    """Creates the objects, eight at a time."""
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(api.create, objects))


def create_routes(api: Api, count: int, *, first: int = 0) -> None:
    """Routes by path, all to the Service `still`: /route-0/, ..."""
    create_all(api, (route(f"route-{n}", f"/route-{n}", "still") for n in range(first, first + count)))


def accepted(api: Api) -> dict[str, bool]:
    """For each route, whether its only parent has Accepted for the current generation."""
    return {
        one["metadata"]["name"]: _is_accepted(one) for one in api.request("GET", path("HTTPRoute", NAMESPACE))["items"]
    }


def _is_accepted(one: dict[str, Any]) -> bool:
    generation = one["metadata"]["generation"]
    return any(
        (each["type"], each["status"], each["observedGeneration"]) == ("Accepted", "True", generation)
        for parent in one.get("status", {}).get("parents", ())
        for each in parent["conditions"]
    )
