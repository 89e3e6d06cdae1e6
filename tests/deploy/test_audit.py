"""Parsing an audit log: who requested what, and whether it was allowed."""

import json

from deploy.audit import USER, Right, asked, granted, judged


def line(verb: str, resource: str, *, subresource: str = "", decision: str = "allow", user: str = USER) -> str:
    reference = {"resource": resource, "apiGroup": "g"} | ({"subresource": subresource} if subresource else {})
    annotations = {"authorization.k8s.io/decision": decision}
    return json.dumps({"verb": verb, "user": {"username": user}, "objectRef": reference, "annotations": annotations})


RULES = [{"rules": [{"apiGroups": ["g"], "resources": ["a", "a/status"], "verbs": ["list", "update"]}]}, {"kind": "x"}]


def test_used_unused_and_refused_are_told_apart():
    log = [
        line("list", "a"),
        line("update", "a", subresource="status"),
        line("delete", "a", decision="forbid"),
        line("update", "a", user="somebody"),
        json.dumps({"verb": "get", "user": {"username": USER}, "requestURI": "/apis"}),
    ]
    verdict = judged(asked(log), granted(RULES))
    assert verdict.used == {Right("g", "a", "list"), Right("g", "a/status", "update")}
    assert verdict.unused == {Right("g", "a", "update"), Right("g", "a/status", "list")}
    assert verdict.refused == {Right("g", "a", "delete")}
