"""More objects for the tests of faults: connections, datagrams and calls of two teams behind the Gateway of fruits.py.

listener    port        what            routes
bytes       TCP 90      stays           TCPRoute to pears
bytes-2     TCP 91      is edited       TCPRoute to pears and plums
passed      TLS 444     *.passed.test   TLSRoutes; the pods have the certificate
ended       TLS 444     *.ended.test    TLSRoutes; the Gateway has the certificate, which is renewed
packets     UDP 53      stays           UDPRoute to pears
packets-2   UDP 54      is edited       UDPRoute to pears and plums
http        TCP 80      *.calls.test    GRPCRoutes

Of each kind one route stays unchanged, and a test edits the other one. The edited ones refer to Services without
selector, whose endpoints are edited, too, and need a grant for each kind.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import yaml
from certificates import certificate

from cluster.api import Api, Object
from cluster.echo import eventually, ready_addresses
from cluster.fruits import GATEWAY, certificate_grant, encoded, namespace
from cluster.traffic import Ask

GROUP = "gateway.networking.k8s.io"
TEAMS = ("pears", "plums")  # the second one is edited
GRANTED = ("GRPCRoute", "TCPRoute", "TLSRoute", "UDPRoute")
CHURNED = frozenset(TEAMS)


class Way(NamedTuple):
    """How a kind of traffic gets to pods: the routes that stay and that are edited, by (section, hostname)."""

    kind: str
    stays: tuple[str, str]
    edited: tuple[str, str]
    service: str
    port: int


class Pods(NamedTuple):
    """A Deployment in each team, and the ports of its Service: (name, number, protocol, appProtocol)."""

    variables: dict[str, str]
    ports: tuple[tuple[str, int, str, str], ...]


WAYS = (
    Way("TCPRoute", ("bytes", ""), ("bytes-2", ""), "bytes", 3000),
    Way("TLSRoute", ("passed", "calm.passed.test"), ("passed", "churn.passed.test"), "bytes", 8443),
    Way("TLSRoute", ("ended", "calm.ended.test"), ("ended", "churn.ended.test"), "bytes", 3000),
    Way("UDPRoute", ("packets", ""), ("packets-2", ""), "packets", 8080),
    Way("GRPCRoute", ("http", "calm.calls.test"), ("http", "churn.calls.test"), "calls", 3000),
)
PODS = {
    "bytes": Pods(
        {
            "TCP_ECHO_SERVER": "1",
            "TLS_SERVER_CERT": "/certificate/tls.crt",
            "TLS_SERVER_PRIV_KEY": "/certificate/tls.key",
        },
        (("plain", 3000, "TCP", ""), ("tls", 8443, "TCP", "")),
    ),
    "packets": Pods({"UDP_ECHO_SERVER": "1"}, (("packets", 8080, "UDP", ""),)),
    "calls": Pods({"GRPC_ECHO_SERVER": "1"}, (("calls", 3000, "TCP", "kubernetes.io/h2c"),)),
}
_FROM_ALL = {"namespaces": {"from": "All"}}
LISTENERS = (
    {"name": "bytes", "port": 90, "protocol": "TCP", "allowedRoutes": _FROM_ALL},
    {"name": "bytes-2", "port": 91, "protocol": "TCP", "allowedRoutes": _FROM_ALL},
    {"name": "packets", "port": 53, "protocol": "UDP", "allowedRoutes": _FROM_ALL},
    {"name": "packets-2", "port": 54, "protocol": "UDP", "allowedRoutes": _FROM_ALL},
    {
        "name": "passed",
        "port": 444,
        "protocol": "TLS",
        "hostname": "*.passed.test",
        "tls": {"mode": "Passthrough"},
        "allowedRoutes": _FROM_ALL,
    },
    {
        "name": "ended",
        "port": 444,
        "protocol": "TLS",
        "hostname": "*.ended.test",
        "tls": {"certificateRefs": [{"name": "ended", "namespace": "certs"}]},
        "allowedRoutes": _FROM_ALL,
    },
)


def _asks(name: str, bytes_: int, packets: int, right: frozenset[str], **refused: frozenset[str]) -> tuple[Ask, ...]:
    """A question of each kind, on a new connection or flow and on one that is kept. `bytes_`, `packets`: ports;
    `refused`: what may happen instead of an answer."""
    found = []
    for path in ("new", "kept"):
        found.append(Ask("", path, right | refused.get("tcp", frozenset()), bytes_, by="tcp"))
        found.append(Ask("", path, right | refused.get("udp", frozenset()), packets, by="udp"))
        for kind in ("passed", "ended"):
            host = f"{name}.{kind}.test"
            found.append(Ask(host, path, right | refused.get("tls", frozenset()), 444, True, by="tcp"))
    found.append(Ask(f"{name}.calls.test", "kept", right | refused.get("grpc", frozenset()), 80, by="grpc"))
    return tuple(found)


STAYING = _asks("calm", 90, 53, frozenset({"pears"}))
EDITED = _asks(
    "churn",
    91,
    54,
    CHURNED,
    tcp=frozenset({"reset"}),
    tls=frozenset({"closed"}),
    udp=frozenset({"no answer"}),
    grpc=frozenset({"grpc 14", "grpc 12"}),  # no backend may be used or none is there; no route
)


def route(way: Way, *shares: tuple[str, int], edited: bool = False) -> Object:
    """A route of infra, to the Services of teams with these weights."""
    section, host = way.edited if edited else way.stays
    name = f"{section}-{way.kind.lower()}-{'edited' if edited else 'stays'}"
    service = f"hand-{way.service}" if edited else way.service
    refs = [{"namespace": team, "name": service, "port": way.port, "weight": weight} for team, weight in shares]
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": way.kind,
        "metadata": {"namespace": "infra", "name": name},
        "spec": {
            "parentRefs": [{"name": "public", "sectionName": section}],
            **({"hostnames": [host]} if host else {}),
            "rules": [{"backendRefs": refs}],
        },
    }


def grant(team: str, kinds: Sequence[str] = GRANTED) -> Object:
    """Routes of these kinds of infra may refer to the Services of a team."""
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "streams", "namespace": team},
        "spec": {
            "from": [{"group": GROUP, "kind": kind, "namespace": "infra"} for kind in kinds],
            "to": [{"group": "", "kind": "Service"}],
        },
    }


def grants() -> list[Object]:
    return [certificate_grant(), *(grant(team) for team in TEAMS)]


def secret(where: str, name: str, *hosts: str) -> Object:
    """A Secret with a newly made certificate."""
    made = certificate(*hosts, days=30 + random.random())
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": name, "namespace": where},
        "type": "kubernetes.io/tls",
        "data": encoded(made),
    }


def renewed() -> Object:
    return secret("certs", "ended", "calm.ended.test", "churn.ended.test")


def workload(team: str, name: str) -> list[Object]:
    """A Deployment of one pod, its Service, and a Service without selector for the edited routes."""
    labels, meta = {"app": name}, {"name": name, "namespace": team}
    fields = {"POD_NAME": "metadata.name", "NAMESPACE": "metadata.namespace"}
    variables = [{"name": one, "valueFrom": {"fieldRef": {"fieldPath": field}}} for one, field in fields.items()]
    variables += [{"name": one, "value": value} for one, value in PODS[name].variables.items()]
    container = {"name": "echo", "image": "test/echo-basic:v1", "env": variables}
    container["volumeMounts"] = [{"name": "tls", "mountPath": "/certificate"}]
    pod = {"containers": [container], "terminationGracePeriodSeconds": 1}
    pod["volumes"] = [{"name": "tls", "secret": {"secretName": "passed"}}]
    template = {"metadata": {"labels": labels}, "spec": pod}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    ports = [
        {"name": each, "port": number, "protocol": protocol, **({"appProtocol": app} if app else {})}
        for each, number, protocol, app in PODS[name].ports
    ]
    by_hand = {**meta, "name": f"hand-{name}"}
    return [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": meta, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": meta, "spec": {"selector": labels, "ports": ports}},
        {"apiVersion": "v1", "kind": "Service", "metadata": by_hand, "spec": {"ports": ports}},
    ]


def slice_of(team: str, name: str, *addresses: str, ready: bool = True) -> Object:
    """The endpoints of a Service without selector."""
    labels = {"kubernetes.io/service-name": f"hand-{name}", "endpointslice.kubernetes.io/managed-by": "us"}
    ports = PODS[name].ports
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": f"hand-{name}", "namespace": team, "labels": labels},
        "addressType": "IPv4",
        "ports": [{"port": number, "protocol": protocol, "name": each} for each, number, protocol, _ in ports],
        "endpoints": [{"addresses": [one], "conditions": {"ready": ready}} for one in addresses],
    }


def addresses(api: Api) -> dict[tuple[str, str], str]:
    """The address of the pod of each (team, Deployment)."""
    return {(team, name): ready_addresses(api, team, name)[0] for team in TEAMS for name in PODS}


def plant(api: Api) -> None:
    """Adds the listeners to the Gateway of fruits.py, and creates the rest; returns when the pods are ready."""
    gateway = yaml.safe_load(GATEWAY)
    gateway["spec"]["listeners"] += LISTENERS
    api.apply(renewed(), gateway)
    for team in TEAMS:
        api.apply(namespace(team), secret(team, "passed", "calm.passed.test", "churn.passed.test"))
        api.apply(*(one for name in PODS for one in workload(team, name)), grant(team))
    api.apply(*(route(way, ("pears", 1)) for way in WAYS))
    eventually(lambda: all(ready_addresses(api, team, name) for team in TEAMS for name in PODS))


def plant_edited(api: Api) -> None:
    for (team, name), address in addresses(api).items():
        api.apply(slice_of(team, name, address))
    api.apply(*(route(way, ("pears", 1), ("plums", 1), edited=True) for way in WAYS))
