"""What ought to be, computed from nothing: from the objects that the API server holds now, by other processes.

Statuses by `fastroute check` over a dump of the objects; tables by a second gateway, started now and asked for every
hostname of every route at every listener, so often that shares show: over TLS it has to show the same certificate too.
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

from cluster.api import Api, Object
from cluster.gateway import POOL, is_ready, start_gateway
from cluster.programs import ROOT
from cluster.traffic import Ask, Client

READ = (
    "GatewayClass",
    "Gateway",
    "HTTPRoute",
    "ListenerSet",
    "ReferenceGrant",
    "BackendTLSPolicy",
    "Namespace",
    "Service",
    "EndpointSlice",
    "Secret",
)
JUDGED = ("Gateway", "HTTPRoute", "ListenerSet")
CONTROLLER = "fastroute.dev/gateway"
OFFSET = 2000  # of the ports of the second gateway
METRICS = "127.0.0.1:9910"
WINDOW = 20  # requests for each question: a multiple of what the weights of any rule come to

Statuses = dict[tuple[str, str, str], Any]


def statuses_from_nothing(api: Api, folder: Path) -> Statuses:
    """What `fastroute check` says of the API server's objects, without their statuses."""
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
    """What stands in the API server now."""
    return _ours([one for kind in JUDGED for one in _listed(api, kind)])


def differences(api: Api, folder: Path, seconds: float = 60.0) -> list[str]:
    """How statuses differ from those computed from nothing, once nothing changes any more; [] is as it should be."""
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
    """All objects of a kind, each with its kind (lists leave it out)."""
    group = "gateway.networking.k8s.io/v1"
    version = {"EndpointSlice": "discovery.k8s.io/v1", "Namespace": "v1", "Service": "v1", "Secret": "v1"}.get(
        kind, group
    )
    return [{"apiVersion": version, "kind": kind, **one} for one in api.list(kind)]


def _ours(objects: list[Object]) -> Statuses:
    """By (kind, namespace, name): our part of each status, without times, in an order that means nothing."""
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
    """For each hostname of each HTTPRoute at each of `doors`: port, and whether there is TLS."""
    hosts = sorted({host for one in _listed(api, "HTTPRoute") for host in one["spec"].get("hostnames", ())})
    return [Ask(host, "/", port=port, secure=secure) for host in hosts for port, secure in doors]


def answers_from_nothing(kubeconfig: Path, folder: Path, address: str, asks: list[Ask]) -> dict[Ask, Counter[str]]:
    """What `answers` are when a gateway is asked that was started just now."""
    options = ("--address-pool", POOL, "--port-offset", str(OFFSET), "--workers", "1")
    second = start_gateway(kubeconfig, folder / "second.log", options, metrics=METRICS)
    try:
        assert is_ready(METRICS)
        return answers(address, asks, OFFSET)
    finally:
        second.end(5)


def answers(address: str, asks: list[Ask], offset: int = 0) -> dict[Ask, Counter[str]]:
    """Who answers each question how often, and with TLS which certificate is shown. One connection is one worker, whose
    shares are exact."""
    client = Client(address, offset)
    found = {ask: Counter(client.ask(ask) + client.shown(ask) for _ in range(WINDOW)) for ask in asks}
    client.close()
    return found
