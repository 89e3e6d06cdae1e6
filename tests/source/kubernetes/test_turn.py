"""What is worth an Event, and in which words."""

import pytest

from fastroute.source.kubernetes.merge import Ours
from fastroute.source.kubernetes.turn import Turn, turns

OURS = Ours("fastroute.dev/gateway")


def condition(type_, status, reason=None, message="m"):
    return {"type": type_, "status": status, "reason": reason or type_, "message": message}


def route(*conditions, by="fastroute.dev/gateway"):
    return {"parents": [{"controllerName": by, "parentRef": {"name": "web"}, "conditions": list(conditions)}]}


GOOD = route(condition("Accepted", "True"), condition("ResolvedRefs", "True"))
REFUSED = route(condition("Accepted", "True"), condition("ResolvedRefs", "False", "RefNotPermitted", "a"))
OTHER_REFUSED = route(condition("Accepted", "True"), condition("ResolvedRefs", "False", "RefNotPermitted", "b"))
DETACHED = route(condition("Accepted", "False", "NotAllowedByListeners"), condition("ResolvedRefs", "True"))

ATTACHED = Turn(False, "Accepted", "Attach", "Gateway web: m")
PERMITTED = Turn(False, "ResolvedRefs", "ResolveReferences", "Gateway web: m")
REFUSAL = Turn(True, "RefNotPermitted", "ResolveReferences", "Gateway web: a")


@pytest.mark.parametrize(
    ("held", "merged", "told"),
    [
        ({}, GOOD, [ATTACHED]),
        ({}, REFUSED, [ATTACHED, REFUSAL]),
        (GOOD, GOOD, []),
        (GOOD, REFUSED, [REFUSAL]),
        (REFUSED, GOOD, [PERMITTED]),
        (REFUSED, OTHER_REFUSED, [REFUSAL._replace(note="Gateway web: b")]),
        (GOOD, DETACHED, [Turn(True, "NotAllowedByListeners", "Attach", "Gateway web: m")]),
        (DETACHED, GOOD, [ATTACHED]),
        (GOOD, {"parents": []}, []),
        ({}, route(condition("Accepted", "False", "Mine"), by="x.dev/c"), []),
    ],
)
def test_of_routes(held, merged, told):
    assert list(turns("HTTPRoute", held, merged, OURS)) == told


WAITING = {"conditions": [condition("Programmed", "Unknown", "Pending")]}
PENDING = {"conditions": [condition("Programmed", "False", "Pending")]}
PROGRAMMED = {"conditions": [condition("Accepted", "True"), condition("Programmed", "True")]}
CLASH = {"listeners": [{"name": "a", "conditions": [condition("Conflicted", "True", "HostnameConflict")]}]}


@pytest.mark.parametrize(
    ("held", "merged", "told"),
    [
        (WAITING, PENDING, []),
        (PENDING, PROGRAMMED, [Turn(False, "Programmed", "Program", "m")]),
        (WAITING, PROGRAMMED, [Turn(False, "Programmed", "Program", "m")]),
        ({}, CLASH, [Turn(True, "HostnameConflict", "Attach", "listener a: m")]),
        ({}, {"conditions": [condition("x.dev/Mine", "False")]}, []),
    ],
)
def test_of_gateways(held, merged, told):
    assert list(turns("Gateway", held, merged, OURS)) == told
