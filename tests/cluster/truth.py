"""The expected state, computed by newly started processes from the objects that the API server has now.

Statuses are computed by `fastroute check` from a dump of the objects. Routing is that of a second, newly started
gateway: each hostname of each route is requested at each listener, often enough to compare the shares of backends and,
with TLS, the certificates.
"""

import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from cluster.api import Api, ApiError, Object
from cluster.gateway import POOL, is_ready, start_gateway
from cluster.programs import ROOT
from cluster.traffic import Ask, Client

ROUTES = ("HTTPRoute", "GRPCRoute", "TLSRoute", "TCPRoute", "UDPRoute")
READ = (
    "GatewayClass",
    "Gateway",
    *ROUTES,
    "ListenerSet",
    "ReferenceGrant",
    "BackendTLSPolicy",
    "Namespace",
    "Service",
    "EndpointSlice",
    "Secret",
)
JUDGED = ("Gateway", *ROUTES, "ListenerSet")
CONTROLLER = "fastroute.dev/gateway"
OFFSET = 2000  # added to the ports of the second gateway
METRICS = "127.0.0.1:9910"
WINDOW = 20  # requests for each question: a multiple of the sum of the weights of each rule

Statuses = dict[tuple[str, str, str], Any]


def statuses_from_nothing(api: Api, folder: Path) -> Statuses:
    """The statuses that `fastroute check` computes from the API server's objects, without their current statuses."""
    dump = folder / "dump"
    dump.mkdir(exist_ok=True)
    for kind in READ:
        items = [{**one, "status": {}} for one in _listed(api, kind)]
        (dump / f"{kind}.json").write_text(json.dumps({"apiVersion": "v1", "kind": "List", "items": items}))
    words = [sys.executable, "-m", "fastroute", "check", str(dump), "-o", "json", "--address-pool", POOL]
    said = subprocess.run(words, capture_output=True, text=True, check=False, cwd=ROOT)
    assert said.returncode in (0, 1), said.stderr
    return _ours(json.loads(said.stdout)["objects"])


def statuses_written(api: Api) -> Statuses:
    """The statuses that the API server has now."""
    return _ours([one for kind in JUDGED for one in _listed(api, kind)])


def differences(api: Api, folder: Path, seconds: float = 60.0) -> list[str]:
    """The differences between written and computed statuses, once there are none or after `seconds`; [] if equal."""
    end = time.monotonic() + seconds
    while found := _compare(statuses_from_nothing(api, folder), statuses_written(api)):
        if time.monotonic() > end:
            break
    return found


def _compare(wanted: Statuses, written: Statuses) -> list[str]:
    return [
        f"{'/'.join(key)}:\n  wanted  {json.dumps(wanted.get(key))}\n  written {json.dumps(written.get(key))}"
        for key in sorted(wanted.keys() | written.keys())
        if wanted.get(key) != written.get(key)
    ]


def _listed(api: Api, kind: str) -> list[Object]:
    """All objects of a kind, with apiVersion and kind added, which lists omit. [] if there is no such kind."""
    group = "gateway.networking.k8s.io/v1"
    version = {"EndpointSlice": "discovery.k8s.io/v1", "Namespace": "v1", "Service": "v1", "Secret": "v1"}.get(
        kind, group
    )
    try:
        return [{"apiVersion": version, "kind": kind, **one} for one in api.list(kind)]
    except ApiError as error:
        if error.status != 404:
            raise
        return []


def _ours(objects: list[Object]) -> Statuses:
    """fastroute's part of each status by (kind, namespace, name), without times and with lists sorted."""
    return {
        (one["kind"], one["metadata"].get("namespace", "default"), one["metadata"]["name"]): _part(
            one.get("status") or {}
        )
        for one in objects
        if one["kind"] in JUDGED
    }


def _part(status: Object) -> Any:
    parents = [one for one in status.get("parents", ()) if one["controllerName"] == CONTROLLER]
    return _timeless({**status, "parents": parents} if "parents" in status else status)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _timeless(one) for key, one in sorted(value.items()) if key != "lastTransitionTime"}
    if isinstance(value, list):
        return sorted((_timeless(one) for one in value), key=lambda one: msgspec.json.encode(one))
    return value


def questions(api: Api, doors: Iterable[tuple[int, bool]]) -> list[Ask]:
    """One request for each hostname of each HTTPRoute at each of `doors`: (port, whether it uses TLS)."""
    hosts = sorted({host for one in _listed(api, "HTTPRoute") for host in one["spec"].get("hostnames", ())})
    return [Ask(host, "/", port=port, secure=secure) for host in hosts for port, secure in doors]


def answers_from_nothing(kubeconfig: Path, folder: Path, address: str, asks: list[Ask]) -> dict[Ask, Counter[str]]:
    """The result of `answers` for a newly started gateway."""
    options = ("--address-pool", POOL, "--port-offset", str(OFFSET), "--workers", "1")
    second = start_gateway(kubeconfig, folder / "second.log", options, metrics=METRICS)
    try:
        assert is_ready(METRICS)
        return answers(address, asks, OFFSET)
    finally:
        second.end(5)


def answers(address: str, asks: list[Ask], offset: int = 0) -> dict[Ask, Counter[str]]:
    """How often each answer is given to each question, with TLS including the certificate. All requests of a connection
    go to one worker, whose shares are exact. Connections and flows go to all workers, so their answers are not counted.
    A datagram without an answer says nothing, because the answer may be late."""
    client = Client(address, offset)
    found = {ask: Counter(client.ask(ask) + client.shown(ask) for _ in range(WINDOW)) for ask in asks}
    client.close()
    return {
        ask: counted if ask.by in ("http", "grpc") else Counter({got: 1 for got in counted if got != "no answer"})
        for ask, counted in found.items()
    }
