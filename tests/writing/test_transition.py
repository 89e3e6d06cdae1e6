"""Which changes cause an Event, and in which words."""

import pytest

from fastroute.writing.merge import Ours
from fastroute.writing.transition import Transition, transitions

OURS = Ours("fastroute.dev/gateway")


def condition(type_, status, reason=None, message="m"):
    return {"type": type_, "status": status, "reason": reason or type_, "message": message}


def route(*conditions, by="fastroute.dev/gateway"):
    return {"parents": [{"controllerName": by, "parentRef": {"name": "web"}, "conditions": list(conditions)}]}


GOOD = route(condition("Accepted", "True"), condition("ResolvedRefs", "True"))
REFUSED = route(condition("Accepted", "True"), condition("ResolvedRefs", "False", "RefNotPermitted", "a"))
OTHER_REFUSED = route(condition("Accepted", "True"), condition("ResolvedRefs", "False", "RefNotPermitted", "b"))
DETACHED = route(condition("Accepted", "False", "NotAllowedByListeners"), condition("ResolvedRefs", "True"))

ATTACHED = Transition(False, "Accepted", "Attach", "Gateway web: m")
PERMITTED = Transition(False, "ResolvedRefs", "ResolveReferences", "Gateway web: m")
REFUSAL = Transition(True, "RefNotPermitted", "ResolveReferences", "Gateway web: a")


@pytest.mark.parametrize(
    ("held", "merged", "told"),
    [
        ({}, GOOD, [ATTACHED]),
        ({}, REFUSED, [ATTACHED, REFUSAL]),
        (GOOD, GOOD, []),
        (GOOD, REFUSED, [REFUSAL]),
        (REFUSED, GOOD, [PERMITTED]),
        (REFUSED, OTHER_REFUSED, [REFUSAL._replace(note="Gateway web: b")]),
        (GOOD, DETACHED, [Transition(True, "NotAllowedByListeners", "Attach", "Gateway web: m")]),
        (DETACHED, GOOD, [ATTACHED]),
        (GOOD, {"parents": []}, []),
        ({}, route(condition("Accepted", "False", "Mine"), by="x.dev/c"), []),
    ],
)
def test_of_routes(held, merged, told):
    assert list(transitions("HTTPRoute", held, merged, OURS)) == told


WAITING = {"conditions": [condition("Programmed", "Unknown", "Pending")]}
PENDING = {"conditions": [condition("Programmed", "False", "Pending")]}
PROGRAMMED = {"conditions": [condition("Accepted", "True"), condition("Programmed", "True")]}
CLASH = {"listeners": [{"name": "a", "conditions": [condition("Conflicted", "True", "HostnameConflict")]}]}


@pytest.mark.parametrize(
    ("held", "merged", "told"),
    [
        (WAITING, PENDING, []),
        (PENDING, PROGRAMMED, [Transition(False, "Programmed", "Program", "m")]),
        (WAITING, PROGRAMMED, [Transition(False, "Programmed", "Program", "m")]),
        ({}, CLASH, [Transition(True, "HostnameConflict", "Attach", "listener a: m")]),
        ({}, {"conditions": [condition("x.dev/Mine", "False")]}, []),
    ],
)
def test_of_gateways(held, merged, told):
    assert list(transitions("Gateway", held, merged, OURS)) == told
