"""Which changes of conditions are logged, and in which words."""

import logging

from fastroute.graph.build import NOTHING
from fastroute.reporting.statuslog import AT_MOST, StatusLog
from fastroute.resources.meta import Key
from fastroute.resources.status_patch import StatusPatch
from fastroute.status import Statuses

GW = ("Gateway", Key("infra", "web"))
ROUTE = ("HTTPRoute", Key("infra", "r"))


def patch(id_, **status):
    return {id_: StatusPatch(kind=id_[0], key=id_[1], generation=1, status=status)}


def stated(patches):
    return Statuses(patches=patches, graph=NOTHING, outcome=None)


def accepted(status, reason="Accepted", message="m"):
    return {"type": "Accepted", "status": status, "reason": reason, "message": message}


def at(*conditions, **others):
    return [{"controllerName": "c", "parentRef": {"name": "web", **others}, "conditions": list(conditions)}]


def test_what_turns_is_logged_and_what_begins_well_is_not(caplog):
    caplog.set_level(logging.INFO)
    written = []
    log = StatusLog(written.append)
    log.post(stated(patch(GW, conditions=[accepted("True")])))
    assert caplog.messages == []
    log.post(stated(patch(GW, conditions=[accepted("True")])))
    log.post(stated(patch(GW, conditions=[accepted("False", "Invalid")], listeners=[{"name": "h", "conditions": []}])))
    log.post(stated(patch(GW, conditions=[accepted("True")])))
    assert caplog.messages == [
        "Gateway infra/web: Accepted=False/Invalid: m",
        "Gateway infra/web: Accepted=True/Accepted: m",
    ]
    assert [record.levelno for record in caplog.records] == [logging.WARNING, logging.INFO]
    assert written == [1, 1, 1]


def test_parents_are_named_with_what_they_narrow_down_to(caplog):
    log = StatusLog(lambda count: None)
    log.post(stated(patch(ROUTE, parents=at(accepted("False", "NoMatchingParent"), sectionName="h", port=80))))
    assert caplog.messages == [
        "HTTPRoute infra/r at Gateway web sectionName h port 80: Accepted=False/NoMatchingParent: m"
    ]


def test_what_others_wrote_badly_is_not_there(caplog):
    spoilt = [
        {"controllerName": "x"},
        {"controllerName": "y", "parentRef": 3},
        *at(namespace={}),
        *at({"type": "Accepted"}, 7),
    ]
    StatusLog(lambda count: None).post(
        stated(patch(ROUTE, parents=[*spoilt, *at(accepted("False", "NotAllowedByListeners"))]))
    )
    assert caplog.messages == ["HTTPRoute infra/r at Gateway web: Accepted=False/NotAllowedByListeners: m"]


def test_many_turns_are_counted(caplog):
    patches = {}
    for number in range(150):
        patches |= patch(("HTTPRoute", Key("a", f"r{number}")), parents=at(accepted("False")))
    StatusLog(lambda count: None).post(stated(patches))
    assert len(caplog.messages) == 101
    assert caplog.messages[-1] == "50 more conditions changed"


def test_if_too_many_turn_the_namespaces_take_turns(caplog):
    """In the order of names, all lines would be about a-team."""
    wrong = [accepted("False", "Invalid")]
    patches = {}
    for number in range(500):
        patches |= patch(("HTTPRoute", Key("a-team", f"r{number}")), parents=at(*wrong))
    patches |= patch(("HTTPRoute", Key("z-team", "r")), parents=at(*wrong))
    StatusLog().post(stated(patches))
    assert len(caplog.messages) == AT_MOST + 1
    assert sum("z-team/r" in message for message in caplog.messages) == 1
