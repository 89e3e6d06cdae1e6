"""A real API server with a tenant that has very many objects: what the others get."""

import base64
import socket
from pathlib import Path

import msgspec
from certificates import certificate, trusting

from cluster.api import Api, Object
from cluster.cluster import Cluster
from cluster.echo import eventually
from cluster.gateway import CLASS
from cluster.test_writing import GROUP, gateway, replica, route
from fastroute.source.kubernetes.named import MOST
from fastroute.writing.statuswriter import WRITERS

BULK = 400


def opaque(namespace: str, name: str, days: float) -> Object:
    """A certificate in a Secret that can only be followed by its name."""
    chain, key = msgspec.structs.astuple(certificate("victim.example.com", days=days))
    data = {"tls.crt": chain, "tls.key": key}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name},
        "data": {field: base64.b64encode(value).decode() for field, value in data.items()},
    }


def secure(port: int, *secrets: str) -> Object:
    refs = [{"name": name} for name in secrets]
    return {"name": "tls", "port": port, "protocol": "HTTPS", "tls": {"certificateRefs": refs}}


def serial(address: str, port: int) -> int:
    """The serial number of the certificate that is shown there."""
    with (
        socket.create_connection((address, port), 60) as plain,
        trusting().wrap_socket(plain, server_hostname="victim.example.com") as secured,
    ):
        shown = secured.getpeercert()
        assert shown is not None
        return int(str(shown["serialNumber"]), 16)


def resolved(api: Api, namespace: str) -> bool:
    listeners = api.get("Gateway", namespace, "web").get("status", {}).get("listeners", [])
    conditions = [one for listener in listeners for one in listener["conditions"]]
    return any(one["type"] == "ResolvedRefs" and one["status"] == "True" for one in conditions)


def test_missing_secrets_of_one_tenant_take_no_certificate_from_another(
    cluster: Cluster, api: Api, folder: Path
) -> None:
    """64 certificateRefs in `a-tenant` come first by name. The Secret of the victim stays served when they are added,
    after a restart, and when it is renewed."""
    api.apply_text(CLASS)
    victim, attacker = gateway("z-secret", 88), gateway("a-secret", 87)
    victim[1]["spec"] |= {
        "listeners": [secure(8443, "odd")],
        "allowedListeners": {"namespaces": {"from": "All"}},
    }
    api.apply(*victim, *attacker, opaque("z-secret", "odd", 20))
    names = [f"missing-{number}" for number in range(MOST)]
    parent = {"group": GROUP, "kind": "Gateway", "name": "web", "namespace": "z-secret"}
    attack = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ListenerSet",
        "metadata": {"name": "attack", "namespace": "a-secret"},
        "spec": {"parentRef": parent, "listeners": [{**secure(8444, *names), "name": "attack"}]},
    }
    with replica(cluster, folder, 7):
        eventually(lambda: resolved(api, "z-secret"))
        first = serial("127.0.2.7", 8443)
        api.apply(attack)
        eventually(lambda: bool(api.get("ListenerSet", "a-secret", "attack").get("status", {}).get("conditions")))
        assert serial("127.0.2.7", 8443) == first
        assert resolved(api, "z-secret")
    with replica(cluster, folder, 8):
        eventually(lambda: serial("127.0.2.8", 8443) == first)
        api.apply(opaque("z-secret", "odd", 25))
        eventually(lambda: serial("127.0.2.8", 8443) != first)
        assert resolved(api, "z-secret")


def test_a_new_leader_writes_the_statuses_of_all_tenants_in_turn(cluster: Cluster, api: Api, folder: Path) -> None:
    """The order of the writes is that of the resource versions. By name, those of z-few would be the last."""
    api.apply_text(CLASS)
    api.apply(*gateway("a-many", 96), *gateway("z-few", 97))
    api.apply(*(route("a-many", f"r{number}", "web") for number in range(BULK)), route("z-few", "r", "web"))
    with replica(cluster, folder, 9):
        eventually(lambda: all(one.get("status") for one in api.list("HTTPRoute", "a-many")))
        eventually(lambda: bool(api.get("HTTPRoute", "z-few", "r").get("status")))
    written = int(api.get("HTTPRoute", "z-few", "r")["metadata"]["resourceVersion"])
    others = [int(one["metadata"]["resourceVersion"]) for one in api.list("HTTPRoute", "a-many")]
    assert sum(version < written for version in others) <= 4 * WRITERS
