"""Which parts of a status are written, and which stay as other controllers wrote them."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.resources.meta import Key
from fastroute.status import OUR_TYPES
from fastroute.writing.merge import Change, Ours, has_ours, merge, without_ours
from fastroute.writing.room import GIVING_WAY, MOST, left_out

THEN, NOW = "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"
CHANGE = Change(Key("infra", "r"), Ours("fastroute.dev/gateway"), NOW)


def condition(type_="Accepted", status="True", reason=None, time=None, generation=1):
    written = {
        "type": type_,
        "status": status,
        "reason": reason or type_,
        "message": "m",
        "observedGeneration": generation,
    }
    return written | ({"lastTransitionTime": time} if time else {})


def parent(*conditions, by="fastroute.dev/gateway", **ref):
    return {"controllerName": by, "parentRef": {"name": "web", **ref}, "conditions": list(conditions)}


def route(*parents):
    return {"parents": list(parents)}


def written(held, wanted, kind="HTTPRoute", change=CHANGE):
    return merge(kind, held, wanted, change)


def test_a_new_status_is_written_whole():
    assert written({}, route(parent(condition()))) == route(parent(condition(time=NOW)))


@pytest.mark.parametrize(
    ("new", "time"),
    [
        (condition(status="False", reason="NoMatchingParent"), NOW),
        (condition(reason="Other"), THEN),  # the condition's status did not change
        (condition(generation=2), THEN),
    ],
)
def test_the_time_moves_with_the_status_alone(new, time):
    held = route(parent(condition(time=THEN)))
    assert written(held, route(parent(new))) == route(parent({**new, "lastTransitionTime": time}))


@pytest.mark.parametrize(
    "held",
    [
        route(parent(condition(time=THEN))),
        route(parent(condition(time=THEN), by="x"), parent(condition(time=THEN)), parent(by="y")),
        route(parent(condition("x.dev/Other", time=THEN), condition(time=THEN))),
    ],
)
def test_what_says_the_same_is_not_written(held):
    assert written(held, route(parent(condition()))) is None


def test_our_parents_come_and_go_between_those_of_others():
    other = parent(condition(status="False", time=THEN), by="x", sectionName="a")
    held = route(parent(condition(time=THEN), sectionName="gone"), other, parent(condition(time=THEN)))
    wanted = route(parent(condition()), parent(condition(), port=80))
    assert written(held, wanted) == route(other, parent(condition(time=THEN)), parent(condition(time=NOW), port=80))


def test_others_entries_in_what_is_wanted_are_not_believed():
    stale = parent(condition("Accepted", "False", time=THEN), by="x")
    fresh = parent(condition("Accepted", "True", time=NOW), by="x")
    assert written(route(fresh), route(stale, parent(condition()))) == route(fresh, parent(condition(time=NOW)))


def test_a_type_of_ours_that_is_not_said_any_more_goes():
    held = {"conditions": [condition(time=THEN), condition("Conflicted", time=THEN), condition("Mine", time=THEN)]}
    assert written(held, {"conditions": [condition()]}, "Gateway") == {
        "conditions": [condition(time=THEN), condition("Mine", time=THEN)]
    }


def test_conditions_of_others_inside_a_listener_stay():
    foreign = condition("x.dev/Seen", time=THEN)
    held = {"listeners": [{"name": "a", "conditions": [foreign]}, {"name": "gone", "conditions": [foreign]}]}
    wanted = {"listeners": [{"name": "b", "conditions": []}, {"name": "a", "conditions": [condition()]}]}
    assert written(held, wanted, "Gateway") == {
        "listeners": [{"name": "b", "conditions": []}, {"name": "a", "conditions": [foreign, condition(time=NOW)]}]
    }


def test_fields_of_ours_are_replaced_and_unknown_ones_kept():
    held = {"addresses": [{"value": "1.2.3.4"}], "attachedListenerSets": 2, "later": {"x": 1}}
    assert written(held, {"addresses": []}, "Gateway") == {"addresses": [], "later": {"x": 1}}


def test_the_default_conditions_of_the_schema_are_replaced():
    waiting = condition(status="Unknown", reason="Pending", time="1970-01-01T00:00:00Z")
    assert written({"conditions": [waiting]}, {"conditions": [condition()]}, "Gateway") == {
        "conditions": [condition(time=NOW)]
    }


def test_a_route_that_left_us_loses_our_entries_alone():
    other = parent(condition(time=THEN), by="x")
    held = route(parent(condition(time=THEN)), other)
    assert without_ours(held, CHANGE) == route(other)
    assert without_ours(route(other), CHANGE) is None
    assert without_ours({}, CHANGE) is None
    assert (has_ours(held, CHANGE.key, CHANGE.ours), has_ours(route(other), CHANGE.key, CHANGE.ours)) == (True, False)


def test_an_entry_for_a_listener_set_is_ours_while_we_want_it_also_where_only_some_gateways_are():
    """The entry does not contain the Gateway to which the ListenerSet belongs."""
    change = CHANGE._replace(ours=Ours("fastroute.dev/gateway", frozenset({"infra/web"})))
    wanted = route(parent(condition(), kind="ListenerSet", name="more"))
    once = written({}, wanted, change=change)
    assert written(once, wanted, change=change) is None
    turned = route(parent(condition(status="False", reason="NoMatchingParent"), kind="ListenerSet", name="more"))
    assert len(written(once, turned, change=change)["parents"]) == 1
    foreign = route(parent(condition(time=THEN), kind="ListenerSet", name="theirs"))
    assert written(foreign, wanted, change=change) == route(*foreign["parents"], *once["parents"])


def test_two_of_our_name_that_serve_different_gateways_leave_each_other_alone():
    change = CHANGE._replace(ours=Ours("fastroute.dev/gateway", frozenset({"infra/web"})))
    theirs = parent(condition(time=THEN), name="api")
    near, far = parent(condition(time=THEN)), parent(condition(time=THEN), namespace="other")
    assert without_ours(route(theirs, near, far), change) == route(theirs, far)


def strangers(count):
    return [condition(f"x.dev/C{number}", time=THEN) for number in range(count)]


def lost(held, wanted, kind="HTTPRoute"):
    merged = written(held, wanted, kind)
    return left_out(held, wanted, merged or held, "fastroute.dev/gateway")


def types(conditions):
    return [one["type"] for one in conditions]


def test_more_parents_than_the_api_takes_cost_ours():
    others = [parent(by="x", sectionName=f"s{number}") for number in range(MOST["parents"] - 1)]
    wanted = route(parent(condition()), parent(condition(), port=80), parent(condition(), sectionName="a"))
    assert written(route(*others), wanted) == route(*others, parent(condition(time=NOW)))
    assert lost(route(*others), wanted) == ["the entry of parent web", "the entry of parent web/a"]


@pytest.mark.parametrize("kind", ["Gateway", "ListenerSet", "GatewayClass"])
@pytest.mark.parametrize("others", range(9))
def test_conditions_of_others_are_never_removed_and_ours_give_way_optional_ones_first(kind, others):
    """Conditions of a Gateway, a ListenerSet, a GatewayClass, and of listeners."""
    room = MOST["conditions"] - others
    ours = [condition(type_) for type_ in GIVING_WAY]
    kept = {*GIVING_WAY[-room:]} if room else set()
    gone = [type_ for type_ in GIVING_WAY if type_ not in kept]
    held = {
        "conditions": strangers(others),
        "listeners": [{"name": "a", "conditions": strangers(others)}],
    }
    wanted = {"conditions": ours, "listeners": [{"name": "a", "conditions": ours}]}
    merged = written(held, wanted, kind) or held
    for holder in (merged, merged["listeners"][0]):
        assert holder["conditions"][:others] == strangers(others)
        assert set(types(holder["conditions"][others:])) == kept
    owners = ("", " of listener a")
    assert lost(held, wanted, kind) == [f"condition {type_}{owner}" for owner in owners for type_ in gone]


def test_accepted_and_programmed_are_the_last_to_give_way():
    assert GIVING_WAY[-2:] == ("Programmed", "Accepted")
    assert set(GIVING_WAY) == OUR_TYPES


def test_what_has_no_room_any_more_makes_room_again():
    """Conditions written earlier are dropped when other controllers add theirs, and return when those are removed."""
    ours = [condition("Accepted"), condition("Programmed"), condition("OverlappingTLSConfig")]
    held = {"conditions": [*[{**one, "lastTransitionTime": THEN} for one in ours], *strangers(5)]}
    assert written(held, {"conditions": ours}, "Gateway") is None
    crowded = written(held, {"conditions": [*ours, condition("ResolvedRefs")]}, "Gateway")
    assert types(crowded["conditions"]) == ["Accepted", "Programmed", *types(strangers(5)), "ResolvedRefs"]
    again = written({"conditions": crowded["conditions"][:-2]}, {"conditions": ours}, "Gateway")
    assert types(again["conditions"]) == ["Accepted", "Programmed", *types(strangers(4)), "OverlappingTLSConfig"]


def test_in_our_entry_of_a_route_conditions_of_others_give_way():
    wanted = route(parent(condition("Accepted"), condition("ResolvedRefs")))
    held = route(parent(*strangers(8)))
    (entry,) = written(held, wanted)["parents"]
    assert types(entry["conditions"]) == [*types(strangers(6)), "Accepted", "ResolvedRefs"]
    assert lost(held, wanted) == ["condition x.dev/C6 of parent web", "condition x.dev/C7 of parent web"]
    assert written(route(entry), wanted) is None
    assert lost(route(entry), wanted) == []


@pytest.mark.parametrize(("name", "most"), [("addresses", 16), ("supportedFeatures", 64)])
def test_lists_that_are_ours_alone_are_no_longer_than_the_api_takes(name, most):
    entries = [{"name": f"{number}"} for number in range(most + 1)]
    kind = "Gateway" if name == "addresses" else "GatewayClass"
    assert written({}, {name: entries}, kind) == {name: entries[:most]}


TYPES = st.sampled_from([*sorted(OUR_TYPES), "x.dev/A", "x.dev/B"])
CONDITIONS = st.lists(
    st.builds(condition, TYPES, st.sampled_from(["True", "False"]), time=st.just(THEN)),
    max_size=4,
    unique_by=lambda entry: entry["type"],
)
PARENTS = st.lists(
    st.builds(
        lambda conditions, by, section: parent(*conditions, by=by, sectionName=section),
        CONDITIONS,
        st.sampled_from(["fastroute.dev/gateway", "x.dev/c"]),
        st.sampled_from("abc"),
    ),
    max_size=6,
    unique_by=lambda entry: (entry["controllerName"], entry["parentRef"]["sectionName"]),
)
STATUS = st.fixed_dictionaries(
    {},
    optional={
        "parents": PARENTS,
        "conditions": CONDITIONS,
        "listeners": st.lists(
            st.fixed_dictionaries({"name": st.sampled_from("abc"), "conditions": CONDITIONS}),
            max_size=3,
            unique_by=lambda entry: entry["name"],
        ),
        "later": st.integers(),
    },
)


def foreign(status, listeners):
    """The parts of a status that belong to other controllers, without listeners that are not in `listeners`."""
    return {
        "parents": [entry for entry in status.get("parents", ()) if entry["controllerName"] == "x.dev/c"],
        "conditions": [entry for entry in status.get("conditions", ()) if entry["type"] not in OUR_TYPES],
        "listeners": {
            entry["name"]: [one for one in entry["conditions"] if one["type"] not in OUR_TYPES]
            for entry in status.get("listeners", ())
            if entry["name"] in listeners
        },
    }


@given(STATUS, st.lists(STATUS, min_size=1, max_size=4))
def test_what_is_not_ours_survives_any_sequence(held, sequence):
    for wanted in sequence:
        before, names = copy.deepcopy(held), {entry["name"] for entry in wanted.get("listeners", ())}
        merged = merge("Gateway", held, wanted, CHANGE)
        assert held == before
        held = held if merged is None else merged
        kept, was = foreign(held, names), foreign(before, names)
        assert kept["parents"] == was["parents"]
        assert kept["conditions"] == was["conditions"]
        assert {name: kept["listeners"][name] for name in was["listeners"]} == was["listeners"]
        assert merge("Gateway", held, wanted, CHANGE) is None
