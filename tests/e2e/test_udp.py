"""UDPRoutes from manifests over real sockets: weights over flows, a grant that is taken away and given back, endpoints
that leave, the access log, the metrics, and the exit."""

import json
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import trio
from datagrams import answering, clients, named
from e2e.test_l4 import made

from fastroute.demo.client import Client as HttpClient
from fastroute.demo.gateway import Gateway, running_gateway
from fastroute.resources.gateway import GROUP

PORT = 53
WEIGHTS = {"own": 3, "other": 1}  # Services of the namespaces dns and other
GRANT = made(
    "ReferenceGrant",
    "other",
    "g",
    {
        "from": [{"group": GROUP, "kind": "UDPRoute", "namespace": "dns"}],
        "to": [{"group": "", "kind": "Service"}],
    },
)


def backend(name: str, port: int) -> list[dict[str, Any]]:
    namespace = "dns" if name == "own" else name
    label = {"labels": {"kubernetes.io/service-name": name}}
    place = {
        "addressType": "IPv4",
        "ports": [{"port": port, "protocol": "UDP"}],
        "endpoints": [{"addresses": ["127.0.0.1"]}],
    }
    return [
        made("Service", namespace, name, {"ports": [{"port": 53, "protocol": "UDP"}]}),
        made("EndpointSlice", namespace, name, metadata=label, **place),
    ]


def write(folder: Path, ports: dict[str, int], *more: dict[str, Any]) -> None:
    listener = {"name": "udp", "port": PORT, "protocol": "UDP", "allowedRoutes": {"namespaces": {"from": "All"}}}
    refs = [
        {"name": name, "namespace": "dns" if name == "own" else name, "port": 53, "weight": weight}
        for name, weight in WEIGHTS.items()
    ]
    parents = [{"name": "edge", "namespace": "infra"}]
    objects = [
        made("Gateway", "infra", "edge", {"gatewayClassName": "fastroute", "listeners": [listener]}),
        made("UDPRoute", "dns", "r", {"parentRefs": parents, "rules": [{"backendRefs": refs}]}),
        *(one for name, port in ports.items() for one in backend(name, port)),
        *more,
    ]
    new = folder / ".new"
    new.write_text("\n---\n".join(json.dumps(one) for one in objects))
    new.rename(folder / "world.yaml")


async def shares(gateway: Gateway, count: int) -> Counter[bytes]:
    """Which backend answers so many new clients; b"" for none."""
    found: Counter[bytes] = Counter()
    with clients((gateway.address, gateway.port(PORT)), count) as many:
        for client in many:
            await client.send(b"?")
        for client in many:
            with trio.move_on_after(0.5) as silence:
                found[await client.receive()] += 1
            found[b""] += silence.cancelled_caught
    return +found


async def until_shares(gateway: Gateway, wanted: dict[bytes, int]) -> None:
    """Waits until new clients get these shares: a change takes some milliseconds."""
    with trio.fail_after(60):
        while await shares(gateway, sum(wanted.values())) != wanted:
            pass


async def test_shares_follow_weights_and_grants(tmp_path: Path) -> None:
    folder, log = tmp_path / "manifests", tmp_path / "access.log"
    folder.mkdir()
    async with answering(named(b"own"), named(b"other")) as [own, other]:
        ports = {"own": own.port, "other": other.port}
        write(folder, ports, GRANT)
        options = ("--workers", "1", "--log-level", "error", "--access-log", str(log))
        with running_gateway(folder, *options, listeners=[PORT]) as gateway:
            await until_shares(gateway, {b"own": 6, b"other": 2})
            write(folder, ports)
            await until_shares(gateway, {b"own": 6, b"": 2})
            write(folder, ports, GRANT)
            await until_shares(gateway, {b"own": 6, b"other": 2})
            write(folder, {"own": own.port}, GRANT, *backend("other", own.port))
            await until_shares(gateway, {b"own": 8})
            async with HttpClient("127.0.0.1", gateway.metrics) as client:
                text = (await client.ask("/metrics")).body.decode()
            rows = [row.rpartition(" ") for row in text.splitlines() if row[0] != "#"]
            samples = {name: float(value) for name, _, value in rows}
            gateway.process.send_signal(signal.SIGTERM)
            with trio.fail_after(30):
                await trio.to_thread.run_sync(gateway.process.wait)
            assert gateway.process.returncode == 0
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    reasons = Counter(line["reason"] for line in lines)
    assert reasons.keys() >= {"reference_refused", "endpoint_left", "drained"}
    names = ("protocol", "gateway", "listener", "route", "route_kind")
    assert {tuple(line[name] for name in names) for line in lines} == {
        ("UDP", "infra/edge", "udp", "dns/r", "UDPRoute")
    }
    assert {line["backend"] for line in lines} == {"dns/own:53", "other/other:53"}
    labels = 'gateway="infra/edge",listener="udp",route="dns/r",backend="dns/own:53"'
    assert samples[f"fastroute_udp_flows{{{labels}}}"] > 0
    assert samples['fastroute_local_responses_total{reason="reference_refused"}'] >= 2
    assert samples['fastroute_udp_datagrams_total{direction="received"}'] >= 32
