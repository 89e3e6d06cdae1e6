"""Statuses: success by default, overridden by problems, then by the outcome of the data plane."""

from typing import Any

import msgspec
import pytest
from graph.world import gateway, grant, listener, make, ref, replaced, route, service, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.graph.build import build_graph
from fastroute.graph.feature import SUPPORTED_FEATURES
from fastroute.graph.node import Graph
from fastroute.resources.gateway import GatewayClass
from fastroute.resources.grpcroute import GRPCRoute
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key, Resource
from fastroute.resources.route_kinds import ROUTES
from fastroute.resources.status_patch import StatusPatch
from fastroute.settings import Addressing, GraphSettings
from fastroute.snapshot import Bound, Failed, Outcome
from fastroute.status import LONGEST_MESSAGE, build_statuses, everything_bound
from fastroute.status.condition import MOST_SAID

GATEWAY = ("Gateway", Key("infra", "gw"))
ROUTE = ("HTTPRoute", Key("red", "r"))
OURS = "fastroute.dev/gateway"
NOBODY = object()


def graph_of(*objects: Resource, **addressing: Any) -> Graph:
    return build_graph(world(*objects), GraphSettings(addressing=Addressing(**addressing)))


def patch(id_: Any, *objects: Resource, outcome: Any = NOBODY, **addressing: Any) -> StatusPatch:
    """The patch of one object; without `outcome`, for a data plane that bound all listeners."""
    graph = graph_of(*objects, **addressing)
    return build_statuses(graph, everything_bound(graph) if outcome is NOBODY else outcome).patches[id_]


def short(conditions: list[dict[str, Any]]) -> dict[str, str]:
    return {c["type"]: c["status"] + (f"/{c['reason']}" if c["reason"] != c["type"] else "") for c in conditions}


def listeners(found: StatusPatch) -> dict[str, dict[str, str]]:
    return {entry["name"]: short(entry["conditions"]) for entry in found.status["listeners"]}


WELL = {"Accepted": "True", "Programmed": "True", "ResolvedRefs": "True"}


# --- Outcomes


def test_nothing_is_programmed_before_it_is_acknowledged() -> None:
    found = patch(GATEWAY, gateway(), outcome=None)
    assert short(found.status["conditions"]) == {"Accepted": "True", "Programmed": "False/Pending"}
    assert listeners(found) == {"proxy": {**WELL, "Programmed": "False/Pending"}}


def test_a_listener_that_the_outcome_does_not_know_is_pending() -> None:
    outcome = Outcome(version=1, listeners={"infra/gw/a@127.0.0.1": Bound()})
    found = patch(GATEWAY, gateway("gw", "infra", listener("a"), listener("b", 81)), outcome=outcome)
    assert short(found.status["conditions"]) == {"Accepted": "True", "Programmed": "True"}
    assert {name: entry["Programmed"] for name, entry in listeners(found).items()} == {
        "a": "True",
        "b": "False/Pending",
    }


def test_while_a_worker_is_late_only_what_did_not_change_stays_programmed() -> None:
    resources = world(gateway("gw", "infra", listener("a")), gateway("still", "infra", listener("b", 81)))
    before = build_graph(resources, GraphSettings())
    said = build_statuses(before, everything_bound(before))
    changed = replaced(resources, gateway("gw", "infra", listener("a", hostname="a.com")))
    graph = build_graph(changed, GraphSettings(), before)
    late = msgspec.structs.replace(everything_bound(graph), version=1, target=2)
    for _ in range(2):  # twice: the second pass must not change the result
        said = build_statuses(graph, late, said)
        assert listeners(said.patches[GATEWAY])["a"]["Programmed"] == "False/Pending"
        assert listeners(said.patches["Gateway", Key("infra", "still")])["b"]["Programmed"] == "True"
    done = build_statuses(graph, everything_bound(graph), said)
    assert listeners(done.patches[GATEWAY])["a"]["Programmed"] == "True"


def test_what_cannot_be_bound_is_said_before_every_worker_has_acknowledged() -> None:
    failed = {"infra/gw/proxy@127.0.0.1": Failed("port 80 needs root")}
    found = patch(GATEWAY, gateway(), outcome=Outcome(version=1, target=2, listeners=failed))
    assert listeners(found)["proxy"]["Programmed"] == "False/Invalid"


def test_a_port_that_cannot_be_bound() -> None:
    outcome = Outcome(version=1, listeners={"infra/gw/proxy@127.0.0.1": Failed("port 80 needs root")})
    found = patch(GATEWAY, gateway(), outcome=outcome)
    assert listeners(found) == {"proxy": {**WELL, "Accepted": "False/PortUnavailable", "Programmed": "False/Invalid"}}
    (entry,) = found.status["listeners"]
    assert {c["message"] for c in entry["conditions"] if c["status"] == "False"} == {"port 80 needs root"}
    assert short(found.status["conditions"])["Programmed"] == "False/Invalid"


@pytest.mark.parametrize(
    ("bind", "failed", "programmed"),
    [
        (("0.0.0.0", "::"), {"::"}, "True"),
        (("0.0.0.0", "::"), {"0.0.0.0", "::"}, "False/Invalid"),
        (("127.0.0.1", "::1"), {"::1"}, "False/Invalid"),
        (("127.0.0.1", "::1"), set(), "True"),
    ],
)
def test_one_address_of_two_cannot_be_bound(bind: tuple[str, ...], failed: set[str], programmed: str) -> None:
    results = {f"infra/gw/proxy@{a}": Failed("no IPv6 here") if a in failed else Bound() for a in bind}
    outcome = Outcome(version=1, listeners=results)
    found = patch(GATEWAY, gateway(), outcome=outcome, bind=bind, addresses=("192.0.2.1",))
    assert listeners(found)["proxy"]["Programmed"] == programmed


def test_a_listener_that_is_not_served_does_not_wait_for_an_outcome() -> None:
    found = patch(GATEWAY, gateway("gw", "infra", listener(protocol="a.example/own")), outcome=None)
    assert listeners(found)["proxy"] == {
        "Accepted": "False/UnsupportedProtocol",
        "Programmed": "False/Invalid",
        "ResolvedRefs": "True",
    }
    assert short(found.status["conditions"]) == {"Accepted": "False/ListenersNotValid", "Programmed": "False/Invalid"}


# --- Gateways


@pytest.mark.parametrize(
    ("written", "accepted"),
    [
        ([listener()], "True"),
        ([listener("a"), listener("b", 81, "a.example/own")], "True/ListenersNotValid"),
        ([listener("a", 80, "SCTP"), listener("b", 81, "a.example/own")], "False/ListenersNotValid"),
        ([listener("a", allow={"from": "Selector"})], "True/ListenersNotValid"),
        ([listener("a", kinds=[{"kind": "TLSRoute"}])], "True"),
    ],
)
def test_a_gateway_is_accepted_with_one_listener_that_is_served(written: list[Any], accepted: str) -> None:
    assert short(patch(GATEWAY, gateway("gw", "infra", *written)).status["conditions"])["Accepted"] == accepted


def test_a_refused_gateway_says_so_everywhere() -> None:
    found = patch(GATEWAY, gateway(spec={"defaultScope": "All"}))
    assert short(found.status["conditions"]) == {"Accepted": "False/UnsupportedValue", "Programmed": "False/Invalid"}
    assert listeners(found) == {"proxy": {**WELL, "Programmed": "False/Invalid"}}
    (entry,) = found.status["listeners"]
    assert entry["conditions"][1]["message"] == "spec.defaultScope: default Gateways are not served yet. Remove it."


def test_a_gateway_without_a_known_address_still_serves() -> None:
    found = patch(GATEWAY, gateway(), bind=("0.0.0.0",))
    assert short(found.status["conditions"]) == {"Accepted": "True", "Programmed": "False/AddressNotAssigned"}
    assert found.status["addresses"] == []
    assert listeners(found) == {"proxy": WELL}


def test_addresses_have_types() -> None:
    found = patch(GATEWAY, gateway(), addresses=("192.0.2.1", "::1", "gw.example.com"))
    assert found.status["addresses"] == [
        {"type": "IPAddress", "value": "192.0.2.1"},
        {"type": "IPAddress", "value": "::1"},
        {"type": "Hostname", "value": "gw.example.com"},
    ]


@given(
    written=st.lists(
        st.builds(
            listener,
            name=st.just(""),
            port=st.sampled_from((80, 81)),
            protocol=st.sampled_from(("HTTP", "HTTP", "HTTPS", "TCP", "UDP")),
            hostname=st.sampled_from((None, "a.example.com")),
        ),
        min_size=1,
        max_size=5,
    ),
    failed=st.sets(st.integers(0, 4)),
)
@settings(max_examples=100, deadline=None)
def test_the_message_names_the_listeners_that_are_not_valid_and_no_others(written: list[Any], failed: set[int]) -> None:
    named = [{**each, "name": f"l{index}"} for index, each in enumerate(written)]
    graph = graph_of(gateway("gw", "infra", *named))
    outcome = everything_bound(graph)
    ids = {
        id_: Failed("no") if id_.split("@")[0][-1] in map(str, failed) else each
        for id_, each in outcome.listeners.items()
    }
    found = build_statuses(graph, msgspec.structs.replace(outcome, listeners=ids)).patches[GATEWAY]
    bad = [name for name, conditions in listeners(found).items() if conditions["Accepted"] != "True"]
    [accepted] = [each for each in found.status["conditions"] if each["type"] == "Accepted"]
    said = accepted["message"].partition("listener ")[2].partition(";")[0]
    assert said.split(", ") == (bad or [""])


def test_every_listener_has_a_status_in_spec_order() -> None:
    found = patch(GATEWAY, gateway("gw", "infra", listener("b"), listener("a", 81), listener("c", 81)))
    assert [entry["name"] for entry in found.status["listeners"]] == ["b", "a", "c"]
    assert listeners(found)["a"] == {
        "Accepted": "False/HostnameConflict",
        "Programmed": "False/Invalid",
        "ResolvedRefs": "True",
        "Conflicted": "True/HostnameConflict",
    }


def test_conditions_of_others_stay_as_they_were_read() -> None:
    foreign = {"type": "example.com/Nice", "status": "True", "reason": "R", "message": "", "lastTransitionTime": "t"}
    stale = {"type": "Accepted", "status": "False", "reason": "Old"}
    status = {
        "conditions": [stale, foreign, "nonsense", {"type": 7}],
        "listeners": [{"name": "proxy", "conditions": [foreign, stale]}, {"name": "gone", "conditions": [foreign]}, 1],
    }
    found = patch(GATEWAY, gateway(status=status))
    assert found.status["conditions"][0] == foreign
    assert short(found.status["conditions"][1:]) == {"Accepted": "True", "Programmed": "True"}
    (entry,) = found.status["listeners"]
    assert entry["conditions"][0] == foreign
    assert short(entry["conditions"][1:]) == WELL


# --- Routes


def test_a_parent_ref_is_copied_as_written() -> None:
    refs = [
        {"namespace": "infra", "name": "gw", "sectionName": "proxy", "port": 80},
        {"namespace": "infra", "name": "gw"},
    ]
    found = patch(ROUTE, gateway(), route("r", "red", parents=refs))
    defaults = {"group": "gateway.networking.k8s.io", "kind": "Gateway"}
    assert [entry["parentRef"] for entry in found.status["parents"]] == [{**defaults, **written} for written in refs]
    assert {entry["controllerName"] for entry in found.status["parents"]} == {OURS}


def test_a_namespace_that_was_not_written_is_not_made_up() -> None:
    found = patch(ROUTE, gateway("gw", "red"), route("r", "red", parents=[{"name": "gw"}]))
    assert found.status["parents"][0]["parentRef"] == {
        "group": "gateway.networking.k8s.io",
        "kind": "Gateway",
        "name": "gw",
    }


def test_entries_of_other_controllers_stay_and_ours_are_made_anew() -> None:
    theirs = {"controllerName": "example.com/other", "parentRef": {"name": "x"}, "conditions": [{"anything": 1}]}
    mine = {"controllerName": OURS, "parentRef": {"name": "gone"}, "conditions": []}
    found = patch(ROUTE, gateway(), route("r", "red", status={"parents": [mine, theirs]}))
    first, second = found.status["parents"]
    assert first == theirs
    assert second["parentRef"]["name"] == "gw"
    without = msgspec.structs.replace(route("r", "red", parents=[]), status={"parents": [mine, theirs]})
    assert patch(ROUTE, gateway(), without).status == {"parents": [theirs]}


def test_the_gravest_reason_comes_first_and_every_message_once() -> None:
    refs = [ref("none"), ref("secret", "blue"), ref("b", kind="Bucket", group="x.io"), ref("secret", "blue", weight=2)]
    found = patch(ROUTE, gateway(), route("r", "red", *refs))
    accepted, resolved = found.status["parents"][0]["conditions"]
    assert (accepted["status"], resolved["status"], resolved["reason"]) == ("True", "False", "RefNotPermitted")
    message = resolved["message"]
    assert message.index("Service secret in namespace blue") < message.index("Service none does not exist")
    assert message.count("Service secret in namespace blue") == 1
    assert 'kind Bucket of group "x.io"' in message


def test_a_parent_that_refuses_comes_before_what_is_not_served() -> None:
    found = patch(
        ROUTE, gateway("gw", "infra", listener(allow="Same")), route("r", "red", spec={"useDefaultGateways": "All"})
    )
    accepted = found.status["parents"][0]["conditions"][0]
    assert accepted["reason"] == "NotAllowedByListeners"
    assert "default Gateways are not served yet" in accepted["message"]


def test_a_grpc_route_has_a_status() -> None:
    found = patch(
        ("GRPCRoute", Key("red", "r")), gateway(), route("r", "red", ref("s"), type_=GRPCRoute), service("s", "red")
    )
    assert short(found.status["parents"][0]["conditions"]) == {
        "Accepted": "True",
        "ResolvedRefs": "True",
    }


def test_a_message_is_cut_at_a_whole_sentence() -> None:
    rules = [{"backendRefs": [ref(f"s{rule}-{i}", "blue") for i in range(16)]} for rule in range(16)]
    found = patch(ROUTE, gateway(), route("r", "red", rules=rules))
    message = found.status["parents"][0]["conditions"][1]["message"]
    assert LONGEST_MESSAGE - 500 < len(message) <= LONGEST_MESSAGE
    first, _, rest = message.rpartition(" And ")
    assert first.endswith(".")
    assert message.count("is not permitted") + int(rest.split()[0]) == 256


# --- GatewayClasses


def test_a_status_fits_into_an_object() -> None:
    """etcd limits objects to 1.5 MiB. With many parents, every message is cut to the same length for all parents."""
    names = [f"listener-{number}" for number in range(32)]
    parents = [{"name": "gw", "sectionName": name} for name in names]
    refs = [ref("s" * 200, f"namespace-{number}") for number in range(256)]
    spec = {"parentRefs": parents, "rules": [{"backendRefs": refs[at : at + 16]} for at in range(0, 256, 16)]}
    made = make(HTTPRoute, "infra", "r", spec)
    edge = gateway("gw", "infra", *(listener(name, port) for port, name in enumerate(names, 80)))
    found = patch(("HTTPRoute", Key("infra", "r")), edge, made).status["parents"]
    assert len(found) == 32
    messages = {condition["message"] for entry in found for condition in entry["conditions"]}
    assert len(msgspec.json.encode(found)) < 300_000
    [cut] = [message for message in messages if message.endswith("…")]
    assert len(cut) == MOST_SAID // 64


def test_the_parents_of_a_status_share_its_texts() -> None:
    """The messages of a route may be long, and it may have many parents."""
    parents = [{"name": "gw", "sectionName": f"listener-{number}"} for number in range(32)]
    for count in (2, 256):  # all texts are cut if there are 256 long ones
        refs = [ref("s" * 200, f"namespace-{number}") for number in range(count)]
        rules = [{"backendRefs": refs[at : at + 16]} for at in range(0, count, 16)]
        found = patch(("HTTPRoute", Key("infra", "r")), gateway(), route("r", "infra", rules=rules, parents=parents))
        texts = [entry["conditions"][1]["message"] for entry in found.status["parents"]]
        assert len(texts) == 32
        assert len({id(text) for text in texts}) == 1


def test_a_message_about_many_listeners_names_few() -> None:
    names = [f"{number:02}{'x' * 250}" for number in range(64)]
    found = patch(GATEWAY, gateway("gw", "infra", *(listener(name, protocol="TLS") for name in names)))
    accepted = next(one for one in found.status["conditions"] if one["type"] == "Accepted")
    assert f"{names[2]} and 61 more; see the status of each." in accepted["message"]


def test_more_addresses_than_a_status_may_have_are_left_out() -> None:
    addresses = tuple(f"192.0.2.{number}" for number in range(20))
    status = patch(GATEWAY, gateway(), addresses=addresses).status
    assert [one["value"] for one in status["addresses"]] == list(addresses[:16])


def test_a_gateway_class() -> None:
    fastroute = make(GatewayClass, "", "fastroute", {"controllerName": OURS}, meta={"generation": 4})
    found = patch(("GatewayClass", Key("", "fastroute")), fastroute)
    assert short(found.status["conditions"]) == {"Accepted": "True", "SupportedVersion": "True"}
    assert {condition["observedGeneration"] for condition in found.status["conditions"]} == {4}
    names = [feature["name"] for feature in found.status["supportedFeatures"]]
    assert names == sorted(names)
    assert len(names) == len(set(names)) <= 64
    assert not [name for name in names if name.startswith("Mesh")]


@pytest.mark.parametrize(
    ("version", "expected", "word"),
    [
        ("v1.6.3", ("True", "SupportedVersion"), "v1.6"),
        ("v1.7.0", ("True", "SupportedVersion"), "v1.7"),
        ("v1.9.0", ("False", "UnsupportedVersion"), "served as v1.7"),
        ("v1.4.1", ("False", "UnsupportedVersion"), "served as v1.6"),
    ],
)
def test_versions_of_the_crds(version: str, expected: tuple[str, str], word: str) -> None:
    fastroute = make(GatewayClass, "", "fastroute", {"controllerName": OURS})
    graph = build_graph(world(fastroute), GraphSettings(bundle_version=version))
    accepted, said = build_statuses(graph).patches["GatewayClass", Key("", "fastroute")].status["conditions"]
    assert accepted["status"] == "True"
    assert (said["status"], said["reason"]) == expected
    assert word in said["message"]


def test_features_of_kinds_that_are_not_served_are_not_claimed() -> None:
    unserved = [name for name, kind in ROUTES.items() if not kind.is_served]
    assert not [name for name in SUPPORTED_FEATURES if name.startswith(tuple(unserved))]


def test_an_implied_class_is_not_written() -> None:
    graph = graph_of(gateway())
    assert [kind for kind, _ in build_statuses(graph).patches] == ["Gateway"]


# --- All objects


def every_condition(found: StatusPatch) -> list[dict[str, Any]]:
    owners = [found.status, *found.status.get("listeners", ()), *found.status.get("parents", ())]
    return [condition for owner in owners for condition in owner.get("conditions", ())]


def test_every_condition_has_the_generation_that_was_read() -> None:
    seven = {"generation": 7}
    objects = [
        gateway(
            "gw", "infra", listener("a"), listener("b", 81, "TCP"), listener("c", 82), listener("d", 82), meta=seven
        ),
        gateway("refused", "infra", spec={"defaultScope": "All"}, meta=seven),
        route("r", "red", ref("s", "blue"), meta=seven),
        make(GatewayClass, "", "fastroute", {"controllerName": OURS}, meta=seven),
    ]
    for outcome in (None, everything_bound(graph_of(*objects))):
        patches = build_statuses(graph_of(*objects), outcome).patches
        assert {found.generation for found in patches.values()} == {7}
        assert {c["observedGeneration"] for found in patches.values() for c in every_condition(found)} == {7}


def test_a_generation_that_moves_moves_every_condition() -> None:
    before = graph_of(gateway(), route("r", "red"))
    was = build_statuses(before, everything_bound(before))
    resources = world(gateway(meta={"generation": 2}), route("r", "red", meta={"generation": 2}))
    graph = build_graph(resources, GraphSettings(), before)
    said = build_statuses(graph, everything_bound(graph), was)
    assert {c["observedGeneration"] for found in said.patches.values() for c in every_condition(found)} == {2}


def test_an_unchanged_status_is_the_very_same_patch() -> None:
    resources = world(gateway(), route("r", "red", ref("s")), service("s", "red"))
    before = build_graph(resources, GraphSettings())
    was = build_statuses(before, everything_bound(before))
    graph = build_graph(replaced(resources, grant("g", "red", "blue")), GraphSettings(), before)
    said = build_statuses(graph, everything_bound(graph), was)
    assert all(said.patches[id_] is found for id_, found in was.patches.items())
    assert build_statuses(graph, None, said).patches == said.patches


def test_another_controller_name_starts_from_nothing() -> None:
    resources = world(gateway(), route("r", "red"))
    was = build_statuses(build_graph(resources, GraphSettings()))
    other = build_graph(resources, GraphSettings(controller_name="example.com/ours"))
    said = build_statuses(other, None, was)
    assert said.patches[ROUTE].status["parents"][0]["controllerName"] == "example.com/ours"
