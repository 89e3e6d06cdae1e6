"""Which changes of grants are reported besides the grant itself, and in which words."""

import pytest
from graph.world import gateway, https, listener_set, make, ref, removed, replaced, route, world

from fastroute.graph.build import build_graph
from fastroute.resources.core import Service
from fastroute.resources.meta import Key
from fastroute.resources.policy import ReferenceGrant
from fastroute.settings import GraphSettings
from fastroute.writing.permission import changed_permissions

SETTINGS = GraphSettings()


def grant(name="allow", to_name=None, **from_):
    origin = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "infra", **from_}
    target = {"group": "", "kind": "Service", **({"name": to_name} if to_name else {})}
    return make(ReferenceGrant, "bananas", name, {"from": [origin], "to": [target]})


def echo(name="echo"):
    return make(Service, "bananas", name, {"ports": [{"port": 80}]})


REFUSED = world(gateway(), route("fruits", "infra", ref("echo", "bananas")), echo())
GRANTED = replaced(REFUSED, grant())


def told(before, after):
    graph = build_graph(before, SETTINGS)
    changed = changed_permissions(graph, build_graph(after, SETTINGS, graph))
    return [(each.grant.metadata.name, str(each.referrer), each.is_given) for each in changed]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (REFUSED, GRANTED, [("allow", "infra/fruits", True)]),
        (GRANTED, REFUSED, [("allow", "infra/fruits", False)]),
        (GRANTED, replaced(REFUSED, grant(to_name="other")), [("allow", "infra/fruits", False)]),
        (GRANTED, GRANTED, []),
        (REFUSED, replaced(REFUSED, grant(kind="GRPCRoute")), []),
        (GRANTED, replaced(GRANTED, grant("more")), []),  # it was permitted before
        (replaced(GRANTED, grant("more")), GRANTED, []),  # it is still permitted
        (GRANTED, replaced(REFUSED, grant("other")), []),
    ],
)
def test_what_grants_turned(before, after, expected):
    assert told(before, after) == expected


@pytest.mark.parametrize(
    ("referrer", "kind"), [("infra/gw", "Gateway"), ("infra/more", "ListenerSet")], ids=["Gateway", "ListenerSet"]
)
def test_references_to_certificates_are_told_too(referrer, kind):
    secure = https("secure", "bananas/tls", hostname="a.test")
    plain = gateway(spec={"allowedListeners": {"namespaces": {"from": "All"}}})
    parents = {
        "Gateway": [gateway("gw", "infra", secure)],
        "ListenerSet": [plain, listener_set("more", "infra", secure)],
    }
    refused = world(*parents[kind])
    opened = {"group": "gateway.networking.k8s.io", "kind": kind, "namespace": "infra"}
    granted = make(ReferenceGrant, "bananas", "allow", {"from": [opened], "to": [{"group": "", "kind": "Secret"}]})
    assert told(refused, replaced(refused, granted)) == [("allow", referrer, True)]
    assert told(replaced(refused, granted), refused) == [("allow", referrer, False)]


def test_a_reference_that_its_route_dropped_is_no_news_of_the_grant():
    rewritten = replaced(REFUSED, route("fruits", "infra", meta={"generation": 2}))
    assert told(REFUSED, rewritten) == []
    assert told(GRANTED, removed(rewritten, ReferenceGrant, Key("bananas", "allow"))) == []


def test_the_words_are_the_same_whether_the_target_exists_or_not():
    def note(resources):
        graph = build_graph(resources, SETTINGS)
        (permission,) = changed_permissions(graph, build_graph(replaced(resources, grant()), SETTINGS, graph))
        return permission.note

    assert note(REFUSED) == note(removed(REFUSED, Service, Key("bananas", "echo")))
    assert note(REFUSED) == (
        "HTTPRoute infra/fruits: its reference to Service bananas/echo is permitted now (from kind HTTPRoute, "
        'namespace infra to group "", kind Service, name echo).'
    )
