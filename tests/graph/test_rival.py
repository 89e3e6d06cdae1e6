"""Rivals of an L4 listener: after random edits they are those of a complete calculation, and an edit costs little."""

import random
from unittest import mock

import pytest
from graph.test_l4 import LISTENERS, built, service
from graph.world import gateway, ref, route

from fastroute.difference import Revision, replaced
from fastroute.graph import rival
from fastroute.graph.node import Attachment, RouteId
from fastroute.graph.rival import NO_RIVALS, rivals_of
from fastroute.resources.meta import Key
from fastroute.resources.tcproute import TCPRoute

MANY = 512


def attached(names: list[str], day: int) -> dict[RouteId, Attachment]:
    """TCPRoutes that were created on the same day, as a listener has them."""
    born = {"creationTimestamp": f"2026-01-{day:02}T00:00:00Z"}
    routes = [route(name, "red", ref("s"), type_=TCPRoute, meta=born) for name in names]
    graph = built(gateway("gw", "infra", LISTENERS["TCP"]), service("s", "red"), *routes)
    [listener] = graph.gateways[Key("infra", "gw")].listeners
    return dict(listener.attachments)


@pytest.fixture(scope="module")
def days() -> list[dict[RouteId, Attachment]]:
    """The same routes, created on different days."""
    return [attached([f"r{number}" for number in range(MANY)], day) for day in (1, 2, 3)]


def test_edits_lead_to_the_same_rivals_as_a_complete_calculation(days: list[dict[RouteId, Attachment]]) -> None:
    chance = random.Random(1)
    ids = list(days[0])[:40]
    before, last = Revision(), NO_RIVALS
    for _ in range(300):
        some = chance.sample(ids, chance.choice((1, 1, 2, 20)))
        after = replaced(before, {id_: chance.choice([None, *(day[id_] for day in days)]) for id_ in some})
        last = rivals_of(after, before, last)
        assert dict(last) == dict(rivals_of(after))
        before = after


def test_rivals_that_stay_are_the_same_object(days: list[dict[RouteId, Attachment]]) -> None:
    """The second of three routes is replaced by one of the same age."""
    first = dict(list(days[0].items())[:3])
    before = replaced(Revision(), first)
    last = rivals_of(before)
    again = attached(["r1"], 1)
    assert rivals_of(replaced(before, again), before, last)[""] is last[""]


@pytest.mark.parametrize("edit", ["another day", "leaves", "comes"])
def test_an_edit_looks_at_few_rivals(edit: str, days: list[dict[RouteId, Attachment]]) -> None:
    id_ = ("TCPRoute", Key("red", "r77"))
    without = {one: attachment for one, attachment in days[0].items() if one != id_}
    before = replaced(Revision(), without if edit == "comes" else days[0])
    after = replaced(before, {id_: {"another day": days[1][id_], "leaves": None, "comes": days[0][id_]}[edit]})
    last = rivals_of(before)
    with mock.patch.object(rival, "age", wraps=rival.age) as ages:
        now = rivals_of(after, before, last)
    assert dict(now) == dict(rivals_of(after))
    assert ages.call_count < MANY / 8
