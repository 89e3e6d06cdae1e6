"""ListenerSets: which ones a Gateway allows, which of several equal listeners is accepted, and their routes."""

from typing import Any

import pytest
import yaml
from graph.world import gateway, listener, listener_set, make, namespace, removed, route, world

from fastroute.graph.build import build_graph
from fastroute.graph.burden import burdens
from fastroute.graph.node import Graph, ListenerSetNode
from fastroute.resources.gateway import GROUP, ListenerSet
from fastroute.resources.meta import Key, Resource
from fastroute.settings import Addressing, GraphSettings
from fastroute.status import build_statuses, everything_bound

SET, GATEWAY = Key("red", "more"), Key("infra", "gw")
BY_LABEL = {"from": "Selector", "selector": {"matchLabels": {"open": "yes"}}}


def built(*objects: Resource, **settings: Any) -> Graph:
    return build_graph(world(*objects), GraphSettings(**settings))


def edge(*listeners: Any, allow: Any = "All", **more: Any) -> Any:
    namespaces = {"from": allow} if isinstance(allow, str) else allow
    return gateway("gw", "infra", *listeners, spec={"allowedListeners": {"namespaces": namespaces}}, **more)


def only(graph: Graph) -> ListenerSetNode:
    (node,) = graph.listener_sets.values()
    return node


def clashes(node: ListenerSetNode) -> list[str]:
    """For every listener the reason of its conflict, or ""."""
    found = [[p.reason for p in one.problems if p.condition == "Conflicted"] for one in node.listeners]
    return [reasons[0] if reasons else "" for reasons in found]


@pytest.mark.parametrize(
    ("allow", "home", "expected"),
    [
        ("None", "infra", False),
        ("Same", "infra", True),
        ("Same", "red", False),
        ("All", "red", True),
        (BY_LABEL, "red", True),
        (BY_LABEL, "blue", False),
        ({"from": "Selector"}, "red", False),
        ({"from": "Selector", "selector": {"matchExpressions": [{"key": "a", "operator": "Odd"}]}}, "red", False),
    ],
)
def test_whom_a_gateway_takes(allow: Any, home: str, expected: bool) -> None:
    graph = built(edge(allow=allow), listener_set("more", home, listener(port=81)), namespace("red", open="yes"))
    node = only(graph)
    assert [listener.serves for listener in node.listeners] == [True] * expected
    assert [(p.condition, p.reason) for p in node.problems] == ([] if expected else [("Accepted", "NotAllowed")])
    assert graph.gateways[GATEWAY].attached_sets == int(expected)


def test_the_oldest_sets_of_a_namespace_are_taken_up_to_a_number_of_listeners(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of other namespaces, and of another Gateway, do not count."""
    monkeypatch.setattr("fastroute.graph.listenerset.MOST_LISTENERS", 3)

    def some(name: str, home: str, count: int, year: int, **more: Any) -> Any:
        listeners = [listener(f"{name}{number}", 81, hostname=f"{name}{number}.test") for number in range(count)]
        return listener_set(name, home, *listeners, meta={"creationTimestamp": f"{year}-01-01T00:00:00Z"}, **more)

    old, young, last = some("b", "red", 2, 2020), some("a", "red", 2, 2021), some("c", "red", 1, 2022)
    objects = world(edge(), gateway("other", "infra"), old, young, last, some("d", "blue", 3, 2023))
    graph = build_graph(objects, GraphSettings())
    served = {key.name: bool(node.listeners) for key, node in graph.listener_sets.items()}
    assert served == {"a": False, "b": True, "c": True, "d": True}
    [problem] = graph.listener_sets[Key("red", "a")].problems
    assert (problem.condition, problem.reason, problem.field) == ("Accepted", "UnsupportedValue", "spec.listeners")
    assert "more than 3 listeners" in problem.message
    again = build_graph(removed(objects, ListenerSet, old.key), GraphSettings(), graph)
    assert {key.name: bool(node.listeners) for key, node in again.listener_sets.items()} == {
        "a": True,
        "c": True,
        "d": True,
    }
    assert burdens(graph, again) == {"infra": 1, "red": 3, "blue": 3}
    assert burdens(again, build_graph(objects, GraphSettings(), again)) == {"infra": 1, "red": 3, "blue": 3}
    assert burdens(again, build_graph(again.memo.resources, GraphSettings(), again)) == {}


@pytest.mark.parametrize("allow", ["None", "Same", BY_LABEL])
@pytest.mark.parametrize("home", ["infra", "blue"])
def test_a_refusal_says_what_would_take_the_set(allow: Any, home: str) -> None:
    graph = built(edge(allow=allow), listener_set("more", home, listener(port=81)))
    for problem in only(graph).problems:
        assert problem.fix is not None
        fixed = yaml.safe_load(problem.fix)["allowedListeners"]["namespaces"]
        mended = built(edge(allow=fixed), listener_set("more", home, listener(port=81)))
        assert only(mended).problems == ()
        if allow == "Same":
            assert only(built(edge(allow=fixed), listener_set("more", "infra", listener(port=81)))).problems == ()


def test_none_is_taken_by_default() -> None:
    graph = built(gateway("gw", "infra"), listener_set("more", "infra"))
    assert [problem.reason for problem in only(graph).problems] == ["NotAllowed"]


@pytest.mark.parametrize("parent", [{"kind": "Service"}, {"group": "x.io"}, {"name": "other"}, {"namespace": "red"}])
def test_sets_of_others_are_not_ours(parent: dict[str, str]) -> None:
    spec = {"parentRef": {"name": "gw", "namespace": "infra", **parent}, "listeners": [listener()]}
    graph = built(edge(), make(ListenerSet, "red", "more", spec))
    assert graph.listener_sets == {}
    assert ("ListenerSet", SET) not in build_statuses(graph).patches


def test_its_listeners_stand_beside_the_gateways() -> None:
    node = only(built(edge(), listener_set("more", "red", listener("own", 81, hostname="A.example.com"))))
    (made,) = node.listeners
    assert (made.gateway, made.holder, made.hostname) == (GATEWAY, ("ListenerSet", SET), "a.example.com")
    assert (made.label, made.id) == ("red/more/own", "infra/gw/red/more/own")
    assert node.bind == ("127.0.0.1",)


# --- Conflicts


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (listener("x", 80), "HostnameConflict"),
        (listener("x", 80, hostname="a.example.com"), ""),
        (listener("x", 80, "HTTPS", hostname="a.example.com"), "ProtocolConflict"),
        (listener("x", 80, "TCP"), "ProtocolConflict"),
        (listener("x", 80, "UDP"), ""),
        (listener("x", 81), ""),
    ],
)
def test_the_gateways_own_listeners_come_first(entry: Any, expected: str) -> None:
    graph = built(edge(listener("first", 80)), listener_set("more", "red", entry))
    assert clashes(only(graph)) == [expected]
    assert graph.gateways[GATEWAY].listeners[0].serves


def test_the_older_set_comes_first_then_its_name() -> None:
    times = {"a": "2026-01-02T00:00:00Z", "b": "2026-01-01T00:00:00Z", "c": "2026-01-02T00:00:00Z"}
    sets = [
        listener_set(name, "red", listener(name, 81), meta={"creationTimestamp": time}) for name, time in times.items()
    ]
    graph = built(edge(), *sets)
    found = {key.name: clashes(node) for key, node in graph.listener_sets.items()}
    assert found == {"a": ["HostnameConflict"], "b": [""], "c": ["HostnameConflict"]}
    assert graph.gateways[GATEWAY].attached_sets == 1


def test_inside_a_set_the_first_one_goes_on() -> None:
    node = only(built(edge(), listener_set("more", "red", listener("a", 81), listener("b", 81, "HTTPS"))))
    assert clashes(node) == ["", "ProtocolConflict"]
    assert [one.serves for one in node.listeners] == [True, False]


def test_a_listener_that_is_not_accepted_takes_nothing() -> None:
    early = listener_set("early", "red", listener("raw", 81, "HTTP", filters={"requests": []}))
    graph = built(edge(), early, listener_set("late", "red", listener("x", 81)))
    assert clashes(graph.listener_sets[Key("red", "late")]) == [""]


def test_names_may_repeat_across_sets() -> None:
    graph = built(
        edge(), listener_set("one", "red", listener("same", 81)), listener_set("two", "red", listener("same", 82))
    )
    assert all(node.listeners[0].serves for node in graph.listener_sets.values())


def test_a_port_that_another_gateway_has() -> None:
    other = gateway("a", "infra", listener("x", 81))
    graph = built(other, edge(), listener_set("more", "red", listener("x", 81)))
    (made,) = only(graph).listeners
    assert [problem.reason for problem in made.problems] == ["PortUnavailable"]
    assert graph.gateways[GATEWAY].attached_sets == 0


def test_a_set_of_an_older_gateway_takes_no_port_of_a_younger_one() -> None:
    older = gateway("a", "infra", spec={"allowedListeners": {"namespaces": {"from": "All"}}})
    graph = built(
        older, gateway("gw", "infra", listener("x", 81)), listener_set("s", "red", listener("y", 81), parent="a")
    )
    assert graph.gateways[GATEWAY].listeners[0].serves
    [problem] = only(graph).listeners[0].problems
    assert problem.reason == "PortUnavailable"
    assert "used by Gateway infra/gw, which has precedence because Gateways come before ListenerSets" in problem.message


# --- Parents that are not served


def test_a_gateway_that_is_not_accepted() -> None:
    refused = gateway("gw", "infra", spec={"allowedListeners": {"namespaces": {"from": "All"}}, "defaultScope": "All"})
    node = only(built(refused, listener_set("more", "red", listener("x", 81))))
    assert [(p.condition, p.reason) for p in node.problems] == [
        ("Accepted", "ParentNotAccepted"),
        ("Programmed", "ParentNotProgrammed"),
    ]
    assert not node.listeners[0].serves


def test_a_gateway_without_an_address() -> None:
    pool = Addressing(pool="127.5.0.0/30")
    asks = gateway(
        "gw", "infra", spec={"allowedListeners": {"namespaces": {"from": "All"}}, "addresses": [{"value": "192.0.2.1"}]}
    )
    node = only(built(asks, listener_set("more", "red", listener("x", 81)), addressing=pool))
    assert [(p.condition, p.reason) for p in node.problems] == [("Programmed", "ParentNotProgrammed")]


# --- Routes


def by_set(name: str = "more", **more: Any) -> dict[str, Any]:
    return {"group": GROUP, "kind": "ListenerSet", "namespace": "red", "name": name, **more}


def reasons(graph: Graph, home: str = "red") -> list[str]:
    """For every parent of route `r`: the reason for rejecting it, or the listeners that the route is attached to."""
    parents = graph.parents["HTTPRoute", Key(home, "r")]
    return [parent.problems[0].reason if parent.problems else " ".join(parent.listeners) for parent in parents]


TWO = listener_set("more", "red", listener("one", 81), listener("two", 82))


@pytest.mark.parametrize(
    ("parents", "expected"),
    [
        ([by_set()], ["one two"]),
        ([by_set(sectionName="two")], ["two"]),
        ([by_set(port=81)], ["one"]),
        ([by_set(sectionName="two", port=81)], ["NoMatchingParent"]),
        ([by_set(sectionName="proxy")], ["NoMatchingParent"]),
        ([{"name": "gw", "namespace": "infra", "sectionName": "one"}], ["NoMatchingParent"]),
        ([{"name": "gw", "namespace": "infra"}, by_set()], ["proxy", "one two"]),
    ],
)
def test_routes_name_a_set_or_a_gateway_and_see_only_that(parents: list[Any], expected: list[str]) -> None:
    assert reasons(built(edge(), TWO, route("r", "red", parents=parents))) == expected


def test_same_is_the_namespace_of_the_set() -> None:
    own = listener_set("more", "red", listener("one", 81, allow="Same"))
    assert reasons(built(edge(), own, route("r", "red", parents=[by_set()]))) == ["one"]
    assert reasons(built(edge(), own, route("r", "infra", parents=[by_set()])), "infra") == ["NotAllowedByListeners"]


def test_a_set_that_is_not_taken_has_no_listeners() -> None:
    graph = built(gateway("gw", "infra"), TWO, route("r", "red", parents=[by_set()]))
    assert reasons(graph) == ["NoMatchingParent"]
    assert "its Gateway does not allow it" in graph.parents["HTTPRoute", Key("red", "r")][0].problems[0].message


# --- Statuses


def conditions(graph: Graph, key: Key = SET) -> dict[str, tuple[str, str]]:
    patch = build_statuses(graph, everything_bound(graph)).patches["ListenerSet", key]
    return {c["type"]: (c["status"], c["reason"]) for c in patch.status["conditions"]}


@pytest.mark.parametrize(
    ("entries", "accepted", "programmed", "count"),
    [
        ([listener("x", 81)], ("True", "Accepted"), ("True", "Programmed"), 1),
        ([listener("x", 81), listener("y", 80)], ("True", "ListenersNotValid"), ("True", "Programmed"), 1),
        ([listener("y", 80)], ("False", "ListenersNotValid"), ("False", "ListenersNotValid"), 0),
        ([listener("y", 80, "TCP")], ("False", "ListenersNotValid"), ("False", "ListenersNotValid"), 0),
        ([listener("y", 81, "HTTPS")], ("False", "ListenersNotValid"), ("False", "ListenersNotValid"), 0),
        ([listener("y", 81, kinds=[{"kind": "TLSRoute"}])], ("True", "Accepted"), ("True", "Programmed"), 1),
    ],
)
def test_what_a_sets_status_says(entries: list[Any], accepted: Any, programmed: Any, count: int) -> None:
    graph = built(edge(), listener_set("more", "red", *entries))
    assert conditions(graph) == {"Accepted": accepted, "Programmed": programmed}
    status = build_statuses(graph, everything_bound(graph)).patches["Gateway", GATEWAY].status
    assert status["attachedListenerSets"] == count


def test_a_set_that_is_not_taken_says_so_in_both_conditions() -> None:
    graph = built(gateway("gw", "infra"), listener_set("more", "red"))
    assert conditions(graph) == {"Accepted": ("False", "NotAllowed"), "Programmed": ("False", "NotAllowed")}


@pytest.mark.parametrize(("protocol", "reason"), [("TCP", "ProtocolConflict"), ("HTTP", "HostnameConflict")])
def test_a_conflict_is_the_reason_of_three_conditions(protocol: str, reason: str) -> None:
    graph = built(edge(), listener_set("more", "red", listener("x", 80, protocol), listener("y", 81)))
    patch = build_statuses(graph, everything_bound(graph)).patches["ListenerSet", SET]
    found = {c["type"]: (c["status"], c["reason"]) for c in patch.status["listeners"][0]["conditions"]}
    assert found["Accepted"] == found["Programmed"] == ("False", reason)
    assert found["Conflicted"] == ("True", reason)


def test_nothing_is_programmed_before_the_workers_say_so() -> None:
    graph = built(edge(), listener_set("more", "red", listener("x", 81)))
    patch = build_statuses(graph).patches["ListenerSet", SET]
    assert [(c["status"], c["reason"]) for c in patch.status["conditions"]] == [
        ("True", "Accepted"),
        ("False", "Pending"),
    ]
