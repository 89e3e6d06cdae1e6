"""Statuses of BackendTLSPolicies: an entry for each Gateway that reaches a target; entries of others stay."""

from graph.world import gateway, listener, ref, route, service, tls_policy, world

from fastroute.graph.build import build_graph
from fastroute.settings import GraphSettings
from fastroute.status import build_statuses, everything_bound

OURS = "fastroute.dev/gateway"


def test_a_policy_has_an_entry_for_each_gateway() -> None:
    theirs = {"controllerName": "example.com/other", "ancestorRef": {"name": "x"}, "conditions": [{"anything": 1}]}
    mine = {"controllerName": OURS, "ancestorRef": {"name": "gone"}, "conditions": []}
    policy = tls_policy("p", "red", "s", meta={"generation": 7}, status={"ancestors": [mine, theirs]})
    gateways = [gateway(f"gw{number:02}", "infra", listener(port=81 + number)) for number in range(20)]
    parents = [{"namespace": "infra", "name": one.metadata.name} for one in gateways]
    objects = (*gateways, policy, service("s", "red"), route("r", "red", ref("s"), parents=parents))
    graph = build_graph(world(*objects), GraphSettings())
    found = build_statuses(graph, everything_bound(graph)).patches["BackendTLSPolicy", policy.key]
    first, *own = found.status["ancestors"]
    assert first == theirs
    assert [entry["ancestorRef"]["name"] for entry in own] == [f"gw{number:02}" for number in range(15)]  # 16 in all
    assert own[0] == {
        "ancestorRef": {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "infra", "name": "gw00"},
        "controllerName": OURS,
        "conditions": [
            {
                "type": type_,
                "status": "True",
                "reason": type_,
                "message": message,
                "observedGeneration": 7,
            }
            for type_, message in (
                ("Accepted", "Applies to Service red/s."),
                ("ResolvedRefs", "Every reference is resolved."),
            )
        ],
    }
