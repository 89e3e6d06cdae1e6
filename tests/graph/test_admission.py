"""How much the routes of a listener may cost one request, and which of them are refused."""

import random
import time
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

import pytest
from graph.world import gateway, listener, make, replaced, route, world
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.graph.admission import MOST_ENTRIES, MOST_PER_LISTENER, MOST_PER_NAMESPACE, Bid, Ledger, Refusal, admit
from fastroute.graph.books import Books, above_hostname, above_path
from fastroute.graph.build import build_graph
from fastroute.graph.hostname import covers
from fastroute.graph.node import Graph, Problem, RouteId
from fastroute.graph.price import Item, Point, price_list
from fastroute.resources.gateway import GatewayClass
from fastroute.resources.httproute import HTTPRoute
from fastroute.resources.meta import Key
from fastroute.settings import GraphSettings

CLASS = make(GatewayClass, "", "fastroute", {"controllerName": "fastroute.dev/gateway"})
SETTINGS = GraphSettings()
HEAVY = [f"[^/]*{letter}[^/]{{2}}zzzzzzzzzz" for letter in "abcdefghij"]  # each is about 90 µs for a header


def header(value: str, name: str = "x", type_: str = "RegularExpression") -> Any:
    return {"name": name, "value": value, "type": type_}


def costly(count: int, path: str = "/", **more: Any) -> list[Any]:
    """Matches that one request may have to try, all of them."""
    return [{"path": {"value": path}, "headers": [header(HEAVY[n])], **more} for n in range(count)]


def a_route(name: str, namespace: str, matches: list[Any], day: int = 1, **more: Any) -> HTTPRoute:
    made: HTTPRoute = route(
        name, namespace, rules=[{"matches": matches}], meta={"creationTimestamp": f"2025-01-{day:02}T00:00:00Z"}, **more
    )
    return made


def graph_of(*routes: HTTPRoute, previous: Graph | None = None, of: Any = None) -> Graph:
    return build_graph(world(CLASS, of or gateway(), *routes), SETTINGS, previous)


def refused(graph: Graph) -> dict[str, Problem]:
    found: dict[str, Problem] = {}
    for id_, parents in graph.parents.items():
        for parent in parents:
            found.update({str(id_[1]): problem for problem in parent.problems})
    return found


def attached(graph: Graph) -> set[str]:
    return {
        str(key) for node in graph.gateways.values() for listener in node.listeners for _, key in listener.attachments
    }


def test_what_exceeds_the_share_of_its_namespace_is_refused_with_the_limit() -> None:
    graph = graph_of(
        a_route("big", "evil", costly(10)), a_route("small", "evil", costly(2)), a_route("v", "good", costly(2))
    )
    problem = refused(graph)["evil/big"]
    assert (problem.condition, problem.reason) == ("Accepted", "UnsupportedValue")
    assert "more than 400 microseconds" in problem.message
    assert problem.field == "spec.parentRefs[0]"
    assert attached(graph) == {"evil/small", "good/v"}


def test_the_oldest_routes_have_precedence() -> None:
    routes = [a_route("new", "a", costly(3), 3), a_route("old", "a", costly(3), 1), a_route("cheap", "a", costly(1), 4)]
    assert attached(graph_of(*routes)) == {"a/old", "a/cheap"}
    assert attached(graph_of(*reversed(routes))) == {"a/old", "a/cheap"}


def test_several_namespaces_together_have_a_limit_and_the_youngest_route_is_refused() -> None:
    routes = [a_route("r", f"n{number}", costly(4), 10 + number) for number in range(6)]
    graph = graph_of(*routes, a_route("young", "v", costly(1), 20), a_route("old", "v", costly(1), 1))
    assert attached(graph) == {"v/old", "n0/r", "n1/r", "n2/r", "n3/r"}
    assert "more than 1600 microseconds" in refused(graph)["n5/r"].message
    assert "all namespaces" in refused(graph)["n5/r"].message


def test_a_route_without_conditions_is_never_refused() -> None:
    routes = [a_route("r", f"n{number}", costly(4), 1 + number) for number in range(6)]
    plain = [a_route(f"r{n}", "v", [{"path": {"value": f"/{n}"}}], 28) for n in range(50)]
    assert {f"v/r{n}" for n in range(50)} <= attached(graph_of(*routes, *plain))


@pytest.mark.parametrize(
    "apart",
    [
        [{"path": "/a"}, {"path": "/b"}],
        [{"path": "/a"}, {"path": "/ab"}],
        [{"hostnames": ["a.example.com"]}, {"hostnames": ["b.example.com"]}],
        [{"hostnames": ["*.a.example.com"]}, {"hostnames": ["*.b.example.com"]}],
        [{"method": "GET"}, {"method": "PUT"}],
    ],
)
def test_what_no_request_meets_together_is_not_added_up(apart: list[dict[str, Any]]) -> None:
    assert len(attached(graph_of(*pairs(apart)))) == 2


@pytest.mark.parametrize(
    "together",
    [
        [{"path": "/a"}, {"path": "/a/b"}],
        [{"path": "/"}, {"path": "/a/b"}],
        [{}, {"hostnames": ["a.example.com"]}],
        [{"hostnames": ["*.com"]}, {"hostnames": ["a.example.com"]}],
        [{"hostnames": ["*.example.com"]}, {"hostnames": ["*.a.example.com"]}],
        [{"method": "GET"}, {}],
    ],
)
def test_what_one_request_meets_is_added_up(together: list[dict[str, Any]]) -> None:
    assert len(attached(graph_of(*pairs(together)))) == 1


def pairs(parts: list[dict[str, Any]]) -> list[HTTPRoute]:
    made = []
    for number, part in enumerate(parts):
        match = {"method": part["method"]} if "method" in part else {}
        matches = costly(3, part.get("path", "/"), **match)
        made.append(a_route(f"r{number}", "a", matches, 1 + number, hostnames=part.get("hostnames", [])))
    return made


def test_expressions_of_paths_are_added_up_by_what_their_paths_begin_with() -> None:
    def matches(beginning: str) -> list[Any]:
        return [{"path": {"type": "RegularExpression", "value": f"{beginning}{HEAVY[n]}"}} for n in range(3)]

    assert len(attached(graph_of(a_route("a", "n", matches("/a")), a_route("b", "n", matches("/b"))))) == 2
    assert len(attached(graph_of(a_route("a", "n", matches("/a")), a_route("b", "n", matches("/ab"))))) == 1


def test_thousands_of_exact_values_cost_as_much_as_one() -> None:
    tenants = [a_route(f"r{n:04}", "n", [{"headers": [header(str(n), "x-tenant", "Exact")]}]) for n in range(2000)]
    assert len(attached(graph_of(*tenants))) == 2000
    books = Books()
    for tenant in tenants:
        books.change(price_list(tenant.spec.rules), ("",), 1)
    assert books.cost < 100


def test_an_expression_costs_once_for_each_tenant() -> None:
    """Requests with one value of x-tenant do not meet the expressions of the others."""
    matches = [{"headers": [header(str(n), "x-tenant", "Exact"), header("[ab]*a[ab]{3}")]} for n in range(50)]
    assert attached(graph_of(a_route("r", "n", matches))) == {"n/r"}


def test_the_parent_ref_with_the_refusing_listener_is_refused_and_others_are_not() -> None:
    two = gateway("gw", "infra", listener("one", 80), listener("two", 81))
    old = a_route("old", "a", costly(3), 1, parents=[{"namespace": "infra", "name": "gw", "sectionName": "one"}])
    every = {"namespace": "infra", "name": "gw"}
    both = a_route("both", "a", costly(3), 2, parents=[every])
    each = a_route("each", "a", costly(1), 3, parents=[{**every, "sectionName": "two"}, every])
    graph = graph_of(old, both, each, of=two)
    assert [parent.listeners for parent in graph.parents["HTTPRoute", Key("a", "both")]] == [()]
    assert [parent.listeners for parent in graph.parents["HTTPRoute", Key("a", "each")]] == [("two",), ("one", "two")]
    again = a_route("each", "a", costly(2), 3, parents=[{**every, "sectionName": "two"}, every])
    graph = graph_of(old, again, of=two)
    assert [parent.listeners for parent in graph.parents["HTTPRoute", Key("a", "each")]] == [("two",), ()]


def test_a_namespace_has_a_limited_number_of_matches_with_conditions() -> None:
    """They are judged again whenever one of them changes, so there must not be too many."""
    matches = [{"path": {"value": f"/{n}"}, "method": "GET"} for n in range(64)]
    hosts = [f"h{n}.example.com" for n in range(16)]
    routes = [a_route(f"r{n:02}", "evil", matches, 1 + n, hostnames=hosts) for n in range(11)]
    graph = graph_of(*routes, a_route("v", "good", matches, 28, hostnames=hosts))
    assert MOST_ENTRIES // (16 * 64) == 9
    assert attached(graph) == {"good/v", *(f"evil/r{n:02}" for n in range(9))}
    assert "have 10000 matches with conditions" in refused(graph)["evil/r09"].message


def test_a_route_is_attached_as_soon_as_there_is_room() -> None:
    old, new = a_route("old", "a", costly(3), 1), a_route("new", "a", costly(3), 2)
    graph = graph_of(old, new)
    assert attached(graph) == {"a/old"}
    graph = build_graph(replaced(world(CLASS, gateway(), old, new), a_route("old", "a", costly(1), 1)), SETTINGS, graph)
    assert attached(graph) == {"a/old", "a/new"}
    assert refused(graph) == {}
    graph = build_graph(replaced(world(CLASS, gateway(), old, new), a_route("old", "a", costly(2), 1)), SETTINGS, graph)
    assert attached(graph) == {"a/old"}


# --- compared with simple calculations

HOSTS = ("", "*.com", "*.b.com", "a.b.com", "*.a.b.com", "c.com")
PATHS = ("", "/a", "/a/b", "=/a", "=/a/b", "/c")
prices = st.lists(
    st.tuples(
        st.sampled_from(HOSTS), st.sampled_from(PATHS), st.sampled_from("st"), st.sampled_from("uv"), st.integers(1, 9)
    ),
    max_size=12,
)


def an_item(at: str, signature: str, bucket: str, price: int) -> Item:
    node = ("Exact" if at.startswith("=") else "PathPrefix", at)
    return Item(
        point=Point("path", at),
        node=node,
        signature=(False, (signature,), ()),
        bucket=(bucket,),
        look_up=2,
        values=1,
        expressions=price,
    )


def worst(entries: list[tuple[str, str, str, str, int]]) -> int:
    """Of all hosts: the sum over its hostnames of the worst path, with the most expensive bucket of each signature."""

    @cache
    def at(host: str, point: str) -> int:
        total = 0
        for signature in "st":
            buckets = [[price for *key, price in entries if key == [host, point, signature, bucket]] for bucket in "uv"]
            total += max((2 + 1 + sum(bucket) for bucket in buckets if bucket), default=0)
        return total

    def way(point: str | None) -> list[str]:
        return [] if point is None else [point, *way(above_path(point))]

    def chain(host: str | None) -> list[str]:
        return [] if host is None else [host, *chain(above_hostname(host))]

    return max(
        sum(max(sum(at(name, step) for step in way(point)) for point in PATHS) for name in chain(host))
        for host in HOSTS
    )


@settings(max_examples=300, deadline=None)
@given(prices, st.randoms(use_true_random=False))
def test_the_books_find_the_worst_request(entries: list[Any], shuffle: random.Random) -> None:
    books = Books()
    for host, point, signature, bucket, price in entries:
        books.change([an_item(point, signature, bucket, price)], [host], 1)
    assert books.cost == worst(entries)
    left, kept = list(entries), books.copy()
    shuffle.shuffle(left)
    while left:
        host, point, signature, bucket, price = left.pop()
        books.change([an_item(point, signature, bucket, price)], [host], -1)
        assert books.cost == worst(left)
    assert kept.cost == worst(entries)


def test_the_hostnames_above_one_are_those_that_match_whatever_it_matches() -> None:
    for name in HOSTS:
        above, at = set(), above_hostname(name)
        while at is not None:
            above.add(at)
            at = above_hostname(at)
        assert {other for other in HOSTS if other != name and covers(other, name)} <= above


def id_of(number: int) -> RouteId:
    return "HTTPRoute", Key(f"n{number % 7}", f"r{number:02}")


bids = st.dictionaries(
    st.integers(0, 29),
    st.none() | st.tuples(st.integers(0, 5), st.sampled_from(HOSTS), st.sampled_from(PATHS), st.integers(50, 400)),
    min_size=1,
    max_size=12,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(bids, min_size=1, max_size=6))
def test_edits_lead_to_the_same_refusals_as_a_fresh_start(edits: list[Mapping[int, Any]]) -> None:
    ledger, now = Ledger(), dict[RouteId, Bid]()
    for edit in edits:
        changes: dict[RouteId, Bid | None] = {}
        for number, plain in edit.items():
            id_ = id_of(number)
            changes[id_] = None if plain is None else a_bid(id_, *plain)
        ledger = admit(ledger, changes)
        now = {id_: bid for id_, bid in {**now, **changes}.items() if bid is not None}
        fresh = admit(Ledger(), now)
        assert dict(ledger.refusals) == dict(fresh.refusals) == simple(now)


def crowded() -> dict[RouteId, Bid]:
    """Bids of six namespaces at all hostnames, which together exceed the limit of the listener."""
    found: dict[RouteId, Bid] = {}
    for number in range(6000):
        id_ = "HTTPRoute", Key(f"n{number % 6}", f"r{number}")
        item = an_item("", f"s{number}", "u", 390)
        found[id_] = Bid((1000 + number, str(id_[1])), (item,), ("",))
    return found


VICTIM: RouteId = ("HTTPRoute", Key("v", "r"))


def victim(price: int, created: int = 1, bucket: str = "u") -> Bid:
    return Bid((created, "v/r"), (an_item("/v", "s", bucket, price),), ("v.example.com",))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (victim(900), victim(900, bucket="v")),
        (victim(900), victim(1200)),
        (None, victim(900, created=9999)),
        (victim(900, created=9999), None),
    ],
)
def test_a_change_on_a_listener_that_is_full_costs_a_part_of_judging_all(before: Bid | None, after: Bid | None) -> None:
    now = crowded() | ({VICTIM: before} if before else {})
    began = time.thread_time()
    ledger = admit(Ledger(), now)
    fresh = time.thread_time() - began
    assert len(ledger.refusals) > 1000
    began = time.thread_time()
    ledger = admit(ledger, {VICTIM: after})
    assert time.thread_time() - began < fresh / 5
    assert dict(ledger.refusals) == dict(admit(Ledger(), crowded() | ({VICTIM: after} if after else {})).refusals)


def a_bid(id_: RouteId, created: int, host: str, point: str, price: int) -> Bid:
    return Bid((created, str(id_[1])), (an_item(point, "s", str(id_), price * 1000),), (host,))


def simple(now: Mapping[RouteId, Bid]) -> dict[RouteId, Any]:
    """First each namespace, then the listener: the oldest route first."""
    found: dict[RouteId, Any] = {}
    in_order = sorted(now.items(), key=lambda pair: pair[1].age)
    for name in {id_[1].namespace for id_ in now}:
        found |= dict.fromkeys(
            not_fitting([p for p in in_order if p[0][1].namespace == name], MOST_PER_NAMESPACE), Refusal.NAMESPACE
        )
    found |= dict.fromkeys(not_fitting([p for p in in_order if p[0] not in found], MOST_PER_LISTENER), Refusal.LISTENER)
    return found


def not_fitting(in_order: Iterable[tuple[RouteId, Bid]], limit: int) -> list[RouteId]:
    taken: list[Bid] = []
    refused_ = []
    for id_, bid in in_order:
        books = Books()
        for one in (*taken, bid):
            books.change(one.items, one.hostnames, 1)
        if books.cost > limit:
            refused_.append(id_)
        else:
            taken.append(bid)
    return refused_
