"""--watch-namespace: what cannot be judged is refused, and the messages say why."""

from typing import Any

import pytest
from graph.world import gateway, grant, https, listener, listener_set, make, namespace, ref, replaced, route, world

from fastroute.graph.build import build_graph
from fastroute.graph.node import Graph
from fastroute.graph.unwatched import Unwatched
from fastroute.lint import lint
from fastroute.resources.core import Namespace
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings

SOME = GraphSettings(watched=frozenset({"infra", "red"}))
UNREAD = "cannot be read, because the API server answers 403 Forbidden"
SELECTOR = {"from": "Selector", "selector": {"matchLabels": {"team": "a"}}}


def messages(graph: Graph) -> list[str]:
    return [problem.message for node in graph.routes.values() for problem in node.problems]


def test_a_namespace_is_unwatched_only_if_others_are_named() -> None:
    some = Unwatched(frozenset({"red"}))
    assert some.get("red") is None
    assert some["blue"] == "namespace blue is not read (--watch-namespace)"
    assert Unwatched(frozenset()).get("blue") is None
    assert (len(some), list(some)) == (0, [])


def test_a_reference_to_an_unwatched_namespace_is_refused_and_no_grant_is_offered() -> None:
    """A grant there would not be read, so one in the Store (which there is none of) does not count either."""
    objects = world(gateway(), route("r", "red", ref("s", "blue"), ref("s", "infra")))
    graph = build_graph(objects, SOME)
    [node] = graph.routes.values()
    beyond, here = node.problems
    assert (beyond.reason, here.reason) == ("RefNotPermitted", "RefNotPermitted")
    assert beyond.message == (
        "Reference to Service s in namespace blue is not permitted: namespace blue is not read (--watch-namespace), so "
        "its ReferenceGrants are not known. Required: --watch-namespace blue."
    )
    assert beyond.fix is None
    assert here.fix is not None
    everywhere = build_graph(objects, GraphSettings(), graph)
    assert all("--watch-namespace" not in message for message in messages(everywhere))


def test_a_certificate_of_an_unwatched_namespace_is_refused() -> None:
    graph = build_graph(world(gateway("gw", "infra", https("secure", "blue/tls"))), SOME)
    [node] = graph.gateways[Key("infra", "gw")].listeners
    assert [problem.reason for problem in node.problems] == ["RefNotPermitted"]
    assert "namespace blue is not read (--watch-namespace)" in node.problems[0].message


@pytest.mark.parametrize(("allow", "is_said"), [(SELECTOR, True), ("Same", False)], ids=["selector", "same"])
def test_a_selector_says_that_labels_are_not_known(allow: Any, is_said: bool) -> None:
    objects = world(
        gateway("gw", "infra", listener(allow=allow)), route("r", "red"), make(Namespace, "", "red", omission=UNREAD)
    )
    graph = build_graph(objects, SOME)
    [[parent]] = graph.parents.values()
    [problem] = [one for one in parent.problems if one.reason == "NotAllowedByListeners"]
    assert (f"The labels of namespace red {UNREAD}." in problem.message) == is_said
    read = replaced(objects, namespace("red", team="b"))
    [[parent]] = build_graph(read, SOME, graph).parents.values()
    assert all("The labels" not in one.message for one in parent.problems)


@pytest.mark.parametrize(("allow", "is_said"), [(SELECTOR, True), ("Same", False)], ids=["selector", "same"])
def test_a_listener_set_is_told_that_labels_are_not_known(allow: Any, is_said: bool) -> None:
    namespaces = {"from": allow} if isinstance(allow, str) else allow
    edge = gateway("gw", "infra", spec={"allowedListeners": {"namespaces": namespaces}})
    unread = make(Namespace, "", "red", omission=UNREAD)
    graph = build_graph(world(edge, listener_set("more", "red", listener(port=81)), unread), SOME)
    [problem] = graph.listener_sets[Key("red", "more")].problems
    assert problem.reason == "NotAllowed"
    assert (f"The labels of namespace red {UNREAD}." in problem.message) == is_said


def test_a_name_is_known_without_the_right_to_read_labels() -> None:
    by_name = {"from": "Selector", "selector": {"matchLabels": {"kubernetes.io/metadata.name": "red"}}}
    unread = make(Namespace, "", "red", omission=UNREAD)
    graph = build_graph(world(gateway("gw", "infra", listener(allow=by_name)), route("r", "red"), unread), SOME)
    [[parent]] = graph.parents.values()
    assert parent.problems == ()


@pytest.mark.parametrize(("origin", "is_unused"), [("blue", False), ("infra", True)])
def test_a_grant_for_an_unwatched_namespace_may_be_used(origin: str, is_unused: bool) -> None:
    objects = world(gateway(), grant("g", "red", origin))
    graph = build_graph(objects, SOME)
    assert ("GrantUnused" in {one.reason for one in lint(objects, graph)}) == is_unused
