"""Writes to a real API server: statuses next to those of other controllers, by one of several replicas; Events; the
Service of a Gateway."""

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from cluster.account import account_kubeconfig
from cluster.api import Api, ApiError, Object
from cluster.cluster import Cluster
from cluster.echo import eventually
from cluster.gateway import CLASS, scraped, start_gateway
from cluster.process import Program

OURS = "fastroute.dev/gateway"
GROUP = "gateway.networking.k8s.io"
GIVEN_BACK_WITHIN = 9.0  # s: less than the duration of a Lease, which would pass if the holder did not release it


def gateway(namespace: str, port: int, **spec: Any) -> list[Object]:
    """A Gateway and its namespace. All Gateways of one replica share its address, so each needs a different `port`."""
    listeners = [{"name": "proxy", "port": port, "protocol": "HTTP"}]
    return [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace}},
        {
            "apiVersion": f"{GROUP}/v1",
            "kind": "Gateway",
            "metadata": {"name": "web", "namespace": namespace},
            "spec": {"gatewayClassName": "fastroute", "listeners": listeners, **spec},
        },
    ]


def route(namespace: str, name: str, *parents: str, backend: str = "") -> Object:
    refs = [{"name": "echo", "namespace": backend, "port": 80}] if backend else []
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"parentRefs": [{"name": parent} for parent in parents], "rules": [{"backendRefs": refs}]},
    }


def grant(namespace: str, origin: str) -> Object:
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ReferenceGrant",
        "metadata": {"name": "allow", "namespace": namespace},
        "spec": {
            "from": [{"group": GROUP, "kind": "HTTPRoute", "namespace": origin}],
            "to": [{"group": "", "kind": "Service"}],
        },
    }


def entry(api: Api, namespace: str, name: str, by: str = OURS) -> Object | None:
    parents = api.get("HTTPRoute", namespace, name).get("status", {}).get("parents", [])
    return next((parent for parent in parents if parent["controllerName"] == by), None)


def states(api: Api, namespace: str, name: str) -> dict[str, str]:
    found = entry(api, namespace, name)
    return {one["type"]: one["reason"] for one in found["conditions"]} if found else {}


def put(api: Api, path: str, one: Object) -> bool:
    """Replaces an object; False if another client changed it since it was read."""
    try:
        api.request("PUT", path, one)
    except ApiError as error:
        if error.status != 409:
            raise
        return False
    return True


def reasons(api: Api, namespace: str, kind: str) -> set[str]:
    """The reasons of the Events about objects of a kind."""
    return {event["reason"] for event in api.list("Event", namespace) if event["involvedObject"]["kind"] == kind}


def counted(metrics: str, name: str) -> float:
    return next(float(line.split()[1]) for line in scraped(metrics).splitlines() if line.startswith(f"{name} "))


@contextmanager
def replica(cluster: Cluster, folder: Path, number: int, *options: str) -> Iterator[tuple[Program, str]]:
    """A fastroute with the rights of deploy/kustomize, and the address of its metrics; each replica binds a different
    address."""
    metrics = f"127.0.0.1:{9910 + number}"
    infrastructure = "--infrastructure" in options
    kubeconfig = account_kubeconfig(cluster, infrastructure=infrastructure)
    words = ["--bind", f"127.0.2.{number}", "--status-lease", "fastroute/fastroute", "--workers", "1", *options]
    program = start_gateway(kubeconfig, folder / f"replica{number}.log", words, metrics=metrics)
    try:
        yield program, metrics
    finally:
        program.end(10)


@pytest.fixture
def one(cluster: Cluster, api: Api, folder: Path) -> Iterator[str]:
    """A replica that is the leader; yields the address of its metrics."""
    api.apply_text(CLASS)
    with replica(cluster, folder, 1) as (_, metrics):
        eventually(lambda: counted(metrics, "fastroute_status_leader") == 1)
        yield metrics


def test_entries_of_another_controller_survive_while_both_write(api: Api, one: str) -> None:
    api.apply(*gateway("both", 81), route("both", "r", "web", "theirs"))
    eventually(lambda: states(api, "both", "r") == {"Accepted": "Accepted", "ResolvedRefs": "ResolvedRefs"})
    theirs = {"parentRef": {"group": GROUP, "kind": "Gateway", "name": "theirs"}, "controllerName": "x.dev/c"}
    written = 0
    edits = threading.Thread(target=lambda: [_relabel(api, number) for number in range(40)])
    edits.start()
    while edits.is_alive() or written <= 20:
        written += _write_theirs(api, theirs, written)
    edits.join()
    last = api.get("HTTPRoute", "both", "r")["metadata"]["generation"]
    eventually(lambda: entry(api, "both", "r")["conditions"][0]["observedGeneration"] == last)
    found = entry(api, "both", "r", "x.dev/c")
    assert found is not None
    assert found["conditions"][0]["message"] == f"{written - 1}"
    assert [condition["type"] for condition in found["conditions"]] == ["x.dev/Seen"]


def _relabel(api: Api, number: int) -> None:
    api.patch("HTTPRoute", "both", "r", {"spec": {"hostnames": [f"h{number}.example.com"]}})
    time.sleep(0.05)


def _write_theirs(api: Api, theirs: Object, number: int) -> bool:
    """Reads a route, changes its own entry and writes it, as another controller does; False on a conflict."""
    read = api.get("HTTPRoute", "both", "r")
    seen = {
        "type": "x.dev/Seen",
        "status": "True",
        "reason": "Seen",
        "message": f"{number}",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    others = [parent for parent in read["status"]["parents"] if parent["controllerName"] == OURS]
    read["status"]["parents"] = [{**theirs, "conditions": [seen]}, *others]
    return put(api, f"/apis/{GROUP}/v1/namespaces/both/httproutes/r/status", read)


def test_what_somebody_takes_out_of_a_status_comes_back(api: Api, one: str) -> None:
    api.apply(*gateway("repair", 82), route("repair", "r", "web"))
    eventually(lambda: bool(states(api, "repair", "r")))
    api.patch("HTTPRoute", "repair", "r", {"status": {"parents": []}}, "/status")
    eventually(lambda: bool(states(api, "repair", "r")))


def test_a_condition_of_others_on_a_gateway_and_its_listeners_stays(api: Api, one: str) -> None:
    api.apply(*gateway("foreign", 83))
    path = f"/apis/{GROUP}/v1/namespaces/foreign/gateways/web"
    eventually(lambda: len(api.request("GET", path).get("status", {}).get("listeners", [])) == 1)
    seen = {
        "type": "x.dev/Seen",
        "status": "True",
        "reason": "Seen",
        "message": "",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    for _ in range(50):
        read = api.request("GET", path)
        read["status"]["conditions"].append(seen)
        read["status"]["listeners"][0]["conditions"].append(seen)
        if put(api, f"{path}/status", read):
            break
    api.apply(route("foreign", "r", "web"))
    eventually(lambda: api.request("GET", path)["status"]["listeners"][0]["attachedRoutes"] == 1)
    status = api.request("GET", path)["status"]
    assert seen in status["conditions"]
    assert seen in status["listeners"][0]["conditions"]


def test_where_others_leave_no_room_ours_give_way_and_the_rest_is_written(api: Api, one: str) -> None:
    """Five conditions of another controller and three of fastroute are the maximum of eight; Conflicted would be the
    ninth."""
    api.apply(*gateway("crowded", 89))
    path = f"/apis/{GROUP}/v1/namespaces/crowded/gateways/web"
    eventually(lambda: programmed(api, "crowded"))
    seen = {"status": "True", "reason": "Seen", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    foreign = [{**seen, "type": f"x.dev/C{number}"} for number in range(5)]
    for _ in range(50):
        read = api.request("GET", path)
        read["status"]["listeners"][0]["conditions"] += foreign
        if put(api, f"{path}/status", read):
            break
    clash = {"name": "again", "port": 89, "protocol": "HTTPS", "tls": {"certificateRefs": [{"name": "none"}]}}
    both = [{"name": "proxy", "port": 89, "protocol": "HTTP"}, clash]
    api.patch("Gateway", "crowded", "web", {"spec": {"listeners": both}})
    eventually(lambda: len(api.request("GET", path)["status"]["listeners"]) == 2)
    status = api.request("GET", path)["status"]
    found = {entry["name"]: [one["type"] for one in entry["conditions"]] for entry in status["listeners"]}
    theirs = [one["type"] for one in foreign]
    assert found["proxy"] == ["Accepted", "Programmed", "ResolvedRefs", *theirs]
    assert "Conflicted" in found["again"]
    assert {one["observedGeneration"] for one in status["conditions"]} == {2}


def test_a_route_that_leaves_loses_our_entry_alone(api: Api, one: str) -> None:
    api.apply(*gateway("leaving", 84), route("leaving", "r", "web"))
    eventually(lambda: bool(states(api, "leaving", "r")))
    api.patch("HTTPRoute", "leaving", "r", {"spec": {"parentRefs": [{"name": "elsewhere"}]}})
    eventually(lambda: entry(api, "leaving", "r") is None)


def test_a_gateway_whose_class_is_deleted_is_unknown_again(api: Api, one: str) -> None:
    passing = {
        "apiVersion": f"{GROUP}/v1",
        "kind": "GatewayClass",
        "metadata": {"name": "passing"},
        "spec": {"controllerName": OURS},
    }
    api.apply(passing, *gateway("classless", 88, gatewayClassName="passing"), route("classless", "r", "web"))
    eventually(lambda: programmed(api, "classless") and bool(states(api, "classless", "r")))
    api.delete("GatewayClass", "", "passing")
    eventually(lambda: unknown(api, "classless") and entry(api, "classless", "r") is None)
    assert "addresses" not in api.get("Gateway", "classless", "web")["status"]
    api.apply(passing)
    eventually(lambda: programmed(api, "classless") and bool(states(api, "classless", "r")))


def unknown(api: Api, namespace: str) -> bool:
    conditions = api.get("Gateway", namespace, "web")["status"]["conditions"]
    return all((one["status"], one["reason"]) == ("Unknown", "Pending") for one in conditions)


def test_events_tell_route_and_grant_what_turned(api: Api, one: str) -> None:
    api.apply(*gateway("infra", 85), {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "bananas"}})
    api.apply(route("infra", "fruits", "web", backend="bananas"))
    eventually(lambda: states(api, "infra", "fruits").get("ResolvedRefs") == "RefNotPermitted")
    eventually(lambda: reasons(api, "infra", "HTTPRoute") == {"Accepted", "RefNotPermitted"})
    api.apply(grant("bananas", "infra"))
    given, taken = {"GrantCreated", "ReferencePermitted"}, {"GrantDeleted", "ReferenceRefused"}
    eventually(lambda: reasons(api, "bananas", "ReferenceGrant") == given)
    eventually(lambda: "ReferencePermitted" in reasons(api, "infra", "HTTPRoute"))
    api.patch(
        "ReferenceGrant", "bananas", "allow", {"spec": {"to": [{"group": "", "kind": "Service", "name": "echo"}]}}
    )
    eventually(lambda: reasons(api, "bananas", "ReferenceGrant") == {*given, "GrantChanged"})
    api.delete("ReferenceGrant", "bananas", "allow")
    eventually(lambda: reasons(api, "bananas", "ReferenceGrant") == {*given, "GrantChanged", *taken})
    eventually(lambda: "ReferenceRefused" in reasons(api, "infra", "HTTPRoute"))
    [told] = [event for event in api.list("Event", "infra") if event["reason"] == "ReferenceRefused"]
    assert (told["type"], told["involvedObject"]["name"]) == ("Warning", "fruits")
    assert "ReferenceGrant bananas/allow no longer permits it" in told["message"]
    assert counted(one, "fastroute_reference_grant_changes_total") == 3
    eventually(lambda: reasons(api, "infra", "Gateway") == {"Programmed"})
    refusals = [event for event in api.list("Event", "infra") if event["reason"] == "RefNotPermitted"]
    assert 'namespace infra to group "", kind Service, name echo' in refusals[0]["message"]


def test_the_death_of_who_writes_is_followed_and_nothing_flaps(cluster: Cluster, api: Api, folder: Path) -> None:
    """The leader is killed, then the next one is terminated: that one releases the Lease, which is then acquired at
    once."""
    api.apply_text(CLASS)
    shared = ("--address", "192.0.2.7")
    with ExitStack() as stack:
        replicas = {
            number: stack.enter_context(
                replica(cluster, folder, number, "--bind", "0.0.0.0", *shared, "--port-offset", str(1000 * number))
            )
            for number in (2, 3, 4)
        }
        api.apply(*gateway("ha", 86), route("ha", "before", "web"))
        eventually(lambda: bool(states(api, "ha", "before")))
        eventually(lambda: programmed(api, "ha"))
        for ending, within in (("kill", 60.0), ("end", GIVEN_BACK_WITHIN)):
            (leader,) = [number for number, (_, at) in replicas.items() if counted(at, "fastroute_status_leader")]
            program, _ = replicas.pop(leader)
            versions = [api.get("HTTPRoute", "ha", "before"), api.get("Gateway", "ha", "web")]
            thread = threading.Thread(target=getattr(program, ending))
            thread.start()
            api.apply(route("ha", ending, "elsewhere"))
            api.patch("HTTPRoute", "ha", ending, {"spec": {"parentRefs": [{"name": "web"}]}})
            eventually(lambda: bool(states(api, "ha", ending)), within)  # noqa: B023
            thread.join()
            assert api.get("HTTPRoute", "ha", "before")["status"] == versions[0]["status"]
            assert _turned(versions[1]) == _turned(api.get("Gateway", "ha", "web"))


def programmed(api: Api, namespace: str) -> bool:
    conditions = api.get("Gateway", namespace, "web").get("status", {}).get("conditions", [])
    return {"Programmed": "True"}.items() <= {one["type"]: one["status"] for one in conditions}.items()


def _turned(one: Object) -> list[tuple[str, str, str]]:
    """The lastTransitionTime of each condition of a Gateway."""
    status = one["status"]
    holders = [status, *status["listeners"]]
    return [(c["type"], c["status"], c["lastTransitionTime"]) for holder in holders for c in holder["conditions"]]


def test_the_service_of_a_gateway_carries_its_infrastructure(cluster: Cluster, api: Api, folder: Path) -> None:
    api.apply_text(CLASS)
    api.apply(*gateway("built", 87, infrastructure={"labels": {"team": "a"}, "annotations": {"cost": "1"}}))
    with replica(cluster, folder, 5, "--infrastructure"):
        eventually(lambda: labels(api, "built").get("team") == "a")
        assert labels(api, "built")[f"{GROUP}/gateway-name"] == "web"
        api.patch("Gateway", "built", "web", {"spec": {"infrastructure": {"labels": {"team": "b"}}}})
        eventually(lambda: labels(api, "built").get("team") == "b")
        api.delete("Gateway", "built", "web")
        eventually(lambda: not api.list("Service", "built"))
        theirs = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "web-fastroute", "namespace": "built"}}
        api.apply({**theirs, "spec": {"ports": [{"port": 80}]}}, *gateway("built", 87))
        eventually(lambda: programmed(api, "built"))
        assert labels(api, "built") == {}


def labels(api: Api, namespace: str) -> dict[str, str]:
    """The labels of the only Service in a namespace."""
    services = api.list("Service", namespace)
    return services[0]["metadata"].get("labels", {}) if services else {}


def test_of_two_installations_of_one_name_the_younger_one_stops_writing(
    cluster: Cluster, api: Api, folder: Path
) -> None:
    api.apply_text(CLASS)
    api.apply(*gateway("contested", 90))
    options = ("--bind", "0.0.0.0", "--workers", "1")
    with ExitStack() as stack:
        for number, lease in ((6, "default/older"), (7, "default/younger")):
            metrics = f"127.0.0.1:{9910 + number}"
            words = [*options, "--address", f"192.0.2.{number}", "--port-offset", str(1000 * number)]
            log = folder / f"installation{number}.log"
            program = start_gateway(cluster.kubeconfig, log, [*words, "--status-lease", lease], metrics=metrics)
            stack.callback(program.end, 10)
            eventually(lambda at=metrics: counted(at, "fastroute_status_leader") == 1, 20)
            time.sleep(1.1)  # creationTimestamps are whole seconds
        younger = folder / "installation7.log"
        eventually(lambda: "its Lease default/older was created at" in younger.read_text(), 30)
        time.sleep(2)
        before = api.get("Gateway", "contested", "web")
        assert before["status"]["addresses"][0]["value"] == "192.0.2.6"
        time.sleep(5)
        assert api.get("Gateway", "contested", "web") == before
        assert counted(f"127.0.0.1:{9910 + 7}", "fastroute_status_contested_total") > 0
