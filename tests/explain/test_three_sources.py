"""`explain` says the same from manifests, from the API objects of a cluster and from a running gateway.

Random worlds have routes of all kinds, ListenerSets and grants. EXPLAINED is the number of questions.
"""

import os
import random
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from apiserver.standin import ApiServer
from explain.test_agreement import Gateway, gateway
from source.kubernetes.followed import account
from view.seen import seen

from fastroute.apiserver.client import Client
from fastroute.apiserver.kinds import BY_KIND, collection
from fastroute.compiler.compile import compile_snapshot
from fastroute.explain.question import parse_question
from fastroute.graph.build import build_graph
from fastroute.resources.gateway import GROUP
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.world import Resources
from fastroute.settings import CONTROLLER_NAME, GraphSettings
from fastroute.source.directory import Directory
from fastroute.source.kubernetes.survey import survey
from fastroute.view.hidden import hidden_explanation

EXPLAINED = int(os.environ.get("EXPLAINED", "300"))
OF_A_WORLD = 100  # questions
SPACES, NAMES, HOSTS = ("infra", "red", "blue"), ("a", "b"), ("a.example", "b.example", "c.example")
PATHS = ("/", "/x", "/x/y", "/pkg.Service/Call")
Object = dict[str, Any]
__all__ = ["gateway"]


def make(kind: str, namespace: str, name: str, **parts: Any) -> Object:
    group = GROUP if kind in BY_KIND and BY_KIND[kind].is_custom else BY_KIND[kind].group
    metadata = {"name": name, **({"namespace": namespace} if namespace else {}), **parts.pop("meta", {})}
    return {"apiVersion": f"{group}/v1".lstrip("/"), "kind": kind, "metadata": metadata, **parts}


def listener(name: str, port: int, protocol: str, **more: Any) -> Object:
    return {"name": name, "port": port, "protocol": protocol, "allowedRoutes": {"namespaces": {"from": "All"}}, **more}


def fixed() -> list[Object]:
    listeners = [
        listener("http", 8080, "HTTP"),
        listener("tls", 8443, "TLS", tls={"mode": "Passthrough"}),
        listener("tcp", 9000, "TCP"),
        listener("udp", 9053, "UDP"),
    ]
    spec = {
        "gatewayClassName": "fastroute",
        "listeners": listeners,
        "allowedListeners": {"namespaces": {"from": "All"}},
    }
    made = [
        make("GatewayClass", "", "fastroute", spec={"controllerName": CONTROLLER_NAME}),
        make("Gateway", "infra", "web", spec=spec),
    ]
    for number, (space, name) in enumerate((space, name) for space in SPACES for name in NAMES):
        ports = [{"name": p, "port": 80, "protocol": p.upper()} for p in ("tcp", "udp")]
        made.append(make("Service", space, name, spec={"ports": ports}))
        made.append(
            make(
                "EndpointSlice",
                space,
                name,
                meta={"labels": {"kubernetes.io/service-name": name}},
                addressType="IPv4",
                ports=[{"name": p, "port": 8000, "protocol": p.upper()} for p in ("tcp", "udp")],
                endpoints=[{"addresses": [f"10.0.0.{number + 1}"]}],
            )
        )
    return made


def world(chance: random.Random) -> list[Object]:
    made = fixed()
    parents = [{"name": "web", "namespace": "infra"}]
    for space in SPACES:
        if chance.random() < 0.5:
            spec = {
                "parentRef": {"name": "web", "namespace": "infra"},
                "listeners": [listener("more", chance.choice((8080, 8081)), "HTTP", hostname=chance.choice(HOSTS))],
            }
            made.append(make("ListenerSet", space, "set", spec=spec))
            parents.append({"kind": "ListenerSet", "group": GROUP, "name": "set", "namespace": space})
        if chance.random() < 0.7:
            origins = [
                {"group": GROUP, "kind": kind, "namespace": chance.choice(SPACES)}
                for kind in chance.sample(sorted(ROUTES), 3)
            ]
            target = {"group": "", "kind": "Service", **({"name": "a"} if chance.random() < 0.5 else {})}
            made.append(make("ReferenceGrant", space, "grant", spec={"from": origins, "to": [target]}))
    for number in range(12):
        made.append(route(chance, number, parents))
    return made


def route(chance: random.Random, number: int, parents: list[Object]) -> Object:
    kind = chance.choice(sorted(ROUTES))
    rules = []
    for _ in range(chance.randint(1, 3) if kind in MATCHES else 1):
        backends = [
            {"name": chance.choice((*NAMES, "none")), "namespace": chance.choice(SPACES), "port": 80, "weight": weight}
            for weight in chance.choice(((1,), (1, 3), (0, 2)))
        ]
        rules.append({"backendRefs": backends, **(MATCHES[kind](chance) if kind in MATCHES else {})})
    names = chance.sample(HOSTS, chance.randint(0, 2)) or (["a.example"] if kind == "TLSRoute" else [])
    hostnames = {"hostnames": names} if names and ROUTES[kind].has_hostnames else {}
    spec = {"parentRefs": [chance.choice(parents)], **hostnames, "rules": rules}
    return make(kind, chance.choice(SPACES), f"r{number}", spec=spec)


def http_matches(chance: random.Random) -> Object:
    match: Object = {"path": {"type": chance.choice(("Exact", "PathPrefix")), "value": chance.choice(PATHS)}}
    if chance.random() < 0.3:
        match["headers"] = [{"name": "x-canary", "value": "yes"}]
    if chance.random() < 0.3:
        match["method"] = chance.choice(("GET", "POST"))
    return {"matches": [match]}


def grpc_matches(chance: random.Random) -> Object:
    method = chance.choice(
        ({"service": "pkg.Service"}, {"service": "pkg.Service", "method": "Call"}, {"method": "Call"})
    )
    return {"matches": [{"method": method}]}


MATCHES = {"HTTPRoute": http_matches, "GRPCRoute": grpc_matches}


def question(chance: random.Random) -> tuple[str | None, str, list[tuple[str, str]]]:
    name = chance.choice((*HOSTS, "other.example"))
    what = chance.randrange(8)
    if what == 0:
        return None, f"tls://{name}:8443", []
    if what == 1:
        return None, chance.choice(("tcp://127.0.0.1:9000", "udp://127.0.0.1:9053", "tcp://127.0.0.1:9053")), []
    url = f"http://{name}:{chance.choice((8080, 8080, 8081))}{chance.choice(PATHS)}"
    if what == 2:
        return "POST", url, [("content-type", "application/grpc")]
    return chance.choice(("GET", "POST")), url, [("x-canary", "yes")] if chance.random() < 0.5 else []


def of_manifests(objects: list[Object], folder: Path) -> Resources:
    (folder / "all.yaml").write_text(yaml.safe_dump_all(objects))
    source = Directory([folder])
    source.load()
    assert source.store.problems == ()
    return source.store.snapshot()


def of_cluster(objects: list[Object], api: ApiServer, folder: Path) -> Resources:
    api.objects = {path: kept for path, kept in api.objects.items() if "customresourcedefinitions" in path}
    for one in objects:
        row = BY_KIND[one["kind"]]
        metadata = one["metadata"]
        parts = {name: part for name, part in one.items() if name not in ("apiVersion", "kind", "metadata")}
        labels = {"labels": metadata["labels"]} if "labels" in metadata else {}
        where = collection(row.group, row.versions[0], row.plural)
        api.put(where, metadata["name"], metadata.get("namespace", ""), metadata=labels, **parts)
    found = trio.run(survey, Client(account(api, folder)), "infra", CONTROLLER_NAME)
    assert (found.problems, found.left_out) == ((), ())
    return found.with_applied()


def test_all_three_say_the_same(gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "*")
    api, chance = ApiServer(), random.Random(7)
    manifests, decisions, kinds = tmp_path / "manifests", set[str](), set[str]()
    manifests.mkdir()
    for _ in range(EXPLAINED // OF_A_WORLD):
        objects = world(chance)
        kind_of = {f"{one['metadata'].get('namespace')}/{one['metadata']['name']}": one["kind"] for one in objects}
        here = of_manifests(objects, manifests)
        gateway.state = seen(here)
        graphs = [build_graph(one, GraphSettings()) for one in (here, of_cluster(objects, api, tmp_path))]
        snapshots = [compile_snapshot(graph).snapshot for graph in graphs]
        for _ in range(OF_A_WORLD):
            method, url, fields = question(chance)
            asked = parse_question(method, url, fields)
            pairs = zip(snapshots, graphs, strict=True)
            offline, live = (hidden_explanation(asked.answer(snapshot, graph)) for snapshot, graph in pairs)
            told = gateway.asker.explanation(method, url, fields, ())
            assert (live, told) == (offline, offline), (url, objects)
            decisions.add(offline.decision)
            if offline.route is not None:
                kinds.add(kind_of[offline.route])
    api.close()
    assert decisions >= {"forward", "respond"}
    assert kinds == set(ROUTES)
